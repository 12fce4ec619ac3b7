"""`candor consent link`: a person's own page, for somebody who calls or writes and has no message of ours at hand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from orchestration.wiring import House


@dataclass(frozen=True, slots=True)
class Link:
    """One contact of a person and the address of its page."""

    identifier: str
    kind: str
    url: str


def register(app: Commands) -> None:
    """Add the command to `candor consent`."""
    app.add("link")(link)


def link(
    person: Annotated[
        str, typer.Argument(help="per_… or kind:value; with kind:value only that contact's link is made.")
    ],
    language: Annotated[str, typer.Option(help="Language of the page, en or de; the person's own when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Make the link of a person's preference page; whoever has it may read and change her choices. The making is logged.

    Send it to the contact it is for. Since nobody knows who opens it, a yes to a purpose of double opt-in is still asked about by mail.
    """
    found = in_house(lambda house: links_of(house, person, language=language, by=actor()))
    if as_json:
        output.emit_json(found)
        return
    for one in found:
        output.say(f"{one.kind}: {one.url}")


async def links_of(house: "House", person: str, *, language: str, by: str) -> list[Link]:
    """The links of a person's contacts, or of the one named; an entry says who made them.

    Raises:
        NotFound: nobody is known by this, or she has no contact.
    """
    from audit.entries import NewEntry
    from audit.tags import Tag
    from identity.identifiers import parse_contact
    from kernel.errors import NotFound
    from kernel.ids import is_id

    async with house.kernel.db.transaction() as conn:
        found = await house.identity.lookup(conn, person)
        facts = {"what": "preference link"}
        await house.audit.append(conn, [NewEntry(Tag.READ_PERSONAL, {"person": found}, facts, actor=by)])
        held = (await house.identity.identifiers(conn, [found])).get(found, [])
    only = None if is_id(person, "per") else parse_contact(person, region=house.identity.settings.default_region)
    wanted = [one for one in held if only is None or (one.kind, one.value) == (only.kind, only.value)]
    if not wanted:
        raise NotFound(
            "expected a person with a contact, got one without",
            code="no_contact",
            remedy="Look with `candor identity show`.",
        )
    make = house.channels.links.preferences
    return [Link(one.id, one.kind, make(one.id, language=language)) for one in wanted]
