"""Who looks at a page, and through which key."""

from dataclasses import dataclass

from identity.identifiers import Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """`identifier` is the visitor's anonymous id (`identity.visitor`), `source` the one the key speaks for, `gpc` the browser's signal."""

    identifier: Identifier
    source: str | None
    actor: str
    gpc: bool = False
    user_agent: str | None = None
