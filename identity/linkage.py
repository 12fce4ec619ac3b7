"""Weights of pairs: Splink 5 on in-memory DuckDB.

Enters: a trained model, a table and its kinds.  Leaves: `Edges`, pairs of rows with a match weight (log2 odds), quantised
to 1e-6 because Splink's last bits differ from run to run.  Clear text stays in memory: the database spills nowhere.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity.blocking import Pairs, block
from identity.cleaning import Cleaned, clean
from identity.comparisons import column_of, linkage_input
from identity.conditions import Tree, tree
from identity.junk import remove_junk
from identity.kinds import Kinds
from identity.training import LinkageModel
from kernel.errors import InvalidInput

Rarities = Mapping[
    str, NDArray[np.float64]
]  # field -> share of rows, among those with a value, that bear each of its values
QUANTUM = 1e-6
SAME_LEVEL = 1e-9
PAIRS_AT_A_TIME = 1_000_000  # keeps a million records within the memory bar
FAINTEST = -6.0  # log2 odds below which a pair is no edge at all


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs (left < right, ascending) with weights."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    weight: NDArray[np.float64]

    def above(self, least: float) -> "Edges":
        """Edges of at least this weight."""
        keep = self.weight >= least
        return Edges(self.left[keep], self.right[keep], self.weight[keep])


def predict(model: LinkageModel, table: pa.Table, kinds: Kinds) -> Edges:
    """Edges of a whole table."""
    cleaned, _ = remove_junk(clean(table, kinds))
    return predict_cleaned(model, cleaned, block(cleaned).pairs)


def predict_cleaned(model: LinkageModel, cleaned: Cleaned, pairs: Pairs, rarities: Rarities | None = None) -> Edges:
    """Edges among the given pairs of cleaned rows; `rarities` where these rows are a part of the table that values are rare in."""
    if not len(pairs):
        return Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    with Scales(model, cleaned, rarities) as scales:
        return scales.weigh(pairs)


class Scales:
    """A model and a table, ready to weigh pairs as often as asked: Splink reads the table once."""

    def __init__(self, model: LinkageModel, cleaned: Cleaned, rarities: Rarities | None = None) -> None:
        _refuse_other_fields(model.settings, cleaned)
        from splink import DuckDBAPI, Linker

        threads = str(min(4, os.cpu_count() or 1))
        self._connection = duckdb.connect(":memory:", config={"threads": threads, "temp_directory": ""})
        self._rows = cleaned.rows
        try:
            self._api = api = DuckDBAPI(self._connection)
            shares = rarities or _shares(model, cleaned)
            people = api.register(_told(cleaned, shares), dataset_display_name="people")
            # Splink looks at settings for a second each time; ours come from `training.settings`.
            asked, self._prior, self._rivalry = _rivalry(model)
            self._linker = Linker(people, asked, validate_settings=False, log_level=None)
            for name in shares:  # each row says its own; without a table Splink would count
                column = column_of(name)
                nothing = pa.table({column: pa.array([], pa.string()), f"tf_{column}": pa.array([], pa.float64())})
                self._linker.table_management.register_term_frequency_lookup(api.register(nothing), column)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def weigh(self, pairs: Pairs) -> Edges:
        """The edges among these pairs."""
        found = [Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
        found += [self._some(pairs[start : start + PAIRS_AT_A_TIME]) for start in range(0, len(pairs), PAIRS_AT_A_TIME)]
        left, right, weight = (
            np.concatenate([getattr(e, part) for e in found]) for part in ("left", "right", "weight")
        )
        return Edges(left, right, weight)

    def _some(self, pairs: Pairs) -> Edges:
        """Splink's match weights of these pairs against strangers, less what relatives explain as well."""
        listed = pa.table(
            {
                "match_key": np.zeros(len(pairs), np.int8),
                "join_key_l": pairs // self._rows,
                "join_key_r": pairs % self._rows,
            }
        )
        self._linker.table_management.register_blocked_pairs_for_predict(self._api.register(listed))
        predicted = self._linker.inference.predict(threshold_match_weight=FAINTEST, warning_mode="never")
        terms = "".join(
            f" + case {' '.join(f'when abs({column} - {own!r}) < {SAME_LEVEL} then {more!r}' for own, more in levels)} else 0 end"
            for column, levels in self._rivalry.items()
        )
        table = self._connection.sql(
            f"select row_l, row_r, match_weight, ({self._prior!r}{terms})::double as rival from {predicted.physical_name} order by row_l, row_r"
        ).to_arrow_table()
        predicted.drop_table_from_database_and_remove_from_cache()
        left, right = (table.column(c).to_numpy().astype(np.int64) for c in ("row_l", "row_r"))
        likely, rival = (table.column(c).to_numpy().astype(float) for c in ("match_weight", "rival"))
        weight = likely - np.logaddexp2(0.0, likely + rival)
        return Edges(left, right, np.round(weight / QUANTUM) * QUANTUM).above(FAINTEST)


