"""The log's signing keys, as files beside the database.

Enters: a folder and the log's name. Leaves: the key that signs now and every key that ever signed. A key is a file
`log-NNNN.skey` (mode 0600); the highest number signs, all of them verify. Rotation adds a file and removes none, so
old checkpoints and receipts go on verifying. Making a key is safe against another process making one at the same moment.
"""

import os
import re
from pathlib import Path

from audit.errors import LogFork
from audit.note import SignerKey, VerifierKey

_FILE = re.compile(r"log-\d{4}\.skey")


class Keyring:
    """Signing keys in a folder. Reads the folder on every call: another process may have rotated."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin

    def signer(self) -> SignerKey:
        """The key that signs now; made on first use."""
        keys = self._keys()
        return keys[-1] if keys else self._make(1)

    def rotate(self) -> SignerKey:
        """A new key that signs from now on."""
        return self._make(len(self._keys()) + 1)

    def verifiers(self) -> tuple[VerifierKey, ...]:
        """The public halves of every key that ever signed, oldest first."""
        return tuple(key.verifier for key in self._keys())

    def _keys(self) -> list[SignerKey]:
        files = sorted(file for file in self._folder.glob("log-*.skey") if _FILE.fullmatch(file.name))
        keys = [SignerKey.parse(file.read_text(encoding="utf-8").strip()) for file in files]
        if any(key.name != self._origin for key in keys):
            raise LogFork(
                "expected every log key to carry the configured origin, got another name",
                code="origin_changed",
                remedy="Set audit.origin back: a log keeps its name for life.",
            )
        return keys

    def _make(self, number: int) -> SignerKey:
        key = SignerKey.generate(self._origin)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f".draft-{os.getpid()}-{os.urandom(4).hex()}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(key.text + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, self._folder / f"log-{number:04d}.skey")  # fails when another process made this number first
        except FileExistsError:
            return self._keys()[number - 1]
        finally:
            draft.unlink()
        sync_folder(self._folder)
        return key


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
