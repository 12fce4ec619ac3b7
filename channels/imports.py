"""Suppressions from a file: contacts that another system was told never to write to again.

Enters: mapped rows (`what: suppressions`). Leaves: one result a row. Only keyed hashes are kept, so the contact need not be known here,
and it stays silent when it comes later or comes back after an erasure.
"""

from collections.abc import Sequence
from typing import Final

from channels.suppression import EVERY, Suppressions
from events.importer import RowResult
from events.rows import MappedRow
from kernel.db import Conn

_CONTACTS: Final = frozenset({"email", "phone", "device_id", "push"})
_REASON: Final = "imported"


class SuppressionRows:
    """A `RowHandler` of events' importer."""

    def __init__(self, suppressions: Suppressions) -> None:
        self._suppressions = suppressions

    async def apply(self, conn: Conn, rows: Sequence[MappedRow]) -> list[RowResult]:
        """Take a batch. A row without a channel holds on every channel."""
        taken = [row for row in rows if any(one.kind in _CONTACTS for one in row.identifiers)]
        wanted = [
            (row.line, (one, channel or EVERY, reason or _REASON))
            for row in taken
            for channel, reason in [row.suppression or (None, None)]
            for one in row.identifiers
            if one.kind in _CONTACTS
        ]
        actor = f"import:{rows[0].source}" if rows else "import"
        fresh = await self._suppressions.suppress_contacts(conn, [one for _, one in wanted], actor=actor)
        new = {line for (line, _), added in zip(wanted, fresh, strict=True) if added}
        known = {row.line for row in taken}
        return [
            RowResult(row.line, "accepted" if row.line in new else "duplicate")
            if row.line in known
            else RowResult(row.line, "rejected", reason="expected an email, a phone or a device, got none")
            for row in rows
        ]
