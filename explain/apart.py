"""Whose facts a kept explanation holds, as the graph of people is now (explain.E11).

Enters: the facts of a decision, the identity graph. Leaves: whether something in them is of somebody else than whoever gets the link. A decision that was made while two people
were taken for one rests on records of both; once they are told apart, neither page may say what the other one did. Records that are gone are nobody's.
"""

from explain.facts import DecisionFacts
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import PersonId


async def mixed(conn: Conn, identity: Identity, facts: DecisionFacts) -> bool:
    """Whether the explanation names what is known of somebody else than the reader, who holds the contact that the message went to."""
    named = sorted({one.record_id for feature in facts.features for one in feature.provenance if one.record_id})
    contact = [facts.identifier_id] if facts.identifier_id is not None else []
    found = await identity.subjects(conn, [*contact, *named])
    decided = await _live(conn, identity, facts.person)
    holders: set[PersonId | None] = set(found[contact[0]].people) if contact and contact[0] in found else set()
    holders = holders or {decided}
    # Several people may share a contact: then it is for the one who was decided for, if she is among them.
    reader = next(iter(holders)) if len(holders) == 1 else decided
    owners = {person for record in named if record in found for person in found[record].people}
    return reader is None or reader not in holders or reader != decided or not owners <= {reader}


async def _live(conn: Conn, identity: Identity, person: PersonId | None) -> PersonId | None:
    return None if person is None else (await identity.current(conn, [person])).get(person)
