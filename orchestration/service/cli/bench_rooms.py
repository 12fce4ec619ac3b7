"""`candor bench ingest|resolve|audit`: what a room does under load, as tables with the bars it is held to."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Json

if TYPE_CHECKING:
    from orchestration.service.bench.audit import Report as AuditReport
    from orchestration.service.bench.figures import Bar, Cost, Figures, Spread
    from orchestration.service.bench.ingest import Ingest
    from orchestration.service.bench.resolve import Report as ResolveReport

Seconds = Annotated[float, typer.Option("--seconds", min=0.1, max=3600, help="How long.")]
SPREAD = ("p50 ms", "p90 ms", "p99 ms", "max ms")


def ingest(
    events: Annotated[int, typer.Option("--events", min=1, max=5_000_000, help="Events of the load flat out.")] = 20_000,
    batch: Annotated[int, typer.Option("--batch", min=1, max=1_000, help="Events in a request.")] = 100,
    steady: Annotated[float, typer.Option("--steady", min=1, max=100_000, help="Events a second while freshness is measured.")] = 1_000.0,
    seconds: Seconds = 20.0,
    people: Annotated[int, typer.Option("--people", min=1, max=1_000_000, help="People who are known.")] = 500,
    visitors: Annotated[int, typer.Option("--visitors", min=1, max=1_000_000, help="Visitors without a name.")] = 2_000,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Events over HTTP: durable events a second, and how soon an event is part of a feature.

    Afterwards the server and Postgres are killed, and every event that was answered for is looked for. Exit code 1 when fewer than 2,000 events a
    second became durable, the 99th percentile from capture to feature is over 500 ms, a request failed, or an event is lost.
    """
    from orchestration.service.bench.ingest import run

    report = asyncio.run(
        run(
            events=events, batch=batch, steady=steady, seconds=seconds, known=people, visitors=visitors, told=output.say
        )
    )
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        _show_ingest(report)
    judged(report.bars, quiet=as_json)