def _told(cleaned: Cleaned, shares: Rarities) -> pa.Table:
    """What Splink reads, with the rarity of each value beside it: ten joins a side for every batch of pairs less."""
    table = linkage_input(cleaned)
    for name, share in shares.items():
        codes = cleaned.fields[name].coded.codes
        table = table.append_column(f"tf_{column_of(name)}", pa.array(np.append(share, 0.0)[codes], mask=codes < 0))
    return table


def _rivalry(model: LinkageModel) -> tuple[dict[str, Any], float, dict[str, list[tuple[float, float]]]]:
    """Settings to ask Splink with, and what turns a weight as one person into a weight as relatives: so much for the priors, and for every comparison by the weight of its level.

    How rare a value is counts alike in both.  Splink gives no level, but every level's weight; levels of equal weight are moved apart by less than a quantum.
    """
    comparisons, rivalry = [], {}
    for mine, theirs in zip(model.settings["comparisons"], model.kin["comparisons"], strict=True):
        taken, levels, found = [0.0], [], []  # an absent value weighs nothing
        for level, other in zip(mine["comparison_levels"], theirs["comparison_levels"], strict=True):
            if "m_probability" not in level:
                levels.append(level)
                continue
            m, own = level["m_probability"], 0.0
            while any(abs((own := math.log2(m / level["u_probability"])) - one) < 2 * SAME_LEVEL for one in taken):
                m *= 1 + 2 * SAME_LEVEL
            taken.append(own)
            levels.append({**level, "m_probability": m})
            found.append((own, math.log2(other["m_probability"] / other["u_probability"]) - own))
        comparisons.append({**mine, "comparison_levels": levels})
        rivalry[f"mw_{mine['output_column_name']}"] = found
    prior = _odds(model.kin) - _odds(model.settings)
    asked = {**model.settings, "comparisons": comparisons, "retain_intermediate_calculation_columns": True}
    return asked, prior, rivalry


def _odds(settings: Mapping[str, Any]) -> float:
    share = settings["probability_two_random_records_match"]
    return math.log2(share / (1 - share))


def _shares(model: LinkageModel, cleaned: Cleaned) -> Rarities:
    """How frequent every value is, of the fields whose weight depends on it: what Splink would count, from codes."""
    rare = {
        c["output_column_name"]
        for c in model.settings["comparisons"]
        if any("tf_adjustment_column" in level for level in c["comparison_levels"])
    }
    counted = {name: field.coded.counts() for name, field in cleaned.fields.items() if name in rare}
    return {name: counts / max(1, counts.sum()) for name, counts in counted.items()}


def readings(model: LinkageModel) -> dict[str, Tree]:
    """Every condition of the model as DuckDB reads it, shortened: what `weights.Weights` needs to judge a pair without it.

    Raises:
        InvalidInput: a condition that has no counterpart in `conditions`.
    """
    found: dict[str, Tree] = {}
    connection = duckdb.connect(":memory:")
    try:
        for comparison in model.settings["comparisons"]:
            for level in comparison["comparison_levels"]:
                condition = level["sql_condition"]
                if condition != "ELSE" and condition not in found:
                    asked = connection.execute("select json_serialize_sql(?)", [f"select {condition}"]).fetchall()
                    found[condition] = tree(json.loads(asked[0][0])["statements"][0]["node"]["select_list"][0])
    finally:
        connection.close()
    return found


def _refuse_other_fields(settings: Mapping[str, object], cleaned: Cleaned) -> None:
    described = settings["comparisons"]
    assert isinstance(described, list)
    wanted = {c["output_column_name"] for c in described}
    if not wanted <= set(cleaned.fields):
        raise InvalidInput(
            f"the model's fields: expected {sorted(wanted)}, got a table with {sorted(cleaned.fields)}",
            remedy="Train on this table (leave --model out) or name the columns' kinds with --map.",
            code="identity.model_mismatch",
        )
