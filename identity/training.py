"""Training of the linkage model without labels.

Enters: a table, its kinds and a seed.  Leaves: `LinkageModel`, Splink 5 settings with m and u for every level, as plain
JSON.  Method: Fellegi and Sunter (1969) by expectation maximisation.  u comes from random pairs, m from all pairs that
blocking finds; both start from, and are held by, priors of the field's kind (pseudo-counts), so that a few hundred records
train as quietly as a million.  Pairs are counted by agreement pattern, so an iteration costs milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity.blocking import Pairs, block
from identity.cleaning import Cleaned, Codes, clean
from identity.comparisons import NAMING, OWN, UNNAMED, Comparison, comparisons, linkage_input
from identity.junk import remove_junk
from identity.kinds import Kinds

Floats = NDArray[np.float64]
Chosen = tuple[
    str, int, int
]  # a blocking key, and of how many rows its blocks are: more than the first number, at most the second
RANDOM_PAIRS = 200_000  # twice as many moved no measured figure by 0.001
TRAINING_PAIRS = 400_000
ITERATIONS = 60
PRIOR_WEIGHT = 0.25  # share of the expected matches that the prior counts for
KIN_PRIOR_WEIGHT = 0.5
LEAST = 1e-7
# Where nothing names two rows, nothing else can tell what an address is worth that they share: the likeliest explanation of a few would be chance.
HELD = 0.97  # so surely they are held to be one person, while the model is trained
SHARED_BY_A_HOUSEHOLD = frozenset(
    {
        "last_name",
        "street",
        "city",
        "postcode",
        "place",
        "country",
        "phone",
        "email",
        "device_id",
        "customer_id",
        "category",
        "text",
    }
)


@dataclass(frozen=True, slots=True)
class LinkageModel:
    """A trained model: Splink settings, what they were trained on, and in a large table the keys that find people; `as_json` and `from_json` are inverse."""

    FORMAT: ClassVar[str] = "candor-linkage/1"
    settings: Mapping[str, Any]
    kin: Mapping[str, Any]
    trained: Mapping[str, Any]
    keys: tuple[Chosen, ...] = ()  # none chosen: every key is worth its pairs

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "format": self.FORMAT,
            "settings": dict(self.settings),
            "kin": dict(self.kin),
            "trained": dict(self.trained),
            **({"keys": [list(one) for one in self.keys]} if self.keys else {}),
        }

    def weight(self, comparison: str, level: str) -> float:
        """log2(m/u) of a level, 0 where the model does not know it."""
        for described in self.settings["comparisons"]:
            if described["output_column_name"] == comparison:
                for one in described["comparison_levels"]:
                    if one["label_for_charts"] == level:
                        return float(np.log2(one["m_probability"] / one["u_probability"]))
        return 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LinkageModel":
        """The model that `as_json` wrote; KeyError, TypeError or ValueError for anything else."""
        if data["format"] != cls.FORMAT:
            raise ValueError(cls.FORMAT)
        keys = tuple((str(name), int(above), int(most)) for name, above, most in data.get("keys", ()))
        return cls(settings=data["settings"], kin=data["kin"], trained=data["trained"], keys=keys)


@dataclass(frozen=True, slots=True)
class Fit:
    """Level shares per comparison for one person, relatives and strangers, and the shares of the first two among pairs."""

    person: list[Floats]
    kin: list[Floats]
    strangers: list[Floats]
    share: float
    kin_share: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Patterns:
    """Agreement patterns (level index per comparison, -1 absent) and how many pairs show each."""

    levels: NDArray[np.int8]
    counts: Floats


def train(table: pa.Table, kinds: Kinds, seed: int = 0) -> LinkageModel:
    """Train on a whole table."""
    cleaned, _ = remove_junk(clean(table, kinds))
    return train_cleaned(cleaned, block(cleaned).pairs, seed)


def train_cleaned(
    cleaned: Cleaned,
    pairs: Pairs,
    seed: int = 0,
    *,
    sources: Codes | None = None,
    stand_for: Floats | None = None,
) -> LinkageModel:
    """Train on cleaned fields and the pairs that blocking found among them (or a sample, each of which stands for so many)."""
    made = comparisons(cleaned)
    assumed = _assumed(made)
    # Among so few values of people's own, how many rows bear one says how many a person has, not how common it is.
    made = tuple(
        replace(c, levels=(replace(c.levels[0], rarity=None), *c.levels[1:])) if i in assumed else c
        for i, c in enumerate(made)
    )
    total = _total_pairs(cleaned.rows, sources)
    rng = np.random.default_rng(seed)
    random = random_pairs(cleaned.rows, rng, sources)
    every = float(len(pairs)) if stand_for is None else float(stand_for.sum())
    drawn = np.arange(len(pairs))
    if len(pairs) > TRAINING_PAIRS:
        drawn = np.sort(rng.choice(drawn, TRAINING_PAIRS, replace=False))
    counts = None if stand_for is None else stand_for[drawn]
    connection = duckdb.connect(":memory:")
    try:
        connection.register("people", linkage_input(cleaned))
        seen = patterns(connection, made, random, cleaned.rows)
        found = patterns(connection, made, pairs[drawn], cleaned.rows, counts)
    finally:
        connection.close()
    found = Patterns(found.levels, found.counts * (every / max(1.0, float(found.counts.sum()))))
    fit = maximise(made, seen, found, total, assumed)
    return LinkageModel(
        settings=settings(made, fit.person, fit.strangers, fit.share, cleaned.rows),
        kin=settings(made, fit.kin, fit.strangers, fit.kin_share, cleaned.rows),
        trained={
            "rows": cleaned.rows,
            "pairs": round(every),
            "rounds": fit.rounds,
            "seed": seed,
            "expected_matches": round(fit.share * total, 3),
            "expected_relatives": round(fit.kin_share * total, 3),
        },
    )


def _total_pairs(rows: int, sources: Codes | None) -> float:
    total = rows * (rows - 1) / 2
    if sources is not None:
        counts = np.bincount(sources).astype(float)
        total -= float((counts * (counts - 1) / 2).sum())
    return max(total, 10.0)  # so that one pair leaves room for doubt


def random_pairs(rows: int, rng: np.random.Generator, sources: Codes | None) -> Pairs:
    """Distinct pairs drawn evenly (all of them, where there are few)."""
    if rows * (rows - 1) // 2 <= RANDOM_PAIRS:
        left, right = np.triu_indices(rows, 1)
    else:
        left, right = rng.integers(0, rows, (2, RANDOM_PAIRS))
        left, right = np.minimum(left, right), np.maximum(left, right)
    keep = left < right
    if sources is not None:
        keep &= sources[left] != sources[right]
    return np.unique(left[keep].astype(np.int64) * rows + right[keep])


def patterns(
    connection: duckdb.DuckDBPyConnection,
    made: tuple[Comparison, ...],
    pairs: Pairs,
    rows: int,
    stand_for: Floats | None = None,
) -> Patterns:
    """Count the agreement patterns of pairs (each for as many as it stands for), levels evaluated by the same SQL that Splink gets."""
    if not len(pairs):
        return Patterns(np.empty((0, len(made)), np.int8), np.empty(0))
    connection.register(
        "pairs",
        pa.table({"a": pairs // rows, "b": pairs % rows, "n": np.ones(len(pairs)) if stand_for is None else stand_for}),
    )
    names = [d[0] for d in connection.execute("select * from people limit 0").description or []]
    columns = ", ".join(f"{side}.{n} as {n}_{side}" for side in "lr" for n in names)
    cases = []
    for comparison in made:
        whens = "".join(f" when {x.sql} then {i}" for i, x in enumerate(comparison.levels[:-1]))
        cases.append(f"case when {comparison.absent} then -1{whens} else {len(comparison.levels) - 1} end")
    chosen = ", ".join(f"({case})::tinyint as c{i}" for i, case in enumerate(cases))
    counted = connection.sql(
        f"select {chosen}, sum(n) as n from (select p.n, {columns} from pairs p join people l on l.row = p.a join people r on r.row = p.b) group by all order by all"
    ).to_arrow_table()
    levels = np.column_stack([counted.column(f"c{i}").to_numpy() for i in range(len(made))])
    return Patterns(levels.astype(np.int8), counted.column("n").to_numpy().astype(float))


def _assumed(made: tuple[Comparison, ...]) -> tuple[int, ...]:
    """The comparisons whose first level is held to be one person's: agreement in what is a person's own where nothing else names both."""
    named = any(c.kind in NAMING for c in made)
    return tuple(i for i, c in enumerate(made) if (c.levels[0].label == UNNAMED if named else c.kind in OWN))


def _held(seen: Patterns, assumed: tuple[int, ...]) -> Floats:
    """How surely each pattern is one person's by assumption."""
    agree = np.zeros(len(seen.counts), bool)
    for i in assumed:
        agree |= seen.levels[:, i] == 0
    return np.where(agree, HELD, 0.0)


