"""One linkage in a process of its own, so that its time and its memory are its own: `python -m orchestration.service.bench.identity_job SPEC`.

Enters: a `Job` as JSON and nothing else. Leaves: one line of JSON. The records are linked by what `candor identity link` calls, without the columns that tell the truth; only then the truth is read.
"""

import json
import re
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import TypeAdapter

from orchestration.service.bench.identity_labels import labelled

if TYPE_CHECKING:
    from identity.link import LinkResult
    from identity.linkage import Edges

Labels = NDArray[np.int64]
SWEPT: Final = (-4.0, -3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # thresholds tried for the best
TENTHS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to link and how to judge it. `sweep`: also try other thresholds. `labels`: also ask for so many. `begun`: when the asker started this process (monotonic seconds)."""

    files: tuple[str, ...]
    truth: str
    pattern: str = ""
    ignore: tuple[str, ...] = ()
    one_to_one: bool = False
    out: str
    model: str = ""
    save_model: str = ""
    labels: int = 0
    sweep: bool = False
    alone: bool = False
    begun: float


def link(job: Job) -> dict[str, Any]:
    """Link as the command does, then judge."""
    from identity.files import write
    from identity.kinds import Overrides
    from identity.link import LinkOptions, link_files, load_model, save_model

    options = LinkOptions(
        overrides=Overrides(ignore=job.ignore),
        one_to_one=job.one_to_one,
        model=load_model(Path(job.model)) if job.model else None,
    )
    result = link_files([Path(f) for f in job.files], options)
    write(result.table, Path(job.out))
    if job.save_model:
        save_model(result.model, Path(job.save_model))
    cost = _cost(job)
    truth = true_labels(result.table, job.truth, job.pattern)
    found = result.clusters.person
    return {
        **cost,
        **judged(found, truth),
        **pairs_apart(result.table, found, truth),
        **pair_figures(result.edges, truth, _sources(result, job)),
        **(thresholds(result, truth, job) if job.sweep else {}),
        **(labelled(result, truth, job.labels, _sources(result, job)) if job.labels else {}),
        "pairs_weighed": int(result.model.trained["pairs"]),
        "edges": len(result.edges.weight),
        "notes": list(result.notes),
    }


def _cost(job: Job) -> dict[str, float]:
    """Seconds since the process was asked for, CPU seconds, and the highest resident set (of this program alone: a child inherits its parent's `ru_maxrss`)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    return {
        "seconds": round(time.monotonic() - job.begun, 2),
        "cpu_seconds": round(time.process_time(), 2),
        "peak_mib": round(int(peak[1]) / 1024, 1),
    }


def true_labels(table: pa.Table, column: str, pattern: str = "") -> Labels:
    """The truth as numbers; of text the part that the pattern finds."""
    values = table.column(column)
    if pattern:
        values = pa.array([found[1] if (found := re.search(pattern, v)) else v for v in values.to_pylist()])
    plain = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = plain if pa.types.is_dictionary(plain.type) else pc.dictionary_encode(plain)
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def judged(found: Labels, truth: Labels) -> dict[str, Any]:
    """The figures of `candor identity score`, flat."""
    from identity.score import score

    scores: dict[str, Any] = dict(score(found, truth))
    return {
        "records": scores["records"],
        "people": scores["clusters"],
        "precision": scores["pairwise"]["precision"],
        "recall": scores["pairwise"]["recall"],
        "f1": scores["pairwise"]["f1"],
        "bcubed": scores["bcubed"]["f1"],
        "impure": round(scores["impure_clusters"] / max(1, scores["clusters"]), 6),
        "max_cluster": scores["max_cluster"],
    }


def pairs_apart(table: pa.Table, found: Labels, truth: Labels) -> dict[str, Any]:
    """Of two people of one household (twins, namesakes, all): the share that was taken for one, at least in part."""
    if not {"household", "tag"} <= set(table.column_names):
        return {}
    homes: defaultdict[object, set[int]] = defaultdict(set)
    tags: dict[int, str] = {}
    held: defaultdict[int, set[int]] = defaultdict(set)
    columns = (table.column("household").to_pylist(), table.column("tag").to_pylist(), truth.tolist(), found.tolist())
    for home, tag, who, person in zip(*columns, strict=True):
        homes[home].add(who)
        tags[who] = tag
        held[who].add(person)
    asked: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for members in homes.values():
        for one, other in combinations(sorted(members), 2):
            names = ["household"] + ([tags[one]] if tags[one] == tags[other] else [])
            for name in names:
                asked[name] += 1
                wrong[name] += not held[one].isdisjoint(held[other])
    keys = {"twins": "twin", "namesakes": "namesake", "households": "household"}
    return {
        name: round(wrong[tag] / asked[tag], 6) if asked[tag] else None for name, tag in keys.items()
    } | {f"{name}_pairs": asked[tag] for name, tag in keys.items()}  # fmt: skip


def pair_figures(edges: "Edges", truth: Labels, sources: Labels | None) -> dict[str, Any]:
    """Edges on their own, before any clustering: F1 at the shipped threshold and at the best one, and how far probabilities are from shares (I9)."""
    from identity.clusters import Policy

    if not len(edges.weight):
        return {}
    hit = truth[edges.left] == truth[edges.right]
    order = np.argsort(-edges.weight, kind="stable")
    weight, right = edges.weight[order], np.cumsum(hit[order])
    total = _true_pairs(truth, sources)
    last = np.append(np.flatnonzero(np.diff(weight)), len(weight) - 1)
    scores = 2 * right[last] / (last + 1 + total)
    taken = int((edges.weight >= Policy().threshold).sum())
    best = int(np.argmax(scores))
    probability = 1 / (1 + np.exp2(-edges.weight))
    tenth = np.minimum((probability * TENTHS).astype(int), TENTHS - 1)
    deciles = [
        {
            "pairs": int((tenth == t).sum()),
            "said": round(float(probability[tenth == t].mean()), 4),
            "was": round(float(hit[tenth == t].mean()), 4),
        }
        for t in range(TENTHS)
        if (tenth == t).any()
    ]
    return {
        "pair_f1": round(2 * int(right[taken - 1]) / (taken + total), 6) if taken else 0.0,
        "pair_best_f1": round(float(scores[best]), 6),
        "pair_best_threshold": round(float(weight[last[best]]), 3),
        "calibration_error": round(sum(d["pairs"] * abs(d["said"] - d["was"]) for d in deciles) / len(hit), 6),
        "deciles": deciles,
    }


def _true_pairs(truth: Labels, sources: Labels | None) -> int:
    def pairs(labels: Labels) -> int:
        sizes = np.unique(labels, return_counts=True)[1].astype(np.int64)
        return int((sizes * (sizes - 1) // 2).sum())

    return pairs(truth) - (0 if sources is None else pairs(truth * (int(sources.max()) + 1) + sources))


def _sources(result: "LinkResult", job: Job) -> Labels | None:
    return true_labels(result.table, "source") if job.one_to_one else None


def thresholds(result: "LinkResult", truth: Labels, job: Job) -> dict[str, Any]:
    """The same edges clustered at other thresholds: the best that a reader of the truth could have chosen, and how far ours is from it (I8)."""
    from identity.batch import prepare
    from identity.clusters import Policy
    from identity.score import score

    sources = _sources(result, job)
    prepared = prepare(result.table, result.kinds, sources=None if sources is None else sources.astype(np.int32))
    shipped, found = Policy(), {}
    for threshold in SWEPT:
        clusters = prepared.cluster(result.edges, result.model, replace(shipped, threshold=threshold))
        scores: dict[str, Any] = dict(score(clusters.person, truth))
        found[threshold] = scores["pairwise"]["f1"]
    best = max(found, key=lambda t: (found[t], -abs(t - shipped.threshold)))
    own = found[shipped.threshold]
    return {
        "oracle_f1": found[best],
        "oracle_threshold": best,
        "threshold_gap": round(found[best] - own, 6),
        "by_threshold": {f"{t:g}": f for t, f in found.items()},
    }


def alone(job: Job) -> dict[str, Any]:
    """The same files through plain Splink and connected components."""
    from identity.files import read
    from orchestration.service.bench.splink_alone import people_of

    table, _, _ = read([Path(f) for f in job.files])
    found = people_of(table, job.ignore)
    cost = _cost(job)
    truth = true_labels(table, job.truth, job.pattern)
    return {**cost, **judged(found, truth), **pairs_apart(table, found, truth)}


def main() -> None:
    """Do the job that the command line names."""
    job = TypeAdapter(Job).validate_json(sys.argv[1])
    sys.stdout.write(json.dumps(alone(job) if job.alone else link(job)) + "\n")


if __name__ == "__main__":
    main()
