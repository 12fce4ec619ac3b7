"""Entries as a part of a statement that another room makes: they are written with what they record, in the same round trip.

Enters: acts under living keys. Leaves: their ids, and a `Piece` that writes those of them which the statement keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audit import store
from audit.entries import NewEntry, seal
from audit.errors import SubjectKeyGone
from kernel.clock import Clock
from kernel.db import Piece
from kernel.errors import InvalidInput
from kernel.ids import EntryId, new_id
from kernel.vault import Vault


@dataclass(frozen=True, slots=True)
class Appending:
    """`ids` in the order of the acts. `piece` is a list of common table expressions; it writes the entries whose ids are in the relation it was made for."""

    ids: tuple[EntryId, ...]
    piece: Piece


async def appending(vault: Vault, clock: Clock, entries: Sequence[NewEntry], *, kept: str) -> Appending:
    """Seal the acts. `kept`: a relation of the statement with a column `entry_id`, read once all of it is known.

    Raises:
        SubjectKeyGone, InvalidInput: as `Audit.append`; an entry about nobody goes that way, too.
    """
    keys = await vault.unwrap({entry.key_id for entry in entries if entry.key_id is not None})
    at = clock.now()
    sealed = []
    for entry in entries:
        if entry.key_id is None:
            raise InvalidInput("expected entries under somebody's key, got one under the log's own")
        key = keys.get(entry.key_id)
        if key is None:
            raise SubjectKeyGone(f"expected a living key for the entry, got {entry.key_id}, which was destroyed")
        sealed.append(seal(new_id("ent"), entry, at, key))
    return Appending(tuple(one.entry_id for one in sealed), store.appending(sealed, kept))
