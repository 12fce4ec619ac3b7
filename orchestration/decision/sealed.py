"""Decision records under the person's key: sealing at the commit, opening for replay, facts and receipts.

Enters: a record, or the id of a stored one. Leaves: ciphertext of packed words, bound to its row, or `Opened`. A destroyed key and a redacted row are the same
thing to a reader: redacted.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast

import orjson
import zstandard

from identity.service import Identity
from kernel.canonical import Json, canonical
from kernel.errors import IntegrityError
from kernel.ids import DecisionId, KeyId, PersonId
from kernel.kernel import Kernel
from kernel.together import Together
from kernel.vault import KeyDestroyed, SubjectKey
from orchestration.decision import store
from orchestration.decision.eligibility import Rejection, Stage
from orchestration.decision.engine import Judged, Outcome
from orchestration.decision.errors import DecisionRedacted, UnknownDecision
from orchestration.decision.inputs import Inputs, from_json
from orchestration.decision.record import Record
from orchestration.decision.store import Row

_TABLE: Final = "decision.decisions"
_PACKED: Final = b"\x28\xb5\x2f\xfd"  # how Zstandard begins; what was sealed before there was any begins as JSON does
_LEVEL: Final = 1  # a tenth of the size in twenty microseconds; higher levels gain a few bytes in a hundred
_LATELY_SECONDS: Final = 1.0
_MOST_KEYS: Final = 20_000  # key ids (never keys) remembered by person; a miss costs one read


@dataclass(frozen=True)  # without slots: an explanation asks for the record several times
class Opened:
    """A stored decision, opened."""

    row: Row
    record: Mapping[str, Json]
    inputs: Inputs

    @property
    def seed(self) -> str:
        """The seed that was drawn with."""
        return str(self.record["seed"])

    @property
    def withheld(self) -> str | None:
        """Why nothing was sent."""
        why = self.record["withheld"]
        return None if why is None else str(why)

    @property
    def canonical(self) -> bytes:
        """The record's canonical bytes."""
        return canonical(self.record)

    def probabilities(self) -> Iterator[tuple[str, float]]:
        """Every arm by id with the probability it was drawn with."""
        for one in cast("list[Mapping[str, Json]]", self.record["candidates"]):
            yield str(one["id"]), float.fromhex(str(one["propensity"]))

    def decoded(self) -> Record:
        """The record as a value: what was decided then, not what would be decided now."""
        return self._record

    @cached_property
    def _record(self) -> Record:
        return Record(
            decision_id=DecisionId(str(self.record["id"])), seed=self.seed, inputs=self.inputs, outcome=self._outcome()
        )

    def _outcome(self) -> Outcome:
        arms = {arm.id: arm for arm in self.inputs.arms}
        held = cast("Mapping[str, Json] | None", self.record["holdout"])
        judged = [
            Judged(
                id=str(one["id"]),
                arm=arms.get(str(one["id"])),
                rejection=None if one["stage"] is None else Rejection(
                    Stage(str(one["stage"])), str(one["reason"]), None if one["act"] is None else str(one["act"])
                ),
                score=_hex(one["score"]),
                utility=_hex(one["utility"]),
                propensity=float.fromhex(str(one["propensity"])),
            )
            for one in cast("list[Mapping[str, Json]]", self.record["candidates"])
        ]  # fmt: skip
        return Outcome(
            judged=tuple(judged),
            choice=str(self.record["choice"]),
            propensity=float.fromhex(str(self.record["propensity"])),
            ranked_by=str(self.record["ranked_by"]),
            policy=str(self.record["policy"]),
            fallback=None if self.record["fallback"] is None else str(self.record["fallback"]),
            explored=bool(self.record["explored"]),
            holdout=self.row.held if held is not None else False,
            withheld=self.withheld,
        )


