"""A LightGBM model as text whose predictions do not tremble around zero (DESIGN 2, the zero-threshold trap).

LightGBM puts zero in a bin of its own and writes its edges as thresholds of +-1e-35, so an input of 1e-9 instead of 0 takes
another branch. Here such a threshold becomes half the nearest non-zero training value on that side: every real row takes the
branch it took before, and small noise changes nothing (explain.X54).

Enters: a model's text and the training rows. Leaves: text that `lightgbm.Booster` loads.
"""

import numpy as np
from numpy.typing import NDArray

_ZERO = 1e-30  # LightGBM's kZeroThreshold is 1e-35; no measured quantity lies below this
_CATEGORICAL = 1  # bit 0 of decision_type


def zero_safe(text: str, rows: NDArray[np.float64]) -> str:
    """Rewrite every threshold at +-1e-35; all else stays byte for byte."""
    edges = [_edges(rows[:, column]) for column in range(rows.shape[1])]
    head, *trees = text.split("\nTree=")
    if not trees:
        return text
    last, end, tail = trees[-1].partition("\nend of trees")
    blocks = [f"Tree={_tree(one, edges)}" for one in (*trees[:-1], last)]
    # The header tells the loader how many bytes each tree takes, its separating newline included.
    sizes = " ".join(str(len(f"{block}\n".encode())) for block in blocks)
    lines = [f"tree_sizes={sizes}" if line.startswith("tree_sizes=") else line for line in head.split("\n")]
    return "\n".join(("\n".join(lines), *blocks)) + end + tail


def _edges(column: NDArray[np.float64]) -> tuple[float, float]:
    """What stands for -0 and +0: half the nearest value on each side, or a half where there is none."""
    below, above = column[column < -_ZERO], column[column > _ZERO]
    return (
        float(below.max()) / 2 if below.size else -0.5,
        float(above.min()) / 2 if above.size else 0.5,
    )


def _tree(block: str, edges: list[tuple[float, float]]) -> str:
    lines = block.split("\n")
    parts = {line.partition("=")[0]: place for place, line in enumerate(lines)}
    if "threshold" not in parts:
        return block

    def words(name: str) -> list[str]:
        return lines[parts[name]].partition("=")[2].split(" ")

    thresholds = words("threshold")
    features = [int(one) for one in words("split_feature")]
    kinds = [int(one) for one in words("decision_type")]
    for place, (word, feature, kind) in enumerate(zip(thresholds, features, kinds, strict=True)):
        if kind & _CATEGORICAL or abs(float(word)) > _ZERO:
            continue
        low, high = edges[feature]
        thresholds[place] = repr(low if float(word) < 0 else high)
    lines[parts["threshold"]] = "threshold=" + " ".join(thresholds)
    return "\n".join(lines)
