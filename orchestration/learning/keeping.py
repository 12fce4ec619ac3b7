"""Learning as a keeper: imported decisions, files of training sets and states of learners past their time.

Enters: a term. Leaves: counts. A training set's note, with its digest and number of rows, stays beside the models that name it; the newest file of each placement
stays too, and so does the newest state of each learner. Files and states hold everybody, so holds do not reach them: what they hold is derived, and made again from what is held.
"""

from functools import partial
from pathlib import Path
from typing import Final

from identity.service import Identity
from kernel.db import Conn, after_commit
from kernel.holders import Term
from kernel.ids import IdentifierId, RecordId
from orchestration.learning import keeping_store as store
from orchestration.learning import learned_store


class Keeping:
    """Stands at `Learning.keeping`; implements `kernel.holders.Keeper`."""

    keeps: Final = {
        "imported_decisions": "imported decisions of other systems, since the import",
        "training_files": "files of training sets, since they were made",
        "learned_states": "what a learner that learns online knew at a moment, since then",
    }

    def __init__(self, identity: Identity, folder: Path) -> None:
        self._identity = identity
        self._folder = folder

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many rows, or files that are there."""
        if term.kind == "training_files":
            return len(await self._files(conn, term))
        if term.kind == "learned_states":
            return await learned_store.count_old(conn, term.before)
        return await store.count_logged(conn, term.before, await self._subjects(conn, term))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Remove at most so many."""
        if term.kind == "imported_decisions":
            return await store.drop_logged(conn, term.before, await self._subjects(conn, term), limit)
        if term.kind == "learned_states":
            return await learned_store.drop_old(conn, term.before, limit)
        files = (await self._files(conn, term))[:limit]
        after_commit(conn, partial(_unlink, files))
        return len(files)

    async def _files(self, conn: Conn, term: Term) -> list[Path]:
        paths = [self._folder / file for file in await store.old_files(conn, term.before)]
        return [path for path in paths if path.exists()]

    async def _subjects(self, conn: Conn, term: Term) -> list[RecordId | IdentifierId]:
        members = await self._identity.members(conn, sorted(term.people)) if term.people else {}
        return sorted({*term.records, *(one for held in members.values() for one in held.identifiers)})


async def _unlink(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
