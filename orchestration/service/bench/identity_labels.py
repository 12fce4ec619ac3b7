"""What two hundred clerical labels are worth to a linkage (spec identity I10): asked as `candor identity link --ask` asks, answered by the truth, obeyed as `--labels` is.

Enters: a linked table, its truth and how many labels. Leaves: pairwise F1 with them. Fifty are asked at a time, as a reviewer would come back with a page.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from identity.link import LinkResult

PAGE: Final = 50


def labelled(
    result: "LinkResult", truth: NDArray[np.int64], labels: int, sources: NDArray[np.int64] | None
) -> dict[str, Any]:
    """F1 after so many labels, what they raised it by, and how many were asked (there may be fewer questions)."""
    from identity.batch import prepare
    from identity.judgements import Rulings
    from identity.labels import worth_asking
    from identity.score import score

    prepared = prepare(result.table, result.kinds, sources=None if sources is None else sources.astype(np.int32))
    now = result
    told: Rulings[int] = Rulings()
    before: dict[str, Any] = dict(score(result.clusters.person, truth))
    asked = 0
    while asked < labels:
        page = worth_asking(now, told, min(PAGE, labels - asked))
        if not page:
            break
        asked += len(page)
        same = tuple((q.a, q.b) for q in page if truth[q.a] == truth[q.b])
        other = tuple(((q.a,), (q.b,)) for q in page if truth[q.a] != truth[q.b])
        told = Rulings(told.together + same, told.apart + other)
        now = replace(now, clusters=prepared.cluster(result.edges, result.model, rulings=told))
    after: dict[str, Any] = dict(score(now.clusters.person, truth))
    f1 = after["pairwise"]["f1"]
    return {"labels": asked, "labelled_f1": f1, "labels_gain": round(f1 - before["pairwise"]["f1"], 6)}
