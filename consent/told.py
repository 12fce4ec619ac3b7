"""Everything that was said on subjects, as lines: each act with the words of its notice, and what confirmed it or that nothing has.

Enters: subjects, and for the past the moment of knowing. Leaves: ``HistoryLine``s, oldest first. Whether a yes waited for its confirmation is read from the
rules that were in force when it was recorded: what is asked today says nothing of what was asked then.
"""

from collections.abc import Sequence
from datetime import datetime

from consent import confirming_store, store
from consent.acts import ConsentAct, Status
from consent.errors import RulesOfThen
from consent.in_force import Book
from consent.precedence import Rules
from consent.views import HistoryLine
from kernel.db import Conn


class Told:
    """Reads histories; one object serves many requests."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def of(self, conn: Conn, subjects: Sequence[str], *, known_at: datetime | None = None) -> list[HistoryLine]:
        """The lines of these very subjects; ``known_at``: only what was recorded by then, confirmations too."""
        said = [
            act for act in await store.acts_of(conn, subjects) if known_at is None or act.recorded_at <= known_at
        ]  # fmt: skip
        texts = await store.notice_texts(conn, [act.notice.text_hash for act in said if act.notice])
        known = await confirming_store.confirmed(conn, [act.id for act in said])
        answered = {one.pending for one in known.values()}
        unsure = [act for act in said if act.status == Status.GRANTED and not act.verified and act.id not in known]
        then = await self._then(conn, unsure)
        waiting = {act.id for act, rules in zip(unsure, then, strict=True) if _asked(act, rules)}
        return [
            HistoryLine(
                act,
                texts.get(act.notice.text_hash) if act.notice else None,
                confirmed=known.get(act.id),
                answered=act.id in answered,
                pending=act.id in waiting,
            )
            for act in said
        ]

    async def _then(self, conn: Conn, said: Sequence[ConsentAct]) -> list[Rules]:
        """The rules under which each was recorded; those of today where this version cannot read them: a history is worth more than this one word of it."""
        try:
            return await self._book.of_each(conn, [act.recorded_at for act in said])
        except RulesOfThen:
            return [self._book.mine.rules] * len(said)


def _asked(act: ConsentAct, rules: Rules) -> bool:
    """Whether these rules ask for a confirmation of such a yes."""
    return bool(rules.purposes.confirmed_on(act.purpose, act.channel, act.notice.listed if act.notice else ()))
