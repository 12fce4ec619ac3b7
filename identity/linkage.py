"""Weights of pairs: Splink 5 on in-memory DuckDB.

Enters: a trained model, a table and its kinds.  Leaves: `Edges`, pairs of rows with a match weight (log2 odds), quantised
to 1e-6 because Splink's last bits differ from run to run.  Clear text stays in memory: the database spills nowhere.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from splink import DuckDBAPI, Linker

Rarities = Mapping[
    str, NDArray[np.float64]
]  # field -> share of rows, among those with a value, that bear each of its values
QUANTUM = 1e-6
PAIRS_AT_A_TIME = 2_000_000  # keeps a million records within the memory bar
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
    _refuse_other_fields(model.settings, cleaned)
    from splink import DuckDBAPI, Linker

    connection = duckdb.connect(":memory:", config={"threads": str(min(4, os.cpu_count() or 1)), "temp_directory": ""})
    found = []
    try:
        api = DuckDBAPI(connection)
        people = api.register(linkage_input(cleaned), dataset_display_name="people")
        # Splink looks at its settings for a second; those of a part of a table were looked at when the whole of it was linked.
        person, kin = (
            Linker(people, dict(s), validate_settings=rarities is None, log_level=None)
            for s in (model.settings, model.kin)
        )
        for name, shares in (rarities or {}).items():
            column = column_of(name)
            known = api.register(
                pa.table({column: pa.array(cleaned.fields[name].coded.values, pa.string()), f"tf_{column}": shares})
            )
            for linker in (person, kin):
                linker.table_management.register_term_frequency_lookup(known, column)
        for start in range(0, len(pairs), PAIRS_AT_A_TIME):
            likely = _weights(api, person, pairs[start : start + PAIRS_AT_A_TIME], cleaned.rows, FAINTEST)
            rivals = _weights(api, kin, likely.left * cleaned.rows + likely.right, cleaned.rows, None)
            found.append(Edges(likely.left, likely.right, likely.weight - np.logaddexp2(0.0, rivals.weight)))
    finally:
        connection.close()
    left, right, weight = (np.concatenate([getattr(e, part) for e in found]) for part in ("left", "right", "weight"))
    return Edges(left, right, np.round(weight / QUANTUM) * QUANTUM).above(FAINTEST)


def _weights(api: "DuckDBAPI", linker: "Linker", pairs: Pairs, rows: int, least: float | None) -> Edges:
    """Splink's match weights of these pairs, in their order."""
    listed = pa.table(
        {"match_key": np.zeros(len(pairs), np.int8), "join_key_l": pairs // rows, "join_key_r": pairs % rows}
    )
    linker.table_management.register_blocked_pairs_for_predict(api.register(listed))
    predicted = linker.inference.predict(threshold_match_weight=least, warning_mode="never")
    table = api.duckdb_con.sql(
        f"select row_l, row_r, match_weight from {predicted.physical_name} order by row_l, row_r"
    ).to_arrow_table()
    predicted.drop_table_from_database_and_remove_from_cache()
    left, right = (table.column(c).to_numpy().astype(np.int64) for c in ("row_l", "row_r"))
    return Edges(left, right, table.column("match_weight").to_numpy().astype(float))


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
