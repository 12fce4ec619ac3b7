"""From source records to people: what is there, the linkage model, the edges, the graph.

Enters: records, opened in memory. Leaves: a model, edges and a published graph, kept by identity. The clear text of records lives in this process's
memory from the first linkage step to the last and nowhere else (DESIGN 5.9).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from kernel.ids import RecordId
from orchestration.pipeline.facts import Fact, Facts, key

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from identity.batch import Prepared
    from identity.increments import Why
    from identity.kinds import Kinds
    from identity.linkage import Edges
    from identity.linkage_files import LinkageFiles
    from orchestration.wiring import House


SEED = 1
CERTAIN = 60.0  # a match weight above any that agreement of fields reaches
_KEPT_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Walking:
    """The linkage table of a walk, cleaned and blocked; its records; edges that shared identifiers make certain; when it was read.

    ``known[row]``: the last run weighed it, ``full[row]``: one that weighed everything did. ``anew``: why everything is weighed again; None: what is new is added.
    """

    prepared: "Prepared"
    kinds: "Kinds"
    ids: list[RecordId]
    certain: "Edges"
    read_at: datetime
    known: "NDArray[np.bool_]"
    was_full: "NDArray[np.bool_]"
    anew: "Why | None"

    @property
    def full(self) -> "NDArray[np.bool_]":
        """What a run that weighs everything has weighed, after this one."""
        import numpy as np

        return self.was_full if self.anew is None else np.ones_like(self.known)


_walking: "WeakKeyDictionary[House, tuple[float, Walking]]" = WeakKeyDictionary()


async def source_records(house: "House") -> Facts:
    """How many records and people there are before linking."""
    async with house.kernel.db.reading() as conn:
        found = await house.identity.counts.census(conn)
        version = await house.identity.graph_version(conn)
    return {
        "records": found.records,
        "current": found.current,
        "people": found.people,
        "graph_version": int(version),
    }


async def linkage_model(house: "House") -> Facts:
    """Train on what is there and keep the model's file; where adding what is new is enough (``increments``), the model stays."""
    walking = await walked(house)
    table, files = walking.prepared, house.identity.linkage
    if walking.anew is None:
        model = await asyncio.to_thread(files.read_model)
    else:
        model = await asyncio.to_thread(table.train, SEED)
        await asyncio.to_thread(files.write_model, model)
    return {"records": table.cleaned.rows, "pairs": len(table.pairs), **_way(walking), **_plain(model.trained)}


async def edges(house: "House") -> Facts:
    """Weigh the pairs, or those of new records alone, and keep the edges, by record id; shared identifiers that one person owns alone are certain."""
    walking = await walked(house)
    prepared, ids, certain, files = walking.prepared, walking.ids, walking.certain, house.identity.linkage
    model = await asyncio.to_thread(files.read_model)
    if walking.anew is None:
        found = await asyncio.to_thread(_added, walking, files)
    else:
        found = await asyncio.to_thread(prepared.edges, model)
    found = joined(found, certain)
    await asyncio.to_thread(files.write_edges, found, ids)
    await asyncio.to_thread(files.write_rows, ids, walking.full)
    await _without_the_gone(house)
    return {
        **_way(walking),
        "edges": len(found.weight),
        "certain": len(certain.weight),
        "strongest": round(float(found.weight.max(initial=0.0)), 3),
    }


async def identity_graph(house: "House") -> Facts:
    """Cluster the edges under guard and publish the graph, unless the gate objects."""
    from identity.parameters import parameters

    walking = await walked(house)
    prepared, ids = walking.prepared, walking.ids
    model = await asyncio.to_thread(house.identity.linkage.read_model)
    found = await asyncio.to_thread(house.identity.linkage.read_edges, ids)
    async with house.kernel.db.reading() as conn:
        decided = await house.identity.judging.rulings(conn, ids)
        bounds = await house.identity.limiting.bounds(conn, ids)
    clusters = await asyncio.to_thread(prepared.cluster, found, model, None, decided, bounds)
    told = await asyncio.to_thread(parameters, prepared.cleaned, walking.kinds, model)
    runs = house.identity.runs
    written = await asyncio.to_thread(runs.write, prepared, told, found, clusters, walking.read_at)
    run = await runs.publish(written, clusters, ids, found.above(0.0))  # weaker ones speak against
    _walking.pop(house, None)  # the words are needed no longer
    causes = Counter(str(refused.cause) for refused in clusters.ambiguous)
    return {
        "run": run.run_id,
        "verdict": run.verdict,
        "objections": ", ".join(run.reasons) or "none",
        "records": len(ids),
        "people": len(clusters.sizes),
        "largest": int(clusters.sizes.max(initial=0)),
        "refused": sum(causes.values()),
        "led_elsewhere": run.card.hands.elsewhere,
        **({} if run.graph_version is None else {"graph_version": int(run.graph_version)}),
        **{f"refused_{cause}": count for cause, count in sorted(causes.items())},
        **{f"drift_{key(name)}": value for name, value in (run.card.drift or {}).items()},
    }


