"""`candor decide` and `candor send`: one choice for one person at one placement; send also queues the message."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from orchestration.decision.request import Decision
    from orchestration.wiring import House

Person = Annotated[str, typer.Option("--person", help="per_… or kind:value, for example email:ada@example.org.")]
Placement = Annotated[str, typer.Option("--placement", help="A placement of the catalogue.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Decide, and write nothing at all.")]
Context = Annotated[str | None, typer.Option("--context", help="A JSON object about the moment: device, page …")]


def register(app: Commands) -> None:
    """Add the commands to the top level."""
    app.add("decide")(decide)
    app.add("send")(send)


def decide(
    person: Person, placement: Placement, context: Context = None, dry_run: Dry = False, as_json: Json = False
) -> None:
    """Choose channel and content for a person, or nothing."""
    _show(_one(person, placement, context=context, trigger=None, send=False, dry_run=dry_run), as_json=as_json)


def send(
    person: Person,
    placement: Placement,
    trigger: Annotated[str, typer.Option("--trigger", help="What set it off; kept in the record.")],
    dry_run: Dry = False,
    as_json: Json = False,
) -> None:
    """Decide and queue the message in the same commit.

    The dispatcher sends it after asking the gate again.
    """
    _show(_one(person, placement, context=None, trigger=trigger, send=True, dry_run=dry_run), as_json=as_json)


def _one(
    person: str, placement: str, *, context: str | None, trigger: str | None, send: bool, dry_run: bool
) -> "Decision":
    from kernel.errors import InvalidInput
    from orchestration.decision.request import DecisionRequest

    try:
        about = json.loads(context) if context else {}
    except ValueError:
        about = None
    if not isinstance(about, dict):
        raise InvalidInput(
            "expected --context to be a JSON object, got something else",
            code="bad_context",
            remedy='For example {"device": "phone"}.',
        )
    request = DecisionRequest(
        person=person, placement=placement, context=about, trigger=trigger, send=send, dry_run=dry_run, actor=actor()
    )

    async def work(house: "House") -> "Decision":
        made = await house.decisions.decide(request)
        if send and not dry_run:
            await house.channels.dispatch(100)
        return made

    return in_house(work)


def _show(made: "Decision", *, as_json: bool) -> None:
    if as_json:
        output.emit_json(made)
        return
    chosen = "nothing" if made.nothing else f"{made.variant} by {made.channel}"
    output.facts(
        "",
        [
            ("decision", made.decision_id if made.entry_id else f"{made.decision_id} (dry run, not kept)"),
            ("person", made.person),
            ("choice", chosen),
            *([("because", made.withheld)] if made.withheld else []),
            ("probability", f"{made.propensity:.4f} of this choice"),
            ("ranked by", made.outcome.ranked_by),
            *([("delivery", made.delivery_id)] if made.delivery_id else []),
        ],
    )
    if made.entry_id:
        output.say(f"why: candor why {made.decision_id}   proof: candor receipt {made.decision_id} --out receipt.json")
