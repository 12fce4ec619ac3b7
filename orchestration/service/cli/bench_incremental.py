"""`candor bench identity --incremental`: new rows added to a linked table, as a table with the bars it is held to."""

from pathlib import Path

from orchestration.service.cli import output
from orchestration.service.cli.bench_rooms import SPREAD, judged, report_of, times


def shown(base: Path, more: Path, *, as_json: bool) -> None:
    """Measure, print, and exit with 1 when a bar is missed."""
    from orchestration.service.bench.incremental import run

    report = run(base, more, told=output.say)
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        output.table(
            f"One of {report.added} new rows alone, {report.candidates} candidates at most",
            ("", "asked", *SPREAD),
            [("unseen", report.asked.n, *times(report.asked)), ("of it processor", "", *times(report.asked_cpu))],
        )
        output.facts(
            f"{report.added} rows added to {report.rows}",
            [
                ("everything linked before, s", report.full_seconds),
                ("added, s", report.seconds),
                ("of it linking; this process's processors, s", f"{report.linking}; {report.cpu}"),
                ("ready for more, s", report.settle),
                ("pairs, edges", f"{report.pairs}, {report.edges}"),
                ("rows clustered again", report.touched),
                ("rows moved, lines of the feed", f"{report.moved}, {report.changes}"),
                ("an unseen row told rightly", report.asked_right),
                ("needless changes of id", report.needless),
                ("as after a full run", f"{report.equal:.6f}"),
                ("as the guard says of the same edges", f"{report.equal_edges:.6f}"),
                ("pair F1, of a full run", f"{report.f1}, {report.full_f1}"),
                ("MiB", report.mib),
                ("load before", report.load),
            ],
        )
    judged(report.bars, quiet=as_json)
