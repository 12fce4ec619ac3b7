"""Source records: one row of one source, in one shape, never overwritten.

What enters: ``NewRecord`` as a source declares it. What leaves: ``SourceRecord`` opened in memory, and the linkage table
(one row a current record, one column a kind) that lives in memory only. The body is the one byte string that is sealed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Final, cast

import orjson
import pyarrow as pa

from identity.errors import InvalidRecord
from identity.identifiers import Identifier
from kernel.ids import KeyId, RecordId

TraitValue = str | int | float | bool

# Kinds that say who somebody is: records of all sources share one column a kind, whatever the source called its own.
NAMING_KINDS: Final = frozenset(
    {
        *("first_name", "last_name", "full_name", "birth_date", "birth_year", "birth_month", "birth_day"),
        *("street", "city", "postcode", "place", "country", "gender"),
        *("email", "phone", "national_id", "login_id", "device_id", "customer_id", "anonymous_id", "group_id"),
    }
)
# The linkage engine has no word of its own for these two.
_LINKAGE_WORD: Final = {"anonymous_id": "device_id", "group_id": "ignore"}
# Addresses that a machine made and that say nothing of who somebody is: no evidence for the linkage, and never in its table.
_UNLINKED: Final = frozenset({"push"})
_MAX_INTEGER: Final = 2**53  # beyond it JSON readers disagree


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A row as its source states it. ``kinds`` names the kind of each trait; a trait without one is of kind text.

    ``also_for``: further purposes that the source told people of; what the record says may serve these too.
    """

    source: str
    source_key: str
    identifiers: tuple[Identifier, ...]
    traits: Mapping[str, TraitValue]
    kinds: Mapping[str, str]
    observed_at: datetime
    purpose: str
    basis: str
    also_for: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("source", "source_key", "purpose", "basis"):
            if not getattr(self, field):
                raise InvalidRecord(f"expected a record with a {field}, got an empty one")
        if self.observed_at.tzinfo is None:
            raise InvalidRecord("expected an aware time of observation, got a naive one")
        for trait, value in self.traits.items():
            if isinstance(value, float) and not isfinite(value):
                raise InvalidRecord(f"expected a finite number in trait '{trait[:40]}', got NaN or infinity")
            if isinstance(value, int) and abs(value) > _MAX_INTEGER:
                raise InvalidRecord(f"expected a whole number up to 2^53 in trait '{trait[:40]}', got a greater one")

    def __repr__(self) -> str:
        return f"NewRecord(source={self.source!r}, traits={sorted(self.traits)!r})"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A stored row, opened. ``version`` counts the contents this source gave for this row; ``current`` is the latest."""

    id: RecordId
    source: str
    source_key: str
    identifiers: tuple[Identifier, ...]
    traits: Mapping[str, TraitValue]
    kinds: Mapping[str, str]
    observed_at: datetime
    recorded_at: datetime
    purpose: str
    basis: str
    also_for: tuple[str, ...]
    version: int
    current: bool
    key_id: KeyId

    def __repr__(self) -> str:
        return f"SourceRecord(id={self.id!r}, source={self.source!r}, traits={sorted(self.traits)!r})"


def pack(record: NewRecord) -> bytes:
    """The words of a record that are sealed: key in its source, traits and their kinds. Same words, same bytes."""
    return orjson.dumps([record.source_key, dict(record.traits), dict(record.kinds)], option=orjson.OPT_SORT_KEYS)


def unpack(body: bytes) -> tuple[str, dict[str, TraitValue], dict[str, str]]:
    """Key in its source, traits, kinds."""
    key, traits, kinds = orjson.loads(body)
    return cast("str", key), cast("dict[str, TraitValue]", traits), cast("dict[str, str]", kinds)


def content(record: NewRecord, body: bytes) -> str:
    """What two deliveries of one row must share to be the same version; goes into a keyed hash, nowhere else.

    The time of observation is left out: a source that sends the same row again has said nothing new.
    """
    held = sorted({(i.kind, i.value) for i in record.identifiers})
    return (
        orjson.dumps([record.source, record.purpose, record.basis, sorted(record.also_for), held]).decode()
        + body.decode()
    )


def row_name(source: str, source_key: str) -> str:
    """The row of a source as one text, unambiguous whatever the two hold; goes into a keyed hash."""
    return orjson.dumps([source, source_key]).decode()


Row = tuple[RecordId, Mapping[str, TraitValue], Mapping[str, str], Sequence[Identifier]]


def linkage_table(rows: Iterable[Row]) -> pa.Table:
    """One row a record in the order given: ``record_id`` and text columns; each field's metadata names its ``kind``."""
    ids, columns, kind_of = linkage_columns(rows)
    fields = [pa.field("record_id", pa.string())] + [
        pa.field(name, pa.string(), metadata={"kind": kind_of[name]}) for name in sorted(columns)
    ]
    arrays = [pa.array(ids, pa.string())] + [pa.array(columns[name], pa.string()) for name in sorted(columns)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def linkage_columns(rows: Iterable[Row]) -> tuple[list[str], dict[str, list[str | None]], dict[str, str]]:
    """Ids, columns of text and the kind of each.

    A second value of one kind goes to a column ``<kind>_2`` and so on. Other traits keep their own name.
    """
    ids: list[str] = []
    columns: dict[str, list[str | None]] = {}
    kind_of: dict[str, str] = {}
    for place, (record_id, traits, kinds, identifiers) in enumerate(rows):
        ids.append(record_id)
        seen: dict[str, list[str]] = {}
        for identifier in sorted(i for i in identifiers if i.kind not in _UNLINKED):
            seen.setdefault(identifier.kind, []).append(identifier.value)
        for trait in sorted(traits):
            kind = kinds.get(trait, "text")
            if kind == "ignore":
                continue
            text = str(traits[trait])
            if kind not in NAMING_KINDS:
                name = trait if trait not in NAMING_KINDS and trait != "record_id" else f"trait_{trait}"
                _put(columns, name, place, text)
                kind_of.setdefault(name, kind)
            elif text not in seen.get(kind, ()):
                seen.setdefault(kind, []).append(text)
        for kind, values in seen.items():
            for count, text in enumerate(values, start=1):
                name = kind if count == 1 else f"{kind}_{count}"
                _put(columns, name, place, text)
                kind_of[name] = _LINKAGE_WORD.get(kind, kind)
    for column in columns.values():
        column.extend([None] * (len(ids) - len(column)))
    return ids, columns, kind_of


def _put(columns: dict[str, list[str | None]], name: str, place: int, text: str) -> None:
    values = columns.setdefault(name, [])
    values.extend([None] * (place - len(values)))
    values.append(text)


def linkage_kinds(table: pa.Table) -> dict[str, str]:
    """Column -> kind, as written into the fields of a linkage table."""
    return {f.name: f.metadata[b"kind"].decode() for f in table.schema if f.metadata and b"kind" in f.metadata}
