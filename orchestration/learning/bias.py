"""Who is shown what, by region and age: an audit, with intervals (decision.D43).

Enters: decisions of a placement, and for each person the traits that a purpose may see. Leaves: a `Bias`. Such traits are looked at here and nowhere else on the way of a decision; groups of
few people are told of together, because a small group tells of its members. A difference is called with an interval widened for the number of groups (Bonferroni).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from statistics import NormalDist
from typing import Final

import numpy as np

from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId
from orchestration.decision import reading_store
from orchestration.learning.lift import newcombe, wilson
from profiles.service import Profiles

FEWEST: Final = 20  # people in a group that is told of by itself
BANDS: Final = (18, 25, 35, 45, 55, 65)
_OLDEST: Final = 130
UNKNOWN: Final = "unknown"
OTHERS: Final = "others"
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Part:
    """People of one group. `shown`: share of their decisions that showed something, with its interval; `apart`: that less everybody else's share."""

    by: str
    value: str
    people: int
    decisions: int
    shown: float
    low: float
    high: float
    apart: float
    apart_low: float
    apart_high: float
    variants: Mapping[str, float]

    @property
    def called(self) -> bool:
        """The difference is no chance, many groups considered."""
        return self.apart_low > 0 or self.apart_high < 0

    def to_json(self) -> dict[str, Json]:
        """As printed."""
        return {
            "by": self.by, "value": self.value, "people": self.people, "decisions": self.decisions, "shown": self.shown, "low": self.low,
            "high": self.high, "apart": self.apart, "apart_low": self.apart_low, "apart_high": self.apart_high, "called": self.called,
            "variants": dict(self.variants),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """One decision as the audit looks at it. `groups`: trait to value."""

    person: PersonId
    variant: str | None
    groups: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Audited:
    """`there`: traits that the purpose may see of these people, each with how many have it."""

    parts: tuple[Part, ...]
    people: int
    there: Mapping[str, int]

    def alone(self, part: Part) -> bool:
        """There is nobody else to compare this group with."""
        return part.decisions == sum(one.decisions for one in self.parts if one.by == part.by)

    @property
    def unknown(self) -> list[str]:
        """Traits that are known of nobody."""
        return sorted({one.by for one in self.parts if one.value == UNKNOWN and self.alone(one)})


async def audited(
    conn: Conn, identity: Identity, profiles: Profiles, *, placement: str, traits: Sequence[str], purpose: str,
    since: datetime, now: datetime,
) -> Audited:  # fmt: skip
    """The audit of a placement since a moment; who does not permit the purpose is `unknown` in every group."""
    rows = [row for row in await reading_store.compared(conn, placement, since) if not row.held]
    live = await identity.current(conn, sorted({row.person for row in rows})) if rows else {}
    people = sorted(set(live.values()))
    told = await profiles.unified(conn, people, purpose, now) if people else {}
    groups = {
        person: {name: band(told[person].traits[name].value if person in told and name in told[person].traits else None, now) for name in traits}
        for person in people
    }  # fmt: skip
    seen = [Seen(live[row.person], row.variant, groups[live[row.person]]) for row in rows if row.person in live]
    return Audited(tuple(parts(seen, traits)), len(people), common(one.traits for one in told.values()))


def common(held: Iterable[Iterable[str]]) -> dict[str, int]:
    """Of how many people each trait is known, where it is of enough of them to tell of. Pure."""
    counts = Counter(name for names in held for name in names)
    return {name: count for name, count in sorted(counts.items()) if count >= FEWEST}


def parts(seen: Sequence[Seen], traits: Sequence[str]) -> list[Part]:
    """Groups beside everybody else. Pure."""
    found: list[tuple[str, str, list[Seen]]] = []
    for name in traits:
        of: dict[str, list[Seen]] = {}
        for one in seen:
            of.setdefault(one.groups.get(name, UNKNOWN), []).append(one)
        small = [value for value, held in of.items() if len({one.person for one in held}) < FEWEST]
        together = [one for value in small for one in of.pop(value)]
        if together and len({one.person for one in together}) >= FEWEST:
            of[OTHERS] = together
        found += [(name, value, held) for value, held in sorted(of.items())]
    z = _NORMAL.inv_cdf(1 - 0.025 / max(1, len(found)))
    return [_part(name, value, held, seen, z) for name, value, held in found]


def _part(name: str, value: str, held: Sequence[Seen], seen: Sequence[Seen], z: float) -> Part:
    shown, everywhere = sum(one.variant is not None for one in held), sum(one.variant is not None for one in seen)
    rest = len(seen) - len(held)
    low, high = wilson(shown, len(held))
    apart, apart_low, apart_high = newcombe(shown, len(held), everywhere - shown, rest, z)
    names, counts = np.unique([one.variant or "nothing" for one in held], return_counts=True)
    variants = {str(one): float(count) / len(held) for one, count in zip(names, counts, strict=True)}
    return Part(
        name, value, len({one.person for one in held}), len(held), shown / len(held), low, high, apart, apart_low, apart_high, variants,
    )  # fmt: skip


def band(value: object, now: datetime) -> str:
    """The band of a number or a birth date, any other value as it is."""
    if value is None or value == "":
        return UNKNOWN
    years = _years(value, now)
    if years is None or not 0 <= years < _OLDEST or str(value).startswith("00"):  # a postcode is no age
        return str(value)[:64]
    under = next((place for place, band in enumerate(BANDS) if years < band), len(BANDS))
    if under == 0:
        return f"under {BANDS[0]}"
    return f"{BANDS[-1]} and over" if under == len(BANDS) else f"{BANDS[under - 1]} to {BANDS[under] - 1}"


def _years(value: object, now: datetime) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    text = str(value)
    try:
        return float(text)
    except ValueError:
        pass
    try:
        born = date.fromisoformat(text[:10])
    except ValueError:
        return None
    return (now.astimezone(UTC).date() - born).days / 365.25
