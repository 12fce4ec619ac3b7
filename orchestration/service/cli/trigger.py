"""`candor trigger …`: what sets messages off by itself: publish it, look at it, try it, let it rest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from orchestration.triggers.runs import Run, StepTaken
    from orchestration.triggers.service import Fired, Listed
    from orchestration.triggers.working import Rehearsed
    from orchestration.wiring import House

File = Annotated[Path, typer.Argument(help="A triggers file (YAML).")]
Name = Annotated[str, typer.Argument(help="A published trigger.")]
Person = Annotated[str, typer.Option("--person", help="per_… or kind:value, for example email:ada@example.org.")]


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("check")(check)
    app.add("publish")(publish)
    app.add("list")(list_)
    app.add("test")(rehearse)
    app.add("fire")(fire)
    app.add("pause")(pause)
    app.add("resume")(resume)
    app.add("runs")(runs)
    app.add("show")(show)


def check(
    file: File,
    alone: Annotated[bool, typer.Option("--alone", help="Only the file itself; starts no store.")] = False,
    as_json: Json = False,
) -> None:
    """Check a triggers file, line by line, against the catalogue and the segments that rule."""
    text = output.existing(file, "a triggers file").read_text(encoding="utf-8")
    if alone:
        from orchestration.triggers.rules import parse

        rules = parse(text)
    else:
        rules = in_house(lambda house: house.triggers.check(text))
    if as_json:
        output.emit_json({"ok": True, "digest": rules.digest, "triggers": [one.name for one in rules.triggers]})
        return
    output.facts(f"{file.name}: {len(rules.triggers)} triggers, no fault", [(one.name, f"{one.kind} → {one.placement}") for one in rules.triggers])  # fmt: skip


def publish(file: File, as_json: Json = False) -> None:
    """Check a triggers file and let it rule, here and in every running server within a second."""
    text = output.existing(file, "a triggers file").read_text(encoding="utf-8")
    made = in_house(lambda house: house.triggers.publish(text, actor=actor()))
    if as_json:
        output.emit_json(made)
        return
    output.facts(
        f"{made.triggers} triggers rule" if made.changed else f"{made.triggers} triggers rule already",
        [("digest", made.digest)],
    )


def list_(as_json: Json = False) -> None:
    """The triggers that rule, which of them rest, and what became of their runs."""
    found = in_house(lambda house: house.triggers.listed())
    if as_json:
        output.emit_json([_listed(one) for one in found])
        return
    output.table(
        "Triggers",
        ("name", "set off by", "placement", "state", "waiting", "sent", "withheld", "called off", "failed"),
        [
            (
                one.rule.name, one.rule.kind, one.rule.placement, "paused" if one.paused else "live",
                one.runs.get("waiting", 0) + one.runs.get("deciding", 0),
                *(one.runs.get(state, 0) for state in ("sent", "withheld", "called_off", "failed")),
            )
            for one in found
        ],
    )  # fmt: skip


def rehearse(name: Name, person: Person, as_json: Json = False) -> None:
    """What would a trigger do if it were set off for this person now?

    Asks the log, the gate, caps and suppression; writes nothing.
    """
    from orchestration.decision.request import DecisionRequest

    about = DecisionRequest(placement="", person=person, actor=actor())

    async def work(house: "House") -> "Rehearsed":
        return await house.triggers.rehearse(name, about)

    found = in_house(work)
    if as_json:
        output.emit_json(found)
        return
    output.facts(
        f"{name}: {found.outcome.replace('_', ' ')}",
        [
            ("because", found.reason),
            *([("due", f"{found.due_at:%Y-%m-%d %H:%M:%S} UTC")] if found.due_at is not None else []),
            *([("probability", f"{found.propensity:.4f} of this choice")] if found.propensity is not None else []),
        ],
    )


def fire(
    name: Name,
    person: Person,
    key: Annotated[str | None, typer.Option(help="Your name for the cause; told again, it changes nothing.")] = None,
    as_json: Json = False,
) -> None:
    """Set off a trigger whose `when` is api, as POST /v1/triggers/NAME does, and send what is due."""
    from orchestration.decision.request import DecisionRequest

    about = DecisionRequest(placement="", person=person, actor=actor())

    async def work(house: "House") -> "tuple[Fired, list[StepTaken]]":
        made = await house.triggers.fire(name, about, key=key)
        if made.run.delivery_id is not None and not made.repeated:
            await house.channels.dispatch(100)
        return made, await house.triggers.history(made.run.run_id)

    made, history = in_house(work)
    if as_json:
        output.emit_json({**output.plain(made), "history": history})
        return
    _told(made.run, history)


def pause(name: Name, as_json: Json = False) -> None:
    """Let a trigger rest: nothing sets it off, and what waits goes on waiting."""
    _changed(in_house(lambda house: house.triggers.pause(name, actor=actor())), name, "paused", as_json=as_json)


def resume(name: Name, as_json: Json = False) -> None:
    """Let a trigger go on; what became due meanwhile is decided unless its rule calls that too late."""
    _changed(in_house(lambda house: house.triggers.resume(name, actor=actor())), name, "live", as_json=as_json)


def runs(
    name: Annotated[str | None, typer.Argument(help="A trigger; all of them when left out.")] = None,
    person: Annotated[str | None, typer.Option("--person", help="Only runs of this person.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, deciding, sent, withheld, called_off or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")] = 20,
    as_json: Json = False,
) -> None:
    """The newest runs: who was meant, where it stands, and why."""
    from kernel.errors import InvalidInput
    from orchestration.triggers.runs import State

    if state is not None and state not in set(State):
        raise InvalidInput(
            "expected a state of runs, got another word", code="unknown_state", remedy=f"Known are {', '.join(State)}."
        )
    wanted = State(state) if state is not None else None
    found = in_house(lambda house: house.triggers.runs(name, state=wanted, person=person, limit=limit))
    if as_json:
        output.emit_json(found)
        return
    output.table(
        "Runs, newest first",
        ("run", "trigger", "person", "due", "state", "because", "decision"),
        [
            (one.run_id, one.trigger, one.person, f"{one.due_at:%Y-%m-%d %H:%M}", one.state, one.reason, one.decision_id)
            for one in found
        ],
    )  # fmt: skip


def show(run: Annotated[str, typer.Argument(help="A run (trg_…).")], as_json: Json = False) -> None:
    """One run and its history: every step with its reason."""

    async def work(house: "House") -> "tuple[Run, list[StepTaken]]":
        return await house.triggers.run(run), await house.triggers.history(run)

    found, history = in_house(work)
    if as_json:
        output.emit_json({**output.plain(found), "history": history})
        return
    _told(found, history)


def _listed(one: "Listed") -> dict[str, object]:
    return {
        "name": one.rule.name, "kind": one.rule.kind, "placement": one.rule.placement, "paused": one.paused,
        "rule": one.rule.model_dump(mode="json", by_alias=True), "runs": one.runs,
    }  # fmt: skip


def _changed(changed: bool, name: str, now: str, *, as_json: bool) -> None:
    if as_json:
        output.emit_json({"trigger": name, "state": now, "changed": changed})
        return
    output.facts(f"{name} is {now}" if changed else f"{name} was {now} already", [])


def _told(run: "Run", history: "list[StepTaken]") -> None:
    output.facts(
        f"{run.run_id}: {run.state.replace('_', ' ')}",
        [
            ("trigger", run.trigger),
            ("person", run.person or "erased"),
            ("because", run.reason),
            ("due", f"{run.due_at:%Y-%m-%d %H:%M:%S} UTC"),
            *([("decision", run.decision_id)] if run.settled_at is not None else []),
            *([("delivery", run.delivery_id)] if run.delivery_id is not None else []),
        ],
    )
    output.table(
        "Steps", ("at", "state", "because"), [(f"{s.at:%Y-%m-%d %H:%M:%S}", s.state, s.reason) for s in history]
    )
    if run.settled_at is not None and not run.open:
        output.say(f"why: candor why {run.decision_id}")
