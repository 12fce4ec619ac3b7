"""The raw profile: everything a person's records and events say, with where each thing comes from. Not yet filtered.

What enters: opened records and events. What leaves: ``RawProfile``, which only the consent filter may look into; nothing
outside this room holds one longer than it takes to filter it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from events.log import Event
from identity.records import SourceRecord, TraitValue
from kernel.ids import GraphVersion, PersonId, RecordId
from profiles.survivorship import Survivorship
from profiles.trait import Trait


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A version of a source's row. ``row`` is the same for all versions of one row."""

    id: RecordId
    row: tuple[str, str]
    version: int
    source: str
    observed_at: datetime
    recorded_at: datetime
    purposes: frozenset[str]
    traits: Mapping[str, TraitValue] = field(repr=False)

    @classmethod
    def of(cls, record: SourceRecord) -> "RawRecord":
        """A record of identity's, opened."""
        return cls(
            id=record.id,
            row=(record.source, record.source_key),
            version=record.version,
            source=record.source,
            observed_at=record.observed_at,
            recorded_at=record.recorded_at,
            purposes=frozenset((record.purpose, *record.also_for)),
            traits=record.traits,
        )


@dataclass(frozen=True, slots=True)
class RawProfile:
    """A person, unfiltered. ``survivorship``: the declared rules by which traits that differ are decided; ``sensitive``: names of traits that
    need a permission of their own.
    """

    person: PersonId
    records: tuple[RawRecord, ...] = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)
    sure: float
    graph_version: GraphVersion
    survivorship: Survivorship = field(repr=False)
    sensitive: frozenset[str] = frozenset()

    def traits(self, at: datetime, known_at: datetime) -> list[Trait]:
        """Every trait as of ``at``, from what was recorded by ``known_at``: of each row the version observed last."""
        latest: dict[tuple[str, str], RawRecord] = {}
        for record in self.records:
            if record.observed_at <= at and record.recorded_at <= known_at:
                held = latest.get(record.row)
                if held is None or (held.observed_at, held.version) < (record.observed_at, record.version):
                    latest[record.row] = record
        return [
            Trait(name, value, record.id, record.source, record.observed_at, record.purposes)
            for record in latest.values()
            for name, value in record.traits.items()
        ]