def maximise(
    made: tuple[Comparison, ...], random: Patterns, found: Patterns, total: float, assumed: tuple[int, ...] = ()
) -> Fit:
    """Three kinds of pairs: one person, relatives (what a household shares agrees, the person differs), strangers."""
    priors = [np.array([x.prior for x in c.levels]) for c in made]
    person = [p / p.sum() for p in priors]
    strangers = [_shares(random.levels[:, i], random.counts, _strangers_prior(len(p))) for i, p in enumerate(person)]
    kin = [_kin_prior(c, p, u) for c, p, u in zip(made, person, strangers, strict=True)]
    fit = Fit(
        [p.copy() for p in person],
        [k.copy() for k in kin],
        strangers,
        max(1.0 / total, min(0.3, 0.3 * found.counts.sum() / total)),
        max(0.1 / total, 0.1 * min(0.3, found.counts.sum() / total)),
        0,
    )
    for rounds in range(1, ITERATIONS + 1):
        before = np.concatenate(fit.person)
        sure, kindred = posterior(found, fit)
        held = np.maximum(sure, _held(found, assumed))
        is_person, is_kin = held * found.counts, np.minimum(kindred, 1 - held) * found.counts
        people, relatives = float(is_person.sum()), float(is_kin.sum())
        columns = range(len(made))
        m = [_shares(found.levels[:, i], is_person, person[i] * (PRIOR_WEIGHT * people + 5.0)) for i in columns]
        # What is a person's own stays at its prior: else mistyped matches would pass for relatives.
        h = [
            _shares(found.levels[:, i], is_kin, kin[i] * (KIN_PRIOR_WEIGHT * relatives + 5.0))
            if made[i].kind in SHARED_BY_A_HOUSEHOLD
            else kin[i]
            for i in columns
        ]
        # Relatives stay among the strangers here: a shared surname alone must not count as kinship.
        others = (1 - np.maximum(posterior(random, fit)[0], _held(random, assumed))) * random.counts
        u = [_shares(random.levels[:, i], others, _strangers_prior(len(person[i]))) for i in columns]
        fit = Fit(m, h, u, min(0.5, max(0.5, people) / total), min(0.3, max(0.1, relatives) / total), rounds)
        if float(np.abs(np.concatenate(m) - before).max()) < 1e-5:
            break
    return fit


