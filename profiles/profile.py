"""The unified profile: what one purpose may see of one person at one moment.

Made only by ``consent_filter.see``: the constructor asks for a seal that no other module holds, and a house test looks for
callers. A trait or event that the purpose may not see is absent, not masked.
"""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import Final

from consent.gate import Permission
from events.log import Event
from kernel.ids import GraphVersion, PersonId
from profiles.errors import NotTheFilter
from profiles.trait import Trait

_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class UnifiedProfile:
    """``known_at``: nothing recorded after it is in here. ``permission``: the gate's answer that let this be seen. ``unused``: kinds of information
    that she wants left out when we choose for her.
    """

    person: PersonId
    purpose: str
    at: datetime
    known_at: datetime
    permission: Permission
    traits: Mapping[str, Trait]
    events: tuple[Event, ...] = field(repr=False)
    sure: float
    graph_version: GraphVersion
    consent_version: int
    seal: InitVar[object]
    unused: frozenset[str] = frozenset()
    by_name: Mapping[str, tuple[Event, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise NotTheFilter("expected the consent filter to make a unified profile, got another maker")
        by_name: dict[str, list[Event]] = {}
        for event in self.events:
            by_name.setdefault(event.name, []).append(event)
        object.__setattr__(self, "by_name", {name: tuple(held) for name, held in by_name.items()})
