"""`candor bench identity`: how right, how fast and how large the linkage is, as one table with the bars it is held to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kernel.errors import InvalidInput
from orchestration.service.cli import bench_incremental, output
from orchestration.service.cli.bench_rooms import judged, report_of
from orchestration.service.cli.runtime import Json

if TYPE_CHECKING:
    from orchestration.service.bench.identity import Report

_RIGHT: Final = ("pair_f1", "f1", "bcubed", "impure", "max_cluster", "twins", "namesakes", "households")
_TRUST: Final = ("threshold_gap", "oracle_threshold", "pair_best_f1", "calibration_error", "labelled_f1")
_COST: Final = ("seconds", "cpu_seconds", "peak_mib", "seconds_saved_model", "peak_mib_saved_model")


def identity(
    shared: Annotated[Path | None, typer.Option("--shared", help="Folder that is searched for the sets and for gen_people.py by their names.", exists=True, file_okay=False)] = None,
    rows: Annotated[str, typer.Option("--rows", help="Sizes of made people: the first with every seed, further ones with the first seed.")] = "100000,1000000",
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds of made people.")] = "7,11,13",
    only: Annotated[str, typer.Option("--only", help="Of fake_1000, febrl3, febrl4, historical_50k, people: these alone.")] = "",
    generator: Annotated[Path | None, typer.Option("--generator", help="Program that makes people: ROWS OUT.parquet --seed N.", exists=True)] = None,
    people: Annotated[list[Path] | None, typer.Option("--people", help="A file that the generator wrote earlier.", exists=True)] = None,
    incremental: Annotated[tuple[Path, Path] | None, typer.Option("--incremental", help="Instead: a file of records and a file of more of them, which are added.")] = None,
    splink: Annotated[bool, typer.Option(help="Measure plain Splink with connected components beside it.")] = True,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Who is who, on sets whose truth is known: by the shipped defaults, without labels, through what `candor identity link` calls.

    The sets are not part of Candor: name the folder that has them; what is not there is said to be absent. Exit code 1 when a bar is missed.
    """
    from orchestration.service.bench import identity as bench

    if incremental is not None:
        bench_incremental.shown(*incremental, as_json=as_json)
        return
    plan = bench.Plan(
        shared=shared, sizes=_numbers(rows, "--rows"), seeds=_numbers(seeds, "--seeds"), generator=generator,
        made=people or (), only=tuple(filter(None, only.split(","))), splink=splink,
    )  # fmt: skip
    report = bench.run(plan, told=output.say)
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        _show(report)
    judged(report.bars, quiet=as_json)


def _numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise InvalidInput(
            f"{option}: expected numbers with commas between them, got {text!r}",
            remedy=f"Write for example {option} 7,11,13.",
            code="bench.bad_numbers",
        )
    return found


def _show(report: "Report") -> None:
    names = [name.replace("_", " ") for name in (*_RIGHT, *_TRUST)]
    output.table(
        f"Records linked by the shipped defaults, {report.cores} cores",
        ("", "records", *names),
        [(row.name, row.ours["records"], *(row.ours.get(n) for n in (*_RIGHT, *_TRUST))) for row in report.rows],
    )
    beside = ("f1", "bcubed", "max_cluster", "seconds", "cpu_seconds", "peak_mib")
    output.table(
        "Cost, and plain Splink 5 with connected components at 0.95 in the same run",
        ("", *(n.replace("_", " ") for n in _COST), "load before", *(f"Splink {n.replace('_', ' ')}" for n in beside)),
        [
            (row.name, *(row.ours.get(n) for n in _COST), row.load, *(row.splink.get(n) for n in beside))
            for row in report.rows
        ],
    )
    output.table(
        "Of pairs said to be one person with a probability between tenths, the share that was",
        ("", "pairs", "said", "was"),
        [
            (row.name if not place else "", tenth["pairs"], tenth["said"], tenth["was"])
            for row in report.rows
            for place, tenth in enumerate(row.ours.get("deciles", ()))
        ],
    )
    for one in report.absent:
        output.facts("", [("absent, not measured", one)])
