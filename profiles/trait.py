"""One value of one record, with where it comes from and what it may serve.

Enters: nothing; this is the shape. Leaves: `Trait`, which survivorship chooses among and the consent filter lets through or not.
"""

from dataclasses import dataclass
from datetime import datetime

from identity.records import TraitValue
from kernel.ids import RecordId


@dataclass(frozen=True, slots=True)
class Trait:
    """One value of one record, and the purposes it may serve."""

    name: str
    value: TraitValue
    record_id: RecordId
    source: str
    observed_at: datetime
    purposes: frozenset[str]

    def __repr__(self) -> str:
        return f"Trait({self.name!r}, record_id={self.record_id!r}, source={self.source!r})"
