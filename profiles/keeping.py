"""Profiles as a keeper: feature tables past their time, but the newest of each purpose.

Enters: a term. Leaves: counts. A file holds everybody, so holds do not reach it: what it holds is derived, and made again from what is held.
"""

from functools import partial
from pathlib import Path
from typing import Final

from kernel.db import Conn, after_commit
from kernel.holders import Term
from profiles import store
from profiles.store import FeatureTable


class Keeping:
    """Stands at ``Profiles.keeping``; implements ``kernel.holders.Keeper``."""

    keeps: Final = {"feature_files": "files of features, since the moment they are of"}

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many tables."""
        return len(await self._old(conn, term))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Remove at most so many, notes and files."""
        old = (await self._old(conn, term))[:limit]
        await store.drop_tables(conn, [table.file for table in old])
        after_commit(conn, partial(self._unlink, [table.file for table in old]))
        return len(old)

    async def _old(self, conn: Conn, term: Term) -> list[FeatureTable]:
        tables = await store.tables(conn)
        newest = {table.purpose: table.file for table in tables}  # they come oldest first
        return [table for table in tables if table.at < term.before and newest[table.purpose] != table.file]

    async def _unlink(self, files: list[str]) -> None:
        for file in files:
            (self._folder / file).unlink(missing_ok=True)