class Sealer:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel, identity: Identity) -> None:
        self._kernel = kernel
        self._identity = identity
        self._keys: OrderedDict[PersonId, KeyId] = OrderedDict()
        self._asking: Together[PersonId, SubjectKey] = Together(self.fetch)
        self._lately: tuple[Opened, float] | None = None
        self._packer = zstandard.ZstdCompressor(level=_LEVEL)

    async def key(self, person: str) -> SubjectKey:
        """A living key of the person, the same one as long as it lives.

        Raises:
            KeyDestroyed: the person was erased meanwhile.
        """
        name = PersonId(person)
        known = self._keys.get(name)
        if known is not None and (found := (await self._kernel.vault.unwrap([known])).get(known)) is not None:
            return found
        if (found := await self._asking.ask(name)) is not None:
            return found
        async with self._kernel.db.reading() as conn:
            members = (await self._identity.members(conn, [name])).get(name)
        if (found := await self._living(name, members.key_ids if members is not None else ())) is not None:
            return found
        raise KeyDestroyed("expected a living key of the person, got none")

    async def fetch(self, people: Sequence[PersonId]) -> Mapping[PersonId, SubjectKey]:
        """A living key of each person's records, remembered for `key`; who has none is absent. Two look-ups for all."""
        async with self._kernel.db.reading() as conn:
            own = await self._identity.record_keys(conn, people)
        living = await self._kernel.vault.unwrap({key_id for key_ids in own.values() for key_id in key_ids[:1]})
        found: dict[PersonId, SubjectKey] = {}
        for person, key_ids in own.items():
            if (first := living.get(key_ids[0]) if key_ids else None) is not None:
                self._remember(person, first.id)
                found[person] = first
            elif (other := await self._living(person, key_ids[1:])) is not None:
                found[person] = other
        return found

    async def _living(self, person: PersonId, keys: Sequence[KeyId]) -> SubjectKey | None:
        """The first of these keys that lives."""
        for key_id in keys:
            found = (await self._kernel.vault.unwrap([key_id])).get(key_id)
            if found is not None:
                self._remember(person, key_id)
                return found
        return None

    def _remember(self, person: PersonId, key_id: KeyId) -> None:
        self._keys[person] = key_id
        if len(self._keys) > _MOST_KEYS:
            self._keys.popitem(last=False)

    def forget(self, person: PersonId) -> None:
        """Ask again for her key: her records may be another's now."""
        self._keys.pop(person, None)

    def seal(self, record: Record, key: SubjectKey) -> bytes:
        """Record and inputs, packed, under the key, bound to their row."""
        return key.seal(_TABLE, "sealed", record.decision_id, self._packer.compress(record.envelope()))

    async def row(self, decision_id: str) -> Row:
        """The stored row; `UnknownDecision`."""
        async with self._kernel.db.reading() as conn:
            row = await store.get(conn, decision_id)
        if row is None:
            raise UnknownDecision("expected the id of a decision, got one that is unknown")
        return row

    async def open(self, decision_id: str) -> Opened:
        """A decision by id; `UnknownDecision`, `DecisionRedacted`."""
        opened = await self.try_open(await self.row(decision_id))
        if opened is None:
            raise DecisionRedacted("expected a decision that can be opened, got one whose person was erased")
        return opened

    async def open_lately(self, decision_id: str) -> Opened:
        """The same; the one that was asked for a moment ago is not read again while its key lives: an explanation asks several times."""
        if self._lately is not None:
            opened, at = self._lately
            held = opened.row.id == decision_id and time.monotonic() - at < _LATELY_SECONDS
            if held and opened.row.key_id is not None and await self._kernel.vault.unwrap([opened.row.key_id]):
                return opened
        opened = await self.open(decision_id)
        self._lately = (opened, time.monotonic())
        return opened

    async def try_open(self, row: Row) -> Opened | None:
        """The content of a row, None when its key is gone.

        Raises:
            IntegrityError: the row does not hold what its digests say.
        """
        if row.sealed is None or row.key_id is None:
            return None
        key = (await self._kernel.vault.unwrap([row.key_id])).get(row.key_id)
        return None if key is None else self._opened(row, key, row.sealed)

    async def open_many(self, rows: Sequence[Row]) -> list[Opened]:
        """The content of many rows; redacted ones are left out."""
        keys = await self._kernel.vault.unwrap({row.key_id for row in rows if row.key_id is not None})
        return [
            self._opened(row, keys[row.key_id], row.sealed)
            for row in rows
            if row.sealed is not None and row.key_id is not None and row.key_id in keys
        ]

    @staticmethod
    def _opened(row: Row, key: SubjectKey, sealed: bytes) -> Opened:
        words = key.open(_TABLE, "sealed", row.id, sealed)
        if words.startswith(_PACKED):
            words = zstandard.decompress(words)
        form = orjson.loads(words)
        opened = Opened(row, form["record"], from_json(form["inputs"]))
        if opened.inputs.digest != row.inputs or opened.record["inputs"] != row.inputs:
            raise IntegrityError(
                "expected the inputs that the decision's digest names, got others", code="inputs_altered"
            )
        return opened


def _hex(value: Json) -> float | None:
    return None if value is None else float.fromhex(str(value))
