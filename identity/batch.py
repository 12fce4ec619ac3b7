"""The linkage run in its three steps: prepare, weigh, cluster. For the stand-alone job and for the batch walk, which takes them one by one.

Enters: a table in memory and its kinds. Leaves: a model, edges, clusters, all in the table's row numbers. Rows are put in the order of their
record id first, so that neither the order of rows nor the number of threads can change the outcome (spec identity I18).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from identity.blocking import Pairs, distinct, gathered, key, keys
from identity.bounds import Bounds
from identity.choosing import FEW, Part, among, choose, fair_sample, named, pairs_of, parts, tried
from identity.cleaning import Cleaned, Codes, clean
from identity.clusters import Clusters, Policy, guarded
from identity.column_values import texts
from identity.comparisons import OWN
from identity.facts import gather
from identity.judgements import Rulings
from identity.junk import remove_junk
from identity.kinds import Kinds
from identity.linkage import Edges, Scales
from identity.prior import SMALL, error, moved
from identity.training import LinkageModel, train_cleaned
from kernel.errors import InvalidInput

Progress = Callable[[str], None]
_TELLING = (
    "first_name", "last_name", "full_name", "birth_date", "email", "phone", "national_id", "login_id", "device_id", "customer_id",
)  # fmt: skip
MOST_WEAK = 12  # columns of categories or text that are compared
MUCH = 0.05  # of all rows: from here on a block left out is worth a remark


def silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A table cleaned, ordered and blocked. `order[i]` is the table's row of ordered row i.

    `pairs` are all pairs of records worth comparing; where they are too many, a fair sample of them, of which each stands for `stand_for` pairs,
    and `parts` says where all of them are.
    """

    order: NDArray[np.int64]
    cleaned: Cleaned
    pairs: Pairs
    sources: Codes | None
    remarks: list[str] = field(default_factory=list)
    keys: dict[str, dict[str, int]] = field(default_factory=dict)  # by blocking key: pairs found, rows left out
    stand_for: NDArray[np.float64] | None = None
    parts: tuple[Part, ...] = ()

    def train(self, seed: int = 0) -> LinkageModel:
        """What agreement is worth in this table, learned without labels."""
        model = train_cleaned(self.cleaned, self.pairs, seed, sources=self.sources, stand_for=self.stand_for)
        if self.parts:
            with Scales(model, self.cleaned) as scales:
                return replace(model, keys=named(self._chosen(scales)))
        if self.sources is not None or self.cleaned.rows > SMALL:
            return model
        edges = self.edges(model)
        return moved(model, error(edges, self.cluster(edges, model).person))

    def edges(self, model: LinkageModel) -> Edges:
        """Pairs that may be one person, by the table's row numbers; in a large table those of the model's keys."""
        with Scales(model, self.cleaned) as scales:
            found = scales.weigh(self._worth(scales, model))
        return Edges(self.order[found.left], self.order[found.right], found.weight)

    def _worth(self, scales: Scales, model: LinkageModel) -> Pairs:
        """The pairs to weigh: all, or those of the keys that find people whom no better key finds."""
        if not self.parts:
            return self.pairs
        chosen = among(self.parts, model.keys) if model.keys else self._chosen(scales)
        return pairs_of(chosen, self.cleaned.rows, self.sources)

    def _chosen(self, scales: Scales) -> list[Part]:
        rows = self.cleaned.rows
        some = tried(self.parts, rows, self.sources, np.random.default_rng(0))
        every = distinct(some)
        weighed = scales.weigh(every)
        chance = np.zeros(len(every))
        chance[np.searchsorted(every, weighed.left * rows + weighed.right)] = 1 / (1 + np.exp2(-weighed.weight))
        return choose(self.parts, some, [chance[np.searchsorted(every, p)] for p in some], rows)

    def cluster(
        self,
        edges: Edges,
        model: LinkageModel,
        policy: Policy | None = None,
        rulings: Rulings[int] | None = None,
        bounds: Bounds | None = None,
    ) -> Clusters:
        """Guarded clusters of the edges; labels are ranks in record order. ``rulings``, ``bounds``: what staff decided and what limits
        count, by the table's rows.
        """
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order))
        left, right = place[edges.left], place[edges.right]
        ordered = Edges(np.minimum(left, right), np.maximum(left, right), edges.weight)
        extra = () if self.sources is None else _one_of_each(self.sources)
        decided = None if rulings is None else rulings.through(lambda row: int(place[row]))
        evidence = gather(self.cleaned, model, extra)
        if bounds is not None:
            evidence = replace(evidence, bounds=bounds.placed(place))
        found = guarded(ordered, evidence, policy or Policy(), decided)
        person = np.empty_like(found.person)
        person[self.order] = found.person
        refused = tuple(
            type(r)(int(self.order[r.left]), int(self.order[r.right]), r.weight, r.cause) for r in found.ambiguous
        )
        return Clusters(person, refused)


