"""The log derived anew from its leaves, and compared with everything that was stored or shown.

Enters: the database and the published folder, under the sequencer's lock. Leaves: a `Report` whose findings each name what
was altered and where. Trusts nothing that can be recomputed: hashes from leaf bytes, tiles and roots from hashes, every
checkpoint ever signed from roots, published files from tiles, openings from their salts. The database's superuser is among
those it is made to catch.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from audit import checkpoint, merkle, store, tiles
from audit.checkpoint import SignedCheckpoint
from audit.entries import Leaf, Opening, read_leaf, timestamp, unseal
from audit.errors import InvalidNote, InvalidProof, LogFork
from audit.keyring import Keyring
from audit.note import VerifierKey
from audit.published import Published
from audit.sequencer import Sequencer
from audit.store import StoredEntry
from audit.tiles import Coordinates, TileName
from kernel.db import Conn
from kernel.errors import IntegrityError
from kernel.ids import EntryId
from kernel.kernel import Kernel
from kernel.vault import SubjectKey

_CHUNK = 8192  # leaves held at a time
_MOST_FINDINGS = 200  # a thoroughly broken log need not fill the screen


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    code: str
    where: str
    message: str


@dataclass(slots=True)
class Report:
    """What was checked, and what was found."""

    size: int = 0
    root: bytes = merkle.EMPTY_ROOT
    checkpoints: int = 0
    files: int = 0
    opened: int = 0
    redacted: int = 0
    waiting: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing found."""
        return not self.findings

    @property
    def lines(self) -> list[str]:
        """The report as text."""
        head = [
            f"{self.size} leaves, root {self.root.hex()}",
            f"{self.checkpoints} checkpoints, {self.files} published files, {self.waiting} entries waiting",
            f"{self.opened} entries opened, {self.redacted} redacted",
        ]
        found = [f"ALTERED {one.code} {one.where}: {one.message}" for one in self.findings]
        return [*head, *(found or ["nothing altered"])]

    def add(self, code: str, where: str, message: str) -> None:
        """Note a finding."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(Finding(code, where, message))


class _Roots:
    """Roots of a growing tree, by the stack of its perfect subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        carry, size = leaf, self.size
        while size & 1:
            carry, size = merkle.node_hash(self._stack.pop(), carry), size >> 1
        self._stack.append(carry)
        self.size += 1

    def root(self) -> bytes:
        if not self._stack:
            return merkle.EMPTY_ROOT
        folded = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            folded = merkle.node_hash(left, folded)
        return folded