def resolve(
    people: Annotated[int, typer.Option("--people", min=1, max=5_000_000, help="People who are known, by two identifiers each.")] = 10_000,
    calls: Annotated[int, typer.Option("--calls", min=1, max=1_000_000, help="Questions in process, of each kind.")] = 2_000,
    rps: Annotated[float, typer.Option("--rps", min=0.1, max=100_000, help="Questions a second over HTTP.")] = 50.0,
    seconds: Seconds = 20.0,
    records: Annotated[int, typer.Option("--records", min=0, max=5_000_000, help="Records whose identifiers lie in memory; 0: leave that part out.")] = 100_000,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Who holds an identifier: asked of memory, of Postgres, of the hot index, over HTTP; and events of known people over HTTP, committed.

    Exit code 1 when in memory half of the answers take over 0.1 ms or one in a hundred over 1 ms, when the 99th percentile over HTTP is over 10 ms, a
    request failed, an answer is wrong, or somebody whose event was answered for is unknown after the server and Postgres were killed.
    """
    from orchestration.service.bench.resolve import run

    report = asyncio.run(run(people=people, calls=calls, rps=rps, seconds=seconds, records=records, told=output.say))
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        _show_resolve(report)
    judged(report.bars, quiet=as_json)


def audit(
    entries: Annotated[int, typer.Option("--entries", min=1, max=5_000_000, help="Entries to append in batches.")] = 20_000,
    batch: Annotated[int, typer.Option("--batch", min=1, max=10_000, help="Entries that commit together.")] = 64,
    as_json: Json = False,
) -> None:  # fmt: skip
    """The log: appending, signing checkpoints, proving entries, deriving all of it again.

    Afterwards Postgres is killed and the log is verified once more. Exit code 1 when a proof does not hold, the log does not verify, or an entry is lost.
    """
    from orchestration.service.bench.audit import run

    report = asyncio.run(run(entries=entries, batch=batch, told=output.say))
    if as_json:
        output.emit_json(report_of(report, report.bars))
    else:
        _show_audit(report)
    judged(report.bars, quiet=as_json)


def _show_resolve(report: "ResolveReport") -> None:
    http, event = report.http, report.event
    if (held := report.memory) is not None:
        output.table(
            f"In memory: {held.records} records, {held.identifiers} identifiers, {held.mib} MiB, full after {held.fill_seconds} s",
            ("", "answered", *SPREAD),
            [(f"while {held.elsewhere} records were joined elsewhere", held.asked.n, *times(held.asked))],
        )
    output.table(
        f"One question each, {report.people} people",
        ("", "answered", *SPREAD, "CPU ms"),
        [
            ("in process, Postgres", report.postgres.n, *times(report.postgres), ""),
            ("in process, hot index", report.hot.n, *times(report.hot), ""),
            (f"HTTP, {http.rps:g} a second", http.answered, *times(http.latency), report.http_cost.server_ms),
            (
                f"HTTP event, committed, {event.rps:g} a second",
                event.answered,
                *times(event.latency),
                report.event_cost.server_ms,
            ),
        ],
    )
    output.facts("", [("newcomers answered for before a kill, lost", f"{report.newcomers}, {report.lost}")])


def _show_audit(report: "AuditReport") -> None:
    output.table(
        f"The log, {report.size} entries",
        ("", "entries/s", "n", *SPREAD),
        [
            (f"append, {report.batch} a commit", report.appended_rate, "", *("",) * 4),
            ("append, alone", "", report.alone.n, *times(report.alone)),
            ("first checkpoint", report.sequenced_rate, "", *("",) * 4),
            (f"checkpoint over {report.batch} more", "", report.small.n, *times(report.small)),
            ("inclusion proof made", "", report.inclusion.n, *times(report.inclusion)),
            ("inclusion proof checked", "", report.checked.n, *times(report.checked)),
            ("all derived again", report.verified_rate, "", *("",) * 4),
        ],
    )


def _show_ingest(report: "Ingest") -> None:
    output.table(
        f"Events in batches of {report.batch}",
        ("", "requests", "errors", "events/s", *SPREAD, "CPU us/event", "engines' CPU us"),
        [
            # Flat out nobody waits for a due moment, so its times from there would say nothing.
            ("flat out", *_load(report.flat_out), report.flat_out_events, *("",) * 4, *_micro(report.flat_out_cost)),
            ("steady", *_load(report.steady), report.steady_events, *times(report.steady.latency), *_micro(report.steady_cost)),
        ],
    )  # fmt: skip
    fresh = report.fresh
    output.table(
        "From capture to a feature that counts it",
        ("events", "never", *SPREAD),
        [(fresh.n, report.unseen, *times(fresh))],
    )
    output.facts("", [("kept after both were killed", f"{report.accepted - report.lost} of {report.accepted}")])


def report_of(report: object, bars: "Sequence[Bar]") -> dict[str, object]:
    """A report as JSON, with its bars and whether all of them hold."""
    return {"ok": all(bar.ok for bar in bars), **output.plain(report), "bars": output.plain(list(bars))}


def judged(bars: "Sequence[Bar]", *, quiet: bool) -> None:
    """Show the bars (unless `quiet`); exit code 1 when one is missed."""
    if not quiet:
        rows = [
            (bar.what, f"{'at least' if bar.least else 'at most'} {bar.limit:g}", bar.got, "ok" if bar.ok else "missed")
            for bar in bars
        ]
        output.table("Bars", ("", "asked", "got", ""), rows)
    if not all(bar.ok for bar in bars):
        raise typer.Exit(1)


def _load(figures: "Figures") -> tuple[object, ...]:
    wrong = ", ".join(f"{kind} {count}" for kind, count in figures.errors.items()) or 0
    return figures.asked, wrong


def times(spread: "Spread") -> tuple[float, ...]:
    """The cells under `SPREAD`."""
    return spread.p50, spread.p90, spread.p99, spread.max


def _micro(cost: "Cost") -> tuple[float, float]:
    return round(cost.server_ms * 1000, 1), round(cost.engines_ms * 1000, 1)
