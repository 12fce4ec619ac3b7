"""`candor bench …`: measures this machine. Nothing of your installation is read or touched: engines of its own, in a folder that is gone afterwards."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import (
    bench_churn,
    bench_consent,
    bench_erasure,
    bench_explain,
    bench_graph,
    bench_identity,
    bench_kill,
    bench_learning,
    bench_rooms,
    bench_settle,
    output,
)
from orchestration.service.cli.runtime import Commands, Json

if TYPE_CHECKING:
    from orchestration.service.bench.decide import Report
    from orchestration.service.bench.figures import Cost, Figures, Spread

Rps = Annotated[float, typer.Option("--rps", min=0.1, max=100_000, help="Requests a second, due on time whatever the answers do.")]  # fmt: skip
Seconds = Annotated[float, typer.Option("--seconds", min=0.1, max=3600, help="How long.")]
COLUMNS = (
    "",
    "asked",
    "answered",
    "errors",
    "rps",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "max ms",
    "late p99",
    "CPU ms",
    "engines' CPU ms",
    "helper's CPU ms",
)


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.callback()(_group)
    app.add("decide")(decide)
    app.add("ingest")(bench_rooms.ingest)
    app.add("churn")(bench_churn.churn)
    app.add("reasons")(bench_churn.reasons)
    app.add("settle")(bench_settle.settle)
    app.add("consent")(bench_consent.consent)
    app.add("identity")(bench_identity.identity)
    app.add("learning")(bench_learning.learning)
    app.add("explain")(bench_explain.explain)
    app.add("resolve")(bench_rooms.resolve)
    app.add("audit")(bench_rooms.audit)
    app.add("graph")(bench_graph.graph)
    app.add("kill")(bench_kill.kill)
    app.add("erasure")(bench_erasure.erasure)


def _group() -> None:
    """Measure this machine."""


def decide(
    rps: Rps = 100.0,
    seconds: Seconds = 30.0,
    people: Annotated[int, typer.Option("--people", min=1, max=1_000_000, help="People to decide for.")] = 2_000,
    arms: Annotated[
        int, typer.Option("--candidates", "--arms", min=2, max=200, help="Candidates of the placement.")
    ] = 50,
    settle: Annotated[
        bool,
        typer.Option("--settle/--no-settle", help="Wait until the warm-up's decisions are explained, then measure."),
    ] = True,
    runs: Annotated[
        int, typer.Option("--runs", min=1, max=20, help="Measure so often; the best 99th percentile counts.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Decisions over HTTP under a steady load, with the bare floor beside them.

    Latency counts from the moment a request was due. Afterwards the server and Postgres are killed, and every answered decision is looked for.
    Exit code 1 when a request failed, a decision is lost, or the 99th percentile is over 25 ms; at 200 a second and more when it is
    over 10 ms or the median over twice the floor's.
    """
    from orchestration.service.bench.decide import run

    report = asyncio.run(
        run(rps=rps, seconds=seconds, people=people, arms=arms, settle=settle, runs=runs, told=output.say)
    )
    if as_json:
        output.emit_json(report)
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(1)


def _show(report: "Report") -> None:
    output.table(
        f"Decisions at {report.asked_rps:g} a second, {report.arms} arms, {report.people} people",
        COLUMNS,
        [
            _row("decide", report.decide, report.decide_cost),
            _row("bare floor", report.floor, report.floor_cost),
        ],
    )
    output.facts(
        "",
        [
            ("p50 over the floor's", report.ratio),
            ("p99 of each run", ", ".join(f"{one:.1f} ms" for one in report.p99s)),
            (
                "p99 of its tenths",
                ", ".join(f"{one:.1f}" for one in report.tenths) + f" ms, median {report.steady:.1f}",
            ),
            *((f"p50, p99 {what}", f"{one.p50:.1f} ms, {one.p99:.1f} ms") for what, one in _beside(report)),
            ("kept after both were killed", f"{report.kept}, lost {report.lost}"),
            ("chose nothing", report.withheld),
        ],
    )


def _beside(report: "Report") -> list[tuple[str, "Spread"]]:
    pairs = [("everybody's first after the start", report.first), ("after the hot store was emptied", report.cold)]
    return [(what, one) for what, one in pairs if one is not None]


def _row(name: str, figures: "Figures", cost: "Cost") -> tuple[object, ...]:
    spread = figures.latency
    wrong = ", ".join(f"{kind} {count}" for kind, count in figures.errors.items()) or 0
    return (
        name, figures.asked, figures.answered, wrong, figures.rps, spread.p50, spread.p90, spread.p99, spread.max,
        figures.late.p99, cost.server_ms, cost.engines_ms, cost.beside_ms,
    )  # fmt: skip
