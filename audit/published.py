"""What the log has shown to the world: tiles, entry bundles and the last checkpoint, as files beside the database.

Layout as C2SP tlog-tiles under one folder, so that any web server can serve it. Contract: everything is durable before the
checkpoint that rests on it is renamed into place; a full or partial file never changes its bytes; the checkpoint only
grows. These files are outside the database on purpose: a restored or rewritten database cannot agree with them by accident.
"""

import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audit import tiles
from audit.errors import LogFork
from audit.tiles import TileName
from kernel.durable import sync_folder

CHECKPOINT = "checkpoint"
_BEGUN = ".begun"  # stands from before the first checkpoint is signed until it is published
_SYNCS = 16  # syncs asked for together share the disk's flushes: a tenth of the time


class Published:
    """The folder. Blocking: call from a thread. One writer at a time (the sequencer's lock), any number of readers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoint(self) -> str | None:
        """The signed note last published; None when nothing was."""
        try:
            return (self.folder / CHECKPOINT).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def read(self, name: TileName) -> bytes | None:
        """The bytes of a tile or bundle; None when it was never published (or a partial one has been filled since)."""
        try:
            return (self.folder / tiles.path(name)).read_bytes()
        except FileNotFoundError:
            return None

    def names(self) -> list[TileName]:
        """Every tile and bundle that lies there, in no order."""
        root = self.folder / "tile"
        found = (tiles.parse_path(str(file.relative_to(self.folder))) for file in root.rglob("*") if file.is_file())
        return [name for name in found if name is not None]

    def write(self, files: Iterable[tuple[TileName, bytes]]) -> None:
        """Write tiles and bundles durably. The same bytes again are fine; other bytes raise `LogFork`."""
        with ThreadPoolExecutor(_SYNCS) as pool:
            folders = set().union(*pool.map(lambda file: self._write(*file), files))
            list(pool.map(sync_folder, folders))

    def begin(self) -> None:
        """Note durably that nothing was published yet; call before the first checkpoint is committed."""
        for folder in self._replace(self.folder / _BEGUN, b""):
            sync_folder(folder)

    def begun(self) -> bool:
        """Whether a first checkpoint may have been signed that nobody was shown."""
        return (self.folder / _BEGUN).exists()

    def write_checkpoint(self, note: str) -> None:
        """Put the checkpoint in place durably; call after `write`. From now on a folder without one has lost it."""
        for folder in self._replace(self.folder / CHECKPOINT, note.encode()):
            sync_folder(folder)
        (self.folder / _BEGUN).unlink(missing_ok=True)

    def drop_partials(self, full: Iterable[TileName]) -> None:
        """Remove the partial files that a full one replaces (tlog-tiles allows it once the full one is there)."""
        for name in full:
            shutil.rmtree(self.folder / f"{tiles.path(name)}.p", ignore_errors=True)

    def _write(self, name: TileName, data: bytes) -> set[Path]:
        target = self.folder / tiles.path(name)
        try:
            held = target.read_bytes()
        except FileNotFoundError:
            return self._replace(target, data)
        if held != data:
            raise LogFork(f"expected {tiles.path(name)} to stay as published, got other bytes for it")
        return set()

    def _replace(self, target: Path, data: bytes) -> set[Path]:
        """Write beside, sync, rename; returns the folders whose entries changed."""
        changed = {target.parent}
        parent = target.parent
        while not parent.exists():
            changed.add(parent.parent)
            parent = parent.parent
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        return changed
