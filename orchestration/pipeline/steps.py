"""What each asset does, as coroutines over the house: no Dagster here. Each returns figures, never a person's words.

The clear text of records lives in the memory of one step; what is kept between steps are ids, weights and digests (DESIGN: clear text lives in
memory). The linkage model's file holds levels and probabilities, no values.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from consent import gate
from kernel.errors import NotFound
from kernel.ids import RecordId
from orchestration.learning.errors import TooLittleToLearn

if TYPE_CHECKING:
    import pyarrow as pa

    from identity.batch import Prepared
    from identity.linkage import Edges
    from identity.training import LinkageModel
    from orchestration.wiring import House

    Walking = tuple[Prepared, list[RecordId], Edges]

Fact = str | int | float | bool
Facts = Mapping[str, Fact]
PERSONALIZE = "marketing.personalize"
SEED = 1
_CHUNK = 5_000
CERTAIN = 60.0  # a match weight above any that agreement of fields reaches
_KEPT_SECONDS = 900.0
_walking: "WeakKeyDictionary[House, tuple[float, Walking]]" = WeakKeyDictionary()


class LinkageNotReady(NotFound):
    """A step that needs an earlier one."""

    code = "linkage_not_ready"
    remedy = "Run the whole walk: candor pipeline run."


async def people(house: "House") -> Facts:
    """How many records and people there are before linking."""
    async with house.kernel.db.reading() as conn:
        found = await house.identity.people(conn)
        version = await house.identity.graph_version(conn)
    return {"people": len(found), "graph_version": int(version)}


async def linkage_model(house: "House") -> Facts:
    """Train on what is there and keep the model's file."""
    prepared, _, _ = await _prepared(house)
    model = await asyncio.to_thread(prepared.train, SEED)
    await asyncio.to_thread(_write_model, _folder(house), model)
    return {"records": prepared.cleaned.rows, "pairs": len(prepared.pairs), **_plain(model.trained)}


async def edges(house: "House") -> Facts:
    """Weigh the pairs and keep the edges, by record id; shared identifiers that one person owns alone are certain."""
    prepared, ids, certain = await _prepared(house)
    model = await asyncio.to_thread(_read_model, _folder(house))
    found = await asyncio.to_thread(prepared.edges, model)
    found = _joined(found, certain)
    await asyncio.to_thread(_write_edges, _folder(house), found, ids)
    return {
        "edges": len(found.weight),
        "certain": len(certain.weight),
        "strongest": round(float(found.weight.max(initial=0.0)), 3),
    }


async def identity_graph(house: "House") -> Facts:
    """Cluster the edges under guard and publish the graph."""
    prepared, ids, _ = await _prepared(house)
    model = await asyncio.to_thread(_read_model, _folder(house))
    found = await asyncio.to_thread(_read_edges, _folder(house), ids)
    clusters = await asyncio.to_thread(prepared.cluster, found, model)
    async with house.kernel.db.transaction() as conn:
        version = await house.identity.publish(conn, clusters, ids, found.above(0.0))  # weaker ones speak against
    _walking.pop(house, None)  # the words are needed no longer
    causes = Counter(str(refused.cause) for refused in clusters.ambiguous)
    return {
        "people": len(clusters.sizes),
        "largest": int(clusters.sizes.max(initial=0)),
        "refused": sum(causes.values()),
        "graph_version": int(version),
        **{f"refused_{cause}": count for cause, count in sorted(causes.items())},
    }


async def consent_state(house: "House") -> Facts:
    """Count what people permit, by purpose; derived, never stored as truth."""
    now = house.kernel.clock.now()
    counts: Counter[str] = Counter()
    async with house.kernel.db.reading() as conn:
        everyone = await house.identity.people(conn)
        for start in range(0, len(everyone), _CHUNK):
            states = await house.consent.states(conn, everyone[start : start + _CHUNK])
            for state in states.values():
                for purpose in ("marketing.email", PERSONALIZE):
                    counts[f"{purpose} {gate.permission(state, purpose, None, now).answer}"] += 1
    return {name.replace(" ", "_").replace(".", "_"): count for name, count in sorted(counts.items())}


async def unified_profiles(house: "House") -> Facts:
    """Write everybody's filtered profile to the hot store."""
    return {"profiles": await house.profiles.rebuild_cache()}


