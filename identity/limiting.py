"""Limits kept when people change: which links count is worked out anew, and whoever remembers who holds an identifier is told (identity.I12).

Enters: people whose records changed, in the transaction that changed them. Leaves: their links beyond a limit, demoted; the rule is in ``limits``.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from identity import limits_store, store
from identity.hot_index import HotIndex
from identity.settings import IdentitySettings
from kernel.db import Conn, after_commit
from kernel.ids import PersonId, RecordId

if TYPE_CHECKING:  # the linkage engine brings Arrow, which has no place on the API's start path
    from identity.bounds import Bounds

Tell = Callable[[Conn, Sequence[PersonId]], Awaitable[None]]


class Limiting:
    """Stands at ``Identity.limiting``."""

    def __init__(self, settings: Callable[[], IdentitySettings], hot: HotIndex) -> None:
        self._settings = settings
        self._hot = hot

    def then(self, tell: Tell) -> Tell:
        """Renew what counts of these people, then tell."""

        async def told(conn: Conn, people: Sequence[PersonId]) -> None:
            await self.forget(conn, await limits_store.renew(conn, self._settings().limited, people))
            await tell(conn, people)

        return told

    async def forget(self, conn: Conn, records: Sequence[RecordId]) -> None:
        """Links of these records count now, or no more."""
        if records:
            after_commit(conn, partial(self._hot.forget, await store.indexes_of(conn, records)))

    async def bounds(self, conn: Conn, records: Sequence[RecordId]) -> "Bounds":
        """What the rows of a linkage table hold of limited kinds; ``records``: whose each row is."""
        from identity.bounds import Bounds

        settings = self._settings()
        place = {record: row for row, record in enumerate(records)}
        kinds = [*settings.limits, *settings.joining_kinds] if settings.limits else []
        links = await limits_store.everybody(conn, kinds)
        return Bounds.of(
            settings.limited,
            settings.joining_kinds,
            ((place[record], kind, value, at.timestamp()) for record, kind, value, at in links if record in place),
        )

    async def over(self, conn: Conn) -> list[PersonId]:
        """People of whom more links count than a limit allows; there should be none."""
        return await limits_store.over(conn, self._settings().limited)
