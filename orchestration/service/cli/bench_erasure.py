"""`candor bench erasure`: people of the demo world are erased, and every byte is searched for them."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.bench_rooms import judged, report_of
from orchestration.service.cli.runtime import Json

if TYPE_CHECKING:
    from orchestration.service.bench.erasure import Report


def erasure(
    people: Annotated[int, typer.Option("--people", min=200, max=200_000, help="People of the demo world.")] = 3_000,
    erased: Annotated[int, typer.Option("--erased", min=1, max=1_000, help="How many of them are erased.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Another world.")] = 7,
    dagster: Annotated[bool, typer.Option(help="Walk once more through Dagster, so that its storage is searched too.")] = True,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Erasure end to end: her words and her wrapped keys, looked for in every byte of every store, before and after.

    Exit code 1 when a word of hers lies anywhere but in the outbox before, or anywhere after; when a byte of a destroyed wrapped key is left; when an old receipt
    no longer verifies; when a restored dump brings somebody back who is not erased again.
    """
    from orchestration.service.bench.erasure import run

    report = asyncio.run(run(people=people, erased=erased, seed=seed, dagster=dagster, told=output.say))
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        _show(report)
    judged(report.bars, quiet=as_json)


def _show(report: "Report") -> None:
    output.table(
        f"{report.erased} of {report.people} people erased: {report.words} words, {report.keys} keys destroyed",
        ("what", "when", "looked for", "files read", "MB", "found in"),
        [
            (one.what, one.when, one.needles, one.found.files, round(one.found.bytes / 1e6),
             ", ".join(f"{store} {count}" for store, count in sorted(one.hits.items())) or "nowhere")
            for one in report.looks
        ],
    )  # fmt: skip
    output.facts(
        "",
        [
            (
                "removal",
                f"{report.removal_seconds:g} s, {report.removal_moved} living keys moved, log {report.removal_log}",
            ),
            ("receipts from before", f"{report.receipts_valid} of {report.receipts} verify offline"),
            (
                "the log",
                f"{report.log_entries} entries, {report.log_redacted} redacted, {report.log_findings} findings",
            ),
            ("a dump from before", f"brought {report.dump_brought_back} back, {report.erased_again} erased again"),
            ("all of it", f"{report.seconds:g} s"),
        ],
    )
