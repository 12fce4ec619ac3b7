"""`candor learn learners`: what each placement that learns online knows of its arms."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from orchestration.learning.online import LearnerStatus


def register(app: Commands) -> None:
    """Add the commands of this page."""
    app.add("learners")(learners)


def learners(
    placement: Annotated[str | None, typer.Argument(help="One placement; none: all that learn online.")] = None,
    as_json: Json = False,
) -> None:
    """What each placement that learns online knows: its policy, and of each arm decisions, mean reward and interval."""
    found = in_house(lambda house: house.learning.learners.status())
    chosen = [one for one in found if placement is None or one.placement == placement]
    if as_json:
        output.emit_json(chosen)
        return
    if not chosen:
        output.say("No placement here learns online: name a policy in the catalogue, as docs/policies.md says.")
    show(chosen, None)


def show(found: "Sequence[LearnerStatus]", placement: str | None) -> None:
    """A table for each."""
    for one in found:
        if placement not in (None, one.placement):
            continue
        rows = [
            (arm.arm, f"{arm.n:,.1f}", f"{arm.estimate:.4f}", f"{arm.low:+.4f}", f"{arm.high:+.4f}") for arm in one.arms
        ]
        known = f"state {one.state[:19]} of {one.made_at[:16]}" if one.state and one.made_at else "nothing learned yet"
        output.table(
            f"{one.placement}: {one.policy}, {known}", ("arm", "decisions", "mean reward", "low", "high"), rows
        )
