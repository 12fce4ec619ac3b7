"""`candor pipeline …`: the batch walk in this process. `dg dev` shows the same assets on a page."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from orchestration.pipeline.run import Walked
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
    """Walk from records to a ranker, or make chosen assets.

    In order: people, linkage_model, edges, identity_graph, consent_state, unified_profiles, features, training_set, ranker.
    """

    async def work(house: "House") -> "list[Walked]":
        from orchestration.pipeline.run import walk

        return await walk(
            house, [s.strip() for s in select.split(",")] if select else [], told=lambda name: output.say(f"  {name}")
        )

    walked = in_house(work)
    if as_json:
        output.emit_json(walked)
        return
    rows = [(w.asset, f"{w.seconds:.1f}", ", ".join(f"{k} {_short(v)}" for k, v in w.facts.items())) for w in walked]
    output.table("The walk", ("asset", "seconds", "figures"), rows)


def _short(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)[:60]
