"""The one writer of the tree: gives waiting entries their places, signs a checkpoint, publishes.

Enters: entries that committed without a place. Leaves: leaves, tiles and a checkpoint in one transaction, then the same as
files. The lock is held from the first look to the last rename, so any number of processes may call `run`. A crash between
commit and publication leaves the files behind the database, which the next run mends; files *ahead* of the database, or in
disagreement with it, mean a restore or a forgery: then nothing is signed and `LogFork` says what to do.
"""

import asyncio
from collections.abc import AsyncIterator

from audit import checkpoint, merkle, store, tiles
from audit.checkpoint import Checkpoint, SignedCheckpoint
from audit.errors import LogFork
from audit.keyring import Keyring
from audit.published import Published
from audit.settings import AuditSettings
from audit.tiles import TileName
from kernel.clock import Clock
from kernel.db import Conn, Database

_FILES = 64  # tiles or bundles read from Postgres at a time while publishing: at most 16 MiB


class Sequencer:
    """Grows the tree. Safe to call from several processes and tasks at once: they take turns."""

    def __init__(
        self, db: Database, clock: Clock, keyring: Keyring, published: Published, settings: AuditSettings
    ) -> None:
        self._db = db
        self._clock = clock
        self._keyring = keyring
        self._published = published
        self._settings = settings
        self._turn = asyncio.Lock()  # one waiter per process: waiting on Postgres's lock holds a connection

    async def run(self) -> SignedCheckpoint | None:
        """Take every waiting entry into the tree and publish; the checkpoint over them, None while the log is empty.

        Raises:
            LogFork: what was published does not agree with the database.
        """
        async with self._turn, self._db.transaction() as holder:
            await store.lock(holder)
            shown = await self.shown()
            while True:
                async with self._db.transaction() as conn:
                    taken, signed = await self._grow(conn, shown)
                if signed is not None and (shown is None or signed.note != shown.note):
                    async with self._db.reading() as conn:
                        await self._publish(conn, shown.size if shown else 0, signed)
                    shown = signed
                if taken < self._settings.batch:
                    return shown

    async def shown(self) -> SignedCheckpoint | None:
        """The published checkpoint, its signature checked against the log's own keys."""
        note = await asyncio.to_thread(self._published.checkpoint)
        if note is None:
            return None
        keys = await asyncio.to_thread(self._keyring.verifiers)
        return SignedCheckpoint(checkpoint.verify_checkpoint(note, keys, self._settings.origin), note)

    async def agree(self, conn: Conn, size: int, shown: SignedCheckpoint | None) -> None:
        """Raise `LogFork` unless the database's tree of `size` extends what was published."""
        if shown is None:
            begun = await asyncio.to_thread(self._published.begun)
            if not begun and await store.last_checkpoint(conn) is not None:
                raise LogFork(
                    "expected the published checkpoint, got none although the database has signed one",
                    code="published_missing",
                    remedy="Restore the folder 'published' from a backup; only if no outsider ever read it, "
                    "publish anew with `candor audit checkpoint --republish`.",
                )
            return
        if shown.size > size:
            raise LogFork(
                f"expected at least the {shown.size} published leaves in the database, got {size}",
                code="database_behind",
                remedy="An older database was restored. Restore a newer one; a log that lost leaves must not sign again.",
            )
        root = await root_at(conn, shown.size)
        if root != shown.root:
            raise LogFork(f"expected the published root at size {shown.size}, got another tree in the database")

    async def republish(self) -> SignedCheckpoint | None:
        """Write all files anew from the database; the remedy when the folder was lost. Overwrites nothing that differs."""
        async with self._turn, self._db.transaction() as holder:
            await store.lock(holder)
            async with self._db.reading() as conn:
                last = await store.last_checkpoint(conn)
                if last is None:
                    return None
                keys = await asyncio.to_thread(self._keyring.verifiers)
                signed = SignedCheckpoint(checkpoint.verify_checkpoint(last[0], keys, self._settings.origin), last[0])
                shown = await self.shown()
                if shown is not None:
                    await self.agree(conn, signed.size, shown)
                await self._publish(conn, 0, signed)
                return signed

    async def _grow(self, conn: Conn, shown: SignedCheckpoint | None) -> tuple[int, SignedCheckpoint | None]:
        size = await store.size(conn)
        await self.agree(conn, size, shown)
        fresh = await store.place(conn, size, self._settings.batch)
        if not fresh:
            last = await store.last_checkpoint(conn)
            if last is None or (shown is not None and shown.size == size):
                return 0, shown
            return 0, SignedCheckpoint(
                checkpoint.parse(last[0]), last[0]
            )  # committed, but a crash kept it from the files
        edge = await store.tiles(conn, [(name.level or 0, name.index) for name in tiles.tiles_of(size)])
        changed = tiles.grow(size, edge, fresh)
        await store.put_tiles(conn, changed)
        size += len(fresh)
        root = await root_at(conn, size)
        if (
            shown is None
        ):  # killed between this commit and the first publication, the next one knows that nothing was lost
            await asyncio.to_thread(self._published.begin)
        signer = await asyncio.to_thread(self._keyring.signer)
        signed = checkpoint.sign(Checkpoint(self._settings.origin, size, root), signer)
        await store.add_checkpoint(conn, size, signed.note, self._clock.now())
        return len(fresh), signed

    async def _publish(self, conn: Conn, old: int, signed: SignedCheckpoint) -> None:
        full: list[TileName] = []
        async for files in published_files(conn, old, signed.size):
            await asyncio.to_thread(self._published.write, files)
            full += [name for name, _ in files if name.width == tiles.WIDTH]
        await asyncio.to_thread(self._published.write_checkpoint, signed.note)
        await asyncio.to_thread(self._published.drop_partials, full)


async def root_at(conn: Conn, size: int) -> bytes:
    """The root of the stored tree's first `size` leaves, from at most two tiles a level."""
    held = await store.tiles(conn, tiles.needed([(0, size)]))
    return merkle.range_hash(0, size, tiles.lookup_in(held))


async def published_files(conn: Conn, old: int, new: int) -> AsyncIterator[list[tuple[TileName, bytes]]]:
    """The files that a log of `new` leaves shows and one of `old` did not, some at a time, from the database."""
    names = tiles.tiles_between(old, new)
    for begin in range(0, len(names), _FILES):
        part = names[begin : begin + _FILES]
        held = await store.tiles(conn, [(name.level or 0, name.index) for name in part])
        yield [(name, held.get((name.level or 0, name.index), b"")[: name.width * merkle.HASH_SIZE]) for name in part]
    bundles = tiles.bundles_between(old, new)
    for begin in range(0, len(bundles), _FILES):
        part = bundles[begin : begin + _FILES]
        first, last = part[0].index * tiles.WIDTH, part[-1].index * tiles.WIDTH + part[-1].width
        leaves = [leaf or b"" for _, _, _, leaf in await store.leaves(conn, first, last)]
        starts = [name.index * tiles.WIDTH - first for name in part]
        yield [(name, tiles.bundle(leaves[at : at + name.width])) for name, at in zip(part, starts, strict=True)]
