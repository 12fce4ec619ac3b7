"""Subject keys: one data key per source record or identifier, and the sealing of words under it.

What enters: words and their place (table, column, row id). What leaves: AES-256-GCM ciphertext, nonce in front, whose
associated data is (table, column, row id, key id): copied to another place it does not open. Wrapped keys lie in a database
of their own; unwrapped ones only in this process's bounded memory. Destroying a key makes every word under it unreadable.

Between processes: a key destroyed elsewhere is refused here after at most ``key_cache_seconds`` (5 by default): that often the
count of destructions is read, and where it moved every cached key is looked up again before it is used. Within this process a
destroyed key is refused at once, even by those who still hold the cached object.
"""

import asyncio
import hashlib
import hmac
import math
import os
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kernel import keys_store as rows
from kernel.db import Database
from kernel.errors import Conflict, IntegrityError, NotFound
from kernel.ids import KeyId, new_id
from kernel.keys import KEY_BYTES, NONCE_BYTES, FileKeys, KeyEncryptionKeys, KeyInUse, Wrapped
from kernel.keys_ahead import KeysAhead

_CHUNK: Final = 20_000  # keys a COPY: small enough that the event loop is never held for long
_REWRAP: Final = 2_000  # keys a batch: those who destroy keys meanwhile wait for tens of milliseconds


class SealedWordsAltered(IntegrityError):
    """Sealed words do not open in this place: altered, moved from another place, or sealed under another key."""

    code = "sealed_words_altered"
    remedy = "Restore the row from a backup and run `candor audit verify`."


class KeyDestroyed(NotFound):
    """The key was destroyed; what it sealed cannot be read again by anyone."""

    code = "key_destroyed"
    remedy = "Nothing to do: the person was erased."


class KekRetired(Conflict):
    """The key-encryption key was retired between wrapping and storing."""

    code = "kek_retired"
    remedy = "Try again: the next attempt wraps under the key-encryption key that is current now."


class SubjectKey:
    """One unwrapped data key. Its bytes never leave the object; keep the object no longer than the work at hand."""

    __slots__ = ("_cipher", "_suffix", "id")

    def __init__(self, key_id: KeyId, clear: bytes) -> None:
        self.id = key_id
        self._cipher: AESGCM | None = AESGCM(clear)
        self._suffix = key_id.encode()

    def seal(self, table: str, column: str, row: str, words: bytes) -> bytes:
        """Ciphertext of ``words`` for exactly this place: 12-byte nonce, ciphertext, 16-byte tag."""
        cipher = self._cipher
        if cipher is None:
            raise self._gone()
        nonce = os.urandom(NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, words, self._place(table, column, row))

    def open(self, table: str, column: str, row: str, sealed: bytes) -> bytes:
        """The words sealed for exactly this place.

        Raises:
            SealedWordsAltered: they were altered, or sealed for another place or key.
            KeyDestroyed: the key was destroyed while this object was held.
        """
        cipher = self._cipher
        if cipher is None:
            raise self._gone()
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._place(table, column, row))
        except (InvalidTag, ValueError):
            msg = (
                f"expected words sealed for {table}.{column} of {row} under {self.id}, got some that do not open there"
            )
            raise SealedWordsAltered(msg) from None

    def forget(self) -> None:
        """Drop the key: from now on this object neither seals nor opens."""
        self._cipher = None

    def _place(self, table: str, column: str, row: str) -> bytes:
        # Lengths in front, so that no two places share an encoding.
        return f"{len(table)}:{table},{len(column)}:{column},{len(row)}:{row},".encode() + self._suffix

    def _gone(self) -> KeyDestroyed:
        msg = f"expected a living key {self.id}, got a destroyed one"
        return KeyDestroyed(msg)

    def __repr__(self) -> str:
        return f"SubjectKey({self.id})"


