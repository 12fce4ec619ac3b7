"""A linked table that rows can be added to without linking it anew (spec identity I34).

Enters: a prepared table with its model, edges and clusters; then more rows.  Leaves: an `Increment`, the edges of the new rows and the people of every row
that they could have moved.  New rows meet the old ones by blocking keys (keying.py), Splink weighs those pairs with the rarity that values have in the
whole table, and the guarded clustering runs again over the components of strong edges that a new row reaches: what happens in the others cannot
depend on it.  Lives in memory, because it holds words.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity.batch import Prepared
from identity.cleaning import Cleaned, Coded, Field, clean
from identity.clusters import Clusters, Policy, Refusal, guarded
from identity.facts import Evidence, contact_fields, gather
from identity.keying import KeyIndex, row_keys
from identity.kinds import Kinds
from identity.linkage import Edges, Rarities, predict_cleaned
from identity.training import LinkageModel

Rows = NDArray[np.int64]
PAIRS_A_ROW = 4.0  # budget of a key: a third of a full run's, for speed; what it costs is in `candor bench identity --incremental`

MOST_NEAR = 60  # rows that a new one is compared with: on 100,000 made people the nearest sixty gave every answer that two hundred gave


@dataclass(frozen=True, slots=True)
class Increment:
    """What a batch of new rows did. Rows are numbered in the linked table; `rows` ascend, and `person` is the smallest row of each one's group."""

    first: int
    added: int
    edges: Edges
    rows: Rows
    before: Rows
    person: Rows
    ambiguous: tuple[Refusal, ...]
    pairs: int

    @property
    def moved(self) -> Rows:
        """Old rows whose group has another smallest row now."""
        places = np.flatnonzero((self.rows < self.first) & (self.before != self.person))
        return self.rows[places]