def prepare(table: pa.Table, kinds: Kinds, *, sources: Codes | None = None, notes: list[str] | None = None) -> Prepared:
    """Order, clean and block a table.

    Raises:
        InvalidInput: no rows, or no column that says who somebody is.
    """
    remarks = notes if notes is not None else []
    order = record_order(table, kinds, remarks)
    told = table.select([c.name for c in kinds.columns if c.kind != "ignore"])
    cleaned, lost = remove_junk(clean(told.take(pa.array(order)), kinds))
    if not cleaned.fields:
        raise InvalidInput(
            f"columns to compare: expected at least one, got none among {[c.name for c in kinds.columns]}",
            remedy="Say what the columns hold with --map COL=KIND, or ignore fewer.",
            code="identity.nothing_to_compare",
        )
    remarks.extend(
        f"{name}: {rows} rows bear values shared by {_many(cleaned)}; those are ignored" for name, rows in lost.items()
    )
    cleaned = _fewer(cleaned, remarks)
    remarks.extend(_poverty(cleaned))
    ordered = None if sources is None else sources[order]
    made = [key(name, codes) for name, codes in keys(cleaned).items()]
    crowded = [one for one in made if one.left_out > MUCH * cleaned.rows]
    if crowded:
        most = max(one.left_out for one in crowded)
        remarks.append(
            f"blocking by {', '.join(one.name for one in crowded)}: up to {most} rows are in blocks too large to pair"
        )
    if sum(one.count() for one in made) > FEW:
        counts = {one.name: {"pairs": one.count(), "left_out": one.left_out} for one in made}
        cut = parts(made, np.random.default_rng(0))
        pairs, stand_for = fair_sample(cut, cleaned.rows, ordered)
        return Prepared(order, cleaned, pairs, ordered, remarks, counts, stand_for, tuple(cut))
    blocked = gathered(made, ordered, cleaned.rows)
    counts = {n: {"pairs": found, "left_out": blocked.left_out.get(n, 0)} for n, found in blocked.found.items()}
    return Prepared(order, cleaned, blocked.pairs, ordered, remarks, counts)


def _fewer(cleaned: Cleaned, remarks: list[str]) -> Cleaned:
    """Without the categories and texts beyond the first few: a hundred columns that say nothing of a person drown those that do."""
    weak = [one.name for one in cleaned.of("category", "text")][MOST_WEAK:]
    if not weak:
        return cleaned
    remarks.append(
        f"{len(weak)} columns of categories or text beyond the first {MOST_WEAK} are not compared; name kinds with --map, or --ignore others"
    )
    return replace(cleaned, fields={name: field for name, field in cleaned.fields.items() if name not in weak})


def _poverty(cleaned: Cleaned) -> list[str]:
    """What a reader must know of a table that says too little about who somebody is: nobody is joined by so little."""
    if not cleaned.of(*_TELLING):
        return [f"no column names a person: {', '.join(cleaned.fields)} alone join nobody; name kinds with --map"]
    if len(cleaned.fields) == 1:
        return [
            f"only one column, {next(iter(cleaned.fields))}, says who somebody is: {_alone(next(iter(cleaned.fields.values())).kind)}"
        ]
    return []


def _many(cleaned: Cleaned) -> str:
    return "many unlike names" if {"first", "last"} & cleaned.fields.keys() else "far more rows than others are"


def _alone(kind: str) -> str:
    return (
        "whoever shares a value is held to be one person"
        if kind in OWN
        else "what agrees in it alone is seldom enough to join records"
    )


def record_order(table: pa.Table, kinds: Kinds, notes: list[str]) -> NDArray[np.int64]:
    """Row numbers by record id, then by the text of all columns."""
    if table.num_rows == 0:
        raise InvalidInput(
            "records: expected at least one, got none", remedy="Give a table with rows.", code="identity.no_records"
        )
    names = [c.name for c in kinds.columns]
    if kinds.record_id is not None:
        names.insert(0, names.pop(names.index(kinds.record_id)))
        repeated = table.num_rows - pc.count_distinct(table.column(kinds.record_id), mode="all").as_py()
        if repeated:
            notes.append(
                f"record id {kinds.record_id!r}: {repeated} rows repeat an id; they are linked as records of their own"
            )
        else:
            names = names[:1]
    columns = {f"c{i}": texts(table.column(name)) for i, name in enumerate(names)}
    keys = [(name, "ascending") for name in columns]
    return np.asarray(pc.sort_indices(pa.table(columns), sort_keys=keys).to_numpy(), dtype=np.int64)


def _one_of_each(sources: Codes) -> tuple[Codes, ...]:
    """Codes that let a person have one record of each source."""
    rows = np.arange(len(sources), dtype=np.int32)
    return tuple(np.where(sources == s, rows, -1).astype(np.int32) for s in range(int(sources.max()) + 1))
