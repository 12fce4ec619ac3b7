"""`candor experiment …`: compare what two groups of people are shown; let a new model reach everybody step by step."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from orchestration.learning.experiment_store import Step
    from orchestration.learning.experiments import Standing
    from orchestration.learning.judging import Report
    from orchestration.learning.planning import Plan
    from orchestration.learning.rollout import Round

Name = Annotated[str, typer.Argument(help="An experiment.")]


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("check")(check)
    app.add("start")(start)
    app.add("ramp")(ramp)
    app.add("status")(status)
    app.add("stop")(stop)
    app.add("watch")(watch)


def check(
    file: Annotated[Path, typer.Argument(help="An experiment's file (YAML).")],
    base: Annotated[float | None, typer.Option(min=1e-6, max=0.999999, help="Share of people with the outcome now; tells sizes.")] = None,
    a_day: Annotated[float | None, typer.Option("--people-a-day", min=0.001, help="New people a day at the placement; tells days.")] = None,
    here: Annotated[bool, typer.Option("--here", help="Take both from the last 28 days of this house.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Check a file, and how large it must be: people, days, the smallest effect that it can show.

    Starts nothing. Needs a store only with --here. Sizes are those of a share of people with the outcome, and allow for looking all the time.
    """
    from orchestration.learning.experiment import parse
    from orchestration.learning.planning import plan

    made = parse(output.existing(file, "an experiment's file").read_text(encoding="utf-8"))
    if here:
        seen = in_house(lambda house: house.learning.experiments.present(made))
        base, a_day = base or seen[0] or None, a_day or seen[1] or None
    found = plan(made, base, a_day) if base is not None else None
    if as_json:
        output.emit_json({**made.document(), "plan": None if found is None else found.to_json()})
        return
    output.say(f"{made.name}: {', '.join(arm.name for arm in made.arms)} at {made.placement}, by {made.primary}.")
    if found is not None:
        _plan(found)
    elif here:
        output.say("Nobody of the last 28 days had the outcome: name --base and --people-a-day.")


def _plan(found: "Plan") -> None:
    def days(one: float | None) -> str:
        return "" if one is None else f"{one:,.0f}"

    output.facts(
        "The plan",
        [
            ("base", f"{found.base:.2%}"),
            ("people a day", f"{found.a_day:,.1f}" if found.a_day else "not known"),
            ("people an arm", f"{found.planned:,}" + (f", in {days(found.days)} days" if found.days else "")),
            ("smallest seen", f"{100 * found.seen:.2f} points, {found.seen_relative:.1%} of the base"),
        ],
    )
    output.table("To see a lift of", ("relative", "people an arm", "days"), [(f"{one.relative:.0%}", f"{one.people:,}", days(one.days)) for one in found.sizes])  # fmt: skip
    if found.stages:
        rows = [(f"{one.share:.0%}", f"{one.people:,}", days(one.days), f"{one.following:.0%}", f"{one.may_lose:.0%}") for one in found.stages]  # fmt: skip
        output.table("Before a step further", ("share", "people under the new policy", "days", "then", "shown to lose less than"), rows)  # fmt: skip
        output.say("So many people, where the new policy is no worse, in four of five cases; a better one needs fewer, and evidence alone lets it go on.")  # fmt: skip
        if found.until:
            output.say(f"To everybody: about {found.until:,.0f} days. The first steps put little at risk; `stake` and `margin` say how much, `share` where it begins.")  # fmt: skip


def start(file: Annotated[Path, typer.Argument(help="An experiment's file (YAML).")], as_json: Json = False) -> None:
    """Start what a file declares."""
    from orchestration.learning.experiment import parse

    made = parse(output.existing(file, "an experiment's file").read_text(encoding="utf-8"))
    _step(in_house(lambda house: house.learning.experiments.start(made, actor=actor())), as_json=as_json)


