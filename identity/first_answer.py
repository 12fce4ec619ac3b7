"""Who somebody unseen is, at once: one profile against a linked table, without Splink (spec identity I30).

Enters: one row of the table's columns.  Leaves: an `Answer`, the group it belongs to or none, and what spoke for it.  Candidates share blocking keys with it, the nearest
first and never more than a limit; they are weighed with the run's own model, term by term as Splink weighs; and the guard that rules the batch
rules here, over the candidates' groups as they stand.  What it says is provisional: the next batch judges on everything.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity.cleaning import Cleaned, Coded, clean
from identity.clusters import guarded
from identity.comparisons import column_of
from identity.facts import CONTACTS
from identity.few import few_of, said
from identity.keying import row_keys
from identity.kinds import Kinds
from identity.linkage import Edges, readings
from identity.linked import MOST_NEAR, Linked
from identity.weights import Against, Weights

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answer:
    """`group` is the smallest row of the people it belongs to, None for somebody new; `weight` of the best pair that could join, if there is one;
    `refused`: the guard kept it from them.
    """

    group: int | None
    weight: float | None
    candidates: int
    refused: bool


class FirstAnswers:
    """Over one linked table, which must not change meanwhile."""

    def __init__(self, linked: Linked) -> None:
        self._linked = linked
        self._weights = Weights(linked.model.settings, linked.model.kin, readings(linked.model))
        self._filled = {name: int(counts.sum()) for name, counts in linked.counts.items()}
        self._field = {column_of(name): name for name in linked.cleaned.fields}

    def ask(self, table: pa.Table, kinds: Kinds) -> Answer:
        """One row."""
        linked = self._linked
        mine = self._without_junk(clean(few_of(table, kinds), kinds, linked.cleaned.reading))
        rows = linked.keys.ranked(row_keys(mine, linked.secret), MOST_NEAR)
        if not len(rows):
            return Answer(None, None, 0, refused=False)
        weights = self._weighed(mine, rows)
        strong = np.isfinite(weights)  # of a lone row the guard never asks what weaker pairs weigh
        if not strong.any():
            return Answer(None, None, len(rows), refused=False)
        return self._judged(mine, rows[strong], weights[strong], len(rows))

    def _without_junk(self, mine: Cleaned) -> Cleaned:
        fields = {}
        for name, field in mine.fields.items():
            if name in self._linked.cleaned.fields:
                bad = np.array([self._linked.is_junk(name, value) for value in field.coded.values], dtype=bool)
                fields[name] = replace(field, coded=field.coded.without(bad)) if bad.any() else field
        return Cleaned(mine.rows, fields, mine.reading)

    def _weighed(self, mine: Cleaned, rows: Rows) -> NDArray[np.float64]:
        (left,) = said(mine, [0])
        against = Against(self._weights, left, self._share, 1 / max(1, *self._filled.values()))
        least = self._linked.policy.threshold
        found = [against.weight(row, least) for row in said(self._linked.cleaned, rows.tolist())]
        return np.array([-np.inf if weight is None else weight for weight in found])

    def _share(self, column: str, value: str) -> float | None:
        name = self._field.get(column)
        if name is None or not self._filled[name]:
            return None
        code = self._linked.code(name, value)
        return (int(self._linked.counts[name][code]) if code >= 0 else 1) / self._filled[name]

    def _judged(self, mine: Cleaned, rows: Rows, weights: NDArray[np.float64], candidates: int) -> Answer:
        linked = self._linked
        there = linked.together(np.unique(linked.person[rows]))
        inner, me = linked.among(there), len(there)
        ends = np.searchsorted(there, rows)
        edges = Edges(
            np.concatenate([np.searchsorted(there, inner.left), ends]),
            np.concatenate([np.searchsorted(there, inner.right), np.full(len(ends), me)]),
            np.concatenate([inner.weight, weights]),
        )
        part = self._part(there, mine)
        codes = {
            name: np.array([linked.code(name, v) for v in f.coded.values], np.int64)
            for name, f in part.fields.items()
            if f.kind in CONTACTS
        }
        found = guarded(edges, linked.evidence(part, codes), linked.policy)
        joined = np.flatnonzero(found.person[:me] == found.person[me])
        best = float(weights.max())
        if not len(joined):
            return Answer(None, best, candidates, refused=True)
        # Of several that it would bring together, the one that its heaviest edge leads to.
        own = np.isin(ends, joined)
        heaviest = there[ends[own][np.argmax(weights[own])]] if own.any() else there[joined[0]]
        return Answer(int(linked.person[heaviest]), best, candidates, refused=False)

    def _part(self, there: Rows, mine: Cleaned) -> Cleaned:
        """The fields that the guard looks at, of these rows and of the one that asks."""
        fields = {}
        for name, field in self._linked.cleaned.fields.items():
            if name not in {"first", "last", "birth"} and field.kind not in CONTACTS and not field.unique:
                continue
            values = field.coded.values
            said = [values[code] if code >= 0 else None for code in field.coded.codes[there].tolist()]
            own = mine.fields.get(name)
            code = int(own.coded.codes[0]) if own is not None else -1
            said.append(own.coded.values[code] if own is not None and code >= 0 else None)
            distinct = {value: place for place, value in enumerate(sorted({v for v in said if v}))}
            codes = np.array([distinct[v] if v else -1 for v in said], np.int32)
            fields[name] = replace(field, coded=Coded(codes, tuple(distinct)))
        return Cleaned(len(there) + 1, fields, mine.reading)
