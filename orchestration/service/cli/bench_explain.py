"""`candor bench explain`: what explanations are held to."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.bench_learning import shown
from orchestration.service.cli.runtime import Json


def explain(
    only: Annotated[list[str] | None, typer.Option("--only", help="A section; may be given again. All by default.")] = None,
    full: Annotated[bool, typer.Option("--full/--quick", help="At the size that the bars are meant for, or a small fraction of it.")] = True,
    shared: Annotated[Path | None, typer.Option("--shared", help="Folder with hillstrom_even.csv, here or below; without it sections over files are left out.", exists=True, file_okay=False)] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Other coins; 0 gives the published figures.")] = 0,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Whether explanations are true: sums, brute force, faithfulness, direction, stability, contrasts.

    On a ranker of a real campaign and on the decisions of the demo world. Exit code 1 when a bar is missed.
    """
    from orchestration.service.bench.explain import run

    shown(
        "Explanations",
        run(only or [], full=full, told=output.say, shared=shared, seed=seed),
        as_json=as_json,
    )
