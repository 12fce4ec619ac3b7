"""The front door of the audit room: append, sequence, prove, open, trace, verify.

Enters: acts to remember, in the caller's transaction. Leaves: ids, checkpoints, proofs, receipts. What it never does: hold
a person's words in a leaf, change or remove a leaf, or sign a tree that does not extend the one it published.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit import keylist, merkle, receipt, store, tiles
from audit.appending import Appending, appending
from audit.checkpoint import SignedCheckpoint
from audit.entries import REDACTED, NewEntry, Opening, Redacted, SealedEntry, read_leaf, seal, unseal
from audit.errors import EntryNotFound, SubjectKeyGone
from audit.keylist import LogKey
from audit.keyring import Keyring
from audit.note import VerifierKey
from audit.published import Published
from audit.receipt import Receipt
from audit.sequencer import Sequencer
from audit.settings import AuditSettings
from audit.store import StoredEntry
from audit.tags import Tag
from audit.tiles import TileName
from audit.verification import Report, Verification
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import CandorError, InvalidInput
from kernel.ids import EntryId, KeyId, new_id
from kernel.kernel import Kernel
from kernel.log import get_logger
from kernel.vault import SubjectKey

_log = get_logger("audit")
_PART = 1000  # entries sealed at a time: about 40 ms of work
HUBS = frozenset(
    {"person", "placement", "policy", "model", "catalogue", "content", "graph", "campaign", "experiment", "source"}
)
"""Kinds of reference that join unrelated acts: lineage shows them but does not walk through them unless asked."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where an entry stands under which checkpoint, and the hashes that prove it."""

    entry_id: EntryId
    leaf_index: int
    leaf: bytes
    proof: tuple[bytes, ...]
    checkpoint: SignedCheckpoint


@dataclass(frozen=True, slots=True)
class LineageEntry:
    """One act on the way: what it was, when, where it stands, what it names."""

    entry_id: EntryId
    tag: str
    at: datetime
    leaf_index: int | None
    refs: Mapping[str, tuple[str, ...]]


