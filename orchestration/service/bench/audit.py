"""`candor bench audit`: what the log costs: appending, signing a checkpoint, proving an entry, deriving the whole log again.

Enters: how many entries, how many commit together. Leaves: a `Report`. All of it runs in this process on real engines, by the doors that the product uses.
Every proof is checked against the signed root, and at the end Postgres is killed, started again and the log verified once more.
"""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from audit import merkle
from audit.entries import NewEntry
from audit.errors import InvalidProof
from audit.service import Audit, Inclusion
from audit.tags import Tag
from kernel.ids import EntryId
from orchestration.service.bench import harness
from orchestration.service.bench.figures import Bar, Spread, spread
from orchestration.wiring import House

T = TypeVar("T")

_ALONE: Final = 200  # entries that commit alone
_SIGNED: Final = 20  # checkpoints over a batch each
_PROVEN: Final = 500  # entries, drawn from all


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Rates are of entries a second. `alone` is an entry with a commit of its own, `small` a checkpoint that takes in one batch."""

    entries: int
    batch: int
    appended_rate: float
    alone: Spread
    sequenced_rate: float
    small: Spread
    inclusion: Spread
    checked: Spread
    verified_rate: float
    size: int
    wrong_proofs: int
    findings: int
    lost: int

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What is asked of it."""
        return (
            Bar("proofs that do not hold", 0, self.wrong_proofs),
            Bar("findings of the verifier", 0, self.findings),
            Bar("entries lost", 0, self.lost),
        )


async def run(*, entries: int, batch: int, told: Callable[[str], None] = lambda _: None, seed: int = 1) -> Report:
    """Measure on engines of its own."""
    draw = random.Random(seed)  # noqa: S311 - which entries are proven
    async with harness.rig() as rig:
        async with rig.house() as house:
            told(f"{entries} entries in transactions of {batch}")
            ids, appended = await _timed(_append(house, entries, batch))
            alone = [await _timed(_append(house, 1, 1)) for _ in range(_ALONE)]
            ids += [one for found, _ in alone for one in found]
            told("checkpoints")
            first, sequenced = await _timed(house.audit.sequence())
            assert first is not None  # the log is not empty
            signed = []
            for _ in range(_SIGNED):
                ids += await _append(house, batch, batch)
                signed.append((await _timed(house.audit.sequence()))[1])
            told("proofs")
            proven = [await _timed(house.audit.inclusion(one)) for one in draw.choices(ids, k=_PROVEN)]
            wrong, checked = _checked([one for one, _ in proven])
            told("verifying all of it")
            report, verified = await _timed(house.audit.verify_log())
            standing = (await house.audit.checkpoint()).size
        rig.crash()
        async with rig.house() as house:
            lost = await _lost(house.audit, ids)
            again = await house.audit.verify_log()
    return Report(
        entries=len(ids),
        batch=batch,
        appended_rate=round(entries / appended, 1),
        alone=spread([took for _, took in alone]),
        sequenced_rate=round(first.size / sequenced, 1),
        small=spread(signed),
        inclusion=spread([took for _, took in proven]),
        checked=spread(checked),
        verified_rate=round(standing / verified, 1),
        size=standing,
        wrong_proofs=wrong,
        findings=len(report.findings) + len(again.findings),
        lost=lost,
    )


async def _append(house: House, count: int, batch: int) -> list[EntryId]:
    """Entries about nobody, as many other acts leave them: a reference and two values."""
    ids: list[EntryId] = []
    for start in range(0, count, batch):
        rows = [
            NewEntry(
                Tag.EVENTS_ACCEPTED, {"source": "bench"}, {"accepted": place, "duplicates": 0}, actor="system:bench"
            )
            for place in range(start, min(start + batch, count))
        ]
        async with house.kernel.db.transaction() as conn:
            ids += await house.audit.append(conn, rows)
    return ids


def _checked(proofs: Sequence[Inclusion]) -> tuple[int, list[float]]:
    """How many proofs do not lead from the leaf to the signed root; seconds each check took."""
    wrong, took = 0, []
    for one in proofs:
        begin = time.perf_counter()
        try:
            merkle.verify_inclusion(
                one.leaf_index, one.checkpoint.size, merkle.leaf_hash(one.leaf), one.proof, one.checkpoint.root
            )
        except InvalidProof:
            wrong += 1
        took.append(time.perf_counter() - begin)
    return wrong, took


async def _lost(audit: Audit, ids: Sequence[EntryId]) -> int:
    """Entries that are gone, by going through the log from the newest."""
    there: set[str] = set()
    before: str | None = None
    while page := await audit.entries(before=before, limit=5_000):
        there |= {one.entry_id for one in page}
        before = page[-1].entry_id
    return len(set(ids) - there)


async def _timed(work: Awaitable[T]) -> tuple[T, float]:
    begin = time.perf_counter()
    found = await work
    return found, time.perf_counter() - begin
