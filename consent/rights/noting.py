"""The log's entries on subject requests. Enters: a request, what happened, who did it. Leaves: an entry that names ids and codes only."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from audit.entries import NewEntry

if TYPE_CHECKING:
    from audit.service import Audit
    from audit.tags import Tag
    from consent.lifecycle import Request
    from kernel.canonical import Json
    from kernel.db import Conn


async def note(
    conn: "Conn", audit: "Audit", tag: "Tag", request: "Request", actor: str, facts: "Mapping[str, Json]"
) -> None:
    """In the transaction of what it records."""
    refs = {"request": request.id, "person": request.person}
    await audit.append(conn, [NewEntry(tag, refs, facts, actor=actor)])
