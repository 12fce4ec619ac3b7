"""`candor bench identity`: who is who, on sets whose truth is known, by the shipped defaults (spec identity I1-I9, I35, I36).

Enters: the folder with the sets, sizes and seeds of made people. Leaves: a `Report` of one row a set: how right the people are, how far the threshold and the probabilities are from the best, seconds and peak memory, and the
same for plain Splink with connected components. Every linkage is a process of its own and goes through what `candor identity link` calls; nothing is tuned to a set, no label is read, and what is not there is said to be absent.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from orchestration.service.bench import identity_sets as sets
from orchestration.service.bench.children import answer, generated
from orchestration.service.bench.figures import Bar
from orchestration.service.bench.identity_job import Job

SWEPT_ROWS: Final = 200_000  # up to here other thresholds are tried too, and labels
LABELS: Final = 200
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One set: figures by name, of Candor and of plain Splink (empty when it was not asked)."""

    name: str
    ours: Mapping[str, Any]
    splink: Mapping[str, Any]
    load: float  # of the machine, just before


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All rows, what was absent, and the bars."""

    rows: tuple[Row, ...]
    absent: tuple[str, ...]
    bars: tuple[Bar, ...]
    cores: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure: `shared` is searched for the sets and the generator by their names; `made` are files that the generator wrote earlier."""

    shared: Path | None
    sizes: Sequence[int]
    seeds: Sequence[int]
    only: Sequence[str] = ()
    generator: Path | None = None
    made: Sequence[Path] = ()
    splink: bool = True


def run(plan: Plan, told: Told = lambda _: None) -> Report:
    """Measure everything that is there, one after the other."""
    rows: list[Row] = []
    absent: list[str] = []
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="candor-bench-") as folder:
        here = Path(folder)
        for wanted in sets.SETS:
            if plan.only and wanted.name not in plan.only:
                continue
            files = [sets.find(plan.shared, name) if plan.shared else None for name in wanted.files]
            if None in files:
                absent.append(f"{wanted.name}: {', '.join(wanted.files)}")
                continue
            rows.append(_row(replace(wanted, files=tuple(map(str, files))), here, plan, told))
            bars += sets.bars(wanted, rows[-1].ours)
        if not plan.only or "people" in plan.only:
            _people(plan, here, rows, absent, bars, told)
    return Report(rows=tuple(rows), absent=tuple(absent), bars=tuple(bars), cores=os.cpu_count() or 1)


def _people(plan: Plan, here: Path, rows: list[Row], absent: list[str], bars: list[Bar], told: Told) -> None:
    generator = plan.generator or (sets.find(plan.shared, sets.GENERATOR) if plan.shared else None)
    sized: list[tuple[int, int, Mapping[str, Any]]] = []
    for path in plan.made:
        wanted = sets.made(path)
        rows.append(_row(wanted, here, plan, told))
        bars += sets.bars(wanted, rows[-1].ours)
    asked = [(plan.sizes[0], seed) for seed in plan.seeds] + [(size, plan.seeds[0]) for size in plan.sizes[1:]]
    if generator is None:
        absent.extend([] if plan.made else [f"people {size} seed {seed}: {sets.GENERATOR}" for size, seed in asked])
        return
    for size, seed in asked:
        file = here / f"people-{size}-{seed}.parquet"
        told(f"making {size} records, seed {seed}")
        generated(generator, size, seed, file)
        wanted = sets.people(size, seed, file)
        rows.append(_row(wanted, here, plan, told))
        bars += sets.bars(wanted, rows[-1].ours)
        sized.append((size, seed, rows[-1].ours))
        file.unlink()
    bars += sets.drops(sized)


def _row(wanted: sets.Wanted, here: Path, plan: Plan, told: Told) -> Row:
    told(wanted.name)
    load = round(os.getloadavg()[0], 2)
    model = here / "model.json"
    job = Job(
        files=wanted.files, truth=wanted.truth, pattern=wanted.pattern, ignore=wanted.ignore, one_to_one=wanted.one_to_one,
        out=str(here / "out.parquet"), save_model=str(model), begun=0.0,
    )  # fmt: skip
    small = _rows_of(wanted) <= SWEPT_ROWS
    ours = _done(replace(job, sweep=small, labels=LABELS if small else 0))
    if ours["records"] > SWEPT_ROWS:
        told(f"{wanted.name}: with the model that was saved")
        again = _done(replace(job, save_model="", model=str(model)))
        ours |= {f"{name}_saved_model": again[name] for name in ("seconds", "cpu_seconds", "peak_mib", "f1")}
    if plan.splink:
        told(f"{wanted.name}: plain Splink")
    return Row(name=wanted.name, ours=ours, splink=_done(replace(job, alone=True)) if plan.splink else {}, load=load)


def _rows_of(wanted: sets.Wanted) -> int:
    """Rows of Parquet files; 0 for others, which are small."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(f).num_rows for f in wanted.files if f.endswith(".parquet"))


def _done(job: Job) -> dict[str, Any]:
    """The answer of a process that did the job."""
    asked = replace(job, begun=time.monotonic())
    return answer("orchestration.service.bench.identity_job", asdict(asked), job.files)
