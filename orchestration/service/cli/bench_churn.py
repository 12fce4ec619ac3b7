"""`candor bench churn|reasons`: whether ids last and reasons are exact, with the bars they are held to."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from kernel.errors import InvalidInput
from orchestration.service.cli import output
from orchestration.service.cli.bench_rooms import judged, report_of
from orchestration.service.cli.runtime import Json


def churn(
    people: Annotated[Path | None, typer.Option("--people", help="Parquet file of records.", exists=True)] = None,
    extra: Annotated[Path | None, typer.Option("--extra", help="Parquet file of further records.", exists=True)] = None,
    generator: Annotated[Path | None, typer.Option("--generator", help="Program that makes people: ROWS OUT.parquet --seed N --extra SHARE MORE.parquet.", exists=True)] = None,
    rows: Annotated[int, typer.Option("--rows", min=100, help="Records that the generator makes.")] = 100_000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the generator.")] = 7,
    record: Annotated[str, typer.Option("--id", help="Column of the record id.")] = "unique_id",
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="Column to leave out.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Ids that last: the same records in another order, process and thread count; a hundredth more; another training; a rebuild.

    Ids follow the rule of the store. Exit code 1 when a bar is missed.
    """
    from orchestration.service.bench import churn as bench
    from orchestration.service.bench.identity_sets import HIDDEN

    if (people is None) == (generator is None):
        raise InvalidInput(
            "candor bench churn: expected --people FILE or --generator PROGRAM, got both or neither",
            remedy="Name a file of records, or the program that makes one.",
            code="bench.no_people",
        )
    with tempfile.TemporaryDirectory(prefix="candor-bench-") as folder:
        if generator is not None:
            output.say(f"making {rows} records, seed {seed}")
            people, extra = bench.made(generator, rows, seed, Path(folder))
            ignore = [*(ignore or ()), *HIDDEN]
        assert people is not None
        report = bench.run(people, extra, output.say, record=record, ignore=ignore or ())
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        output.table(
            f"{report.records} records, {report.people} people, partition {report.partition[:23]}",
            ("re-run", "records", "people", "same partition", "ids changed", "redirected", "needless", "unchanged that kept their id", "seconds"),
            [
                (r.name, r.records, r.people, r.same_partition, r.changed, r.merged_into_others, r.needless, f"{r.kept:.6f}", r.seconds)
                for r in report.reruns
            ],
        )  # fmt: skip
    judged(report.bars, quiet=as_json)


def reasons(
    people: Annotated[Path | None, typer.Option("--people", help="Parquet file of records.", exists=True)] = None,
    generator: Annotated[Path | None, typer.Option("--generator", help="Program that makes people: ROWS OUT.parquet --seed N --extra SHARE MORE.parquet.", exists=True)] = None,
    rows: Annotated[int, typer.Option("--rows", min=100, help="Records that the generator makes.")] = 5_000,
    pairs: Annotated[int, typer.Option("--pairs", min=10, help="Pairs that are asked about, of each kind.")] = 500,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="Column to leave out.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Why and why-not over a graph in a store of its own: exact sums, one cause for every pair, times; and ids that last there.

    Exit code 1 when a bar is missed.
    """
    from orchestration.service.bench import churn as making
    from orchestration.service.bench import reasons as bench
    from orchestration.service.bench.identity_sets import HIDDEN

    if (people is None) == (generator is None):
        raise InvalidInput(
            "candor bench reasons: expected --people FILE or --generator PROGRAM, got both or neither",
            remedy="Name a file of records, or the program that makes one.",
            code="bench.no_people",
        )
    with tempfile.TemporaryDirectory(prefix="candor-bench-") as folder:
        if generator is not None:
            people, _ = making.made(generator, rows, 7, Path(folder))
            ignore = [*(ignore or ()), *HIDDEN]
        assert people is not None
        report = asyncio.run(bench.run(people, pairs, output.say, ("unique_id", *(ignore or ()))))
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        output.facts(
            f"{report.records} records, {report.people} people, {report.edges} edges",
            [
                ("why, ms", f"p50 {report.why.p50}, p99 {report.why.p99}"),
                (
                    "why-not, ms",
                    f"p50 {report.why_not.p50}, p99 {report.why_not.p99}, of this process's CPU {report.why_not_cpu_ms}",
                ),
                ("causes", ", ".join(f"{n} {cause}" for cause, n in report.causes.items())),
                ("changes by a walk over the same records", report.moved),
                ("changes by a walk that trains on another sample", report.moved_retrained),
                ("erasing somebody from the graph, ms", f"p50 {report.erased.p50}, p99 {report.erased.p99}"),
            ],
        )
    judged(report.bars, quiet=as_json)
