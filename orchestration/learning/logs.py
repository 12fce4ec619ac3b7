"""Logged decisions as arrays: who was shown which arm, with which probability, and what came of it.

Enters: a CSV, JSONL or Parquet file and the names of its columns. Leaves: a `Log`. Text features become one column per value;
numbers stay numbers; absent is NaN. Rows without arm, reward or propensity are refused, never filled (decision.D28).
"""

import difflib
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.errors import LogUnusable, PropensityMissing

if TYPE_CHECKING:  # pandas is slow to load and only files of logs need it: each function that reads one brings it
    import pandas as pd

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
_MOST_VALUES = 50  # a text column with more is cut to its most frequent: rarer ones carry too few rows to learn from


@dataclass(frozen=True, slots=True)
class Log:
    """`n` decisions over `K` arms. `arm[i]` indexes `arms`; `features` is `float64[n, k]`, k may be 0."""

    arms: tuple[str, ...]
    arm: Whole
    reward: Floats
    propensity: Floats
    features: Floats
    feature_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.arm)

    def shown(self) -> Floats:
        """One column per arm, 1 where it was shown: `float64[n, K]`."""
        return np.eye(len(self.arms))[self.arm]


def read_log(path: Path, *, arm: str, reward: str, propensity: str, features: Sequence[str] = ()) -> Log:
    """Read and check a log.

    Raises:
        LogUnusable: no such file, column or usable row.
        PropensityMissing: a probability that is absent, not a number, or outside (0, 1].
    """
    import pandas as pd

    constant = _number(propensity)
    table = _table(path, arm)
    wanted = [arm, reward, *features, *([] if constant is not None else [propensity])]
    known = [str(one) for one in table.columns]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; it has: {', '.join(known[:15])}"
            raise LogUnusable(f"expected a column '{name}' in {path.name}{hint}")
    if table.empty:
        raise LogUnusable(f"expected rows in {path.name}, got none")
    labels = table[arm].map(_label)
    if missing := int(labels.isna().sum()):
        raise LogUnusable(f"expected an arm in every row, got {missing} rows without one in column '{arm}'")
    outcome = pd.to_numeric(table[reward], errors="coerce").to_numpy(dtype=np.float64)
    if missing := int((~(np.abs(outcome) <= _GREATEST)).sum()):  # written so that NaN counts
        raise LogUnusable(
            f"expected a number within ±{_GREATEST:.0e} in every row of column '{reward}', got {missing} rows without one"
        )
    if constant is not None:
        logged = np.full(len(table), constant)
    else:
        logged = pd.to_numeric(table[propensity], errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~((logged > 0) & (logged <= 1))
    if wrong.any():
        raise PropensityMissing(f"expected a propensity in (0, 1] in every row, got {int(wrong.sum())} rows without")
    arms = tuple(sorted({str(one) for one in labels}))
    place = {name: index for index, name in enumerate(arms)}
    columns, names = encode(table, features)
    chosen = np.asarray(labels.map(place), dtype=np.int64)
    return Log(arms, chosen, outcome, logged, columns, names)


def encode(table: "pd.DataFrame", features: Sequence[str]) -> tuple[Floats, tuple[str, ...]]:
    """Columns as numbers: `float64[n, k]` and their names (`zip_code=Urban` for a text value)."""
    import pandas as pd

    made: list[Floats] = []
    names: list[str] = []
    for name in features:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(str)
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            made.append(column.to_numpy(dtype=np.float64, na_value=np.nan))
            names.append(name)
            continue
        words = column.map(_label)
        counts = words.value_counts()
        kept = sorted(counts.index[:_MOST_VALUES].tolist())
        for value in kept:
            made.append((words == value).to_numpy(dtype=np.float64))
            names.append(f"{name}={value}")
    if not made:
        return np.empty((len(table), 0), dtype=np.float64), ()
    return np.column_stack(made), tuple(names)


def _table(path: Path, arm: str) -> "pd.DataFrame":
    import pandas as pd

    if not path.is_file():
        raise LogUnusable(f"expected a file, got nothing at '{path.name}'", remedy="Check the path of the log.")
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            return pd.read_parquet(path)
        if any(part in name for part in (".jsonl", ".ndjson", ".json")):
            return pd.read_json(path, lines=True, dtype=False)
        head = pd.read_csv(path, nrows=0, sep=_delimiter(path))
        # "None" and "NA" are good names of an arm, so the arm column knows no word for absent but the empty one.
        others = {one: sorted(_ABSENT) for one in head.columns if one != arm}
        return pd.read_csv(
            path, sep=_delimiter(path), dtype={arm: str} if arm in head.columns else None,
            keep_default_na=False, na_values={**others, arm: [""]},
        )  # fmt: skip
    except (ValueError, OSError, pd.errors.ParserError) as fault:
        raise LogUnusable(
            f"expected CSV, JSONL or Parquet, got an unreadable {path.name} ({type(fault).__name__})"
        ) from None


_GREATEST = 1e100  # of a reward: sums of squares of it, weighed, are numbers still
_ABSENT = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A", "<NA>"})


def _delimiter(path: Path) -> str:
    if path.suffix == ".zst":
        return ","
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        first = str(file.readline())
    return max(",;\t|", key=first.count)


def _label(value: object) -> str | None:
    """The one spelling of an arm or a category: 1, 1.0 and "1" are the same."""
    if value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value):  # noqa: PLR0124
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
