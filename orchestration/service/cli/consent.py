"""`candor consent …`: may we, what did she say, record a word, take one back."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import consent_decode, consent_link, consent_rules, output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from consent.acts import Notice
    from consent.views import Check, HistoryLine
    from kernel.ids import ActId
    from orchestration.wiring import House

Person = Annotated[str, typer.Argument(help="per_… or kind:value, for example email:ada@example.org.")]
Purpose = Annotated[str, typer.Argument(help="For example marketing.email.")]
Channel = Annotated[str | None, typer.Option(help="email, push or web; every channel when left out.")]

At = Annotated[
    str | None, typer.Option("--at", help="The moment that is asked about, ISO 8601 with its zone; now when left out.")
]
KnownAt = Annotated[
    str | None,
    typer.Option(
        "--known-at",
        help="Only what was recorded by then, ISO 8601 with its zone: acts, the graph of people and the rules of then.",
    ),
]


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("check")(check)
    app.add("history")(history)
    app.add("record")(record)
    app.add("withdraw")(withdraw)
    app.add("notice")(notice)
    app.add("notices")(notices)
    consent_rules.register(app)
    consent_decode.register(app)
    consent_link.register(app)


def check(
    person: Person,
    purpose: Purpose,
    channel: Channel = None,
    at: At = None,
    known_at: KnownAt = None,
    as_json: Json = False,
) -> None:
    """Ask the gate. A no is a result, with its reason."""
    moment, known = _moment("--at", at), _moment("--known-at", known_at)

    async def work(house: "House") -> "Check":
        async with house.kernel.db.reading() as conn:
            who = await (
                house.identity.lookup(conn, person)
                if known is None
                else house.identity.past.lookup(conn, person, known)
            )
            return await house.consent.check(conn, who, purpose, channel, at=moment, known_at=known)

    found = in_house(work)
    shown = found.as_json()
    if as_json:
        output.emit_json(shown)
        return
    output.facts(
        "",
        [
            ("answer", shown["answer"]),
            ("reason", shown["reason"]),
            ("", shown["text"]),
            ("purpose", purpose),
            ("channel", channel or "any"),
            ("person", found.person),
            ("at", shown["at"]),
            ("as known at", shown["known_at"] or "now"),
        ],
    )


def _moment(option: str, given: str | None) -> datetime | None:
    from kernel.errors import InvalidInput

    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - has no zone, so it is refused below
    if moment.utcoffset() is None:
        raise InvalidInput(f"expected {option} as ISO 8601 with a zone, for example 2026-11-21T12:00:00Z, got another")
    return moment


def history(person: Person, as_json: Json = False) -> None:
    """Everything a person said; the reading is logged."""

    async def work(house: "House") -> "list[HistoryLine]":
        from audit.entries import NewEntry
        from audit.tags import Tag

        async with house.kernel.db.transaction() as conn:
            found = await house.identity.lookup(conn, person)
            await house.audit.append(
                conn, [NewEntry(Tag.READ_PERSONAL, {"person": found}, {"what": "consents"}, actor=actor())]
            )
            return await house.consent.history(conn, found)

    lines = in_house(work)
    if as_json:
        output.emit_json([line.as_json() for line in lines])
        return
    rows = [
        (f"{line.act.given_at:%Y-%m-%d %H:%M}", line.act.purpose, line.act.channel or "any", line.act.status, line.act.mechanism,
         line.act.notice.version if line.act.notice else "none", line.act.id)
        for line in lines
    ]  # fmt: skip
    output.table("Consent acts", ("given", "purpose", "channel", "status", "how", "notice", "act"), rows)


def record(
    person: Person,
    purpose: Purpose,
    status: Annotated[str, typer.Option(help="granted or denied.")],
    notice_text: Annotated[str | None, typer.Option(help="The words she was shown; needed for granted.")] = None,
    notice_version: Annotated[str | None, typer.Option(help="The version of those words; needed for granted.")] = None,
    mechanism: Annotated[str, typer.Option(help="How she said it: call, letter, form …")] = "officer",
    channel: Channel = None,
) -> None:
    """Record a word that a person gave to a member of staff."""

    async def work(house: "House") -> "list[ActId]":
        from consent.staff import Desk, Word

        word = Word(
            purpose=purpose,
            status=status,
            channel=channel,
            mechanism=mechanism,
            notice_text=notice_text,
            notice_version=notice_version,
        )
        async with house.kernel.db.transaction() as conn:
            return await Desk(house.consent, house.identity, house.kernel.clock).record(
                conn, person, word, actor=actor()
            )

    output.say(f"recorded: {', '.join(in_house(work))}")


def withdraw(person: Person, purpose: Purpose, channel: Channel = None) -> None:
    """Take a consent back on every contact of a person, now."""

    async def work(house: "House") -> "list[ActId]":
        from consent.staff import Desk

        async with house.kernel.db.transaction() as conn:
            return await Desk(house.consent, house.identity, house.kernel.clock).withdraw(
                conn, person, purpose, channel, actor=actor()
            )

    made = in_house(work)
    output.say(f"withdrawn: {', '.join(made)}" if made else "it was off already; nothing to do.")


def notice(
    version: Annotated[str, typer.Argument(help="The name under which pages and forms refer to the words.")],
    text: Annotated[str, typer.Option(help="The words that people are shown when they are asked.")],
    lists: Annotated[list[str], typer.Option(help="A purpose that the words name; repeatable.")],
    language: Annotated[str, typer.Option(help="Language of the words.")] = "en",
) -> None:
    """Publish the words of a notice: a yes that a visitor gives on a page must name one."""

    async def work(house: "House") -> str:
        from consent.visitors import announce

        async with house.kernel.db.transaction() as conn:
            made = await announce(
                conn, house.consent, house.audit, text, version=version, language=language, lists=lists, actor=actor()
            )
        return made.text_hash

    output.say(f"published: {version} ({in_house(work)})")


def notices(as_json: Json = False) -> None:
    """Every notice that was published: version, language, what it lists, and the digest that acts carry."""

    async def work(house: "House") -> "list[Notice]":
        from consent.visitors import published

        async with house.kernel.db.reading() as conn:
            return await published(conn)

    found = in_house(work)
    if as_json:
        output.emit_json(found)
        return
    rows = [(one.version, one.language, ", ".join(sorted(one.listed)), one.text_hash) for one in found]
    output.table("Notices", ("version", "language", "lists", "digest of the words"), rows)
