"""The visitor of a page: the one subject a public browser key may act for.

Enters: the anonymous id that the page's script made and keeps after consent. Leaves: a `Visitor`, or `NotAVisitor`. A browser key is public
and bound to its web origin; whose page it is follows from the anonymous id alone, which therefore is the visitor's secret: it must be long
enough that nobody finds one by trying. Pure.
"""

import re
from dataclasses import dataclass
from typing import Final

from identity.identifiers import Identifier
from kernel.errors import InvalidInput

HEADER: Final = "Candor-Visitor"
KIND: Final = "anonymous_id"
_FORM: Final = re.compile(r"[A-Za-z0-9._:-]{16,128}")  # a UUID has 36; what a person could type or count up is refused


class NotAVisitor(InvalidInput):
    """No anonymous id, or one that somebody else could guess."""

    code = "not_a_visitor"
    remedy = (
        f"Send the visitor's anonymousId (a UUID, 16 to 128 characters) in the header {HEADER}; "
        "a browser key acts for no other subject."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who looks at the page, through which key. `source` is the one the key speaks for, `gpc` the browser's privacy signal."""

    anonymous_id: str
    source: str | None
    actor: str
    gpc: bool = False
    user_agent: str | None = None

    @property
    def identifier(self) -> Identifier:
        """As identity knows it."""
        return Identifier(KIND, self.anonymous_id)


def anonymous_id(given: str | None) -> str:
    """The anonymous id as sent.

    Raises:
        NotAVisitor: absent, or not of its form.
    """
    if given is None or not _FORM.fullmatch(given.strip()):
        raise NotAVisitor("expected an anonymous id of 16 to 128 characters, got none or another")
    return given.strip()
