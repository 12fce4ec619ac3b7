"""What an erasure would do, and whether what was approved is still what would be done (consent.D7, D10).

What enters: counts of what the rooms hold, the holds that stand, who the person was at the approval. What leaves: lines by room and kind, each erased, pseudonymised, kept or held, with
its reason; and whether the plan must be made anew. What happens to which kind is data (``data/erasure.yaml``). Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from consent.retention_store import Hold
from kernel.ids import PersonId
from kernel.yaml_text import read_yaml

_FILE: Final = Path(__file__).parent.parent / "data" / "erasure.yaml"
LAWS: Final[Mapping[str, str]] = {
    "legal_claim": "GDPR Art. 17(3)(e)",
    "authority": "GDPR Art. 18(2)",
    "legal_obligation": "GDPR Art. 17(3)(b)",
    "public_interest": "GDPR Art. 17(3)(b), (d)",
}


class Fate(StrEnum):
    """What an erasure does to a thing."""

    ERASED = "erased"
    PSEUDONYMISED = "pseudonymised"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Line:
    """So many things of a kind, and what becomes of them. A held one names ground, law and until when."""

    room: str
    kind: str
    count: int
    fate: Fate
    because: str
    ground: str | None = None
    law: str | None = None
    until: datetime | None = None


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    room: str
    kind: str
    fate: Fate
    because: Annotated[str, Field(min_length=10)]


@cache
def rules(path: Path = _FILE) -> Mapping[tuple[str, str], tuple[Fate, str]]:
    """By room and kind."""
    read = [_Rule.model_validate(one) for one in read_yaml(path.read_text(encoding="utf-8"))]
    return {(one.room, one.kind): (one.fate, one.because) for one in read}


def plan(holdings: Mapping[str, Mapping[str, int]], holds: Sequence[Hold]) -> list[Line]:
    """Room by room. While a hold stands, everything is held: nobody knows which of it a court will ask for."""
    found = []
    for room, kinds in holdings.items():
        for kind, count in kinds.items():
            if not count:
                continue  # nothing of it, nothing becomes of it
            fate, because = rules().get((room, kind), (Fate.ERASED, "words, indexes and keys go"))
            if holds:
                first = holds[0]
                found.append(Line(room, kind, count, Fate.HELD, "a hold stands", first.ground, LAWS.get(first.ground), first.until))  # fmt: skip
            else:
                found.append(Line(room, kind, count, fate, because))
    return found


def totals(lines: Sequence[Line]) -> dict[str, int]:
    """How many things of each fate."""
    return {fate.value: sum(line.count for line in lines if line.fate is fate) for fate in Fate}


def reach(names: Sequence[PersonId], records: Sequence[str]) -> dict[str, list[str]]:
    """Whom and what a plan is about, as it is kept at the approval."""
    return {"people": sorted(names), "records": sorted(records)}


def changed(
    then: Mapping[str, Sequence[str]] | None, names: Sequence[PersonId], owners: Mapping[str, Sequence[PersonId]]
) -> bool:
    """Whether other people were merged in, or something of hers went to somebody else, since ``then``.

    ``owners``: living people of each record of then; a record without any is gone, which changes nothing. A new record of hers changes nothing either: the
    erasure takes what there is.
    """
    if then is None:
        return False
    if set(names) - set(then["people"]):
        return True
    return any(set(owners.get(record, ())) - set(names) for record in then["records"])
