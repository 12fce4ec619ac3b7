"""The stand-alone linkage job: from files of records to files with a person id.

Enters: paths and options.  Leaves: `LinkResult`, the input rows with `person_id`, and what was found on the way.  No
store, no settings, no labels.  Rows are put in the order of their record id first, so that neither the order of rows nor
the number of threads can change the outcome (spec identity I18).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from identity import files
from identity.batch import Progress, prepare, silent
from identity.bounds import Bounds
from identity.cleaning import Codes
from identity.clusters import Clusters, Policy
from identity.judgements import Rulings
from identity.kinds import KINDS, Kinds, Overrides, infer
from identity.labels import read_labels
from identity.limits import Limit, Limits
from identity.linkage import Edges
from identity.training import LinkageModel
from kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What the caller may wish for."""

    overrides: Overrides = field(default_factory=Overrides)
    one_to_one: bool = False
    model: LinkageModel | None = None
    policy: Policy = field(default_factory=Policy)
    seed: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)  # kind -> most values of one person
    labels: Path | None = None  # what somebody said of pairs of records


@dataclass(frozen=True, slots=True)
class LinkResult:
    """The linked table and how it came about."""

    table: pa.Table
    kinds: Kinds
    clusters: Clusters
    edges: Edges
    model: LinkageModel
    notes: tuple[str, ...]
    told: Rulings[int] = field(default_factory=Rulings)  # the labels that were given, by row

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


def link_files(paths: Sequence[Path], options: LinkOptions | None = None, progress: Progress = silent) -> LinkResult:
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
    told: Rulings[int] = read_labels(wishes.labels, table, kinds, notes) if wishes.labels else Rulings()
    if told:
        progress(f"{len(told.together)} pairs are said to be one person, {len(told.apart)} not to be")
    clusters, edges, model = run(
        table,
        kinds,
        wishes.model,
        policy=wishes.policy,
        sources=sources,
        seed=wishes.seed,
        progress=progress,
        notes=notes,
        rulings=told,
        limits=limited(wishes.limits),
    )
    width = len(str(table.num_rows))
    people = pa.array([f"p{n:0{width}d}" for n in clusters.person.tolist()])
    return LinkResult(table.append_column("person_id", people), kinds, clusters, edges, model, tuple(notes), told)


def run(
    table: pa.Table,
    kinds: Kinds,
    model: LinkageModel | None = None,
    *,
    policy: Policy | None = None,
    sources: Codes | None = None,
    seed: int = 0,
    progress: Progress = silent,
    notes: list[str] | None = None,
    rulings: Rulings[int] | None = None,
    limits: Limits | None = None,
) -> tuple[Clusters, Edges, LinkageModel]:
    """Link a table in memory.  Row numbers in the result and in ``rulings`` are the table's; labels are ranks in record order."""
    prepared = prepare(table, kinds, sources=sources, notes=notes)
    progress(f"{prepared.cleaned.rows} records, {len(prepared.pairs)} pairs to compare")
    if model is None:
        model = prepared.train(seed)
        progress(
            f"trained in {model.trained['rounds']} rounds, {model.trained['expected_matches']:.0f} matching pairs expected"
        )
    edges = prepared.edges(model)
    progress(f"{len(edges.weight)} edges")
    bounds = Bounds.of_table(limits, prepared.cleaned).placed(prepared.order) if limits else None
    found = prepared.cluster(edges, model, policy, rulings, bounds)
    progress(f"{len(found.sizes)} people, {len(found.ambiguous)} bridges refused")
    return found, edges, model


def limited(most: Mapping[str, int]) -> Limits | None:
    """Limits of a table, whose rows have no moments: so many values of a kind, ever."""
    for kind, count in most.items():
        if kind not in KINDS or count < 1:
            raise InvalidInput(
                f"limit of {kind!r}: expected a kind and a whole number from 1, got {count}",
                remedy=f"Write for example email=5; kinds: {', '.join(KINDS)}.",
                code="identity.bad_limit",
            )
    return Limits({kind: Limit(most=count) for kind, count in most.items()}, {}) if most else None


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
