"""What a hundred answers of the review queue are worth, beside a hundred answers to questions drawn by lot.

Enters: a file whose truth is known and the name of its true column. Leaves: pairwise F1 before, after the queue's questions, after random ones of the whole
queue, and after random ones of the refused bridges alone. Answers are the truth of the two records that a question shows; they are given ten at a
time, and the queue is asked anew in between, as reviewers would.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from identity.clusters import Clusters
from identity.judgements import Rulings
from identity.kinds import Overrides
from identity.link import LinkOptions, link_files
from identity.linkage import Edges
from identity.people import Edge
from identity.questions import Doubt, Question, ask
from identity.score import score
from identity.settling import settle
from kernel.ids import RecordId

FAINT: Final = 1.0
PAGE: Final = 10
SEEDS: Final = 3
Pick = Callable[[Sequence[Question[int]]], Sequence[Question[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Gains in pairwise F1. ``joined``, ``parted``: answers of the queue that changed something."""

    records: int
    questions: int
    answers: int
    before: float
    queue: float
    by_lot: float
    by_lot_refused: float
    joined: int
    parted: int

    @property
    def ratio(self) -> float:
        """The queue's gain over that of the better lot; one that gains nothing counts as a ten-thousandth."""
        return round(
            (self.queue - self.before) / max(self.by_lot - self.before, self.by_lot_refused - self.before, 1e-4), 1
        )


@dataclass(slots=True)
class _Table:
    truth: NDArray[np.int64]
    clusters: Clusters
    edges: list[tuple[int, int, float]]

    def queue(self, label: NDArray[np.int64], asked: set[tuple[int, int]]) -> list[Question[int]]:
        doubts = [Doubt(r.left, r.right, r.weight, str(r.cause)) for r in self.clusters.ambiguous]
        doubts += [Doubt(a, b, w) for a, b, w in self.edges if w < FAINT and label[a] != label[b]]
        found = ask(dict(enumerate(label.tolist())), self.edges, doubts)
        return [one for one in found if (one.a, one.b) not in asked]

    def answer(self, label: NDArray[np.int64], one: Question[int]) -> bool:
        """Do what the truth says; whether that changed anything."""
        same, together = bool(self.truth[one.a] == self.truth[one.b]), bool(label[one.a] == label[one.b])
        if same and not together:
            label[label == label[one.b]] = label[one.a]
        elif together and not same:
            part(label, one.a, one.b, self.edges)
        return same != together

    def f1(self, label: NDArray[np.int64]) -> float:
        measured: Any = score(label, self.truth)["pairwise"]
        return float(measured["f1"])


def run(file: Path, truth: str, *, answers: int = 100, told: Callable[[str], None] = lambda _: None) -> Review:
    """Link, then answer."""
    linked = link_files([file], LinkOptions(overrides=Overrides(ignore=(truth,))), told)
    codes = np.unique(np.array(linked.table.column(truth).to_pylist()), return_inverse=True)[1]
    table = _Table(codes, linked.clusters, _listed(linked.edges.above(0.0)))
    start = linked.clusters.person.copy()
    questions = table.queue(start, set())
    told(f"{len(questions)} questions; {answers} answers of the queue")
    label, joined, parted = _play(table, start, answers, PAGE, lambda found: found)
    told("by lot")
    every = [_play(table, start, answers, answers, _lot(seed))[0] for seed in range(SEEDS)]
    refused = [
        _play(table, start, answers, answers, _lot(seed, lambda q: not q.one and bool(q.cause)))[0]
        for seed in range(SEEDS)
    ]
    return Review(
        records=len(start),
        questions=len(questions),
        answers=answers,
        before=round(table.f1(start), 5),
        queue=round(table.f1(label), 5),
        by_lot=round(float(np.mean([table.f1(one) for one in every])), 5),
        by_lot_refused=round(float(np.mean([table.f1(one) for one in refused])), 5),
        joined=joined,
        parted=parted,
    )


def _play(
    table: _Table, start: NDArray[np.int64], answers: int, page: int, pick: Pick
) -> tuple[NDArray[np.int64], int, int]:
    label, asked, joined, parted = start.copy(), set[tuple[int, int]](), 0, 0
    while len(asked) < answers:
        found = list(pick(table.queue(label, asked)))[: min(page, answers - len(asked))]
        if not found:
            break
        for one in found:
            asked.add((one.a, one.b))
            one_now = bool(label[one.a] == label[one.b])
            if table.answer(label, replace(one, one=one_now)):
                joined, parted = joined + (not one_now), parted + one_now
    return label, joined, parted


def _lot(seed: int, fits: Callable[[Question[int]], bool] = lambda _: True) -> Pick:
    chance = random.Random(seed)  # noqa: S311 - which questions are drawn

    def pick(found: Sequence[Question[int]]) -> Sequence[Question[int]]:
        fitting = [one for one in found if fits(one)]
        return chance.sample(fitting, len(fitting))

    return pick


def part(label: NDArray[np.int64], a: int, b: int, edges: Sequence[tuple[int, int, float]]) -> None:
    """Two records of one group are different people: the rest goes where the evidence says."""
    members = np.flatnonzero(label == label[a]).tolist()
    width = len(str(len(label)))
    name = {row: RecordId(f"{row:0{width}d}") for row in members}
    inside = [Edge(name[x], name[y], w) for x, y, w in edges if x in name and y in name]
    found = settle(dict.fromkeys(name.values(), 0), Rulings((), (((name[a],), (name[b],)),)), inside, {})
    for row in members:
        label[row] = -1 - int(found[name[row]])  # a label that no group has


def _listed(edges: Edges) -> list[tuple[int, int, float]]:
    return list(zip(edges.left.tolist(), edges.right.tolist(), edges.weight.tolist(), strict=True))
