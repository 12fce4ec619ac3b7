"""`candor learn card` and `candor learn accept`: the card of a model, and an officer's word on a feature that tells a sensitive attribute."""

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from kernel.canonical import Json as Kept
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands."""
    app.add("card")(card)
    app.add("accept")(accept)


def card(
    model: Annotated[str, typer.Argument(help="Digest of a registered model, or its first letters.")],
    as_json: Json = False,
) -> None:
    """What a model was trained on, what it looks at, how well it foretells, who let it rule, and what it is not for."""
    told = in_house(lambda house: _card(house, model))
    if as_json:
        output.emit_json(told)
        return
    made: dict[str, Any] = cast("dict[str, Any]", told)
    trained, gate = made["trained"], made["gate"]
    output.facts(
        f"Model {made['digest']}",
        [
            ("placement", f"{made['placement']}, {'which it rules' if made['rules_now'] else 'which it does not rule'}"),
            ("trained", f"{trained['at'][:16]} on {trained['rows']:,} decisions"),
            ("decisions of", f"{trained['since'][:10]} to {trained['until'][:10]}" if trained["since"] else "not recorded"),
            ("training set", trained["training_set"]),
            ("features", trained["feature_set"]),
            ("gate", f"{gate['decision']}{': ' + gate['reason'] if gate['reason'] else ''}"),
            ("its file", made["file"]),
        ],
    )  # fmt: skip
    output.table(
        "What it looks at",
        ("kind of information", "share of gain", "columns"),
        [
            (one["concept"], "not recorded" if one["share"] is None else f"{one['share']:.1%}", ", ".join(column["name"] for column in one["columns"][:6]))
            for one in made["columns"]
        ],
    )  # fmt: skip
    output.table(
        "By the gate",
        ("compared", "word", "difference", "low", "high"),
        [
            (name.replace("_", " "), one.get("decision", ""), f"{one.get('diff', 0):+.4f}", f"{one['low']:+.4f}", f"{one['high']:+.4f}")
            for name, one in gate["comparisons"].items() if "low" in one
        ],
    )  # fmt: skip
    output.table("Let rule by", ("when", "who", "why"), [(one["at"][:16], one["actor"], one["reason"]) for one in made["promotions"]])  # fmt: skip
    for name, rows in (("Meant for", made["meant_for"]), ("Limits", made["limits"])):
        output.table(name, (name.lower(),), [(one,) for one in rows])
    output.table("Not for", ("use", "because"), [(one["use"], one["because"]) for one in made["not_for"]])


def accept(
    attribute: Annotated[str, typer.Argument(help="A sensitive attribute that an audit found to be told.")],
    feature: Annotated[str, typer.Argument(help="The feature that tells it.")],
    reason: Annotated[str, typer.Option(help="Why it may be used all the same; kept in the log.")],
) -> None:
    """Let models use a feature although it tells a sensitive attribute; an officer's act."""
    fresh = in_house(lambda house: house.learning.proxies.accept(attribute, feature, actor=actor(), reason=reason))
    output.say(f"{feature} may be used although it tells {attribute}." if fresh else "It was accepted before.")


async def _card(house: "House", name: str) -> "dict[str, Kept]":
    from orchestration.learning.card import card as gathered

    return await gathered(house.learning, name)
