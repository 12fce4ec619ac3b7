"""`candor bench settle`: records that come after a run, told at once and settled by and by, with the bars they are held to."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from kernel.errors import InvalidInput
from orchestration.service.cli import output
from orchestration.service.cli.bench_rooms import SPREAD, judged, report_of, times
from orchestration.service.cli.runtime import Json


def settle(
    people: Annotated[Path | None, typer.Option("--people", help="Parquet file of records.", exists=True)] = None,
    more: Annotated[Path | None, typer.Option("--more", help="Parquet file of records that come later.", exists=True)] = None,
    generator: Annotated[Path | None, typer.Option("--generator", help="Program that makes people: ROWS OUT.parquet --seed N --extra SHARE MORE.parquet.", exists=True)] = None,
    rows: Annotated[int, typer.Option("--rows", min=100, help="Records that the generator makes.")] = 20_000,
    orders: Annotated[int, typer.Option("--orders", min=0, help="Orders of arrival that are compared, on 1,650 of the records.")] = 3,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="Column to leave out.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Records that come one by one after a linkage run: whose they are at once, after settling, and as a run over everything says.

    Exit code 1 when fewer than 99.9 % of the records agree after settling, orders of arrival end in two partitions, or fewer than 95 % are told rightly at once.
    """
    from orchestration.service.bench import churn as making
    from orchestration.service.bench import settle as bench

    if (people is None or more is None) == (generator is None):
        raise InvalidInput(
            "candor bench settle: expected --people FILE and --more FILE, or --generator PROGRAM, got both or neither",
            remedy="Name two files of records, or the program that makes them.",
            code="bench.no_people",
        )
    with tempfile.TemporaryDirectory(prefix="candor-bench-") as folder:
        if generator is not None:
            people, more = making.made(generator, rows, 7, Path(folder))
        assert people is not None
        assert more is not None
        report = asyncio.run(bench.run(people, more, orders, output.say, ("unique_id", *(ignore or ()))))
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        output.table(
            f"{report.came} records after {report.linked}",
            ("", "records", *SPREAD),
            [("collected, first answer included", report.collected.n, *times(report.collected))],
        )
        output.facts(
            "Settled",
            [
                ("of a collection, CPU of this process, ms", report.collected_cpu_ms),
                ("led to somebody at once", f"{report.joined:.4f}"),
                ("told rightly at once, after settling", f"{report.right}, {report.settled_right}"),
                ("settling, s", report.settle_seconds),
                ("records that moved, versions of the graph", f"{report.moved}, {report.versions}"),
                ("as after a run over everything", f"{report.agree:.6f}"),
                ("orders, partitions", f"{report.orders}, {report.partitions}"),
            ],
        )
    judged(report.bars, quiet=as_json)
