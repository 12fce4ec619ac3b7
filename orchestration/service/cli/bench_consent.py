"""`candor bench consent`: spoilt consent strings, the speed of the gate and withdrawals against sends, with the bars they are held to."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.bench_rooms import SPREAD, judged, report_of, times
from orchestration.service.cli.runtime import Json

if TYPE_CHECKING:
    from orchestration.service.bench.consent import Report


def consent(
    strings: Annotated[int, typer.Option("--strings", min=1, max=10_000_000, help="Spoilt consent strings of each kind.")] = 10_000,
    evaluations: Annotated[int, typer.Option("--evaluations", min=1, max=50_000_000, help="Different questions to the gate.")] = 400_000,
    races: Annotated[int, typer.Option("--races", min=0, max=10_000_000, help="Withdrawals against sends, on engines of their own; 0 leaves them out.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="Other faults, other people.")] = 1,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Consent strings with faults, the gate over different questions, and withdrawals against sends.

    Exit code 1 when a string crashes a decoder, a purpose is granted whose bit is not set, an unreadable or cut string is not a no, the gate
    answers fewer than 200,000 questions a second on one core, something was sent after a withdrawal was acknowledged, or the 99th percentile
    from withdrawal to enforcement is over a second.
    """
    from orchestration.service.bench import consent_races
    from orchestration.service.bench.consent import run

    raced = asyncio.run(consent_races.run(races=races, seed=seed, told=output.say)) if races else None
    report = run(spoilt=strings, evaluations=evaluations, races=raced, seed=seed)
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        _show(report)
    judged(report.bars, quiet=as_json)


def _show(report: "Report") -> None:
    output.table(
        "Consent strings with faults",
        ("kind", "strings", "still readable", "crashed", "bit not set", "not a no"),
        [(one.kind, one.strings, one.read, one.crashed, one.unset, one.loose) for one in report.spoilt],
    )
    if (raced := report.races) is not None:
        output.table(
            "A withdrawal against a send",
            ("races", "sent before", "withheld", "sent after", "permitted after", *SPREAD),
            [(raced.races, raced.sent, raced.withheld, raced.late, raced.permitted, *times(raced.withdrawal))],
        )
    output.table("What the gate answered", ("reason", "times"), list(report.reasons.items()))
