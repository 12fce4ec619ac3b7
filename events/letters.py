"""Dead letters: rejected items, sealed, that may pass once a limit, a source or a line of code was corrected.

What enters: letters from the store. What leaves: a report. An item that passes is stored and its letter dropped in one
transaction, so a replay that is killed neither loses nor doubles anything; its key is destroyed afterwards.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final, cast

import orjson

from events import store
from events.arrivals import arrive
from events.calls import Limits
from events.ingest import Ingest
from events.log import CollectContext, Reject, ReplayReport, Source, Status
from events.store import Letter
from kernel.canonical import Json
from kernel.ids import KeyId
from kernel.kernel import Kernel
from kernel.vault import KeyDestroyed, SubjectKey

_PAGE: Final = 500


async def replay(
    kernel: Kernel, ingest: Ingest, sources: dict[str, Source], limits: Limits, *, source: str | None, limit: int
) -> ReplayReport:
    """Every letter once, oldest first, ``limit`` at a time, through the same checks and the same gate."""
    counts: Counter[str] = Counter()
    after = 0
    while True:
        async with kernel.db.reading() as conn:
            letters = await store.letters(conn, source, after, limit)
        keys = await kernel.vault.unwrap([letter.key_id for letter in letters])
        for letter in letters:
            outcome = await _replayed(kernel, ingest, sources.get(letter.source), limits, letter, keys)
            counts.update([outcome] if outcome is not None else [])
        if len(letters) < limit:
            return ReplayReport(counts["accepted"], counts["duplicate"], counts["rejected"], counts["filtered"])
        after = letters[-1].letter_id


async def _replayed(
    kernel: Kernel,
    ingest: Ingest,
    source: Source | None,
    limits: Limits,
    letter: Letter,
    keys: Mapping[KeyId, SubjectKey],
) -> Status | None:
    """What became of one letter; None when it can never be opened again, or somebody else took it meanwhile."""
    if source is None:
        return "rejected"
    arrival = None
    if (key := keys.get(letter.key_id)) is not None:
        with suppress(KeyDestroyed):  # by an erasure, or by whoever replayed it a moment ago
            item, context = _opened(letter, key)
            arrival = arrive(item, source, context, letter.received_at, vault=kernel.vault, limits=limits)
    if isinstance(arrival, Reject):
        return "rejected"
    outcome = None
    async with kernel.db.transaction() as conn:
        # Whoever removes the row owns the letter: of two replays one takes it, and nothing is left to take after an erasure.
        if await store.drop_letters(conn, [letter.letter_id]) and arrival is not None:
            (outcome,) = await ingest.take(conn, [arrival])
    await kernel.vault.destroy([letter.key_id])
    return outcome


async def index(kernel: Kernel, sources: dict[str, Source], limits: Limits) -> int:
    """Give every letter that opens the blind indexes of its identifiers under every secret that counts; how many letters."""
    after, done = 0, 0
    while True:
        async with kernel.db.reading() as conn:
            page = await store.letters(conn, None, after, _PAGE)
        if not page:
            return done
        keys = await kernel.vault.unwrap([letter.key_id for letter in page])
        async with kernel.db.transaction() as conn:
            for letter in page:
                key, declared = keys.get(letter.key_id), sources.get(letter.source)
                if key is None or declared is None:
                    continue
                item, context = _opened(letter, key)
                read = arrive(item, declared, context, letter.received_at, vault=kernel.vault, limits=limits)
                held = [x for i in read.identifiers for x in kernel.vault.blind_indexes(i.kind, i.value)]
                await store.index_letter(conn, letter.letter_id, held)
                done += 1
        after = page[-1].letter_id


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
        user_agent=kept.get("userAgent"),  # letters of earlier versions have none
    )
    return cast("Json", kept["item"]), context
