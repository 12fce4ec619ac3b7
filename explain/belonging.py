"""By what a person's rows are found: every id that she was ever known by, and the keys of her records.

Enters: a live person, the identity graph. Leaves: ids and keys for the stores. A row carries the id she had when it was written and the key of a record of hers: ids are retired by merges and
made by splits, keys move with the records.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from identity.names import names, owners
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import GraphVersion, KeyId, PersonId


@dataclass(frozen=True, slots=True)
class Whose:
    """``people``: ids; ``keys``: of records and identifiers that are hers alone."""

    people: tuple[PersonId, ...]
    keys: tuple[KeyId, ...]

    def slots(self) -> dict[str, Sequence[str]]:
        """What `HERS` asks for."""
        return {"people": list(self.people), "keys": list(self.keys)}


HERS: Final[LiteralString] = "(person = ANY(%(people)s) OR key_id = ANY(%(keys)s))"
"""In every table of this room that has rows of people."""


async def whose(conn: Conn, identity: Identity | None, person: PersonId, *, alone: bool) -> Whose:
    """`alone`: without ids under which records of others stood too: what is noted there is told to nobody, and is erased with the first of them."""
    if identity is None:
        return Whose((person,), ())
    held = (await identity.members(conn, [person])).get(person)
    known = (await names(conn, [person]))[person]
    return Whose(known.alone if alone else tuple(known.every), held.key_ids if held is not None else ())


async def hers_alone(conn: Conn, person: PersonId, noted: PersonId | None, at: datetime) -> bool:
    """Whether what was noted under an id at a moment can be nobody else's: no record of another stood under it by then, as people are told apart now."""
    return noted is None or await owners(conn, noted, GraphVersion(0), at) <= {person}
