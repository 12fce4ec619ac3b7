"""`candor identity merge|unmerge|split|pin|questions|answer|…`: what staff decide about who is who. Without --yes an act is only shown."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from collections.abc import Sequence

    from identity.feed_store import Line
    from identity.impact import Holding, Preview
    from identity.judgements import Judgement
    from identity.queue import Asked
    from identity.regrouping import Acted
    from identity.wishes import Wish
    from orchestration.wiring import House

Word = TypeVar("Word", bound=StrEnum)
Person = Annotated[str, typer.Argument(help="per_… or kind:value.")]
Record = Annotated[str, typer.Argument(help="A record (rec_…).")]
Why = Annotated[
    str,
    typer.Option(
        "--reason",
        help="asked, document, duplicate, shared_contact, shared_device, household, namesake, mistake or looked.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this it is only shown what it would touch.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what it would touch, whatever else is said.")]


def register(app: Commands) -> None:
    """Add the commands to the group `identity`."""
    app.add("merge")(merge)
    app.add("unmerge")(unmerge)
    app.add("split")(split)
    app.add("pin")(pin)
    app.add("questions")(questions)
    app.add("answer")(answer)
    app.add("judgements")(judgements)
    app.add("revoke")(revoke)
    app.add("changes")(changes)


def merge(
    person: Person, other: Person, reason: Why = "looked", yes: Yes = False, dry_run: DryRun = False, as_json: Json = False
) -> None:  # fmt: skip
    """Two people are one: the older id stays, the other redirects to it.

    Shows what every room holds for them before and after; --yes does it. Exit code 1 when they hold two values of a unique identifier.
    """
    _run(_wish("merge", [person, other], [], reason), yes=yes and not dry_run, as_json=as_json)


def unmerge(
    person: Person, reason: Why = "mistake", yes: Yes = False, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Take a merge back, made by staff or by a run: that of a retired id, or the newest one of a live person.

    Everybody gets back what was hers; what came since goes where the evidence says.
    """
    _run(_wish("unmerge", [person], [], reason), yes=yes and not dry_run, as_json=as_json)


