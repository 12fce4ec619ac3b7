"""`candor bench settle`: records that come one by one after a linkage run, told whose they are at once, settled by and by, and compared with a run over everything (identity.I30, I31).

Enters: a file of records and one of further ones.  Leaves: a `Report`.  The first are stored and linked by the walk's own steps in a store of its own; the others are collected one by one,
by the product's own door; then they settle, and the partition is compared with what the same model makes of all records at once.  The same in other orders of arrival, on fewer records:
every order has to end in one partition.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from identity.kinds import Kinds, Overrides, infer
from identity.records import NewRecord
from kernel.ids import RecordId
from orchestration.service.bench import harness, settle_store
from orchestration.service.bench.figures import Bar, Spread, spread
from orchestration.service.bench.identity_sets import HIDDEN
from orchestration.wiring import House

BAR_AGREE: Final = 0.999
BAR_RIGHT: Final = 0.95
_CHUNK: Final = 2_000
_FEW: Final = (1_500, 150)  # records that are linked, and that come, where orders are compared
TRUTH: Final = "cluster"

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``collected``: one record stored, first answer included (``collected_cpu_ms``: of it this process's processor, on average); ``joined``: share that a first answer or an identifier led to somebody; ``right``: share that was led to the right
    person, or rightly to nobody; ``settled_right`` the same after settling. ``agree``: share of all records that are with the same others as after a run over everything.
    """

    linked: int
    came: int
    collected: Spread
    collected_cpu_ms: float
    joined: float
    right: float | None
    settled_right: float | None
    settle_seconds: float
    moved: int
    versions: int
    agree: float
    orders: int
    partitions: int

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What is asked of it."""
        found = [
            Bar("records as after a run over everything", BAR_AGREE, round(self.agree, 6), least=True),
            Bar("partitions of the same records in other orders", 1, self.partitions),
        ]
        if self.right is not None:
            found.append(Bar("a record that came, told rightly at once", BAR_RIGHT, round(self.right, 4), least=True))
        return tuple(found)


async def run(base: Path, more: Path, orders: int, told: Told = lambda _: None, ignore: Sequence[str] = ()) -> Report:
    """Measure on engines of its own."""
    old, new = await asyncio.to_thread(pq.read_table, base), await asyncio.to_thread(pq.read_table, more)
    truth = [t.column(TRUTH).to_pylist() if TRUTH in t.column_names else None for t in (old, new)]
    kinds = infer(old, Overrides(ignore=tuple({*ignore, *HIDDEN} & set(old.column_names))))
    async with harness.rig() as rig, rig.house() as house:
        told(f"{old.num_rows} records stored and linked")
        ids = await _linked(house, old, kinds)
        before = await settle_store.versions(house)
        told(f"{new.num_rows} records come one by one")
        order = list(range(new.num_rows))
        random.Random(1).shuffle(order)  # noqa: S311 - an order, no secret
        used = time.process_time()
        took, came = await _collected(house, new, kinds, order)
        cpu = (time.process_time() - used) / max(1, len(took)) * 1000
        owners = await settle_store.owners(house)
        led = _led(owners, ids, came)
        told("settling")
        begun = time.perf_counter()
        moved = await _settled(house)
        seconds = time.perf_counter() - begun
        after = await settle_store.owners(house)
        told("linked all at once, by the same model")
        agree = await _agree(house, after)
        versions = await settle_store.versions(house) - before
    found = await _orders(old, new, kinds, orders, told)
    return Report(
        linked=len(ids), came=len(came), collected=spread(took), collected_cpu_ms=round(cpu, 2), joined=sum(p is not None for p in led) / len(led),
        right=_right(owners, ids, came, truth), settled_right=_right(after, ids, came, truth), settle_seconds=round(seconds, 2),
        moved=moved, versions=versions, agree=agree, orders=orders, partitions=len(found),
    )  # fmt: skip


def _records(table: pa.Table, kinds: Kinds, rows: Sequence[int], name: str) -> list[NewRecord]:
    of = {c.name: c.kind for c in kinds.columns if c.kind not in {"ignore", "time"} and c.name in table.column_names}
    part = table.take(pa.array(rows)).select(list(of)).to_pylist()
    now = settle_store.SEEN
    made = []
    for row, said in zip(rows, part, strict=True):
        traits = {column: str(value) for column, value in said.items() if value is not None}
        told = {column: of[column] for column in traits}
        made.append(NewRecord("bench", f"{name} {row}", (), traits, told, now, "service", "contract"))
    return made


async def _linked(house: House, table: pa.Table, kinds: Kinds) -> list[RecordId]:
    from orchestration.pipeline.steps import linkage

    ids: list[RecordId] = []
    for start in range(0, table.num_rows, _CHUNK):
        rows = range(start, min(start + _CHUNK, table.num_rows))
        async with house.kernel.db.transaction() as conn:
            ids += await house.identity.add_records(conn, _records(table, kinds, rows, "old"))
    for step in (linkage.linkage_model, linkage.edges, linkage.identity_graph):
        await step(house)
    await house.identity.analyse()
    async with house.kernel.db.reading() as conn:
        await house.identity.meeting.terms(conn)
    return ids


async def _collected(
    house: House, table: pa.Table, kinds: Kinds, order: Sequence[int]
) -> tuple[list[float], dict[int, RecordId]]:
    took, came = [], {}
    for row, record in zip(order, _records(table, kinds, order, "new"), strict=True):
        begun = time.perf_counter()
        async with house.kernel.db.transaction() as conn:
            (came[row],) = await house.identity.add_records(conn, [record])
        took.append(time.perf_counter() - begun)
    return took, came


async def _settled(house: House) -> int:
    moved = 0
    while True:
        found = await house.identity.settler.round()
        moved += found.moved
        if found.paused is not None:
            raise harness.BenchFailed(f"expected records to settle, got them waiting for a run: {found.paused}")
        if not found.settled and not found.again:
            return moved


def _led(owners: Mapping[RecordId, str], ids: Sequence[RecordId], came: Mapping[int, RecordId]) -> list[str | None]:
    there = {owners[record] for record in ids}
    return [owners[record] if owners[record] in there else None for record in came.values()]


def _right(
    owners: Mapping[RecordId, str],
    ids: Sequence[RecordId],
    came: Mapping[int, RecordId],
    truth: Sequence[list[Any] | None],
) -> float | None:
    """A person is whom most of her old records are; with nobody is right for who was not there."""
    old, new = truth
    if old is None or new is None:
        return None
    whom: dict[str, Counter[Any]] = {}
    for record, who in zip(ids, old, strict=True):
        whom.setdefault(owners[record], Counter())[who] += 1
    known, right = set(old), 0
    for row, record in came.items():
        person = owners[record]
        told = whom[person].most_common(1)[0][0] if person in whom else None
        right += told == (new[row] if new[row] in known else None)
    return right / max(1, len(came))


async def _agree(house: House, owners: Mapping[RecordId, str]) -> float:
    """The share of records that are with the same others as when the same model links all of them at once."""
    from orchestration.pipeline.steps import linkage

    walking = await linkage.walked(house)
    model = await asyncio.to_thread(house.identity.linkage.read_model)
    edges = linkage.joined(await asyncio.to_thread(walking.prepared.edges, model), walking.certain)
    async with house.kernel.db.reading() as conn:
        bounds = await house.identity.limiting.bounds(conn, walking.ids)
    clusters = await asyncio.to_thread(walking.prepared.cluster, edges, model, None, None, bounds)
    mine = np.unique([owners[record] for record in walking.ids], return_inverse=True)[1]
    theirs = np.unique(clusters.person, return_inverse=True)[1]
    _, both, count = np.unique(mine.astype(np.int64) * len(mine) + theirs, return_inverse=True, return_counts=True)
    apart = (count[both] != np.bincount(mine)[mine]) | (count[both] != np.bincount(theirs)[theirs])
    return 1.0 - float(apart.mean())


async def _orders(
    old: pa.Table, new: pa.Table, kinds: Kinds, orders: int, told: Told
) -> set[frozenset[frozenset[int]]]:
    """Partitions, by row, of a few records that came in so many orders."""
    found: set[frozenset[frozenset[int]]] = set()
    base, more = old.slice(0, _FEW[0]), new.slice(0, _FEW[1])
    for seed in range(orders):
        order = list(range(more.num_rows))
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
        async with harness.rig() as rig, rig.house() as house:
            ids = await _linked(house, base, kinds)
            _, came = await _collected(house, more, kinds, order)
            await _settled(house)
            owners = await settle_store.owners(house)
        groups: dict[str, set[int]] = {}
        for row, record in [*enumerate(ids), *((base.num_rows + row, record) for row, record in came.items())]:
            groups.setdefault(owners[record], set()).add(row)
        found.add(frozenset(frozenset(group) for group in groups.values()))
        told(f"order {seed + 1} of {orders}: partitions so far {len(found)}")
    return found
