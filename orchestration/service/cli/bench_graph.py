"""`candor bench graph`: what must hold of people whatever is done to them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.bench_rooms import judged, report_of
from orchestration.service.cli.runtime import Json


def graph(
    orders: Annotated[int, typer.Option("--orders", min=1, max=1_000_000, help="Little worlds whose rows come in any order.")] = 10_000,
    stories: Annotated[int, typer.Option("--stories", min=1, max=100_000, help="Stories of merges, arrivals, runs and unmerges.")] = 200,
    shared: Annotated[Path | None, typer.Option("--shared", help="Folder that is searched for historical_50k; without it the queue is not measured.", exists=True, file_okay=False)] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Nobody gets two logins, whoever is unmerged was never merged, parted pairs stay parted, the review queue is worth its order.

    Exit code 1 when one of it fails once.
    """
    from orchestration.service.bench.graph import run

    report = asyncio.run(run(orders=orders, stories=stories, shared=shared, told=output.say))
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        output.facts(
            "People",
            [
                ("orders of events", f"{report.orders}, {report.records} records"),
                ("stories", f"{report.stories}, {report.merges} merges taken back, {report.reruns} runs afterwards"),
            ],
        )
        if (seen := report.review) is not None:
            output.table(
                f"{seen.answers} answers on {seen.records} records, {seen.questions} questions",
                ("", "F1", "gain"),
                [
                    ("before", seen.before, ""),
                    ("in the queue's order", seen.queue, round(seen.queue - seen.before, 5)),
                    ("by lot", seen.by_lot, round(seen.by_lot - seen.before, 5)),
                    ("by lot among refused bridges", seen.by_lot_refused, round(seen.by_lot_refused - seen.before, 5)),
                ],
            )
    judged(report.bars, quiet=as_json)