class Verification:
    """One run over the whole log. New entries wait for their place meanwhile; appending goes on."""

    def __init__(self, kernel: Kernel, sequencer: Sequencer, keyring: Keyring, published: Published) -> None:
        self._kernel = kernel
        self._sequencer = sequencer
        self._keyring = keyring
        self._published = published
        self.report = Report()

    async def run(self, *, openings: bool) -> Report:
        """Check everything; `openings` False skips opening what can still be opened."""
        async with self._kernel.db.transaction() as holder:
            await store.lock(holder)
            async with self._kernel.db.reading() as conn:
                shown = await self._shown(conn)
                await self._tree(conn, shown, openings=openings)
                await self._files(conn, shown)
                self.report.waiting = await store.pending(conn)
                for entry_id in await store.without_place(conn, 20):
                    self.report.add("entry_outside", entry_id, "the entry has no place and does not wait for one")
        return self.report

    async def _shown(self, conn: Conn) -> SignedCheckpoint | None:
        """The published checkpoint, compared with what the database knows of it."""
        try:
            shown = await self._sequencer.shown()
            await self._sequencer.agree(conn, await store.size(conn), shown)
        except (InvalidNote, InvalidProof, LogFork) as fault:
            self.report.add(fault.code, "published checkpoint", fault.message)
            note = await asyncio.to_thread(self._published.checkpoint)
            try:
                shown = None if note is None else SignedCheckpoint(checkpoint.parse(note), note)
            except InvalidNote:
                shown = None
        last = await store.last_checkpoint(conn)
        if shown is not None and last is not None and shown.note != last[0]:
            signed = checkpoint.parse(last[0]).size
            if signed != shown.size:
                where = "older" if shown.size < signed else "newer"
                self.report.add(
                    "checkpoint_replayed",
                    "published checkpoint",
                    f"it is {where} (size {shown.size}) than the last one signed (size {signed})",
                )
            else:
                self.report.add("log_fork", "published checkpoint", "it is another one than the database signed")
        return shown

    async def _tree(self, conn: Conn, shown: SignedCheckpoint | None, *, openings: bool) -> None:
        size = await store.size(conn)
        keys = await asyncio.to_thread(self._keyring.verifiers)
        roots, signed = _Roots(), _Notes(conn, keys, self.report)
        edge: dict[Coordinates, bytes] = {}
        derived: set[Coordinates] = set()
        for begin in range(0, size, _CHUNK):
            end = min(size, begin + _CHUNK)
            hashes = await self._leaves(conn, begin, end, openings=openings)
            for leaf in hashes:
                roots.add(leaf)
                await signed.compare(roots)
                if shown is not None and roots.size == shown.size and roots.root() != shown.root:
                    self.report.add("log_fork", f"size {roots.size}", "the leaves give another root than was published")
            changed = tiles.grow(begin, edge, hashes)
            await self._tiles(conn, changed, final=end == size)
            derived |= set(changed)
            edge = {**edge, **changed}
            edge = {where: held for where, held in edge.items() if len(held) < tiles.WIDTH * merkle.HASH_SIZE}
        await signed.finish(size)
        for where in await store.all_tiles(conn):
            if where not in derived:
                self.report.add("tile_extra", f"tile {where}", "the tile lies beyond the leaves")
        self.report.size, self.report.root = size, roots.root()
        self.report.checkpoints = signed.count

    async def _leaves(self, conn: Conn, begin: int, end: int, *, openings: bool) -> list[bytes]:
        rows = await store.leaves(conn, begin, end)
        entries = {one.entry_id: one for one in await store.entries(conn, [row[1] for row in rows])}
        hashes: list[bytes] = []
        read: dict[EntryId, Leaf | None] = {}
        expected = begin
        for index, entry_id, stored, leaf in rows:
            if index != expected:
                self.report.add("leaf_missing", f"index {expected}", f"the next leaf stands at {index}")
            expected = index + 1
            if leaf is None:
                self.report.add("entry_missing", f"index {index}", f"entry {entry_id} is gone")
                hashes.append(stored)
                continue
            hashes.append(merkle.leaf_hash(leaf))
            if hashes[-1] != stored:
                self.report.add("leaf_altered", f"index {index}", "the leaf's bytes do not have the stored hash")
            read[entry_id] = self._row(index, entries[entry_id])
        if expected != end:
            self.report.add("leaf_missing", f"index {expected}", "the leaf is gone")
        if openings:
            await self._openings(conn, [(entries[one], leaf) for one, leaf in read.items() if leaf is not None])
        return hashes

    def _row(self, index: int, entry: StoredEntry) -> Leaf | None:
        """The columns beside the leaf say the same as the leaf."""
        try:
            leaf = read_leaf(entry.leaf)
        except IntegrityError as fault:
            self.report.add(fault.code, f"index {index}", fault.message)
            return None
        if (leaf.entry_id, leaf.tag, leaf.at) != (entry.entry_id, entry.tag, timestamp(entry.at)):
            self.report.add("entry_altered", f"index {index}", "id, tag or time beside the leaf is not the leaf's")
        return leaf

    async def _openings(self, conn: Conn, entries: Sequence[tuple[StoredEntry, Leaf]]) -> None:
        keys = await self._kernel.vault.unwrap({one.key_id for one, _ in entries if one.key_id is not None})
        refs: dict[str, set[tuple[str, str]]] = {}
        for entry_id, kind, ref in await store.refs_of(conn, [one.entry_id for one, _ in entries]):
            refs.setdefault(entry_id, set()).add((kind, ref))
        for entry, leaf in entries:
            if entry.key_id is None or entry.sealed is None:
                self.report.add("opening_missing", entry.entry_id, "the openings are gone")
                continue
            key = keys.get(entry.key_id)
            if key is None:
                self.report.redacted += 1
                continue
            self.report.opened += 1
            self._opening(entry, leaf, key, refs.get(entry.entry_id, set()))

    def _opening(self, entry: StoredEntry, leaf: Leaf, key: SubjectKey, refs: set[tuple[str, str]]) -> None:
        try:
            opened = unseal(entry.entry_id, entry.sealed or b"", key)
        except (IntegrityError, ValueError) as fault:
            code = fault.code if isinstance(fault, IntegrityError) else "opening_altered"
            self.report.add(code, entry.entry_id, "the openings do not open in this place")
            return
        if not _opens(leaf, opened):
            self.report.add("opening_altered", entry.entry_id, "a salt or value is not the one committed to")
        elif not refs <= set(_refs(opened)):
            self.report.add("ref_altered", entry.entry_id, "a look-up names what the entry does not")

    async def _tiles(self, conn: Conn, changed: Mapping[Coordinates, bytes], *, final: bool) -> None:
        stored = await store.tiles(conn, changed)
        for where, held in changed.items():
            full = len(held) == tiles.WIDTH * merkle.HASH_SIZE
            if (full or final) and stored.get(where) != held:
                self.report.add("tile_altered", f"tile {where}", "the stored tile is not the one the leaves give")

    async def _files(self, conn: Conn, shown: SignedCheckpoint | None) -> None:
        """Every published file against the tiles, which were compared with the leaves before."""
        size = shown.size if shown is not None else 0
        names = set(await asyncio.to_thread(self._published.names))
        for name in (*tiles.tiles_between(0, size), *tiles.bundles_between(0, size)):
            if name not in names:
                self.report.add("file_missing", tiles.path(name), "the published file is gone")
        ordered = sorted(names, key=tiles.path)
        for begin in range(0, len(ordered), 64):
            part = ordered[begin : begin + 64]
            held = await store.tiles(conn, {(name.level or 0, name.index) for name in part})
            for name in part:
                data = await asyncio.to_thread(self._published.read, name)
                self.report.files += 1
                hashes = held.get((name.level or 0, name.index), b"")[: name.width * merkle.HASH_SIZE]
                if data is None or not _same(name, data, hashes):
                    self.report.add("file_altered", tiles.path(name), "the published file is not what the leaves give")


