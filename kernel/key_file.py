"""The key file: what it holds, how it is read, written, replaced.

What enters: a path. What leaves: its content, checked; a replaced file whose old bytes are overwritten. Mode 0600 from the first byte, on disk
before it is named, and never half there: writers make a new file beside it and rename.
"""

import base64
import binascii
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from kernel.durable import sync_folder
from kernel.errors import InvalidInput

KEY_BYTES: Final = 32
FIRST_INDEX: Final = "idx-1"  # derived from the hashing secret; younger ones have bytes of their own
_READS: Final = 20  # a file that is being overwritten has been replaced under its name already


class KeyFileRefused(InvalidInput):
    """The key file cannot be used as it is."""

    code = "key_file_refused"
    remedy = "Restore it from its backup; do not make a new one, or everything sealed stays closed for ever."


class Content(BaseModel):
    """The content of the key file. Values are base64 of 32 bytes. What was retired stays by name, so that no name comes twice."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int
    current: str
    keys: Mapping[str, str]
    token_current: str
    token_keys: Mapping[str, str]
    hash_secret: str
    index_names: tuple[str, ...] = (FIRST_INDEX,)
    """Secrets of the blind index that are looked up, oldest first; the last one is current."""
    index_keys: Mapping[str, str] = {}
    retired: tuple[str, ...] = ()

    def next_name(self, prefix: str) -> str:
        """The name of the next key of a kind: its number is above every one that was ever used."""
        used = (*self.keys, *self.token_keys, *self.index_names, *self.retired)
        numbers = [int(name.removeprefix(f"{prefix}-")) for name in used if name.startswith(f"{prefix}-")]
        return f"{prefix}-{max(numbers, default=0) + 1}"


def read(path: Path) -> Content:
    """The content; refuses a file that others may read, and one that is not of our shape."""
    for _ in range(_READS):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            msg = f"expected mode 600 on the key file, got {mode:o}"
            raise KeyFileRefused(msg, remedy=f"chmod 600 {path}, and think about who may have read it.")
        raw = path.read_bytes()
        if raw.strip(b"\0"):
            break
    try:
        return Content.model_validate_json(raw)
    except ValidationError as fault:
        # The validation text would show the secrets: count the faults only.
        msg = f"expected a key file of version 1, got {fault.error_count()} faulty fields"
        raise KeyFileRefused(msg) from None


def make(path: Path) -> None:
    """A new file with fresh secrets; does nothing when another process was quicker."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = Content(
        version=1,
        current="kek-1",
        keys={"kek-1": fresh()},
        token_current="tok-1",  # noqa: S106 - a name
        token_keys={"tok-1": fresh()},
        hash_secret=fresh(),
    )
    half = _write_half(path, content)
    try:
        with suppress(FileExistsError):
            os.link(half, path)  # fails when the file exists: never overwrites
    finally:
        half.unlink()
    sync_folder(path.parent)


def replace(path: Path, content: Content) -> None:
    """Put `content` in the file's place and overwrite what was there, so that a retired key does not lie on in a freed block.

    A disk that writes elsewhere (flash, copy-on-write) and a backup keep it all the same: docs/keys.md says so.
    """
    with path.open("r+b") as old:
        size = old.seek(0, os.SEEK_END)
        _write_half(path, content).replace(path)
        sync_folder(path.parent)
        old.seek(0)
        old.write(bytes(size))
        old.flush()
        os.fsync(old.fileno())


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """One change of the file at a time on this machine."""
    lock = path.with_name(f".{path.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def fresh() -> str:
    """A new secret, as the file writes it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def decode(value: str, name: str) -> bytes:
    """The 32 bytes of a value of the file."""
    try:
        clear = base64.b64decode(value, validate=True)
    except binascii.Error:
        clear = b""
    if len(clear) != KEY_BYTES:
        msg = f"expected base64 of {KEY_BYTES} bytes as '{name}' in the key file, got something else"
        raise KeyFileRefused(msg)
    return clear


def _write_half(path: Path, content: Content) -> Path:
    """The content beside ``path``, mode 0600 from its first byte, on disk before it is named."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content.model_dump(), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return half