class Vault:
    """The keys of the subjects. Safe for many tasks of one event loop; every method that waits may be retried."""

    def __init__(
        self,
        keys_db: Database,
        keks: KeyEncryptionKeys,
        secrets_of: FileKeys,
        *,
        cache_size: int = 20_000,
        cache_seconds: float = 5.0,
    ) -> None:
        self._db = keys_db
        self._keks = keks
        self._secrets = secrets_of
        self._pepper_secrets: dict[str, bytes] = {}
        self._cache: OrderedDict[KeyId, tuple[SubjectKey, float]] = OrderedDict()
        self._cache_size = cache_size
        self._cache_seconds = cache_seconds
        self._destructions = 0
        self._counted: int | None = None  # destructions anywhere, when last looked at
        self._counted_at = -math.inf
        self._trusted_from = -math.inf  # cached keys from before this moment may be gone
        self._counting = asyncio.Lock()
        self._ahead = KeysAhead(self.create_keys)

    async def create_keys(self, count: int) -> list[KeyId]:
        """Make ``count`` keys; they are committed before this returns, so no word is ever sealed under a lost key."""
        made: list[KeyId] = []
        fresh: list[tuple[KeyId, bytes]] = []
        async with self._db.transaction() as conn:
            while len(made) < count:
                fresh = await asyncio.to_thread(_fresh_keys, min(_CHUNK, count - len(made)))
                kek, wrapped = await self._wrap(fresh)
                space = await rows.place(conn, kek)
                if space is None:  # retired between the two; what is current now is another
                    kek, wrapped = await self._wrap(fresh)
                    space = await rows.place(conn, kek)
                if space is None:
                    msg = f"expected a living key-encryption key, got '{kek}', which was retired"
                    raise KekRetired(msg)
                ids = [key_id for key_id, _ in fresh]
                await rows.add(conn, list(zip(ids, wrapped, strict=True)), kek, space)
                made.extend(ids)
        # What was just made is used next: the newest fit into the cache.
        now = time.monotonic()
        for key_id, clear in fresh[-self._cache_size :] if self._cache_size else ():
            self._keep(SubjectKey(key_id, clear), now)
        return made

    async def fresh_keys(self, count: int) -> list[SubjectKey]:
        """Keys that nothing was sealed under yet, unwrapped; few come from a stock that was committed before, so that nobody waits for it."""
        ids = await self._ahead.take(count)
        living = await self.unwrap(ids)
        if len(living) < len(ids):  # the keys database went back to an older state: what was made before is not there
            ids = await self.create_keys(count)
            living = await self.unwrap(ids)
        return [living[key_id] for key_id in ids]

    async def close(self) -> None:
        """Make no more keys ahead, and drop every unwrapped one from memory."""
        await self._ahead.close()
        self.forget_all()

    async def unwrap(self, key_ids: Iterable[KeyId]) -> Mapping[KeyId, SubjectKey]:
        """The living keys among ``key_ids``; one that is absent was destroyed (or never was)."""
        wanted = list(dict.fromkeys(key_ids))
        if wanted:
            await self._count()
        found: dict[KeyId, SubjectKey] = {}
        missing: list[KeyId] = []
        for key_id in wanted:
            held = self._cache.get(key_id)
            if held is not None and held[1] >= self._trusted_from:
                self._cache.move_to_end(key_id)
                found[key_id] = held[0]
            else:
                missing.append(key_id)
        if missing:
            found |= await self._load(missing)
        return found

    async def destroy(self, key_ids: Iterable[KeyId]) -> int:
        """Delete the wrapped keys and forget the unwrapped ones; the number that existed. Committed on return."""
        ids = list(dict.fromkeys(key_ids))
        async with self._db.transaction() as conn:
            gone = await rows.destroy(conn, ids)
        # After the commit, without a pause between: a look-up that saw the rows before notices and asks again.
        self._destructions += 1
        for key_id in ids:
            self._drop(key_id)
        return gone

    async def rewrap(self, limit: int = _REWRAP) -> int:
        """Wrap up to ``limit`` keys anew under the current key-encryption key; the number done. 0 means finished.

        Nothing sealed is touched, nobody is kept out, and one that was cut off goes on where it stopped.
        """
        async with self._db.transaction() as conn:
            found = await rows.wrapped_otherwise(conn, self._keks.current, limit)
            clear = await self._keks.unwrap(found)
            ids = [key_id for key_id, _, _ in found]
            kek, wrapped = await self._wrap(list(zip(ids, clear, strict=True)))
            await rows.rewrap(conn, list(zip(ids, wrapped, strict=True)), kek)
        return len(found)

    async def keks(self) -> Mapping[str, int]:
        """Living keys by the key-encryption key that wrapped them."""
        async with self._db.reading() as conn:
            return await rows.under(conn)

    async def rotate_kek(self) -> str:
        """A new key-encryption key, current from now on; its name. Old keys stay as they are until ``rewrap``."""
        return await self._keks.rotate()

    async def retire_kek(self, name: str) -> None:
        """Destroy a key-encryption key under which no key is left. From then on nothing opens that it wrapped, in any copy anywhere.

        Raises:
            KeyInUse: it is current, or keys are under it.
        """
        if name == self._keks.current:
            msg = f"expected a key that was rotated out, got '{name}', which is current"
            raise KeyInUse(msg)
        async with self._db.transaction() as conn:
            if left := await rows.retire_kek(conn, name):
                msg = f"expected a key-encryption key that wraps nothing, got '{name}' with {left} keys under it"
                raise KeyInUse(msg)
        await self._keks.retire(name)

    def blind_index(self, kind: str, value: str) -> bytes:
        """HMAC-SHA256 of (kind, value) under the current index secret: finds equal values without showing them. 32 bytes."""
        return self.blind_indexes(kind, value)[0]

    def blind_indexes(self, kind: str, value: str) -> tuple[bytes, ...]:
        """The same under every index secret that still counts, the current one first. More than one only while a rotation overlaps."""
        return tuple(index for _, index in self.named_indexes(kind, value))

    def named_indexes(self, kind: str, value: str) -> tuple[tuple[str, bytes], ...]:
        """The same, each with the name of its secret."""
        words = f"{len(kind)}:{kind},{value}".encode()
        return tuple((name, hmac.digest(secret, words, hashlib.sha256)) for name, secret in self._secrets.indexes())

    @property
    def index_names(self) -> tuple[str, ...]:
        """Names of the index secrets, in the order of ``blind_indexes``."""
        return tuple(name for name, _ in self._secrets.indexes())

    def pepper(self, purpose: str, value: str) -> bytes:
        """Another keyed hash for each purpose (suppression, holdout…), unlinkable to the index and to each other."""
        secret = self._pepper_secrets.get(purpose)
        if secret is None:
            secret = self._pepper_secrets[purpose] = self._secrets.derive(f"pepper/{purpose}")
        return hmac.digest(secret, value.encode(), hashlib.sha256)

    def forget_all(self) -> None:
        """Drop every unwrapped key from memory, as at shutdown."""
        for key_id in list(self._cache):
            self._drop(key_id)

    async def _load(self, ids: list[KeyId]) -> dict[KeyId, SubjectKey]:
        while True:
            seen, begun = self._destructions, time.monotonic()
            async with self._db.reading() as conn:
                found_rows = await rows.wrapped(conn, ids)
            known = {key_id: self._cache.get(key_id) for key_id, _, _ in found_rows}
            fresh = [row for row in found_rows if known[row[0]] is None]
            clear = await self._keks.unwrap(fresh)
            if seen == self._destructions:
                break
        found = {row[0]: SubjectKey(row[0], key) for row, key in zip(fresh, clear, strict=True)}
        for key_id in ids:
            if key_id not in known:
                self._drop(key_id)
            elif (held := known[key_id]) is not None:
                found[key_id] = held[0]  # the same key: only its age begins anew
        for key in found.values():
            self._keep(key, begun)  # of what was destroyed since then the count will tell
        return found

    async def _count(self) -> None:
        """See whether keys were destroyed anywhere, at most ``cache_seconds`` after the last look."""
        if time.monotonic() - self._counted_at < self._cache_seconds:
            return
        async with self._counting:
            begun = time.monotonic()
            if begun - self._counted_at < self._cache_seconds:
                return  # somebody else has looked while we waited
            async with self._db.reading() as conn:
                counted = await rows.destructions(conn)
            if counted != self._counted:
                self._counted, self._trusted_from = counted, time.monotonic()
            self._counted_at = begun

    async def _wrap(self, keys: Sequence[tuple[KeyId, bytes]]) -> Wrapped:
        if isinstance(self._keks, FileKeys):
            return await asyncio.to_thread(self._keks.wrap_now, keys)
        return await self._keks.wrap(keys)

    def _keep(self, key: SubjectKey, now: float) -> None:
        self._cache[key.id] = (key, now)
        self._cache.move_to_end(key.id)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)  # pushed out, not destroyed: whoever holds it may finish

    def _drop(self, key_id: KeyId) -> None:
        held = self._cache.pop(key_id, None)
        if held is not None:
            held[0].forget()


def _fresh_keys(count: int) -> list[tuple[KeyId, bytes]]:
    random = os.urandom(KEY_BYTES * count)
    return [(new_id("key"), random[place * KEY_BYTES : (place + 1) * KEY_BYTES]) for place in range(count)]