class Linked:
    """Rows in the order of their record ids, those added later behind them. Not thread-safe."""

    def __init__(
        self, cleaned: Cleaned, model: LinkageModel, edges: Edges, person: Rows, policy: Policy | None = None
    ) -> None:
        self.model, self.policy = model, policy or Policy()
        self.person = person
        self.cleaned = cleaned
        self._place = {name: {v: i for i, v in enumerate(f.coded.values)} for name, f in cleaned.fields.items()}
        self.counts = {name: field.coded.counts() for name, field in cleaned.fields.items()}
        self.secret = secrets.token_bytes(32)  # the keys are compared with one another only
        self.keys = KeyIndex(PAIRS_A_ROW)
        self.keys.add(row_keys(cleaned, self.secret))
        self._common = self._in_common()
        self._arrange(edges)

    @classmethod
    def of(
        cls, prepared: Prepared, model: LinkageModel, edges: Edges, clusters: Clusters, policy: Policy | None = None
    ) -> "Linked":
        """Of a full run; `edges` and `clusters` are by the table's rows, as `Prepared` gives them."""
        place = np.empty_like(prepared.order)
        place[prepared.order] = np.arange(len(prepared.order))
        left, right = place[edges.left], place[edges.right]
        ordered = Edges(np.minimum(left, right), np.maximum(left, right), edges.weight)
        return cls(prepared.cleaned, model, ordered, _smallest(clusters.person[prepared.order]), policy)

    @property
    def rows(self) -> int:
        """How many rows are linked."""
        return self.cleaned.rows

    def _in_common(self) -> dict[str, NDArray[np.bool_]]:
        found = gather(self.cleaned, self.model).in_common
        return dict(zip(contact_fields(self.cleaned, self.model), found, strict=True))

    def evidence(self, part: Cleaned, codes: Mapping[str, Rows]) -> Evidence:
        """What speaks against rows of a part being one person; `codes`: which value of the whole table (-1: of none) each value of a field is.

        Whether a contact is used by people who are clearly not one is known of the whole table, not of the part.
        """
        found = gather(part, self.model)
        shared = []
        for name, own in zip(contact_fields(part, self.model), found.in_common, strict=True):
            known = np.append(self._common[name], False)
            shared.append(own | known[np.where(codes[name] < len(known) - 1, codes[name], -1)])
        return replace(found, in_common=tuple(shared))

    def code(self, name: str, value: str) -> int:
        """The code of a value of a field; -1 for one that no row bears, or that is junk."""
        at = self._place[name].get(value, -1)
        return at if 0 <= at < len(self.counts[name]) and self.counts[name][at] else -1

    def is_junk(self, name: str, value: str) -> bool:
        """Whether the value was found to say nothing about who somebody is."""
        at = self._place[name].get(value, -1)
        return 0 <= at < len(self.counts[name]) and not self.counts[name][at]

    def among(self, rows: Rows) -> Edges:
        """Edges between these rows, which ascend and of which every component is whole or has its edges within."""
        places = self.edges_of.members(np.unique(self._component[rows]))
        left, right = self._edges.left[places], self._edges.right[places]
        inside = np.isin(left, rows) & np.isin(right, rows)
        return Edges(left[inside], right[inside], self._edges.weight[places][inside])

    def together(self, people: Rows) -> Rows:
        """The rows of these groups, each named by its smallest row; ascending."""
        near = self._rows_of.members(np.unique(self._component[people]))
        return np.sort(near[np.isin(self.person[near], people)])

    @property
    def edges(self) -> Edges:
        """All of them, in no order."""
        return _both(self._edges, self._between)

    def _arrange(self, edges: Edges) -> None:
        """Components of edges that can join, their rows and their edges side by side."""
        rows = self.cleaned.rows
        strong = edges.weight >= self.policy.threshold
        graph = coo_array(
            (np.ones(int(strong.sum()), np.int8), (edges.left[strong], edges.right[strong])), shape=(rows, rows)
        )
        count, component = connected_components(graph, directed=False)
        self._component = component.astype(np.int64)
        within = self._component[edges.left] == self._component[edges.right]
        self._rows_of = _Grouped.of(self._component, int(count))
        kept = Edges(edges.left[within], edges.right[within], edges.weight[within])
        self.edges_of = _Grouped.of(self._component[kept.left], int(count))
        self._edges = kept
        self._between = Edges(edges.left[~within], edges.right[~within], edges.weight[~within])

    def add(self, table: pa.Table, kinds: Kinds) -> Increment:
        """Link these rows to the table and take them in."""
        for column in kinds.columns:
            if column.name not in table.column_names:
                table = table.append_column(column.name, pa.nulls(table.num_rows, pa.string()))
        first, fresh = self.rows, self._coded(clean(table, kinds, self.cleaned.reading))
        new = fresh
        keys = row_keys(_compact(new), self.secret)
        whole = _joined(self.cleaned, new)
        counts = {name: self._counted(name, field.coded) for name, field in whole.fields.items()}
        mine, theirs = self.keys.near(keys, MOST_NEAR)
        self.keys.add(keys, first)
        among = self.keys.near(keys, MOST_NEAR)
        own = (among[1] >= first) & (among[0] + first < among[1])
        left = np.concatenate([theirs, among[0][own] + first])
        right = np.concatenate([mine + first, among[1][own]])
        edges = self._weighed(whole, counts, left, right)
        found = self._clustered(whole, edges, first)
        self.cleaned, self.counts = whole, counts
        return replace(found, pairs=len(left))

    def settle(self, increment: Increment) -> None:
        """Make the increment part of what later ones are compared with."""
        self.person = np.append(self.person, np.arange(increment.first, increment.first + increment.added))
        self.person[increment.rows] = increment.person
        self._common = self._in_common()
        parts = (self._edges, self._between, increment.edges)
        self._arrange(
            Edges(*(np.concatenate([getattr(one, side) for one in parts]) for side in ("left", "right", "weight")))
        )

    def _coded(self, fresh: Cleaned) -> Cleaned:
        """The new rows in the codes of the table; what was found to be junk there is junk here."""
        fields: dict[str, Field] = {}
        for name, field in self.cleaned.fields.items():
            if name not in fresh.fields:
                fields[name] = replace(field, coded=Coded(np.full(fresh.rows, -1, np.int32), field.coded.values))
                continue
            coded, place, counts = fresh.fields[name].coded, self._place[name], self.counts[name]
            before = len(place)
            places = [place.setdefault(value, len(place)) for value in coded.values]
            places = [at if at >= len(counts) or counts[at] else -1 for at in places]
            codes = np.array([*places, -1], np.int32)[coded.codes]
            values = field.coded.values + tuple(islice(place, before, None))
            fields[name] = replace(field, coded=Coded(codes, values))
        return Cleaned(fresh.rows, fields, self.cleaned.reading)

    def _counted(self, name: str, coded: Coded) -> NDArray[np.int64]:
        counts = np.zeros(len(coded.values), np.int64)
        counts[: len(self.counts[name])] = self.counts[name]
        new = coded.codes[self.cleaned.rows :]
        np.add.at(counts, new[new >= 0], 1)
        return counts

    def _weighed(self, whole: Cleaned, counts: Mapping[str, NDArray[np.int64]], left: Rows, right: Rows) -> Edges:
        rows = np.unique(np.concatenate([left, right]))
        if not len(rows):
            return Edges(rows, rows, np.empty(0))
        part, kept = _taken(whole, rows)
        rarities: Rarities = {name: counts[name][kept[name]] / max(1, counts[name].sum()) for name in kept}
        a, b = np.searchsorted(rows, left), np.searchsorted(rows, right)
        found = predict_cleaned(self.model, part, np.sort(a * part.rows + b), rarities)
        return Edges(rows[found.left], rows[found.right], found.weight)

    def _clustered(self, whole: Cleaned, edges: Edges, first: int) -> Increment:
        strong = edges.weight >= self.policy.threshold
        ends = np.concatenate([edges.left[strong], edges.right[strong]])
        touched = np.unique(self._component[ends[ends < first]])
        old = np.sort(self._rows_of.members(touched))
        rows = np.concatenate([old, np.arange(first, whole.rows)])
        places = self.edges_of.members(touched)
        near = Edges(self._edges.left[places], self._edges.right[places], self._edges.weight[places])
        both = _both(near, edges)
        inside = np.isin(both.left, rows) & np.isin(both.right, rows)
        part, kept = _taken(whole, rows)
        a, b = np.searchsorted(rows, both.left[inside]), np.searchsorted(rows, both.right[inside])
        order = np.lexsort((b, a))
        local = Edges(a[order], b[order], both.weight[inside][order])
        found = guarded(local, self.evidence(part, kept), self.policy)
        refused = tuple(Refusal(int(rows[r.left]), int(rows[r.right]), r.weight, r.cause) for r in found.ambiguous)
        before = np.append(self.person[old], np.arange(first, whole.rows))
        return Increment(first, whole.rows - first, edges, rows, before, rows[found.person], refused, 0)


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Places by group: those of group g stand at `order[starts[g]:starts[g + 1]]`."""

    order: Rows
    starts: Rows

    @classmethod
    def of(cls, group: Rows, count: int) -> "_Grouped":
        order = np.argsort(group, kind="stable")
        return cls(order, np.searchsorted(group[order], np.arange(count + 1)))

    def members(self, groups: Rows) -> Rows:
        begin, count = self.starts[groups], self.starts[groups + 1] - self.starts[groups]
        places = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(count.sum())
        found: Rows = self.order[places]
        return found


def _smallest(labels: Rows) -> Rows:
    """Labels as the smallest row of each group."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    labels_: Rows = first[inverse].astype(np.int64)
    return labels_


