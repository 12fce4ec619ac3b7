"""Picks the one person of the flow: known to two sources, reachable at an address that is hers alone, and rightly linked.

Enters: an open house and the world's truth. Leaves: `Chosen`, always the same one for the same world. Her words are those that nobody else in
the world has, so that finding one of them in a store means finding her.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from identity.identifiers import HeldIdentifier
from identity.records import SourceRecord
from identity.why import Why
from kernel.errors import NotFound
from kernel.ids import PersonId
from orchestration.demo.world import World, truth_of_rows
from orchestration.wiring import House


@dataclass(frozen=True, slots=True)
class Chosen:
    """A person, why her records are one, her one address and her words."""

    person: PersonId
    number: int
    records: tuple[SourceRecord, ...]
    why: Why
    email: str
    login: str
    words: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Where her records come from."""
        return tuple(sorted({one.source for one in self.records}))


async def choose(house: House, world: World) -> Chosen:
    """The first person, by number in the world, who fits.

    Raises:
        NotFound: nobody does; take more people or another seed.
    """
    for found in await fitting(house, world, 1):
        return found
    raise NotFound("expected somebody from two sources with an address of her own, got nobody", code="nobody_fits")


async def fitting(house: House, world: World, most: int, among: Collection[PersonId] | None = None) -> list[Chosen]:
    """Up to `most` people who fit, by number in the world, all of them `among` these when some are named."""
    truth = truth_of_rows(world)
    chosen: list[Chosen] = []
    async with house.kernel.db.reading() as conn:
        everyone = await house.identity.people(conn)
        records = await house.identity.records(conn, everyone)
        held = await house.identity.identifiers(conn, everyone)
        members = await house.identity.members(conn, everyone)
        written = Counter(truth.values())
        holders = Counter(one.id for mine in held.values() for one in mine)
        fit: list[tuple[int, PersonId]] = []
        for person in everyone:
            # Records that events made of a bare login have no row in the world.
            rows_of = [truth[r.source, r.source_key] for r in records[person] if (r.source, r.source_key) in truth]
            numbers = set(rows_of)
            mine = held.get(person, [])
            if (
                (among is None or person in among)
                and len(numbers) == 1
                and written[min(numbers)] == len(rows_of)
                and len({r.source for r in records[person]}) == 2
                and not members[person].loose
                and [one.kind for one in mine].count("email") == [one.kind for one in mine].count("login_id") == 1
                and all(holders[one.id] == 1 for one in mine)
            ):
                fit.append((numbers.pop(), person))
        for number, person in sorted(fit):
            rows = tuple(records[person])
            words = _words(world, number, rows, held[person])
            if words is None:
                continue
            first = rows[0]
            other = next(r for r in rows if r.source != first.source)
            why = await house.identity.why(conn, first.id, other.id)
            by_kind = {one.kind: one.value for one in held[person]}
            chosen.append(Chosen(person, number, rows, why, by_kind["email"], by_kind["login_id"], words))
            if len(chosen) == most:
                break
    return chosen


def _words(
    world: World, number: int, rows: tuple[SourceRecord, ...], held: list[HeldIdentifier]
) -> tuple[str, ...] | None:
    """Her contacts, streets and full names; None when one of them is somebody else's too, or stands inside another's."""
    mine = {one.value for one in held if one.kind in {"email", "phone"}}
    for row in rows:
        mine |= {str(row.traits[key]) for key in ("street", "email", "phone") if row.traits.get(key)}
        if row.traits.get("first_name") and row.traits.get("last_name"):
            mine.add(f"{row.traits['first_name']} {row.traits['last_name']}")
    others = "\n".join(
        "\n".join((*row.cells.values(), f"{row.cells['first_name']} {row.cells['last_name']}"))
        for row in world.rows
        if row.truth != number
    ).lower()
    if not any(row.traits.get("street") for row in rows) or any(word.lower() in others for word in mine):
        return None
    return tuple(sorted(mine))
