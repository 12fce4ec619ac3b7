"""The yardstick: Splink 5 as its own documentation sets it up, with connected components at 0.95. Nothing of Candor but the kinds of columns.

Enters: a table. Leaves: a person label for every row. It may import Splink although identity owns it: what is measured against must not go through what is measured (ADR 0032). Following Splink's
tutorials "Deduplicate 50k rows of historical persons" and "Febrl3": comparisons of its library by kind, a few equi-join blocking rules, u from random pairs, m by expectation maximisation on two blocks.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity.column_values import texts
from identity.kinds import Overrides, infer

if TYPE_CHECKING:
    from splink.internals.comparison_creator import ComparisonCreator

THRESHOLD: Final = 0.95
RECALL: Final = 0.7  # of the deterministic rules, as the tutorials guess
_SEED: Final = 1
_BLOCKS: Final = (
    ("email",), ("phone",), ("login_id",), ("national_id",),
    ("first_name", "last_name"), ("first_name", "birth_date"), ("last_name", "birth_date"), ("birth_date", "postcode"), ("last_name", "postcode"), ("last_name", "city"),
)  # fmt: skip


def people_of(table: pa.Table, ignore: Sequence[str]) -> NDArray[np.int64]:
    """Labels of the rows, found by Splink and connected components alone."""
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    kinds = infer(table, Overrides(ignore=ignore))
    named: dict[str, str] = {}
    for column in kinds.columns:
        if column.kind not in {"ignore", "time", "category", "text", "full_name"}:
            named.setdefault(column.kind, column.name)
    rows = pa.table(
        {"row": pa.array(np.arange(table.num_rows)), **{k: texts(table.column(c)) for k, c in named.items()}}
    )
    rules = [list(rule) for rule in _BLOCKS if set(rule) <= set(named)]
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        comparisons=[_comparison(cl, kind) for kind in named],
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in rules],
    )
    connection = duckdb.connect(":memory:", config={"threads": str(os.cpu_count() or 1)})
    linker = Linker(DuckDBAPI(connection).register(rows, dataset_display_name="people"), settings, log_level="CRITICAL")
    training = linker.training
    sure = [block_on(*r) for r in rules if len(r) > 1 or r[0] in {"email", "login_id"}][:3]
    training.estimate_probability_two_random_records_match(sure, recall=RECALL)
    training.estimate_u_using_random_sampling(max_pairs=1e6, seed=_SEED)
    two = [r for r in rules if len(r) == 2]
    apart = next((r for r in two if not set(r) & set(two[0])), rules[0])  # so that every column is free once
    for rule in (two[0], apart):
        training.estimate_parameters_using_expectation_maximisation(
            block_on(*rule), max_pairs=1e6, record_sample_proportion=1.0
        )
    predicted = linker.inference.predict(threshold_match_probability=THRESHOLD, warning_mode="never")
    clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=THRESHOLD
    )
    ordered = connection.sql(f"from {clustered.physical_name} select cluster_id order by row").to_arrow_table()
    connection.close()
    return np.asarray(ordered.column("cluster_id").to_numpy(), dtype=np.int64)


def _comparison(cl: Any, kind: str) -> "ComparisonCreator":
    made = {
        "first_name": lambda: cl.NameComparison("first_name").configure(term_frequency_adjustments=True),
        "last_name": lambda: cl.NameComparison("last_name").configure(term_frequency_adjustments=True),
        "birth_date": lambda: cl.DateOfBirthComparison("birth_date", input_is_string=True),
        "email": lambda: cl.EmailComparison("email"),
        "street": lambda: cl.JaroWinklerAtThresholds("street", [0.9, 0.7]),
        "phone": lambda: cl.DamerauLevenshteinAtThresholds("phone", [1, 2]),
        "national_id": lambda: cl.DamerauLevenshteinAtThresholds("national_id", [1, 2]),
    }
    found: ComparisonCreator = (
        made[kind]() if kind in made else cl.ExactMatch(kind).configure(term_frequency_adjustments=True)
    )
    return found
