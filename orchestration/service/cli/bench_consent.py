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
    histories: Annotated[int, typer.Option("--histories", min=0, max=100_000, help="People with random histories of consent, merges and splits, on engines of their own; 0 leaves them out.")] = 300,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=1_000, help="Rounds of each history.")] = 6,
    seed: Annotated[int, typer.Option("--seed", help="Other faults, other people.")] = 1,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Consent strings with faults, the gate over different questions, withdrawals against sends, and random histories at every door.

    Exit code 1 when a string crashes a decoder, a purpose is granted whose bit is not set, an unreadable or cut string is not a no, the gate
    answers fewer than 200,000 questions a second on one core, something was sent after a withdrawal was acknowledged, or the 99th percentile
    from withdrawal to enforcement is over a second, or a feature, training row, decision, export or send in a random history was not permitted.
    """
    from orchestration.service.bench import consent_histories, consent_races
    from orchestration.service.bench.consent import run

    raced = asyncio.run(consent_races.run(races=races, seed=seed, told=output.say)) if races else None
    lived = (
        asyncio.run(consent_histories.run(people=histories, rounds=rounds, seed=seed, told=output.say))
        if histories
        else None
    )
    report = run(spoilt=strings, evaluations=evaluations, races=raced, histories=lived, seed=seed)
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
    if (lived := report.histories) is not None:
        output.say(
            f"{lived.people:,} people, {lived.rounds} rounds: {lived.words:,} words said, {lived.merges:,} merges, {lived.splits:,} splits; "
            f"{lived.strict:,} hot profiles said no where the reference says yes"
        )
        output.table(
            "Random histories at every door",
            ("door", "asked", "given", "forbidden"),
            [(room, asked, lived.given[room], lived.forbidden[room]) for room, asked in lived.asked.items()],
        )
    output.table("What the gate answered", ("reason", "times"), list(report.reasons.items()))
