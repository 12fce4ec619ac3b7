"""`candor pipeline …`: the batch walk in this process. `dg dev` shows the same assets on a page."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from orchestration.pipeline.run import Checked, Walk
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.callback()(_group)
    app.add("run")(run)


def _group() -> None:
    """The batch walk."""


def run(
    select: Annotated[str | None, typer.Option(help="Assets to make, separated by commas; all when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Walk from records to a ranker and a warm decision store, or make chosen assets; then tell what their checks found.

    In order: source_records, linkage_model, edges, identity_graph, consent_state, raw_profiles, unified_profiles, features, training_set, ranker,
    evaluation, decision_store, retention, erasure_replay, checkpoint_verification. Ends with 1 when a grave check does not hold; a warning is a result.
    """

    async def work(house: "House") -> "Walk":
        from orchestration.pipeline.run import walk

        return await walk(
            house, [s.strip() for s in select.split(",")] if select else [], told=lambda name: output.say(f"  {name}")
        )

    done = in_house(work)
    if as_json:
        output.emit_json({"assets": done.assets, "checks": done.checks, "stopped": done.stopped, "ok": not done.failed})
    else:
        _tell(done)
    if done.failed:
        raise typer.Exit(1)


def _tell(done: "Walk") -> None:
    rows = [(w.asset, f"{w.seconds:.1f}", _figures(w.facts)) for w in done.assets]
    output.table("The walk", ("asset", "seconds", "figures"), rows)
    output.table("Its checks", ("", "check", "figures"), [(_mark(c), f"{c.asset}.{c.check}", _figures(c.figures)) for c in done.checks])  # fmt: skip
    if reports := [(path,) for one in done.assets for path in one.reports]:
        output.table("Pictures", ("file",), reports)
    if done.stopped:
        output.say(f"not made, because a grave check before them failed: {', '.join(done.stopped)}")


def _mark(found: "Checked") -> str:
    return "holds" if found.passed else "FAILS" if found.grave else "warns"


def _figures(values: "dict[str, object] | object") -> str:
    assert isinstance(values, dict)
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)[:60]