async def walked(house: "House") -> Walking:
    """The linkage table, cleaned and blocked. Kept in this process's memory from the first linkage step to the last, so that one walk opens
    the records once; what arrives in between joins the next walk.
    """
    from identity.batch import prepare
    from identity.kinds import Overrides, infer
    from identity.records import linkage_kinds

    kept = _walking.get(house)
    if kept is not None and time.monotonic() - kept[0] < _KEPT_SECONDS:
        return kept[1]
    read_at = house.kernel.clock.now()
    async with house.kernel.db.reading() as conn:
        table = await house.identity.linkage_table(conn)
    declared = linkage_kinds(table)
    unique = [name for name, kind in declared.items() if kind in house.identity.settings.exclusive_kinds]
    kinds = infer(table, Overrides(record_id="record_id", kinds=declared, unique=unique))
    prepared = await asyncio.to_thread(prepare, table, kinds)
    ids = [RecordId(value) for value in table.column("record_id").to_pylist()]
    owned = [name for name, kind in declared.items() if kind in house.identity.settings.joining_kinds]
    known, full, why = await asyncio.to_thread(_since, house, prepared, ids, read_at)
    walking = Walking(prepared, kinds, ids, await asyncio.to_thread(_certain, table, owned), read_at, known, full, why)
    _walking[house] = time.monotonic(), walking
    return walking


def _since(
    house: "House", prepared: "Prepared", ids: "list[RecordId]", now: datetime
) -> "tuple[NDArray[np.bool_], NDArray[np.bool_], Why | None]":
    """Which rows the last run knew, which the last full one, and why everything is to be weighed again, if it is."""
    import numpy as np

    from identity.increments import Rule, anew
    from identity.weighing import same_fields

    files = house.identity.linkage
    held = files.read_rows()
    known = np.array([one in held for one in ids], dtype=bool)
    full = np.array([held.get(one, False) for one in ids], dtype=bool)
    age, linked, first = files.model_age(now), int(known.sum()), int(full.sum())
    why = anew(Rule(), linked=first, added=linked - first, new=len(ids) - linked, age=age)
    if why is None and not same_fields(files.read_model(), prepared):
        why = "fields"
    return known, full, why


def _added(walking: Walking, files: "LinkageFiles") -> "Edges":
    """The edges that were kept, and those of records that came since."""
    import numpy as np

    from identity.linkage import Edges
    from identity.weighing import new_edges

    old, new = files.read_edges(walking.ids), new_edges(walking.prepared, files.read_model(), walking.known)
    return Edges(
        np.concatenate([old.left, new.left]),
        np.concatenate([old.right, new.right]),
        np.concatenate([old.weight, new.weight]),
    )


def _way(walking: Walking) -> Facts:
    new = int((~walking.known).sum())
    return {"way": "added", "new": new} if walking.anew is None else {"way": f"anew: {walking.anew}"}


async def _without_the_gone(house: "House") -> None:
    """Whoever was erased since the table was read leaves the file that was just written from it."""
    ends = await asyncio.to_thread(house.identity.linkage.ends)
    async with house.kernel.db.reading() as conn:
        gone = await house.identity.counts.strangers(conn, ends)
    await asyncio.to_thread(house.identity.linkage.without, gone)
    await asyncio.to_thread(house.identity.linkage.compact)


def _plain(values: Mapping[str, object]) -> dict[str, Fact]:
    return {name: value for name, value in values.items() if isinstance(value, (str, int, float, bool))}


def _certain(table: "pa.Table", columns: "list[str]") -> "Edges":
    """Records that carry the same value of an identifier that one person owns alone: the strongest edges there are.

    They enter the same guarded clustering as all others, so contradicting names or birth dates still refuse them.
    """
    import numpy as np

    from identity.linkage import Edges

    left: list[int] = []
    right: list[int] = []
    for column in columns:
        first: dict[str, int] = {}
        for row, value in enumerate(table.column(column).to_pylist()):
            if value is not None and first.setdefault(value, row) != row:
                left.append(first[value])
                right.append(row)
    return Edges(np.array(left, dtype=np.int64), np.array(right, dtype=np.int64), np.full(len(left), CERTAIN))


def joined(found: "Edges", certain: "Edges") -> "Edges":
    """Both kinds of edges; a pair that has both keeps the certain one."""
    import numpy as np

    from identity.linkage import Edges

    sure = {(min(a, b), max(a, b)) for a, b in zip(certain.left.tolist(), certain.right.tolist(), strict=True)}
    pairs = zip(found.left.tolist(), found.right.tolist(), strict=True)
    kept = np.array([(min(a, b), max(a, b)) not in sure for a, b in pairs], dtype=bool)
    return Edges(
        np.concatenate([found.left[kept], certain.left]),
        np.concatenate([found.right[kept], certain.right]),
        np.concatenate([found.weight[kept], certain.weight]),
    )
