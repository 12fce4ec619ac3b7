"""`candor bench consent`: spoilt consent strings and the speed of the gate, with the bars they are held to."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.bench_rooms import judged, report_of
from orchestration.service.cli.runtime import Json

if TYPE_CHECKING:
    from orchestration.service.bench.consent import Report


def consent(
    strings: Annotated[int, typer.Option("--strings", min=1, max=10_000_000, help="Spoilt consent strings of each kind.")] = 10_000,
    evaluations: Annotated[int, typer.Option("--evaluations", min=1, max=50_000_000, help="Different questions to the gate.")] = 400_000,
    seed: Annotated[int, typer.Option("--seed", help="Other faults, other people.")] = 1,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Consent strings with faults, and the gate over different questions.

    Exit code 1 when a string crashes a decoder, a purpose is granted whose bit is not set, an unreadable or cut string is not a no, or the gate
    answers fewer than 200,000 questions a second on one core.
    """
    from orchestration.service.bench.consent import run

    report = run(spoilt=strings, evaluations=evaluations, seed=seed)
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
    output.table("What the gate answered", ("reason", "times"), list(report.reasons.items()))
