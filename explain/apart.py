"""Whose facts a kept explanation rests on, as the graph of people is now (explain.E11).

Enters: the facts of a decision, the identity graph. Leaves: whether somebody else than whoever gets the link was taken for her when it was decided. Such a decision rests on records of
both, whichever procedure ruled: what a model weighed, a group, a cap, a word against a message. Once they are told apart, neither page may say what the other one did. What the explanation
names is not enough to go by: of several records behind a feature it knows the newest, and rules and groups name none. Records that are gone are of whoever had them last.
"""

from explain.facts import DecisionFacts
from identity.names import owners
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId


async def mixed(conn: Conn, identity: Identity, facts: DecisionFacts) -> bool:
    """Whether the decision rests on somebody else than the reader, who holds the contact that the message went to."""
    named = sorted({one.record_id for feature in facts.features for one in feature.provenance if one.record_id})
    contact = [facts.identifier_id] if facts.identifier_id is not None else []
    found = await identity.subjects(conn, [*contact, *named])
    living = {person for one in found.values() for person in one.people}
    if facts.person is None:
        return True
    since = await owners(conn, facts.person, GraphVersion(facts.graph_version), facts.at)
    # An id that was retired may lead to somebody whom she was taken for in between: whoever has what stood under it is meant.
    meant = next(iter(since)) if len(since) == 1 else facts.person
    # Whoever holds something now is nobody else by now; only for who holds nothing of it must be asked.
    decided = meant if meant in living else (await identity.current(conn, [meant])).get(meant)
    holders: set[PersonId | None] = set(found[contact[0]].people) if contact and contact[0] in found else set()
    holders = holders or {decided}
    # Several people may share a contact: then it is for the one who was decided for, if she is among them.
    reader = next(iter(holders)) if len(holders) == 1 else decided
    if reader is None or reader not in holders or reader != decided:
        return True
    behind = {person for record in named if record in found for person in found[record].people}
    return not (behind | since) <= {reader}
