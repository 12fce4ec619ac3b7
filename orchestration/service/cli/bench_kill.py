"""`candor bench kill`: what survives a crash. Enters: how often, how many, which seed. Leaves: tables, and 1 when a promise is broken."""

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Json

if TYPE_CHECKING:
    from orchestration.service.bench.kill import Report


def kill(
    kills: Annotated[int, typer.Option("--kills", min=1, max=1000, help="How often the server is killed.")] = 20,
    people: Annotated[int, typer.Option("--people", min=5, max=5000, help="People in the demo world.")] = 150,
    seed: Annotated[int, typer.Option("--seed", help="The same seed says the same and draws the same moments.")] = 7,
    as_json: Json = False,
) -> None:
    """Kill the server at random moments under load, start it again, and look for everything that it acknowledged.

    Exit code 1 when anything acknowledged is lost or doubled, somebody got a message twice, a cap is exceeded, a delivery is stuck, or the log does not
    verify.
    """
    from orchestration.service.bench.kill import run

    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # told to stop, it still ends every process that it started
    report = asyncio.run(run(kills=kills, people=people, seed=seed, told=output.say))
    if as_json:
        output.emit_json({"ok": report.ok, **output.plain(report)})
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(1)


def _show(report: "Report") -> None:
    proof = report.proof
    output.table(
        f"{report.kills} kills in {report.seconds:g} s, {report.with_engines} of them with engines",
        ("hit", "kills"),
        report.places.items(),
    )
    output.table(
        f"What {report.people} people's {report.requests} requests came to",
        ("", "said", "tries", "refused", "acknowledged", "found", "lost", "doubled"),
        [
            (name, k.said, k.tries, k.refused, k.acknowledged, k.found, k.lost, k.doubled)
            for name, k in proof.kinds.items()
        ],
    )
    output.facts(
        "",
        [
            ("commands broken off", ", ".join(f"{name} {n}" for name, n in report.broken_off.items()) or "none"),
            ("messages that people got", f"{proof.messages}, twice {proof.twice}"),
            ("noes acknowledged under way", f"{proof.noes}"),
            ("uncertain", f"{proof.uncertain}, of which {proof.uncertain_taken} did leave"),
            ("deliveries", ", ".join(f"{state} {n}" for state, n in sorted(proof.states.items()))),
            ("caps full, exceeded", f"{proof.capped}, 0" if proof.ok else f"{proof.capped}, see below"),
            ("the log", f"{proof.leaves} leaves, extends {proof.checkpoints} checkpoints that were shown"),
            ("faults", "; ".join(proof.faults) or "none"),
        ],
    )
