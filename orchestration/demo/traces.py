"""Looks for somebody's words in everything that is stored, byte by byte, as a thief with the disk would.

Enters: folders, words, and bytes such as those of wrapped keys. Leaves: how many files (or keys of the hot store) of each store hold one of them. Words are looked for in any case, as
UTF-8, percent-encoded (links) and in hexadecimal (dumps). No store is asked for anything: files are read as they lie, Parquet
also unpacked.
"""

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pyarrow import parquet

from kernel.cache import Cache
from orchestration.demo.needles import Needles

OWN = frozenset({"input"})
"""What a company brings stays its own: Candor reads it and never changes it."""


@dataclass(slots=True)
class Found:
    """What a search went through, and the files by store in which a word stood."""

    files: int = 0
    bytes: int = 0
    hits: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Files that hold a word."""
        return sum(self.hits.values())

    def told(self) -> str:
        """In one line."""
        where = ", ".join(f"{store} {count}" for store, count in sorted(self.hits.items())) or "nowhere"
        return f"{self.files:,} files, {self.bytes / 1e6:,.0f} MB read; found in: {where}"


def search(folders: Iterable[Path], words: Sequence[str], secrets: Sequence[bytes] = ()) -> Found:
    """Every byte of every file under `folders`, except `OWN`. The store of a file is the first folder below the one given.

    `secrets` are looked for as they are, in hexadecimal and in base64.
    """
    needles, exact = Needles(_forms(words)), Needles(_spellings(secrets))
    found = Found()
    for folder in folders:
        for path in _files(folder):
            try:
                data = _bytes(path)
            except FileNotFoundError:  # a log segment that Postgres recycled while we read the others
                continue
            found.files += 1
            found.bytes += len(data)
            if exact.find(data) or needles.find(data.lower()):
                _count(found, path.relative_to(folder).parts[0])
    return found


async def search_cache(cache: Cache, words: Sequence[str], secrets: Sequence[bytes] = ()) -> Found:
    """Every key and value of the hot store, as it is in memory now."""
    needles, exact = Needles(_forms(words)), Needles(_spellings(secrets))
    found = Found()
    for key, value in await _contents(cache):
        data = key + b"\0" + value
        found.files += 1
        found.bytes += len(data)
        if exact.find(data) or needles.find(data.lower()):
            _count(found, "hot store")
    return found


async def _contents(cache: Cache) -> list[tuple[bytes, bytes]]:
    return await cache.run(_dump)


async def _dump(redis: Any) -> list[tuple[bytes, bytes]]:
    # DUMP would compress. A type that is not listed fails here rather than being skipped.
    read = {b"string": redis.get, b"set": redis.smembers, b"hash": redis.hgetall}
    held: list[tuple[bytes, bytes]] = []
    for key in await redis.keys("*"):
        value = await read[await redis.type(key)](key) or b""
        if isinstance(value, dict):
            value = b"\0".join(part for pair in value.items() for part in pair)
        held.append((key, value if isinstance(value, bytes) else b"\0".join(value)))
    return held


def _bytes(path: Path) -> bytes:
    """The file as it lies; a Parquet file also as it reads, since its pages are compressed."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        data += repr(parquet.read_table(path).to_pylist()).encode()
    return data


def _count(found: Found, store: str) -> None:
    found.hits[store] = found.hits.get(store, 0) + 1


def _forms(words: Sequence[str]) -> list[bytes]:
    plain = [word.lower() for word in words]
    return [form.encode() for word in plain for form in {word, quote(word).lower(), word.encode().hex()}]


def _spellings(secrets: Sequence[bytes]) -> list[bytes]:
    # Base64 of the bytes inside a longer text begins at any of three places; the letters between its ends are the same.
    return [
        form
        for one in secrets
        for form in (one, one.hex().encode(), one.hex().upper().encode(), *(base64.b64encode(one[skip:])[:-4] for skip in range(3)))
    ]  # fmt: skip


def _files(folder: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(folder, onerror=_unless_gone):
        folders[:] = sorted(set(folders) - OWN) if Path(name) == folder else sorted(folders)
        for path in (Path(name, file) for file in sorted(files)):
            if path.is_file() and not path.is_symlink():
                yield path


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # Postgres drops whole folders while others are read
        raise error
