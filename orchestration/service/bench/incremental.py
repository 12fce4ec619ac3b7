"""`candor bench identity --incremental`: new rows added to a linked table, beside linking everything anew (spec identity I19, I34).

Enters: a file of records and a file of more of them, with truth or without. Leaves: a `Report`: how soon and how rightly a lone new row was told its person (I30), what adding took (linking, clustering, ids and ledger), how many records it left elsewhere than a
full run, and how many old records got another person though everybody they were with stayed with them.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray

from identity import files
from identity.batch import prepare
from identity.first_answer import Answer, FirstAnswers
from identity.graph import Assignment, assign
from identity.kinds import Kinds, Overrides, infer
from identity.linkage import Edges
from identity.linked import Increment, Linked
from identity.score import score
from kernel.canonical import digest
from kernel.ids import PersonId, RecordId, new_id
from orchestration.service.bench.figures import Bar, Spread, spread
from orchestration.service.bench.incremental_store import stored

BAR_SECONDS: Final = 2.0  # ten thousand rows on a million
BAR_ASK_MS: Final = 5.0  # the 99th percentile
BAR_ASK_RIGHT: Final = 0.95
ASKED: Final = 2_000  # new rows that ask alone
BAR_EQUAL: Final = 0.9995
TRUTH: Final = ("cluster", "household", "tag")  # columns of made people that say who is who: never shown to the linkage

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``seconds`` is everything that adding takes, ``cpu`` what of it the processors worked; ``settle`` makes it ready for the next batch.

    ``equal`` is the share of records that are with the same others as after a full run, ``equal_edges`` as after the guard over all rows and the same edges:
    what lies between them is what a full run chooses to compare otherwise on one row in a hundred more. ``needless`` counts old records with a new person though
    those they were with are still with them. ``asked``: one new row alone, before any was added; ``candidates`` is the most that one was compared with;
    ``asked_right`` the share that was told the right person, or rightly nobody.
    """

    rows: int
    added: int
    asked: Spread
    asked_cpu: Spread
    candidates: int
    asked_right: float | None
    full_seconds: float
    seconds: float
    cpu: float
    linking: float
    settle: float
    pairs: int
    edges: int
    touched: int
    moved: int
    needless: int
    changes: int
    equal: float
    equal_edges: float
    f1: float | None
    full_f1: float | None
    mib: float
    load: float

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What is asked of it; the time at the size that the bar is for."""
        found = [
            Bar("records as after a full run", BAR_EQUAL, round(self.equal, 6), least=True),
            Bar("old records whose person changed needlessly", 0, self.needless),
        ]
        if self.asked_right is not None:
            found.append(Bar("an unseen row, told rightly", BAR_ASK_RIGHT, round(self.asked_right, 4), least=True))
        found.append(Bar("an unseen row, p99, ms", BAR_ASK_MS, self.asked.p99))
        if self.rows >= 1_000_000:
            found.insert(0, Bar("adding, s", BAR_SECONDS, self.seconds))
        return tuple(found)


def run(base: Path, more: Path, told: Callable[[str], None] = lambda _: None) -> Report:
    """Measure in this process, on engines of its own."""
    load = os.getloadavg()[0]
    table, _, _ = files.read([base])
    new, _, _ = files.read([more])
    truth = _truth(table, new)
    table, new = (one.drop_columns([c for c in TRUTH if c in one.column_names]) for one in (table, new))
    kinds = infer(table, Overrides())
    told(f"{table.num_rows} records linked in full")
    begin = time.perf_counter()
    prepared = prepare(table, kinds)
    model = prepared.train(1)
    edges = prepared.edges(model)
    linked = Linked.of(prepared, model, edges, prepared.cluster(edges, model))
    first_seconds = time.perf_counter() - begin
    old, old_groups = _people(linked.person), linked.person.copy()
    told("new records ask one by one")
    answers, asked, asked_cpu = _ask(linked, new, kinds)
    told(f"{new.num_rows} records added")
    kept = asyncio.run(stored(linked, new, kinds))
    increment = kept.increment
    outcome, changes = _ledger(increment, old)
    begin = time.perf_counter()
    linked.settle(increment)
    settle = time.perf_counter() - begin
    told("everything linked anew")
    whole = pa.concat_tables([table, new.select(table.column_names).cast(table.schema)])
    again = prepare(whole, kinds)
    full = again.cluster(again.edges(model), model).person
    mine = np.empty(whole.num_rows, np.int64)
    mine[np.concatenate([prepared.order, np.arange(table.num_rows, whole.num_rows)])] = linked.person
    every = linked.edges
    place = np.concatenate([prepared.order, np.arange(table.num_rows, whole.num_rows)])
    guard = again.cluster(Edges(place[every.left], place[every.right], every.weight), model).person
    return Report(
        rows=table.num_rows, added=new.num_rows, asked=spread(asked), asked_cpu=spread(asked_cpu),
        candidates=max((one.candidates for one in answers.values()), default=0),
        asked_right=None if truth is None else _right(answers, old_groups, truth[prepared.order], truth[table.num_rows :]), full_seconds=round(first_seconds, 2), seconds=round(kept.seconds, 3), cpu=round(kept.cpu, 3), linking=round(kept.linking, 3),
        settle=round(settle, 3), pairs=increment.pairs, edges=len(increment.edges.weight), touched=len(increment.rows),
        moved=sum(len(change.records) for change in outcome.changes), needless=_needless(increment, outcome, old), changes=changes,
        equal=1 - _apart(mine, full) / len(full), equal_edges=1 - _apart(mine, guard) / len(full), f1=_f1(mine, truth),
        full_f1=_f1(full, truth),
        mib=round(psutil.Process().memory_info().rss / 2**20), load=round(load, 2),
    )  # fmt: skip


def _ask(linked: Linked, new: pa.Table, kinds: Kinds) -> tuple[dict[int, Answer], list[float], list[float]]:
    """Every new row (a sample of many) asks alone; answers by row, seconds, seconds of the processor."""
    first = FirstAnswers(linked)
    wanted = np.random.default_rng(0).permutation(new.num_rows)[:ASKED].tolist()
    answers, took, cpu = {}, [], []
    first.ask(new.slice(wanted[0], 1), kinds)
    for row in wanted:
        profile = new.slice(row, 1)
        begin, used = time.perf_counter(), time.thread_time()
        answers[row] = first.ask(profile, kinds)
        took.append(time.perf_counter() - begin)
        cpu.append(time.thread_time() - used)
    return answers, took, cpu


def _right(answers: dict[int, Answer], groups: Rows, old: NDArray[Any], new: NDArray[Any]) -> float:
    """A group is whom most of its rows are; nobody is right for who was not there."""
    whom: dict[int, Counter[Any]] = {group: Counter() for group in np.unique(groups).tolist()}
    for group, who in zip(groups.tolist(), old.tolist(), strict=True):
        whom[group][who] += 1
    known = set(old.tolist())
    right = 0
    for row, answer in answers.items():
        who = new[row]
        told = None if answer.group is None else whom[answer.group].most_common(1)[0][0]
        right += told == (who if who in known else None)
    return right / max(1, len(answers))


def _people(person: Rows) -> dict[int, PersonId]:
    """A person id for each group, oldest first."""
    return {label: new_id("per") for label in np.unique(person).tolist()}


def _record(row: int) -> RecordId:
    return RecordId(f"rec_{row:09d}")


def _ledger(increment: Increment, old: dict[int, PersonId]) -> tuple[Assignment, int]:
    """Ids by the rule of stable ids and the lines of the change feed, over the rows that could have moved: what the store did, to be compared."""
    before = {
        _record(row): old.get(label) or new_id("per")  # a record that comes has a person of its own first
        for row, label in zip(increment.rows.tolist(), increment.before.tolist(), strict=True)
    }
    labels: dict[RecordId, Hashable] = {
        _record(row): label for row, label in zip(increment.rows.tolist(), increment.person.tolist(), strict=True)
    }
    outcome = assign(before, labels, partial(new_id, "per"))
    digest([[c.kind, c.person, c.other, list(c.records)] for c in outcome.changes])
    return outcome, len(outcome.changes)


def _needless(increment: Increment, outcome: Assignment, old: dict[int, PersonId]) -> int:
    """Old rows with another person although the old rows around them are exactly those that were there."""
    kept = increment.rows < increment.first
    rows, was, now = increment.rows[kept], increment.before[kept], increment.person[kept]
    apart = _differs(was, now)
    return sum(
        not differs and outcome.person_of[_record(row)] != old[label]
        for row, label, differs in zip(rows.tolist(), was.tolist(), apart.tolist(), strict=True)
    )


def _apart(one: Rows, other: Rows) -> int:
    return int(_differs(one, other).sum())


def _differs(one: Rows, other: Rows) -> NDArray[np.bool_]:
    """Rows that are not with the same others in both partitions."""
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(other, return_inverse=True)
    _, both, count = np.unique(a.astype(np.int64) * len(one) + b, return_inverse=True, return_counts=True)
    found: NDArray[np.bool_] = (count[both] != np.bincount(a)[a]) | (count[both] != np.bincount(b)[b])
    return found


def _f1(found: Rows, truth: NDArray[Any] | None) -> float | None:
    if truth is None:
        return None
    pairwise = score(found, truth)["pairwise"]
    assert isinstance(pairwise, dict)
    return pairwise["f1"]


def _truth(table: pa.Table, new: pa.Table) -> NDArray[Any] | None:
    if TRUTH[0] not in table.column_names or TRUTH[0] not in new.column_names:
        return None
    return np.array([*table.column(TRUTH[0]).to_pylist(), *new.column(TRUTH[0]).to_pylist()])
