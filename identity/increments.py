"""Linking more files to a linked one, and the written rule of when that is not enough.

Enters: files, more files, options.  Leaves: a `LinkResult` of all rows.  Rows are added to the linked table in memory (linked.py) unless the rule says
that everything is to be linked anew: too many new rows at once, too many since the last full run, a model too old, or scores that drifted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity import files
from identity.batch import Progress, prepare, silent
from identity.clusters import Clusters, Refusal
from identity.kinds import infer
from identity.link import LinkOptions, LinkResult, link_files
from identity.linkage import Edges
from identity.linked import Linked
from kernel.errors import InvalidInput

Why = Literal["no_model", "fields", "age", "share", "grown", "drift"]
BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Rule:
    """When adding is enough. Shares are of the rows that were linked in full."""

    share: float = 0.1  # in one batch: rarities and blocks are those of another table beyond it
    grown: float = 0.3  # since the last full run
    age: timedelta = timedelta(days=7)
    drift: float = 0.25  # population stability index of the weights: by custom, from here on two distributions differ


def anew(rule: Rule, *, linked: int, added: int, new: int, age: timedelta | None, drift: float = 0.0) -> Why | None:
    """Why everything is to be linked anew; None when adding is enough. ``age`` None: there is no model."""
    if age is None or not linked:
        return "no_model"
    if age > rule.age:
        return "age"
    if new > rule.share * linked:
        return "share"
    if added + new > rule.grown * linked:
        return "grown"
    return "drift" if drift > rule.drift else None


def drift(before: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    """Population stability index of two samples, by tenths of the earlier one; 0 when one of them is small."""
    if min(len(before), len(now)) < BINS * BINS:
        return 0.0
    bounds = np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1])
    shares = [
        np.bincount(np.searchsorted(bounds, sample), minlength=BINS) / len(sample) + 1e-4 for sample in (before, now)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def link_more(
    paths: Sequence[Path],
    more: Sequence[Path],
    options: LinkOptions | None = None,
    progress: Progress = silent,
    rule: Rule | None = None,
) -> LinkResult:
    """Link the files, then add the others one by one; all anew where the rule says so."""
    wishes, terms = options or LinkOptions(), rule or Rule()
    if wishes.one_to_one:
        raise InvalidInput(
            "--add with --one-to-one: expected one of them, got both",
            remedy="Link all files at once: one person a file is judged over all of them.",
            code="identity.add_one_to_one",
        )
    if wishes.labels is not None:
        raise InvalidInput(
            "--add with --labels: expected one of them, got both",
            remedy="Link all files at once: labels are obeyed over all records.",
            code="identity.add_labels",
        )
    table, _, notes = files.read(paths)
    kinds = infer(table, wishes.overrides)
    prepared = prepare(table, kinds, notes=notes)
    model = wishes.model or prepared.train(wishes.seed)
    edges = prepared.edges(model)
    linked = Linked.of(prepared, model, edges, prepared.cluster(edges, model, wishes.policy), wishes.policy)
    whole, base = linked.rows, table.num_rows
    refused: list[Refusal] = []
    for path in more:
        new, _, remarks = files.read([path])
        notes.extend(remarks)
        why = anew(terms, linked=whole, added=linked.rows - whole, new=new.num_rows, age=timedelta(0))
        if why is not None:
            progress(f"{path.name}: everything is linked anew ({why})")
            return link_files([*paths, *more], wishes, progress)
        increment = linked.add(_shaped(new, table), kinds)
        linked.settle(increment)
        refused.extend(increment.ambiguous)
        progress(
            f"{path.name}: {new.num_rows} rows added, {len(increment.edges.weight)} edges, {len(increment.moved)} rows moved"
        )
        table = pa.concat_tables([table, _shaped(new, table)])
    place = np.concatenate([prepared.order, np.arange(base, table.num_rows)])
    person = np.empty(table.num_rows, np.int64)
    person[place] = linked.person
    clusters = Clusters(
        person, tuple(Refusal(int(place[r.left]), int(place[r.right]), r.weight, r.cause) for r in refused)
    )
    every = linked.edges
    width = len(str(table.num_rows))
    named = pa.array([f"p{n:0{width}d}" for n in person.tolist()])
    return LinkResult(
        table.append_column("person_id", named),
        kinds,
        clusters,
        Edges(place[every.left], place[every.right], every.weight),
        model,
        tuple(notes),
    )


def _shaped(new: pa.Table, like: pa.Table) -> pa.Table:
    """The new rows in the columns of the table; one that they lack is empty there."""
    columns = [
        new.column(f.name).cast(f.type, safe=False) if f.name in new.column_names else pa.nulls(new.num_rows, f.type)
        for f in like.schema
    ]
    return pa.Table.from_arrays(columns, schema=like.schema)
