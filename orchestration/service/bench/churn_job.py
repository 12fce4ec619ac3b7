"""One linkage in a process of its own, for `candor bench churn`: `python -m orchestration.service.bench.churn_job SPEC`.

Enters: a `Job` as JSON.  Leaves: a Parquet file with every record's id and the smallest record id of its group, in the order of ids; one line of JSON.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to link. `shuffle`: puts the rows into another order; `threads`: how many the engine may take it that there are."""

    files: tuple[str, ...]
    record: str
    ignore: tuple[str, ...]
    out: str
    seed: int = 0
    shuffle: int | None = None
    threads: int | None = None
    model: str = ""
    save_model: str = ""


def link(job: Job) -> dict[str, float]:
    """Link as the command does, by `identity.link.run`."""
    from identity.kinds import Overrides, infer
    from identity.link import load_model, run, save_model

    table = pa.concat_tables([pq.read_table(file) for file in job.files], promote_options="default")
    if job.shuffle is not None:
        table = table.take(pa.array(np.random.default_rng(job.shuffle).permutation(table.num_rows)))
    begun = time.monotonic()
    kinds = infer(table, Overrides(record_id=job.record, ignore=job.ignore))
    found, edges, model = run(table, kinds, load_model(Path(job.model)) if job.model else None, seed=job.seed)
    if job.save_model:
        save_model(model, Path(job.save_model))
    ids = np.array(table.column(job.record).to_pylist(), dtype=object)
    order = np.argsort(ids, kind="stable")
    first: dict[int, str] = {}
    for record, person in zip(ids[order].tolist(), found.person[order].tolist(), strict=True):
        first.setdefault(person, record)
    groups = [first[person] for person in found.person[order].tolist()]
    pq.write_table(pa.table({"record": ids[order].tolist(), "group": groups}), job.out)
    return {"seconds": round(time.monotonic() - begun, 2), "edges": len(edges.weight)}


def main() -> None:
    """Do the job in the first argument."""
    told = json.loads(sys.argv[1])
    job = Job(**{**told, "files": tuple(told["files"]), "ignore": tuple(told["ignore"])})
    if job.threads is not None:
        threads = job.threads
        os.cpu_count = lambda: threads
    sys.stdout.write(json.dumps(link(job)) + "\n")


if __name__ == "__main__":
    main()