def split(
    person: Person,
    records: Annotated[list[str], typer.Argument(help="Records of hers that are somebody else's (rec_…).")],
    reason: Why = "looked",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Some records of a person are another's: the larger part keeps the id."""
    _run(_wish("split", [person], records, reason), yes=yes and not dry_run, as_json=as_json)


def pin(
    record: Record,
    person: Person,
    reason: Why = "looked",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """A record is this person's, whatever a run finds."""
    _run(_wish("pin", [person], [record], reason), yes=yes and not dry_run, as_json=as_json)


def questions(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 20, as_json: Json = False
) -> None:
    """Pairs of records whose answer would put most right, those in dispute first."""

    async def read(house: "House") -> "Sequence[Asked]":
        async with house.kernel.db.reading() as conn:
            return await house.identity.judging.questions(conn, limit)

    found = in_house(read)
    if as_json:
        output.emit_json([one.as_json() for one in found])
        return
    rows = [
        (one.question.a, one.question.b, "one" if one.question.one else "two", one.question.cause or "faint", f"{one.question.weight:.2f}",
         f"{one.question.left} + {one.question.right}", f"{one.value:.1f}", ", ".join(f"{a.verdict} ({a.actor})" for a in one.answers) or "none")
        for one in found
    ]  # fmt: skip
    output.table(
        "Questions",
        ("record", "record", "people now", "why", "bits", "records on either side", "value", "answers"),
        rows,
    )


def answer(
    a: Record,
    b: Record,
    verdict: Annotated[str, typer.Argument(help="positive (one person), negative (two) or unsure.")],
    reason: Why = "looked",
    as_json: Json = False,
) -> None:
    """Say whether two records are one person's. People are merged or parted at once; where reviewers disagree nobody moves."""
    from identity.judgements import Reason, Verdict
    from identity.regrouping import By
    from kernel.ids import RecordId

    said, by = _word(Verdict, verdict, "VERDICT"), By(actor(), _word(Reason, reason, "--reason"))

    async def work(house: "House") -> "Acted":
        async with house.kernel.db.transaction() as conn:
            return await house.identity.judging.answer(conn, RecordId(a), RecordId(b), said, by)

    _done(in_house(work), as_json=as_json)


def judgements(person: Person, as_json: Json = False) -> None:
    """What staff decided about a person's records, the newest first."""

    async def read(house: "House") -> "list[Judgement]":
        async with house.kernel.db.reading() as conn:
            return await house.identity.judging.about(conn, await house.identity.lookup(conn, person))

    found = in_house(read)
    if as_json:
        output.emit_json(found)
        return
    rows = [
        (one.id, one.act.value, one.verdict.value, f"{len(one.left)} / {len(one.right)}", one.actor, one.reason.value,
         f"{one.at:%Y-%m-%d %H:%M}", "yes" if one.revoked_by is None else f"taken back by {one.revoked_by}")
        for one in found
    ]  # fmt: skip
    output.table("Judgements", ("id", "act", "verdict", "records", "actor", "reason", "at", "stands"), rows)


def revoke(
    judgement: Annotated[str, typer.Argument(help="A judgement, or an act for all of it (jdg_…).")],
    reason: Why = "mistake",
    as_json: Json = False,
) -> None:
    """Take a judgement back. Nobody moves now; from the next run on the evidence decides."""
    from identity.judgements import Reason
    from identity.regrouping import By

    by = By(actor(), _word(Reason, reason, "--reason"))

    async def work(house: "House") -> "Acted":
        async with house.kernel.db.transaction() as conn:
            return await house.identity.judging.revoke(conn, judgement, by)

    _done(in_house(work), as_json=as_json)


def changes(
    after: Annotated[int, typer.Option("--after", min=0, help="The offset that was read last.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many lines.")] = 100,
    as_json: Json = False,
) -> None:
    """Moves of records between people, each once, in the order of commits, with their cause."""

    async def read(house: "House") -> "list[Line]":
        async with house.kernel.db.reading() as conn:
            return await house.identity.judging.feed(conn, after, limit)

    found = in_house(read)
    if as_json:
        output.emit_json([one.as_json() for one in found])
        return
    rows = [
        (one.offset, one.version, one.change.kind, one.cause, one.change.person, one.change.other or "", len(one.change.records))
        for one in found
    ]  # fmt: skip
    output.table("Changes", ("offset", "graph version", "what", "cause", "from", "to", "records"), rows)


def _wish(act: str, people: list[str], records: list[str], reason: str) -> "Wish":
    from identity.judgements import Act, Reason
    from identity.wishes import Wish
    from kernel.ids import RecordId

    return Wish(Act(act), tuple(people), tuple(map(RecordId, records)), _word(Reason, reason, "--reason"))


def _run(wish: "Wish", *, yes: bool, as_json: bool) -> None:
    from identity.wishes import foresee, fulfil

    async def work(house: "House") -> "tuple[Preview, Acted | None]":
        async with house.kernel.db.transaction() as conn:
            seen = await foresee(house.identity, conn, wish, actor())
            return seen, await fulfil(house.identity, conn, wish, actor()) if yes else None

    seen, done = in_house(work)
    if done is not None:
        _done(done, as_json=as_json)
        return
    if as_json:
        output.emit_json(seen.as_json())
    elif seen.acted.refused is None:
        names = sorted({name for one in (*seen.before, *seen.after) for name in one.things})
        rows = [*_lines("before", seen.before, names), *_lines("after", seen.after, names)]
        output.table(f"{wish.act.value} would move {seen.moves} records", ("", "person", "records", *names), rows)
        output.say("Nothing was changed. Add --yes to do it.")
    _refused(seen.acted, as_json=as_json)


def _lines(when: str, held: "Sequence[Holding]", names: list[str]) -> list[tuple[object, ...]]:
    return [
        (when, one.person or "somebody new", one.records, *(one.things.get(name, 0) for name in names)) for one in held
    ]


def _done(done: "Acted", *, as_json: bool) -> None:
    if as_json:
        output.emit_json(done.as_json())
    elif done.refused is None:
        moved = [f"{one.person} {one.kind} {one.other}, {len(one.records)} records" for one in done.changes]
        output.facts(
            "Done",
            [
                ("judgement", done.act_id),
                ("people", ", ".join(done.people) or "as before"),
                ("moved", "; ".join(moved) or "nobody"),
            ],
        )
    _refused(done, as_json=as_json)


def _refused(done: "Acted", *, as_json: bool) -> None:
    if done.refused is None:
        return
    if not as_json:
        output.say(f"refused: {done.refused}. Nothing was changed.")
    raise typer.Exit(1)


def _word(kind: type[Word], said: str, where: str) -> Word:
    from kernel.errors import InvalidInput

    try:
        return kind(said)
    except ValueError:
        raise InvalidInput(
            f"{where}: expected one of {', '.join(kind)}, got another word",
            code="unknown_word",
            remedy="Free words are not taken: they would hold names sooner or later.",
        ) from None
