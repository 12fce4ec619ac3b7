"""The store's part of `candor bench identity --incremental`: the linked table as a live graph, and an increment published in it by the product's own door (identity.I34).

Enters: a linked table, more rows.  Leaves: the increment, what linking it and making it the live graph took: guard, ids, memberships, edges, doubts, change feed, ledger, fences of whoever listens.
The records' words are noise, which is all that publishing ever sees of them.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity import settler_store
from identity.evidence_store import Refused
from identity.kinds import Kinds
from identity.linkage import Edges
from identity.linked import Increment, Linked
from identity.partly import Part
from identity.people import Edge
from identity.settler import Judged
from kernel.ids import GraphVersion, PersonId, RecordId, new_id
from orchestration.service.bench import harness
from orchestration.service.bench.resolve_world import copied
from orchestration.wiring import House

_CHUNK: Final = 100_000
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stored:
    """``seconds`` and ``cpu`` (of this process) of linking and publishing; ``linking`` of the first alone. ``moved``: lines of the change feed."""

    increment: Increment
    seconds: float
    cpu: float
    linking: float
    moved: int


def record(row: int) -> RecordId:
    """Ids ascend with rows."""
    return RecordId(f"rec_{row:026d}")


def person(label: int) -> PersonId:
    """Of a group named by its smallest row."""
    return PersonId(f"per_{label:026d}")


async def stored(linked: Linked, new: pa.Table, kinds: Kinds) -> Stored:
    """Load, then link and publish against the clock."""
    async with harness.rig() as rig, rig.house() as house:
        await _fill(house, linked, new.num_rows)
        async with house.kernel.db.reading() as conn:
            mark = await settler_store.last_judgement(conn)
        begun, used = time.perf_counter(), time.process_time()
        increment = await asyncio.to_thread(linked.add, new, kinds)
        linking = time.perf_counter() - begun
        part = _part(linked, increment)
        found = await house.identity.settler.publish(Judged(part, [], None, mark))
        seconds, cpu = time.perf_counter() - begun, time.process_time() - used
        if found.again:
            raise harness.BenchFailed("expected the graph to stand while it was judged, got it changed")
        return Stored(increment, seconds, cpu, linking, found.moved)


def _part(linked: Linked, increment: Increment) -> Part:
    old = increment.rows[increment.rows < increment.first]
    within, came = linked.among(old), increment.edges.above(0.0)
    refused = [
        Refused(record(min(r.left, r.right)), record(max(r.left, r.right)), r.weight, str(r.cause))
        for r in increment.ambiguous
    ]
    fresh = _edges(came)
    return Part(
        {record(r): person(p) for r, p in zip(increment.rows.tolist(), increment.before.tolist(), strict=True)},
        {record(r): p for r, p in zip(increment.rows.tolist(), increment.person.tolist(), strict=True)},
        [*_edges(within.above(0.0)), *fresh],
        fresh,
        refused,
    )


def _edges(found: Edges) -> list[Edge]:
    ends = zip(found.left.tolist(), found.right.tolist(), found.weight.tolist(), strict=True)
    return [Edge(record(min(a, b)), record(max(a, b)), weight) for a, b, weight in ends]


async def _fill(house: House, linked: Linked, more: int) -> None:
    """Everybody as after a run, and the new rows as collection leaves them: each with a provisional person of its own."""
    now, base = house.kernel.clock.now(), linked.rows
    labels = [*linked.person.tolist(), *range(base, base + more)]
    edges = linked.edges.above(0.0)
    version = GraphVersion(0)
    for start in range(0, base + more, _CHUNK):
        rows = range(start, min(start + _CHUNK, base + more))
        async with house.kernel.db.transaction() as conn:
            await copied(
                conn, "records", "record_id, source, row_index, content, version, current, key_id, body, observed_at, recorded_at, purpose, basis, also_for",
                "text text bytea bytea int4 bool text bytea timestamptz timestamptz text text text[]",
                ((record(n), "bench", f"bench {n}".encode(), b"", 1, True, new_id("key"), os.urandom(32), now, now, "service", "contract", []) for n in rows),
            )  # fmt: skip
            firsts = (n for n in rows if labels[n] == n)
            await copied(
                conn, "people", "person_id, created_at, changed_in", "text timestamptz int8", ((person(n), now, version) for n in firsts)
            )  # fmt: skip
            await copied(
                conn, "members", "record_id, person_id, valid_from", "text text int8", ((record(n), person(labels[n]), version) for n in rows)
            )  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        await copied(
            conn, "edges", "record_a, record_b, weight, version", "text text float8 int8", _lines(edges, version)
        )
    await house.identity.analyse()


def _lines(edges: Edges, version: GraphVersion) -> Iterator[tuple[object, ...]]:
    ends = zip(edges.left.tolist(), edges.right.tolist(), edges.weight.tolist(), strict=True)
    return ((record(min(a, b)), record(max(a, b)), weight, version) for a, b, weight in ends)
