"""`candor identity resolve`: who a profile is that no record holds yet."""

from typing import TYPE_CHECKING, Annotated

import typer

from kernel.errors import InvalidInput
from orchestration.service.cli import output
from orchestration.service.cli.runtime import Json, actor, in_house

if TYPE_CHECKING:
    from identity.identifiers import Identifier
    from identity.meeting import Guess
    from identity.records import TraitValue
    from orchestration.wiring import House


def resolve(
    said: Annotated[list[str], typer.Argument(help="kind:value, for example email:ada@example.org first_name:Ada birth_date:1815-12-10.")],
    as_json: Json = False,
) -> None:  # fmt: skip
    """Who somebody unseen is: a profile against the people who hold any of its identifiers.

    By the live run's weights and guard, without storing anything; provisional, since the next walk judges on everything. The reading is logged.
    """
    found = in_house(lambda house: _ask(house, said))
    if as_json:
        output.emit_json(found.as_json())
        return
    output.facts(
        "Resolved",
        [
            ("person", found.person or ("kept apart by the guard" if found.refused else "nobody, or nobody alone")),
            ("weight", "" if found.weight is None else f"{found.weight:.3f}"),
            ("model", found.model),
        ],
    )
    output.table("Candidates", ("person", "weight"), [(one.person, f"{one.weight:.3f}") for one in found.candidates])


async def _ask(house: "House", said: list[str]) -> "Guess":
    from audit.entries import NewEntry
    from audit.tags import Tag

    identifiers, traits = _parted(said, house.identity.settings.default_region)
    async with house.kernel.db.transaction() as conn:
        found = await house.identity.meeting.guess(conn, identifiers, traits)
        if found.candidates:
            people = [one.person for one in found.candidates]
            entry = NewEntry(Tag.READ_PERSONAL, {"person": people}, {"what": "resolve"}, actor=actor())
            await house.audit.append(conn, [entry])
    return found


def _parted(said: list[str], region: str | None) -> "tuple[list[Identifier], dict[str, TraitValue]]":
    from identity.identifiers import KINDS, Identifier, normalise
    from identity.records import NAMING_KINDS

    identifiers: list[Identifier] = []
    traits: dict[str, TraitValue] = {}
    for one in said:
        kind, _, value = one.partition(":")
        if kind in KINDS and value:
            identifiers.append(Identifier(kind, normalise(kind, value, region=region)))
        elif kind in NAMING_KINDS and value:
            traits[kind] = value
        else:
            raise InvalidInput(
                f"profile: expected kind:value with a kind of {', '.join(sorted(NAMING_KINDS))}, got another",
                remedy="Write for example email:ada@example.org first_name:Ada.",
                code="identity.bad_profile",
            )
    return identifiers, traits