class Audit:
    """The log. One per process and event loop."""

    def __init__(self, kernel: Kernel, settings: AuditSettings | None = None) -> None:
        self._kernel = kernel
        self.settings = settings or AuditSettings()
        self.published = Published(kernel.settings.data_dir / "published")
        self._keyring = Keyring(kernel.settings.data_dir / "keys", self.settings.origin)
        self._sequencer = Sequencer(kernel.db, kernel.clock, self._keyring, self.published, self.settings)
        self._own_key: KeyId | None = None

    async def append(self, conn: Conn, entries: Sequence[NewEntry]) -> list[EntryId]:
        """Remember acts in the caller's transaction: they commit with what they record, or not at all.

        Raises:
            SubjectKeyGone: an entry names a destroyed key.
            InvalidInput: a name or reference that might carry a person's words, or a value without canonical form.
        """
        if not entries:
            return []
        own = await self._operational_key(conn)
        keys = await self._kernel.vault.unwrap({entry.key_id or own for entry in entries})
        at = self._kernel.clock.now()

        def sealing(part: Sequence[NewEntry]) -> list[SealedEntry]:
            return [seal(new_id("ent"), entry, at, self._living(keys, entry.key_id or own)) for entry in part]

        if len(entries) <= _PART:
            sealed = sealing(entries)
            await store.insert(conn, sealed)
            return [entry.entry_id for entry in sealed]
        parts = [entries[begin : begin + _PART] for begin in range(0, len(entries), _PART)]
        ids: list[EntryId] = []
        sealed = await asyncio.to_thread(sealing, parts[0])
        for part in [*parts[1:], []]:
            # Postgres writes one part while the next is sealed, and the event loop is never held. Both are waited for
            # even when one fails: the caller rolls back on a connection that nobody else is using.
            ids += [entry.entry_id for entry in sealed]
            written, following = await asyncio.gather(
                store.insert(conn, sealed), asyncio.to_thread(sealing, part), return_exceptions=True
            )
            for outcome in (written, following):
                if isinstance(outcome, BaseException):
                    raise outcome
            sealed = following if isinstance(following, list) else []
        return ids

    async def appending(self, entries: Sequence[NewEntry], *, kept: str) -> Appending:
        """Remember acts in one statement with what they record: see `audit.appending`."""
        return await appending(self._kernel.vault, self._kernel.clock, entries, kept=kept)

    async def sequence(self) -> SignedCheckpoint | None:
        """Take every waiting entry into the tree, sign and publish; the checkpoint that covers them (None: empty log).

        Raises:
            LogFork: the published files and the database disagree; nothing was signed.
        """
        return await self._sequencer.run()

    async def run_sequencer(self, stop: asyncio.Event) -> None:
        """`sequence` every interval until `stop`; a heartbeat entry when nothing else happened for a while.

        A dependency that is down is retried at the next tick. An integrity error is logged every minute and never
        silenced: the log stays unsigned until a person has acted.
        """
        pause = self.settings.interval_seconds
        while not stop.is_set():
            try:
                await self._beat()
                await self.sequence()
                pause = self.settings.interval_seconds
            except CandorError as fault:
                _log.error("sequencer stopped signing", code=fault.code, remedy=fault.remedy)
                pause = min(60.0, pause * 2)
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue

    async def checkpoint(self) -> SignedCheckpoint:
        """The checkpoint last published."""
        shown = await self._sequencer.shown()
        if shown is None:
            raise EntryNotFound("expected a published checkpoint, got an empty log", code="log_empty")
        return shown

    async def republish(self) -> SignedCheckpoint | None:
        """Write the published files anew from the database, after the folder was lost."""
        return await self._sequencer.republish()

    async def rotate_key(self, actor: str) -> VerifierKey:
        """Sign with a new key from the next checkpoint on; the change is itself an entry under the old key's tree."""
        key = (await asyncio.to_thread(self._keyring.rotate)).verifier
        entry = NewEntry(Tag.LOG_KEY_ROTATED, {}, {"vkey": key.text}, actor=actor)
        async with self._kernel.db.transaction() as conn:
            await self.append(conn, [entry])
        return key

    async def revoke_key(self, number: int, reason: str, *, actor: str) -> str:
        """Believe a log key no longer, since somebody else may have it; the new list of keys. A checkpoint under another key follows at once.

        Raises:
            UnknownLogKey: none has this number.
        """
        key = await asyncio.to_thread(self._keyring.revoke, number, self._kernel.clock.now(), reason)
        entry = NewEntry(Tag.LOG_KEY_REVOKED, {}, {"vkey": key.text, "reason": reason}, actor=actor)
        async with self._kernel.db.transaction() as conn:
            await self.append(conn, [entry])
        await self.sequence()
        return await self.key_list()

    async def keys(self) -> dict[int, LogKey]:
        """Every key of the log by number, oldest first; makes the first one when there is none."""
        await asyncio.to_thread(self._keyring.signer)
        return await asyncio.to_thread(self._keyring.states)

    async def key_list(self) -> str:
        """The same as a signed note, for those who verify receipts."""
        keys = await self.keys()
        signers = await asyncio.to_thread(self._keyring.signers)
        return keylist.write(self.settings.origin, list(keys.values()), list(signers.values()))

    async def verifier_keys(self) -> tuple[VerifierKey, ...]:
        """Every key that checkpoints of this log verify under, oldest first; makes the first one when there is none."""
        await asyncio.to_thread(self._keyring.signer)
        return await asyncio.to_thread(self._keyring.verifiers)

    async def inclusion(self, entry_id: str) -> Inclusion:
        """The proof of one entry under the published checkpoint.

        Raises:
            EntryNotFound: no such entry, or its place is not published yet (call `sequence` first).
        """
        async with self._kernel.db.reading() as conn:
            return await self._inclusion(conn, await self._entry(conn, entry_id), await self.checkpoint())

    async def inclusion_at(self, leaf_index: int, size: int | None = None) -> tuple[int, tuple[bytes, ...]]:
        """(size, proof) of the leaf at a place, in the published tree or the one it was at `size`."""
        shown = await self.checkpoint()
        size = shown.size if size is None else size
        if not 0 <= leaf_index < size <= shown.size:
            raise EntryNotFound(f"expected an index below {min(size, shown.size)}, got {leaf_index}")
        async with self._kernel.db.reading() as conn:
            return size, await self._proof(conn, leaf_index, size)

    async def consistency(self, size1: int, size2: int | None = None) -> tuple[int, tuple[bytes, ...]]:
        """(size2, proof) that the tree at `size2` (published by default) extends the tree at `size1`."""
        shown = await self.checkpoint()
        size2 = shown.size if size2 is None else size2
        if not 0 < size1 <= size2 <= shown.size:
            raise InvalidInput(f"expected 0 < size1 <= size2 <= {shown.size}, got {size1} and {size2}")
        ranges = merkle.consistency_ranges(size1, size2)
        async with self._kernel.db.reading() as conn:
            held = await store.tiles(conn, tiles.needed(ranges))
        return size2, tuple(merkle.consistency_proof(size1, size2, tiles.lookup_in(held)))

    async def tile(self, name: TileName) -> bytes | None:
        """The bytes of a published tile or bundle, None when there is none."""
        return await asyncio.to_thread(self.published.read, name)

    async def entries(
        self, *, tag: Tag | None = None, before: str | None = None, limit: int = 100
    ) -> list[StoredEntry]:
        """Entries, newest first, older than the id `before`."""
        async with self._kernel.db.reading() as conn:
            return await store.latest(conn, tag, before, limit)

    async def following(
        self, conn: Conn, tag: Tag, kind: str, *, after: int, limit: int = 1000
    ) -> tuple[int, list[str]]:
        """What acts of a tag name, in the order of the log: a feed that skips nothing, since a place is given only once.

        `after` is the last place seen (-1 at first). Leaves the new last place, and the references of this kind.
        """
        return await store.following(conn, tag, kind, after, limit)

    async def entry(self, entry_id: str) -> StoredEntry:
        """One entry by id; `EntryNotFound`."""
        async with self._kernel.db.reading() as conn:
            return await self._entry(conn, entry_id)

    async def entry_at(self, leaf_index: int) -> StoredEntry:
        """One entry by its place; `EntryNotFound`."""
        async with self._kernel.db.reading() as conn:
            found = await store.entry_at(conn, leaf_index)
        if found is None:
            raise EntryNotFound(f"expected an entry at index {leaf_index}, got none")
        return found

    async def openings(self, entry_id: str) -> dict[str, Opening]:
        """The salts and values that an entry's commitments hold; empty when their key was destroyed."""
        async with self._kernel.db.reading() as conn:
            stored = await self._entry(conn, entry_id)
        return await self._open(stored)

    async def open_entry(self, entry_id: str) -> Mapping[str, Json | Redacted]:
        """The values an entry commits to, by name; `REDACTED` where the key was destroyed."""
        stored = await self.entry(entry_id)
        opened = await self._open(stored)
        names = read_leaf(stored.leaf).commitments
        return {name: opened[name].value if name in opened else REDACTED for name in names}

    async def receipt(
        self, entry_id: str, evidence: Mapping[str, Json], names: Collection[str] | None = None
    ) -> Receipt:
        """The file that proves one entry offline: chosen openings (all by default), evidence, proof, checkpoint.

        Every item of `evidence` must be bound by the entry: the fact (or `ref.…`) of the same name holds its
        `kernel.canonical.digest`. Without openings (the person was erased) evidence is left out too.

        Raises:
            InvalidInput: evidence that the entry does not bind.
            EntryNotFound: no such entry, or not sequenced yet.
        """
        async with self._kernel.db.reading() as conn:
            stored = await self._entry(conn, entry_id)
            opened = await self._open(stored)
            proven = await self._inclusion(conn, stored, await self.checkpoint())
        chosen = {name: opening for name, opening in opened.items() if names is None or name in names}
        keys = await asyncio.to_thread(self._keyring.verifiers)
        return receipt.make(proven.leaf, chosen, evidence if opened else {}, proven.leaf_index, proven.proof,
                            proven.checkpoint, keys)  # fmt: skip

    async def lineage(
        self,
        refs: Sequence[tuple[str, str]],
        *,
        depth: int = 2,
        through: Collection[str] | None = None,
        limit: int = 1000,
    ) -> list[LineageEntry]:
        """The acts that name any of the (kind, ref) pairs, and the acts that share a reference with those, and so on.

        Both directions: from a message back to its sources, from a source record on to every message. `through` are the
        kinds walked through (by default all but `HUBS`); `depth` 1 gives only the acts that name the pairs themselves.
        """
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        asked: set[tuple[str, str]] = set()
        frontier = set(refs)
        async with self._kernel.db.reading() as conn:
            for _ in range(depth):
                if not frontier or len(found) >= limit:
                    break
                asked |= frontier
                ids = [one for one in await store.entries_by_refs(conn, sorted(frontier), limit) if one not in found]
                frontier = set()
                for entry_id in ids[: limit - len(found)]:
                    found[entry_id] = {}
                for entry_id, kind, ref in await store.refs_of(conn, [one for one in ids if one in found]):
                    held = found[entry_id]
                    held[kind] = (*held.get(kind, ()), ref)
                    walk = kind not in HUBS if through is None else kind in through
                    if walk and (kind, ref) not in asked:
                        frontier.add((kind, ref))
            stored = await store.entries(conn, sorted(found))
        return [LineageEntry(one.entry_id, one.tag, one.at, one.leaf_index, found[one.entry_id]) for one in stored]

    async def forget(self, conn: Conn, refs: Sequence[tuple[str, str]]) -> int:
        """Erase look-ups by these (kind, ref) pairs. Leaves stay, and prove as before; the number of look-ups removed."""
        return await store.forget_refs(conn, refs)

    async def verify_log(self, *, openings: bool = True) -> Report:
        """Derive everything anew from the leaves and compare with the database and the published files."""
        return await Verification(self._kernel, self._sequencer, self._keyring, self.published).run(openings=openings)

    async def pending(self) -> int:
        """Entries that wait for a place."""
        async with self._kernel.db.reading() as conn:
            return await store.pending(conn)

    async def standing(self) -> tuple[int, int]:
        """Entries with a place, and entries that wait for one."""
        async with self._kernel.db.reading() as conn:
            return await store.size(conn), await store.pending(conn)

    async def _beat(self) -> None:
        async with self._kernel.db.reading() as conn:
            last = await store.last_checkpoint(conn)
            waiting = await store.pending(conn)
        now = self._kernel.clock.now()
        if waiting or (last is not None and (now - last[1]).total_seconds() < self.settings.heartbeat_seconds):
            return
        async with self._kernel.db.transaction() as conn:
            await self.append(conn, [NewEntry(Tag.LOG_HEARTBEAT, {}, {})])

    async def _operational_key(self, conn: Conn) -> KeyId:
        """The key for entries about nobody.

        On the caller's connection: taking another one here would starve a full pool. Should the caller roll back, the key
        itself lives on in the vault, and this process goes on using it.
        """
        if self._own_key is None:
            found = await store.operational_key(conn)
            if found is None:
                (found,) = await self._kernel.vault.create_keys(1)
                await store.add_operational_key(conn, found, self._kernel.clock.now())
            self._own_key = found
        return self._own_key

    @staticmethod
    def _living(keys: Mapping[KeyId, SubjectKey], key_id: KeyId) -> SubjectKey:
        key = keys.get(key_id)
        if key is None:
            raise SubjectKeyGone(f"expected a living key for the entry, got {key_id}, which was destroyed")
        return key

    async def _open(self, stored: StoredEntry) -> dict[str, Opening]:
        if stored.key_id is None or stored.sealed is None:
            return {}
        key = (await self._kernel.vault.unwrap([stored.key_id])).get(stored.key_id)
        return {} if key is None else unseal(stored.entry_id, stored.sealed, key)

    @staticmethod
    async def _entry(conn: Conn, entry_id: str) -> StoredEntry:
        found = await store.entries(conn, [entry_id])
        if not found:
            raise EntryNotFound("expected an entry of this id, got none")
        return found[0]

    async def _inclusion(self, conn: Conn, stored: StoredEntry, shown: SignedCheckpoint) -> Inclusion:
        index = stored.leaf_index
        if index is None or index >= shown.size:
            raise EntryNotFound("expected the entry to have a published place, got one that still waits for it")
        proof = await self._proof(conn, index, shown.size)
        return Inclusion(stored.entry_id, index, stored.leaf, proof, shown)

    @staticmethod
    async def _proof(conn: Conn, index: int, size: int) -> tuple[bytes, ...]:
        held = await store.tiles(conn, tiles.needed(merkle.inclusion_ranges(index, size)))
        return tuple(merkle.inclusion_proof(index, size, tiles.lookup_in(held)))
