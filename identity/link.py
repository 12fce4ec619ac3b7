"""The stand-alone linkage job: from files of records to files with a person id.

Enters: paths and options.  Leaves: `LinkResult`, the input rows with `person_id`, and what was found on the way.  No
store, no settings, no labels.  Rows are put in the order of their record id first, so that neither the order of rows nor
the number of threads can change the outcome (spec identity I18).
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from identity import files
from identity.blocking import block
from identity.cleaning import Cleaned, Codes, clean
from identity.clusters import Clusters, Policy, guarded
from identity.column_values import texts
from identity.facts import gather
from identity.junk import remove_junk
from identity.kinds import Kinds, Overrides, infer
from identity.linkage import Edges, predict_cleaned
from identity.training import LinkageModel, train_cleaned
from kernel.errors import InvalidInput

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What the caller may wish for."""

    overrides: Overrides = field(default_factory=Overrides)
    one_to_one: bool = False
    model: LinkageModel | None = None
    policy: Policy = field(default_factory=Policy)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LinkResult:
    """The linked table and how it came about."""

    table: pa.Table
    kinds: Kinds
    clusters: Clusters
    edges: Edges
    model: LinkageModel
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Figures for a reader or a program."""
        sizes = self.clusters.sizes
        return {
            "records": len(self.clusters.person),
            "people": len(sizes),
            "max_cluster": int(sizes.max(initial=0)),
            "edges": len(self.edges.weight),
            "ambiguous": dict(sorted(Counter(r.cause for r in self.clusters.ambiguous).items())),
            "kinds": {c.name: c.kind for c in self.kinds.columns},
            "notes": list(self.notes),
        }


def link_files(paths: Sequence[Path], options: LinkOptions | None = None, progress: Progress = _silent) -> LinkResult:
    """Read, link, label."""
    wishes = options or LinkOptions()
    progress(f"reading {', '.join(p.name for p in paths)}")
    table, counts, notes = files.read(paths)
    if "person_id" in table.column_names:
        raise InvalidInput(
            "input columns: expected none called 'person_id', got one",
            remedy="Rename the column; `person_id` is what linking adds.",
            code="identity.person_id_taken",
        )
    sources = None
    if wishes.one_to_one:
        if len(counts) < 2:
            raise InvalidInput(
                f"--one-to-one: expected two files or more, got {len(counts)}",
                remedy="Give one file a source, or leave --one-to-one out.",
                code="identity.one_source",
            )
        sources = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    kinds = infer(table, wishes.overrides)
    clusters, edges, model = run(
        table,
        kinds,
        wishes.model,
        policy=wishes.policy,
        sources=sources,
        seed=wishes.seed,
        progress=progress,
        notes=notes,
    )
    width = len(str(table.num_rows))
    people = pa.array([f"p{n:0{width}d}" for n in clusters.person.tolist()])
    return LinkResult(table.append_column("person_id", people), kinds, clusters, edges, model, tuple(notes))


def run(
    table: pa.Table,
    kinds: Kinds,
    model: LinkageModel | None = None,
    *,
    policy: Policy | None = None,
    sources: Codes | None = None,
    seed: int = 0,
    progress: Progress = _silent,
    notes: list[str] | None = None,
) -> tuple[Clusters, Edges, LinkageModel]:
    """Link a table in memory.  Row numbers in the result are the table's; labels are ranks in record order."""
    remarks = notes if notes is not None else []
    order = record_order(table, kinds, remarks)
    cleaned, lost = remove_junk(clean(table.take(pa.array(order)), kinds))
    _refuse_nothing_to_compare(cleaned, kinds)
    remarks.extend(
        f"{name}: {rows} rows bear values shared by many unlike names; those are ignored" for name, rows in lost.items()
    )
    ordered = None if sources is None else sources[order]
    blocked = block(cleaned, sources=ordered)
    remarks.extend(
        f"blocking by {n}: {r} rows are in blocks too large to pair"
        for n, r in blocked.left_out.items()
        if r > 0.05 * cleaned.rows
    )
    progress(f"{cleaned.rows} records, {len(blocked.pairs)} pairs to compare")
    if model is None:
        model = train_cleaned(cleaned, blocked.pairs, seed, sources=ordered)
        progress(
            f"trained in {model.trained['rounds']} rounds, {model.trained['expected_matches']:.0f} matching pairs expected"
        )
    edges = predict_cleaned(model, cleaned, blocked.pairs)
    progress(f"{len(edges.weight)} edges")
    extra = () if ordered is None else _one_of_each(ordered)
    found = guarded(edges, gather(cleaned, model, extra), policy or Policy())
    progress(f"{len(found.sizes)} people, {len(found.ambiguous)} bridges refused")
    return *_in_table_order(found, edges, order), model


def record_order(table: pa.Table, kinds: Kinds, notes: list[str]) -> NDArray[np.int64]:
    """Row numbers by record id, then by the text of all columns."""
    if table.num_rows == 0:
        raise InvalidInput(
            "records: expected at least one, got none", remedy="Give a table with rows.", code="identity.no_records"
        )
    columns = {f"c{i}": texts(table.column(c.name)) for i, c in enumerate(kinds.columns)}
    keys = [(name, "ascending") for name in columns]
    if kinds.record_id is not None:
        index = [c.name for c in kinds.columns].index(kinds.record_id)
        repeated = table.num_rows - pc.count_distinct(table.column(kinds.record_id), mode="all").as_py()
        if repeated:
            notes.append(
                f"record id {kinds.record_id!r}: {repeated} rows repeat an id; they are linked as records of their own"
            )
        keys.insert(0, keys.pop(index))
    return np.asarray(pc.sort_indices(pa.table(columns), sort_keys=keys).to_numpy(), dtype=np.int64)


def _refuse_nothing_to_compare(cleaned: Cleaned, kinds: Kinds) -> None:
    if not cleaned.fields:
        raise InvalidInput(
            f"columns to compare: expected at least one, got none among {[c.name for c in kinds.columns]}",
            remedy="Say what the columns hold with --map COL=KIND, or ignore fewer.",
            code="identity.nothing_to_compare",
        )


def _one_of_each(sources: Codes) -> tuple[Codes, ...]:
    """Codes that let a person have one record of each source."""
    rows = np.arange(len(sources), dtype=np.int32)
    return tuple(np.where(sources == s, rows, -1).astype(np.int32) for s in range(int(sources.max()) + 1))


def _in_table_order(found: Clusters, edges: Edges, order: NDArray[np.int64]) -> tuple[Clusters, Edges]:
    person = np.empty_like(found.person)
    person[order] = found.person
    refused = tuple(type(r)(int(order[r.left]), int(order[r.right]), r.weight, r.cause) for r in found.ambiguous)
    return Clusters(person, refused), Edges(order[edges.left], order[edges.right], edges.weight)


def load_model(path: Path) -> LinkageModel:
    """The model that `save_model` wrote; InvalidInput for anything else."""
    try:
        return LinkageModel.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise InvalidInput(
            f"model file {path.name}: expected a {LinkageModel.FORMAT} file, got something else",
            remedy="Give a file that --save-model wrote, or leave --model out to train.",
            code="identity.bad_model",
        ) from broken


def save_model(model: LinkageModel, path: Path) -> None:
    """Write the model as JSON."""
    path.write_text(json.dumps(model.as_json(), indent=1), encoding="utf-8")
