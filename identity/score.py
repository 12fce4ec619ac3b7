"""How good a clustering is: pairwise and B-cubed precision, recall and F1.

Enters: two labels a record, found and true.  Leaves: the figures of `candor identity score` (CONTRACTS.md).  Pairwise
counts pairs of records put together; B-cubed (Bagga and Baldwin, 1998) averages over records.  Both come from the sizes
of the cells of the contingency table, so a million records take a second.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from identity.files import read
from kernel.errors import InvalidInput

Scores = dict[str, dict[str, float] | int]


def score(found: NDArray[np.generic], truth: NDArray[np.generic]) -> Scores:
    """Score labels of any kind that can be sorted; arrays of equal length."""
    _, a = np.unique(found, return_inverse=True)
    _, t = np.unique(truth, return_inverse=True)
    rows, width = len(a), int(t.max(initial=0)) + 1
    cells, both = np.unique(a.astype(np.int64) * width + t, return_counts=True)
    of_found, of_truth = np.bincount(a), np.bincount(t)
    cluster, entity = cells // width, cells % width
    together = _pairs(both)
    sizes = both.astype(float) ** 2
    precise = float((sizes / of_found[cluster]).sum() / rows) if rows else 1.0
    complete = float((sizes / of_truth[entity]).sum() / rows) if rows else 1.0
    return {
        "pairwise": _measures(_share(together, _pairs(of_found)), _share(together, _pairs(of_truth))),
        "bcubed": _measures(precise, complete),
        "clusters": len(of_found) if rows else 0,
        "max_cluster": int(of_found.max(initial=0)),
        "impure_clusters": int((np.bincount(cluster, minlength=1) > 1).sum()),
        "records": rows,
    }


def _pairs(sizes: NDArray[np.int64]) -> int:
    whole = sizes.astype(np.int64)
    return int((whole * (whole - 1) // 2).sum())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0  # nothing claimed, nothing wrong


def _measures(precision: float, recall: float) -> dict[str, float]:
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": round(precision, 6), "recall": round(recall, 6), "f1": round(f1, 6)}


def score_file(path: Path, *, truth: str, person: str = "person_id") -> Scores:
    """Score a linked file; records without a true label are left out of the count."""
    table, _, _ = read([path])
    for name in (truth, person):
        if name not in table.column_names:
            raise InvalidInput(
                f"column {name!r}: expected one of {sorted(table.column_names)}, got an unknown name",
                remedy="Name the columns with --truth and --person.",
                code="identity.unknown_column",
            )
    labelled = table.filter(pc.is_valid(table.column(truth)))
    if labelled.column(person).null_count:
        raise InvalidInput(
            f"column {person!r}: expected a person for every record, got {labelled.column(person).null_count} without",
            remedy="Score a file that `candor identity link` wrote.",
            code="identity.no_person",
        )
    return score(_labels(labelled.column(person)), _labels(labelled.column(truth)))


def _labels(column: pa.ChunkedArray) -> NDArray[np.int64]:
    plain = column.combine_chunks()
    coded = plain if pa.types.is_dictionary(plain.type) else pc.dictionary_encode(plain)
    codes: NDArray[np.int64] = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
