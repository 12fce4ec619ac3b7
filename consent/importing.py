"""Rows of a file that say what is said already: found before anything is stored, so that a file that is read again adds nothing.

Enters: the acts that rows would become, told at ``now`` where a row has no time. Leaves: for each the act to store, or the id of the one that says the same. What has a time and came as an import
the table itself holds to one row (``acts_imported_once``); here is the rest: a no that keeps the rank of how it was said, and whatever has no time.
"""

from collections.abc import Sequence
from datetime import datetime

from consent import imports, store
from consent.acts import IMPORT, NewAct
from consent.precedence import Rules
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import ActId

Answer = ActId | InvalidInput | NewAct


async def without_known(conn: Conn, answers: Sequence[Answer], rules: Rules, now: datetime) -> list[Answer]:
    """The same answers, an act that is stored already by its id. Nobody else says anything of these subjects until the transaction ends."""
    loose = {one for one in answers if isinstance(one, NewAct) and (one.given_at == now or one.mechanism != IMPORT)}
    if not loose:
        return list(answers)
    subjects = sorted({one.subject for one in loose})
    await store.lock_subjects(conn, subjects)
    said = await store.views(conn, subjects)
    known = {
        one: imports.same_as(one, said.get(one.subject, ()), timed=one.given_at != now, rules=rules, now=now)
        for one in loose
    }
    return [known.get(one) or one if isinstance(one, NewAct) else one for one in answers]
