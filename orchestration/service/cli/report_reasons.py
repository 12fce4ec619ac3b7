"""`candor report reasons` and `candor report proxies`: what counted over time, and which features tell what nobody may decide by."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from explain.tallies import Course
    from explain.trial_store import Trial
    from orchestration.learning.proxies import Told
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands."""
    app.add("reasons")(reasons)
    app.add("proxies")(proxies)


def reasons(
    placement: Annotated[str | None, typer.Option(help="A placement; all by default.")] = None,
    days: Annotated[int, typer.Option(min=1, max=730, help="So many days back.")] = 56,
    by: Annotated[str, typer.Option(help="day or week.")] = "week",
    as_json: Json = False,
) -> None:
    """Which kinds of information came first, and whether other ones do than before; how reasons held when they were tried.

    Stretches of fewer than twenty explanations are not told of.
    """
    if by not in {"day", "week"}:
        raise typer.BadParameter("expected day or week")
    step: Literal["day", "week"] = "day" if by == "day" else "week"
    courses, trials = in_house(lambda house: _reasons(house, placement, days, step))
    if as_json:
        output.emit_json({
            "courses": [one.to_json() for one in courses],
            "trials": [{"at": one.at.isoformat(), "holds": one.holds, **one.counts()} for one in trials],
        })  # fmt: skip
        return
    for one in courses:
        moved = "too few to compare" if one.psi is None else f"stability index {one.psi:.3f}, {one.noise:.3f} of it by chance{'; OTHER REASONS THAN BEFORE' if one.warned else ''}"  # fmt: skip
        output.table(
            f"{one.placement}: {moved}",
            ("since", "explained", "by a model", "first reasons"),
            [
                (str(part.begin), part.made, part.ruled, ", ".join(
                    f"{name} {share.first:.0%}" for name, share in sorted(part.concepts.items(), key=lambda each: -each[1].first)[:4] if share.first
                ))
                for part in one.stretches
            ],
        )  # fmt: skip
    output.table(
        "Reasons that were tried",
        ("when", "reasons", "false", "idle", "changes", "flat", ""),
        [
            (f"{one.at:%Y-%m-%d %H:%M}", one.reasons, one.falsified + one.scores, one.idle, one.levers, one.flat, "DO NOT HOLD" if not one.holds else "hold" if one.reasons or one.levers else "nothing to try")
            for one in trials
        ],
    )  # fmt: skip


def proxies(
    placement: Annotated[str | None, typer.Option(help="A placement with a training set; all by default.")] = None,
    as_json: Json = False,
) -> None:
    """Which features and kinds of information tell a sensitive attribute, against what chance tells.

    Sensitive attributes are those of the declared list; one can be tried only where a source brings it under the purpose of the audit.
    """
    found, direct, accepted = in_house(lambda house: _proxies(house, placement))
    if as_json:
        output.emit_json({
            "placements": {name: [one.to_json() for one in rows] for name, rows in found.items()}, "direct": direct,
            "accepted": [{"attribute": one, "feature": feature} for one, feature in accepted],
        })  # fmt: skip
        return
    for name, rows in found.items():
        output.table(
            f"{name}: what tells a sensitive attribute",
            ("attribute", "told by", "", "by", "by chance", "people", ""),
            [
                (one.attribute, one.subject, one.kind, f"{one.figure:.3f}", f"{one.chance:.3f}", one.people,
                 "accepted" if (one.attribute, one.subject) in accepted else "held back" if one.flagged else "")
                for one in rows[:40]
            ],
        )  # fmt: skip
    for feature, attribute in direct.items():
        output.say(f"{feature} is {attribute}: no model is made of it.")


async def _reasons(
    house: "House", placement: str | None, days: int, by: Literal["day", "week"]
) -> "tuple[list[Course], list[Trial]]":
    courses = await house.explain.tallies.over(house.kernel.clock.now(), days=days, by=by, placement=placement)
    return courses, list(await house.explain.falsifier.trials(10))


async def _proxies(
    house: "House", placement: str | None
) -> "tuple[dict[str, list[Told]], dict[str, str], set[tuple[str, str]]]":
    names = [placement] if placement is not None else await house.learning.placements()
    found: dict[str, list[Told]] = {}
    for name in names:
        (await house.decisions.shelf.current()).catalogue.placement(name)
        made = await house.learning.kept_set(name)
        if made is not None:
            found[name] = await house.learning.proxies.run(name, made.people, made.names, made.features)
    accepted = {(one.attribute, one.feature) for one in await house.learning.proxies.accepted()}
    return found, house.learning.proxies.direct, accepted
