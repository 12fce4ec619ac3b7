"""`candor bench reasons`: why and why-not over a graph in the store: whether sums are exact, every pair is answered, how long it takes; and whether ids last there.

Enters: a file of records.  Leaves: a `Report`.  The records go into a store of their own, the walk's own steps link and publish them; then pairs are asked, and
the walk is gone again, unchanged and with another sample.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from identity.kinds import Overrides, infer
from identity.records import NewRecord
from kernel.ids import RecordId
from orchestration.service.bench import harness, reasons_store
from orchestration.service.bench.figures import Bar, Spread, spread
from orchestration.wiring import House

ASKED_MS: Final = 20.0
ERASED_MS: Final = 50.0
_ERASED: Final = 100
EXACT: Final = 1e-9
_CHUNK: Final = 2_000
_WARM: Final = 20

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`furthest`: the largest difference between a stored weight and the sum of its terms. `causes`: of pairs of two people; `unanswered`: pairs without one.
    `moved`: lines of the change feed that a walk over the same records makes, and one that trains on another sample.
    """

    records: int
    people: int
    edges: int
    furthest: float
    unexplained: int
    why: Spread
    why_not: Spread
    why_not_cpu_ms: float
    causes: Mapping[str, int]
    unanswered: int
    moved: int
    moved_retrained: int
    erased: Spread

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What is asked of it."""
        return (
            Bar("why: largest difference of a sum from the stored weight", EXACT, self.furthest),
            Bar("why: weights that are not told whole", 0, self.unexplained),
            Bar("why-not: pairs without a cause", 0, self.unanswered),
            Bar("why-not: p99, ms", ASKED_MS, self.why_not.p99),
            Bar("erasing somebody from the graph: p99, ms", ERASED_MS, self.erased.p99),
            Bar("ids: changes by a walk over the same records", 0, self.moved),
        )


async def run(people: Path, pairs: int, told: Told = lambda _: None, ignore: tuple[str, ...] = ()) -> Report:
    """Store, link, ask."""
    async with harness.rig() as rig, rig.house() as house:
        told("storing records")
        ids = await _stored(house, people, ignore)
        told("linking")
        await _walk(house, 1)
        told("asking why")
        why, furthest, unexplained, edges = await _why(house, pairs)
        told("asking why not")
        why_not, cpu, causes, unanswered = await _why_not(house, ids, pairs)
        told("linking again")
        moved = await _walk(house, 1)
        told("linking again, trained on another sample")
        retrained = await _walk(house, 9)
        async with house.kernel.db.reading() as conn:
            held = await house.identity.counts.census(conn)
        told("erasing people")
        erased = await _erase(house)
    return Report(
        records=held.records, people=held.people, edges=edges, furthest=furthest, unexplained=unexplained, why=why,
        why_not=why_not, why_not_cpu_ms=cpu, causes=causes, unanswered=unanswered, moved=moved, moved_retrained=retrained, erased=erased,
    )  # fmt: skip


async def _stored(house: House, people: Path, ignore: tuple[str, ...]) -> list[RecordId]:
    table = pq.read_table(people)
    kinds = {c.name: c.kind for c in infer(table, Overrides(ignore=ignore)).columns if c.kind not in {"ignore", "time"}}
    now = house.kernel.clock.now()
    columns = {name: table.column(name).to_pylist() for name in kinds}
    ids: list[RecordId] = []
    for start in range(0, table.num_rows, _CHUNK):
        rows = range(start, min(start + _CHUNK, table.num_rows))
        found = [{name: str(columns[name][row]) for name in kinds if columns[name][row] is not None} for row in rows]
        made = [
            NewRecord(
                "bench", f"row {row}", (), traits, {name: kinds[name] for name in traits}, now, "service", "contract"
            )
            for row, traits in zip(rows, found, strict=True)
        ]
        async with house.kernel.db.transaction() as conn:
            ids += await house.identity.add_records(conn, made)
    return ids


async def _walk(house: House, seed: int) -> int:
    """The linkage's part of the walk; the lines of the change feed that it wrote."""
    from orchestration.pipeline.steps import linkage

    kept = linkage.SEED
    try:
        linkage.SEED = seed
        for step in (linkage.linkage_model, linkage.edges, linkage.identity_graph):
            await step(house)
    finally:
        linkage.SEED = kept
    async with house.kernel.db.reading() as conn:
        return await reasons_store.lines(conn)


async def _erase(house: House) -> Spread:
    """Seconds that it takes the graph to forget somebody, each in a transaction of its own: records, edges, doubts, hashes, the notes beside the files."""
    async with house.kernel.db.reading() as conn:
        people = await house.identity.people(conn)
    times = []
    chosen = random.Random(3).sample(people, min(_ERASED + _WARM, len(people)))  # noqa: S311 - a sample, no secret
    for place, person in enumerate(chosen):
        begun = time.perf_counter()
        async with house.kernel.db.transaction() as conn:
            await house.identity.erase(conn, person)
        if place >= _WARM:
            times.append(time.perf_counter() - begun)
    return spread(times)


async def _why(house: House, pairs: int) -> tuple[Spread, float, int, int]:
    async with house.kernel.db.reading() as conn:
        edges = await reasons_store.edges(conn)
    asked = random.Random(1).sample(  # noqa: S311 - a sample, no secret
        edges, min(pairs, len(edges))
    )
    times, furthest, unexplained = [], 0.0, 0
    for place, (a, b, weight) in enumerate([*asked[:_WARM], *asked]):
        begun = time.perf_counter()
        async with house.kernel.db.reading() as conn:
            found = await house.identity.reasons.why(conn, a, b)
        if place >= _WARM:
            times.append(time.perf_counter() - begun)
        drawn = found.waterfall
        if drawn is None or not drawn.explained:
            unexplained += 1
        if drawn is not None:
            furthest = max(furthest, abs(drawn.total - weight))
    return spread(times), furthest, unexplained, len(edges)


async def _why_not(house: House, ids: list[RecordId], pairs: int) -> tuple[Spread, float, Mapping[str, int], int]:
    """Half of the pairs at random, half of those that an edge or a refusal ties."""
    rng = random.Random(2)  # noqa: S311 - a sample, no secret
    async with house.kernel.db.reading() as conn:
        near = await reasons_store.tied(conn)
    asked = rng.sample(near, min(pairs // 2, len(near)))
    while len(asked) < pairs:
        a, b = rng.sample(ids, 2)
        asked.append((a, b))
    times: list[float] = []
    causes: Counter[str] = Counter()
    unanswered = 0
    before = time.process_time()
    for a, b in asked:
        begun = time.perf_counter()
        async with house.kernel.db.reading() as conn:
            found = await house.identity.reasons.why_not(conn, a, b)
        times.append(time.perf_counter() - begun)
        if found.cause is not None:
            causes[found.cause.value] += 1
        unanswered += found.cause is None and found.people[0] != found.people[1]
    cpu = (time.process_time() - before) / len(asked) * 1000
    return spread(times), round(cpu, 2), dict(causes.most_common()), unanswered
