"""Dead letters: rejected items, sealed, that may pass once a limit, a source or a line of code was corrected.

What enters: letters from the store. What leaves: a report. An item that passes is stored and its letter dropped in one
transaction, so a replay that is killed neither loses nor doubles anything; its key is destroyed afterwards.
"""

from collections import Counter
from datetime import datetime
from typing import cast

import orjson

from events import store
from events.arrivals import arrive
from events.calls import Limits
from events.ingest import Ingest
from events.log import CollectContext, Reject, ReplayReport, Source
from events.store import Letter
from kernel.canonical import Json
from kernel.kernel import Kernel
from kernel.vault import SubjectKey


async def replay(
    kernel: Kernel, ingest: Ingest, sources: dict[str, Source], limits: Limits, *, source: str | None, limit: int
) -> ReplayReport:
    """Up to ``limit`` letters, oldest first, through the same checks and the same gate."""
    counts: Counter[str] = Counter()
    async with kernel.db.reading() as conn:
        letters = await store.letters(conn, source, 0, limit)
    keys = await kernel.vault.unwrap([letter.key_id for letter in letters])
    for letter in letters:
        key, declared = keys.get(letter.key_id), sources.get(letter.source)
        if declared is None:
            counts["rejected"] += 1
            continue
        async with kernel.db.transaction() as conn:
            if key is not None:
                item, context = _opened(letter, key)
                arrival = arrive(item, declared, context, letter.received_at, vault=kernel.vault, limits=limits)
                if isinstance(arrival, Reject):
                    counts["rejected"] += 1
                    continue
                counts[(await ingest.take(conn, [arrival]))[0]] += 1
            await store.drop_letters(conn, [letter.letter_id])
        await kernel.vault.destroy([letter.key_id])
    return ReplayReport(counts["accepted"], counts["duplicate"], counts["rejected"], counts["filtered"])


def _opened(letter: Letter, key: SubjectKey) -> tuple[Json, CollectContext]:
    kept = orjson.loads(key.open("events.dead_letters", "words", letter.key_id, letter.words))
    sent_at = kept["sentAt"]
    context = CollectContext(
        source=letter.source,
        received_at=letter.received_at,
        sent_at=datetime.fromisoformat(sent_at) if sent_at is not None else None,
        kind=kept["kind"],
        gpc=kept["gpc"],
        browser=kept["browser"],
    )
    return cast("Json", kept["item"]), context
