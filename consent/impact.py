"""Consent as a counter of impact: how many acts a change of people would concern.

Enters: people, live. Leaves: the number of acts on their records and identifiers; an act on a contact that two of them share counts once.
"""

from collections.abc import Mapping, Sequence

from consent import impact_store
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import PersonId


class Impact:
    """Implements `kernel.holders.ImpactCounter`."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """Acts that bear on these people."""
        held = (await self._identity.members(conn, people)).values()
        subjects = {one for membership in held for one in (*membership.records, *membership.identifiers)}
        return {"consent_acts": await impact_store.acts(conn, sorted(subjects))}