class _Notes:
    """The signed checkpoints in order of size, compared as the tree grows past them."""

    def __init__(self, conn: Conn, keys: Sequence[VerifierKey], report: Report) -> None:
        self._conn = conn
        self._keys = keys
        self._report = report
        self._held: list[tuple[int, str]] | None = None
        self.count = 0

    async def compare(self, roots: _Roots) -> None:
        while (following := await self._following()) is not None and following[0] <= roots.size:
            size, note = following
            try:
                signed = checkpoint.verify_checkpoint(note, self._keys)
            except InvalidNote as fault:
                self._report.add(fault.code, f"checkpoint {size}", fault.message)
            else:
                if (signed.size, signed.root) != (roots.size, roots.root()):
                    self._report.add("log_fork", f"checkpoint {size}", "the leaves give another root than was signed")
            self.count += 1
            if self._held is not None:
                self._held.pop(0)
                if not self._held:
                    self._held = await store.checkpoints_after(self._conn, size, 1000)

    async def finish(self, size: int) -> None:
        following = await self._following()
        if following is not None:
            self._report.add(
                "log_truncated", f"checkpoint {following[0]}", f"only {size} leaves are left of those signed"
            )

    async def _following(self) -> tuple[int, str] | None:
        if self._held is None:
            self._held = await store.checkpoints_after(self._conn, 0, 1000)
        return self._held[0] if self._held else None


def _opens(leaf: Leaf, opened: Mapping[str, Opening]) -> bool:
    if set(opened) != set(leaf.commitments):
        return False
    return all(opening.opens(leaf.commitments[name]) for name, opening in opened.items())


def _refs(opened: Mapping[str, Opening]) -> Iterator[tuple[str, str]]:
    for name, opening in opened.items():
        if name.startswith("ref."):
            values = opening.value if isinstance(opening.value, list) else [opening.value]
            yield from ((name.removeprefix("ref."), str(value)) for value in values)


def _same(name: TileName, data: bytes, hashes: bytes) -> bool:
    if len(hashes) != name.width * merkle.HASH_SIZE:
        return False
    if name.level is not None:
        return data == hashes
    try:
        return b"".join(merkle.leaf_hash(leaf) for leaf in tiles.unbundle(data)) == hashes
    except InvalidProof:
        return False
