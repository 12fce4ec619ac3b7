"""`candor bench learning`: what deciding and learning are held to."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Json

if TYPE_CHECKING:
    from orchestration.service.bench.sections import Report


def learning(
    only: Annotated[list[str] | None, typer.Option("--only", help="A section; may be given again. All by default.")] = None,
    full: Annotated[bool, typer.Option("--full/--quick", help="At the size that the bars are meant for, or a small fraction of it.")] = True,
    shared: Annotated[Path | None, typer.Option("--shared", help="Folder with hillstrom_even.csv and CDNOW_master.txt, here or below; without it sections over files are left out.", exists=True, file_okay=False)] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Other coins; 0 gives the published figures.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=0, max=64, help="Processes that compute side by side; 0: as many as the machine has processors. What is timed runs alone.")] = 0,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Off-policy estimates, the gate, experiments, rollout, policies and ranking against simulators whose truth is known.

    Exit code 1 when a bar is missed. The same seed gives the same figures.
    """
    from orchestration.service.bench.learning import run

    report = run(only or [], full=full, told=output.say, shared=shared, seed=seed, jobs=jobs or os.cpu_count() or 1)
    shown("Deciding and learning", report, as_json=as_json)


def shown(title: str, report: "Report", *, as_json: bool) -> None:
    """Rows with their bars; exit code 1 when one is missed."""
    if as_json:
        output.emit_json(report)
    else:
        output.table(
            title,
            ("", "measured", "asked", "got", ""),
            [(row.id, row.what, row.bar, row.figure, "ok" if row.ok else "missed") for row in report.rows],
        )
        if report.left_out:
            output.say(f"Left out for want of files (--shared): {', '.join(report.left_out)}.")
    if not report.ok:
        raise typer.Exit(1)
