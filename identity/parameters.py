"""What a linkage run leaves behind so that one pair can be judged as the run judged it: without Splink, the table or the other records.

Enters: the run's cleaned table, its kinds, its model.  Leaves: `Parameters` (the model, how the table was read, each condition's tree, how many rows
fill each field; no value of anybody) and `Bearers`, how many rows bear each value, by a keyed hash: of values that two rows or more bear, and of junk.
A value that only one row bears is not kept; its rarity follows from the number of rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from identity.cleaning import Cleaned, Coded, Reading, clean
from identity.clusters import Policy  # the shipped policy, where a run had no other
from identity.comparisons import column_of
from identity.few import few, said
from identity.kinds import Column, Kinds
from identity.records import Row as RecordRow
from identity.training import LinkageModel
from identity.weights import Rarity, Weights
from kernel.canonical import Json, digest

if TYPE_CHECKING:
    from identity.conditions import Row, Tree
    from identity.facts import Evidence

Hashed = Callable[[str, str], bytes]  # field, value -> a keyed hash
Bearers = Mapping[tuple[str, bytes], int]  # (field, hash) -> rows that bear the value; 0: junk, which speaks for nobody
JUNK: Final = 0
SEVERAL: Final = "@"


@dataclass(frozen=True, slots=True)
class Parameters:
    """How a run weighed; `as_json` and `from_json` are inverse."""

    FORMAT: ClassVar[str] = "candor-linkage-parameters/1"
    model: LinkageModel
    kinds: Kinds
    reading: Reading
    conditions: Mapping[str, "Tree"]
    filled: Mapping[str, int]
    rows: int
    policy: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "format": self.FORMAT,
            "model": self.model.as_json(),
            "columns": [asdict(column) for column in self.kinds.columns],
            "record_id": self.kinds.record_id,
            "reading": asdict(self.reading),
            "conditions": dict(self.conditions),
            "filled": dict(self.filled),
            "rows": self.rows,
            "policy": dict(self.policy),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Parameters":
        """The parameters that `as_json` wrote."""
        if told["format"] != cls.FORMAT:
            raise ValueError(cls.FORMAT)
        return cls(
            LinkageModel.from_json(told["model"]),
            Kinds(tuple(Column(**column) for column in told["columns"]), told["record_id"]),
            Reading(**told["reading"]),
            told["conditions"],
            told["filled"],
            told["rows"],
            told["policy"],
        )

    @property
    def digest(self) -> str:
        """The version of the model: the digest of all that decides a weight."""
        return digest(cast("Json", self.as_json()))

    @property
    def threshold(self) -> float:
        """The weight from which an edge may join."""
        return float(self.policy["threshold"])

    def weights(self) -> Weights:
        """The scorer."""
        return Weights(self.model.settings, self.model.kin, self.conditions)

    def read(self, records: Iterable[RecordRow]) -> Cleaned:
        """A few records as the run read its table; junk is still among their values."""
        return clean(few(records), self.kinds, self.reading)


def parameters(cleaned: Cleaned, kinds: Kinds, model: LinkageModel, policy: Policy | None = None) -> Parameters:
    """Of a run over this cleaned table."""
    from identity.linkage import readings  # DuckDB, which whoever only judges a pair does without

    filled = {name: int((field.coded.codes >= 0).sum()) for name, field in cleaned.fields.items()}
    told = cast("Mapping[str, float]", asdict(policy or Policy()))
    return Parameters(model, kinds, cleaned.reading, readings(model), filled, cleaned.rows, told)


def bearers(cleaned: Cleaned, hashed: Hashed) -> dict[tuple[str, bytes], int]:
    """Rows that bear each value: of values of two rows or more, and 0 for junk."""
    found: dict[tuple[str, bytes], int] = {}
    for name, field in cleaned.fields.items():
        for value, count in zip(field.coded.values, field.coded.counts().tolist(), strict=True):
            if count != 1:
                found[name, hashed(name, value)] = count
    return found


def used_by_several(cleaned: Cleaned, model: LinkageModel, hashed: Hashed) -> dict[tuple[str, bytes], int]:
    """Contacts that people use who are clearly not one, which only the whole table tells: under the field's name with ``SEVERAL`` before it."""
    from identity.facts import contact_fields, gather

    found: dict[tuple[str, bytes], int] = {}
    for name, common in zip(contact_fields(cleaned, model), gather(cleaned, model).in_common, strict=True):
        for value, used in zip(cleaned.fields[name].coded.values, common.tolist(), strict=True):
            if used:
                found[SEVERAL + name, hashed(name, value)] = 1
    return found


def evidence(cleaned: Cleaned, model: LinkageModel, known: Bearers, hashed: Hashed) -> "Evidence":
    """What speaks against a few records being one person, with what the run knew of their contacts."""
    import numpy as np

    from identity.facts import contact_fields, gather

    found = gather(cleaned, model)
    shared = tuple(
        own
        | np.array([(SEVERAL + name, hashed(name, v)) in known for v in cleaned.fields[name].coded.values], dtype=bool)
        for name, own in zip(contact_fields(cleaned, model), found.in_common, strict=True)
    )
    return replace(found, in_common=shared)


def wanted(cleaned: Cleaned, hashed: Hashed) -> dict[tuple[str, bytes], str]:
    """The values of a few records, by (field, hash); and the same as contacts that several may use."""
    found: dict[tuple[str, bytes], str] = {}
    for name, field in cleaned.fields.items():
        for value in field.coded.values:
            told = hashed(name, value)
            found[name, told] = found[SEVERAL + name, told] = value
    return found


def borne(cleaned: Cleaned, hashed: Hashed) -> dict[tuple[str, bytes], int]:
    """How many of a few records bear each value."""
    return {
        (name, hashed(name, value)): count
        for name, field in cleaned.fields.items()
        for value, count in zip(field.coded.values, field.coded.counts().tolist(), strict=True)
    }


def without_junk(cleaned: Cleaned, known: Bearers, hashed: Hashed) -> Cleaned:
    """The same without values that the run found to be junk."""
    import numpy as np

    fields = {}
    for name, field in cleaned.fields.items():
        bad = np.array([known.get((name, hashed(name, value))) == JUNK for value in field.coded.values], dtype=bool)
        coded = field.coded.without(bad) if bad.any() else field.coded
        fields[name] = type(field)(field.name, field.kind, coded, field.unique, field.shared)
    return Cleaned(cleaned.rows, fields, cleaned.reading)


def rows(cleaned: Cleaned) -> "Sequence[Row]":
    """Rows as `Weights` compares them."""
    return said(cleaned, range(cleaned.rows))


def rarity(told: Parameters, known: Bearers, hashed: Hashed) -> Rarity:
    """How rare a value is in the run's table: bearers over filled rows; a value not among ``known`` is of one row."""
    field_of = {column_of(name): name for name in told.filled}

    def share(column: str, value: str) -> float | None:
        name = field_of.get(column)
        if name is None or not told.filled[name]:
            return None
        return (known.get((name, hashed(name, value))) or 1) / told.filled[name]

    return share


def values(cleaned: Cleaned, row: int) -> dict[str, str]:
    """What a row says in each field, as it was compared."""
    return {
        name: _value(field.coded, row) for name, field in cleaned.fields.items() if int(field.coded.codes[row]) >= 0
    }


def _value(coded: Coded, row: int) -> str:
    return coded.values[int(coded.codes[row])]