def _taken(cleaned: Cleaned, rows: Rows) -> tuple[Cleaned, dict[str, Rows]]:
    """Some rows with the values they bear, and which values of the whole those are."""
    fields: dict[str, Field] = {}
    kept: dict[str, Rows] = {}
    for name, field in cleaned.fields.items():
        codes = field.coded.codes[rows]
        bearing = codes >= 0
        used, dense = np.unique(codes[bearing], return_inverse=True)
        placed = np.full(len(rows), -1, np.int32)
        placed[bearing] = dense
        fields[name] = replace(field, coded=Coded(placed, tuple(field.coded.values[i] for i in used.tolist())))
        kept[name] = used.astype(np.int64)
    return Cleaned(len(rows), fields, cleaned.reading), kept


def _both(one: Edges, other: Edges) -> Edges:
    return Edges(
        np.concatenate([one.left, other.left]),
        np.concatenate([one.right, other.right]),
        np.concatenate([one.weight, other.weight]),
    )


def _compact(cleaned: Cleaned) -> Cleaned:
    return _taken(cleaned, np.arange(cleaned.rows))[0]


def _joined(old: Cleaned, new: Cleaned) -> Cleaned:
    fields = {
        name: replace(
            field,
            coded=Coded(
                np.concatenate([field.coded.codes, new.fields[name].coded.codes]), new.fields[name].coded.values
            ),
        )
        for name, field in old.fields.items()
    }
    return Cleaned(old.rows + new.rows, fields, old.reading)