def _strangers_prior(levels: int) -> Floats:
    """Pseudo-counts: half a pair a level, so that none is impossible, and twenty that differ, for tables of a few rows."""
    return np.append(np.full(levels - 1, 0.5), 20.5)


def _kin_prior(comparison: Comparison, person: Floats, strangers: Floats) -> Floats:
    """Relatives share a household's fields about half as often as a person does; in what is a person's own they are strangers."""
    shared = comparison.kind in SHARED_BY_A_HOUSEHOLD
    return np.asarray(0.6 * person + 0.4 * strangers if shared else 0.03 * person + 0.97 * strangers)


def _shares(levels: NDArray[np.int8], weights: Floats, pseudo: Floats) -> Floats:
    seen = levels >= 0
    counted = np.bincount(levels[seen], weights=weights[seen], minlength=len(pseudo)) + pseudo
    shares = np.maximum(counted / counted.sum(), LEAST)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def posterior(seen: Patterns, fit: Fit) -> tuple[Floats, Floats]:
    """Probabilities of one person and of relatives for every pattern."""
    one = np.full(len(seen.counts), np.log(fit.share))
    kin = np.full(len(seen.counts), np.log(fit.kin_share))
    none = np.full(len(seen.counts), np.log1p(-fit.share - fit.kin_share))
    for i in range(seen.levels.shape[1]):
        level = seen.levels[:, i]
        one += np.append(np.log(fit.person[i]), 0.0)[level]
        kin += np.append(np.log(fit.kin[i]), 0.0)[level]
        none += np.append(np.log(fit.strangers[i]), 0.0)[level]
    top = np.maximum(np.maximum(one, kin), none)
    a, b, c = np.exp(one - top), np.exp(kin - top), np.exp(none - top)
    return a / (a + b + c), b / (a + b + c)


def settings(made: tuple[Comparison, ...], m: list[Floats], u: list[Floats], share: float, rows: int) -> dict[str, Any]:
    """Splink settings in plain JSON."""
    trust = round(rows / (rows + 100), 6)  # few rows tell little about how rare a value is
    described = []
    for comparison, mi, ui in zip(made, m, u, strict=True):
        levels: list[dict[str, Any]] = [
            {"sql_condition": comparison.absent, "label_for_charts": "absent", "is_null_level": True}
        ]
        for level, mp, up in zip(comparison.levels, mi, ui, strict=True):
            one = {
                "sql_condition": level.sql,
                "label_for_charts": level.label,
                "m_probability": round(float(mp), 12),
                "u_probability": round(float(up), 12),
            }
            levels.append(
                one | ({"tf_adjustment_column": level.rarity, "tf_adjustment_weight": trust} if level.rarity else {})
            )
        described.append({"output_column_name": comparison.name, "comparison_levels": levels})
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "row",
        "probability_two_random_records_match": round(share, 15),
        "comparisons": described,
        "blocking_rules_to_generate_predictions": [{"blocking_rule": "l.row = r.row", "sql_dialect": "duckdb"}],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
    }