async def features(house: "House") -> Facts:
    """Write everybody's feature row, by the code that serves them."""
    async with house.kernel.db.transaction() as conn:
        table = await house.profiles.write_features(conn, PERSONALIZE, house.kernel.clock.now())
    return {"rows": table.rows, "digest": table.digest, "features": len(house.profiles.features)}


async def training_set(house: "House") -> Facts:
    """Collect logged decisions with features as of then, and their outcomes; one set a placement."""
    facts: dict[str, Fact] = {}
    for placement in await house.learning.placements():
        made = await house.learning.training_set(placement)
        facts |= {f"{placement}_rows": len(made.people), f"{placement}_digest": made.digest}
    return facts


async def ranker(house: "House") -> Facts:
    """Train a ranker a placement; it rules when it beats uniform, and the model that rules now, by intervals."""
    facts: dict[str, Fact] = {}
    for placement in await house.learning.placements():
        try:
            made = await house.learning.train(placement, actor="pipeline", made=house.learning.prepared(placement))
        except TooLittleToLearn as little:
            facts[placement] = little.message
            continue
        facts |= {
            f"{placement}_model": made.digest,
            f"{placement}_promoted": made.promoted,
            f"{placement}_rows": made.rows,
        }
    return facts


async def _prepared(house: "House") -> "Walking":
    """The linkage table, cleaned and blocked. Kept in this process's memory from the first linkage step to the last, so that one walk opens
    the records once; what arrives in between joins the next walk.
    """
    from identity.batch import prepare
    from identity.kinds import Overrides, infer
    from identity.records import linkage_kinds

    kept = _walking.get(house)
    if kept is not None and time.monotonic() - kept[0] < _KEPT_SECONDS:
        return kept[1]
    async with house.kernel.db.reading() as conn:
        table = await house.identity.linkage_table(conn)
    declared = linkage_kinds(table)
    unique = [name for name, kind in declared.items() if kind in house.identity.settings.exclusive_kinds]
    kinds = infer(table, Overrides(record_id="record_id", kinds=declared, unique=unique))
    prepared = await asyncio.to_thread(prepare, table, kinds)
    ids = [RecordId(value) for value in table.column("record_id").to_pylist()]
    owned = [name for name, kind in declared.items() if kind in house.identity.settings.joining_kinds]
    walking = prepared, ids, await asyncio.to_thread(_certain, table, owned)
    _walking[house] = time.monotonic(), walking
    return walking


def _folder(house: "House") -> Path:
    folder = house.kernel.settings.data_dir / "linkage"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_model(folder: Path, model: "LinkageModel") -> None:
    whole = folder / "model.json.new"
    whole.write_text(json.dumps(model.as_json(), indent=1), encoding="utf-8")
    whole.rename(folder / "model.json")


def _read_model(folder: Path) -> "LinkageModel":
    from identity.link import load_model

    path = folder / "model.json"
    if not path.is_file():
        raise LinkageNotReady("expected a trained linkage model, got none")
    return load_model(path)


def _write_edges(folder: Path, found: "Edges", ids: list[RecordId]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.array(ids)
    table = pa.table(
        {"left": names.take(pa.array(found.left)), "right": names.take(pa.array(found.right)), "weight": found.weight}
    )
    pq.write_table(table, folder / "edges.parquet.new")
    (folder / "edges.parquet.new").rename(folder / "edges.parquet")


def _read_edges(folder: Path, ids: list[RecordId]) -> "Edges":
    import numpy as np
    import pyarrow.parquet as pq

    from identity.linkage import Edges

    path = folder / "edges.parquet"
    if not path.is_file():
        raise LinkageNotReady("expected edges, got none")
    table = pq.read_table(path)
    place = {record: index for index, record in enumerate(ids)}
    left = [place.get(record, -1) for record in table.column("left").to_pylist()]
    right = [place.get(record, -1) for record in table.column("right").to_pylist()]
    kept = np.array([a >= 0 and b >= 0 for a, b in zip(left, right, strict=True)], dtype=bool)
    weight = table.column("weight").to_numpy()
    return Edges(np.array(left, dtype=np.int64)[kept], np.array(right, dtype=np.int64)[kept], weight[kept])


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


def _joined(found: "Edges", certain: "Edges") -> "Edges":
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
