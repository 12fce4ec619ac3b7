"""`candor learn …` and `candor evaluate`: train, judge, promote, roll back; off-policy estimates of any log."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import learn_card, learn_loop, learn_online, output, report_features
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from kernel.canonical import Json as Kept
    from orchestration.learning.online import LearnerStatus
    from orchestration.learning.service import Trained
    from orchestration.wiring import House

Placement = Annotated[str, typer.Argument(help="A placement of the catalogue.")]
_OUTCOMES = {
    "promoted": "yes",
    "ramp": "no, a rollout began: candor experiment status",
    "shadow": "no, it did not leave the shadow: candor audit tail",
    "busy": "no, another experiment runs here: candor experiment status",
    "held": "no, the gate holds",
}
LogFile = Annotated[Path, typer.Argument(help="CSV, JSON Lines or Parquet with one decision a row.")]


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("train")(train)
    app.add("evaluate")(evaluate)
    app.add("promote")(promote)
    app.add("rollback")(rollback)
    app.add("status")(status)
    app.add("gate")(gate)
    learn_loop.register(app)
    learn_online.register(app)
    learn_card.register(app)
    report_features.register_learn(app)


def train(placement: Placement, as_json: Json = False) -> None:
    """Train on every logged decision.

    The model rules only when the gate says promote.
    """

    async def work(house: "House") -> "Trained":
        return await house.learning.train(placement, actor=actor())

    made = in_house(work)
    if as_json:
        output.emit_json(made)
        return
    output.facts(
        "Trained",
        [
            ("model", made.digest),
            ("decisions", f"{made.rows:,}"),
            ("rules now", _OUTCOMES[made.outcome]),
        ],
    )
    _judgement(made.evaluation)


def evaluate(placement: Placement, as_json: Json = False) -> None:
    """What the gate would say now; registers nothing."""
    judged = in_house(lambda house: house.learning.evaluate(placement))
    if as_json:
        output.emit_json(judged)
    else:
        _judgement(judged)


def promote(
    model: Annotated[str, typer.Argument(help="Digest of a registered model.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")],
    force: Annotated[bool, typer.Option("--force", help="Against the gate's word; also kept in the log.")] = False,
) -> None:
    """Let a model rule its placement."""
    made = in_house(lambda house: house.learning.promote(model, actor=actor(), reason=reason, force=force))
    output.say(f"{made.digest} rules {made.placement}.")


def rollback(
    placement: Placement, reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "rollback"
) -> None:
    """Let what ruled before rule again."""
    made = in_house(lambda house: house.learning.rollback(placement, actor=actor(), reason=reason))
    output.say(f"{made.digest or 'the rules'} rule {made.placement} again.")


def status(
    placement: Annotated[
        str | None, typer.Argument(help="Show what the gate said of this placement's newest model.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Every model, and which ones rule; what each placement that learns online knows of its arms."""
    found, learners = in_house(_status)
    if placement is not None:
        found = sorted((m for m in found if m["placement"] == placement), key=lambda m: str(m["trained_at"]))[-1:]
    if as_json:
        output.emit_json(found)
        return
    rows = [
        (
            m["placement"],
            str(m["digest"])[:19],
            m["rows"],
            str(m["trained_at"])[:16],
            "rules" if m["active"] else "held",
        )
        for m in found
    ]
    output.table("Models", ("placement", "model", "decisions", "trained", ""), rows)
    learn_online.show(learners, placement)
    if placement is not None and found:
        _judgement(found[0]["evaluation"])


async def _status(house: "House") -> "tuple[list[dict[str, Kept]], list[LearnerStatus]]":
    return await house.learning.status(), await house.learning.learners.status()


def gate(
    log: LogFile,
    arm: Annotated[str, typer.Option(help="Column of the arm.")],
    reward: Annotated[str, typer.Option(help="Column of the reward.")],
    propensity: Annotated[str, typer.Option(help="Column of the arm's probability, or one number.")],
    features: Annotated[str, typer.Option(help="Feature columns, separated by commas.")],
    folds: Annotated[int, typer.Option(min=2)] = 5,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    current: Annotated[
        str | None, typer.Option(help="The policy in production: uniform, arm:NAME or probs:FILE.parquet.")
    ] = None,
    as_json: Json = True,  # noqa: ARG001 - its output is JSON in any case
) -> None:
    """Would a ranker learned from this log be promoted?

    Needs no store and no configuration.
    """
    from orchestration.learning.gate import learn_gate

    output.emit_json(
        learn_gate(
            log,
            arm=arm,
            reward=reward,
            propensity=propensity,
            features=_names(features),
            fold_count=folds,
            repeats=repeats,
            seed=seed,
            current=current,
        )
    )


def evaluate_log(
    log: LogFile,
    arm: Annotated[str, typer.Option(help="Column of the arm.")],
    reward: Annotated[str, typer.Option(help="Column of the reward.")],
    propensity: Annotated[str, typer.Option(help="Column of the arm's probability, or one number.")],
    policy: Annotated[str, typer.Option(help="uniform, arm:NAME, probs:FILE.parquet or ranker.")],
    features: Annotated[str, typer.Option(help="Feature columns, separated by commas.")] = "",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    against: Annotated[
        str | None, typer.Option(help="A second policy: the paired difference is estimated too.")
    ] = None,
    as_json: Json = True,  # noqa: ARG001 - its output is JSON in any case
) -> None:
    """What another policy would have earned on a log.

    IPS, SNIPS and DR with 95 % intervals, or a refusal where the log cannot tell. The difference to a second policy is paired: narrower than two intervals.
    """
    from orchestration.learning.evaluation import evaluate_log as judge

    output.emit_json(
        judge(
            log,
            arm=arm,
            reward=reward,
            propensity=propensity,
            features=_names(features),
            policy=policy,
            seed=seed,
            against=against,
        )
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _judgement(judged: object) -> None:
    rows = []
    plain = output.plain(judged)
    for name, word in plain.items():
        if isinstance(word, dict) and "low" in word:
            rows.append(
                (
                    name.replace("_", " "),
                    word.get("decision", ""),
                    f"{word.get('diff', word.get('value', 0)):+.4f}",
                    f"{word['low']:+.4f}",
                    f"{word['high']:+.4f}",
                )
            )
    output.table(f"Gate: {plain.get('decision', '')}", ("compared", "word", "difference", "low", "high"), rows)