def ramp(
    name: Name,
    to: Annotated[
        float | None, typer.Option(help="Share of people; the next of .01, .05, .2, .5, 1 by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Against the evidence, with a reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "",
    as_json: Json = False,
) -> None:
    """Let more people take part.

    Held, and said why, where there is not enough evidence that nothing is lost.
    """
    moved = in_house(
        lambda house: house.learning.experiments.ramp(name, actor=actor(), to=to, force=force, reason=reason)
    )
    if as_json:
        output.emit_json({"step": moved.step, "held": moved.held, "report": moved.report.to_json()})
        return
    output.say(f"{name}: held, {moved.held}." if moved.step is None else f"{name}: {moved.step.share:.0%} of people.")
    show(moved.report)


def status(
    name: Annotated[str | None, typer.Argument(help="An experiment; all by default.")] = None, as_json: Json = False
) -> None:
    """What runs, and what an experiment says now."""
    if name is None:
        found = in_house(lambda house: house.learning.experiments.every())
        if as_json:
            output.emit_json([one.to_json() for one in found])
            return
        output.table("Experiments", ("name", "kind", "placement", "state", "share", "since", "because"), [_line(one) for one in found])  # fmt: skip
        return
    wanted = name
    one = in_house(lambda house: house.learning.experiments.status(wanted))
    if as_json:
        output.emit_json(one.to_json())
        return
    output.table(one.kept.name, ("at", "state", "share", "because", "by"), [(f"{step.at:%Y-%m-%d %H:%M}", step.state, f"{step.share:.0%}", step.reason, step.actor) for step in one.steps])  # fmt: skip
    if one.report is not None:
        show(one.report)


def stop(
    name: Name, reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "stopped", as_json: Json = False
) -> None:
    """End it; from then on nobody is treated by it."""
    _step(in_house(lambda house: house.learning.experiments.stop(name, actor=actor(), reason=reason)), as_json=as_json)


def watch(as_json: Json = False) -> None:
    """Look once at everything that runs, as the server does every few seconds: harm ends it, evidence lets a rollout grow."""
    found: list[Round] = in_house(lambda house: house.learning.rollouts.round())
    if as_json:
        output.emit_json(found)
        return
    output.table("Looked at", ("name", "moved", "share", "because"), [(one.name, one.moved or "", f"{one.share:.0%}", one.reason) for one in found])  # fmt: skip


def show(report: "Report") -> None:
    """Print a look."""
    groups = ", ".join(f"{name} {count:,}" for name, count in report.people.items())
    output.facts(
        f"{report.verdict}: {report.reason}",
        [
            ("people", groups + (f", counted in none {report.mixed}" if report.mixed else "")),
            ("days", f"{report.days:.1f}"),
            ("sample ratio", f"p {report.mismatch.p:.4f}" + (", not divided as declared" if report.mismatch.alarm else "")),
            *[("suspect", f"{one.by} {one.value}: {one.off:+.1%} of {one.n:,}") for one in report.suspects],
        ],
    )  # fmt: skip
    output.table(
        "",
        ("metric", "treated", "control", "difference", "low", "high", "z", "boundary", "smallest seen", ""),
        [
            (
                one.metric.name, f"{one.treated:.4f}", f"{one.control:.4f}", f"{one.look.difference:+.4f}", f"{one.look.low:+.4f}",
                f"{one.look.high:+.4f}", f"{one.look.z:+.2f}", f"{one.look.boundary:.2f}", f"{one.mde:.4f}",
                "harm" if one.harm else "called" if one.called else "",
            )
            for one in report.readings
        ],
    )  # fmt: skip


def _line(one: "Standing") -> tuple[object, ...]:
    kept, last = one.kept, one.last
    return kept.name, kept.kind, kept.placement, last.state, f"{last.share:.0%}", f"{kept.started_at:%Y-%m-%d %H:%M}", last.reason  # fmt: skip


def _step(step: "Step", *, as_json: bool) -> None:
    if as_json:
        output.emit_json(step)
    else:
        output.say(f"{step.name}: {step.state}, {step.share:.0%} of people.")
