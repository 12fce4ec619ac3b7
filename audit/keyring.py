"""The log's signing keys, as files beside the database.

Enters: a folder and the log's name. Leaves: the key that signs now and every key that ever signed. A key is a file
`log-NNNN.skey` (mode 0600); the highest number signs, all of them verify. Rotation adds a file and removes none, so
old checkpoints and receipts go on verifying. Making a key is safe against another process making one at the same moment.
Revoking overwrites a key's secret and leaves `log-NNNN.revoked`: its public half, when and why.
"""

import os
import re
from datetime import datetime
from pathlib import Path

from audit.errors import LogFork, UnknownLogKey
from audit.keylist import KeyState, LogKey
from audit.note import SignerKey, VerifierKey, parse_key
from kernel.durable import sync_folder

_FILE = re.compile(r"log-(\d{4})\.(skey|revoked)")


class Keyring:
    """Signing keys in a folder. Reads the folder on every call: another process may have rotated."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin

    def signer(self) -> SignerKey:
        """The key that signs now; made on first use, and when the last one was revoked."""
        keys = self.signers()
        newest = max(self._files(), default=0)
        return keys[newest] if newest in keys else self._make(newest + 1)

    def rotate(self) -> SignerKey:
        """A new key that signs from now on."""
        return self._make(max(self._files(), default=0) + 1)

    def verifiers(self) -> tuple[VerifierKey, ...]:
        """The public halves of every key that ever signed, oldest first, revoked ones too: what they signed in our own books stands there."""
        return tuple(one.key for one in self.states().values())

    def signers(self) -> dict[int, SignerKey]:
        """Keys that are not revoked, by number."""
        found = {
            number: SignerKey.parse(file.read_text(encoding="utf-8").strip())
            for number, file in self._files().items()
            if file.suffix == ".skey"
        }
        if any(key.name != self._origin for key in found.values()):
            raise LogFork(
                "expected every log key to carry the configured origin, got another name",
                code="origin_changed",
                remedy="Set audit.origin back: a log keeps its name for life.",
            )
        return found

    def states(self) -> dict[int, LogKey]:
        """Every key by number, oldest first."""
        signers = self.signers()
        newest = max(signers, default=0)
        found: dict[int, LogKey] = {}
        for number, file in self._files().items():
            if number in signers:
                state = KeyState.CURRENT if number == newest else KeyState.EARLIER
                found[number] = LogKey(signers[number].verifier, state)
            else:
                vkey, at, reason = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
                found[number] = LogKey(parse_key(vkey), KeyState.REVOKED, at, reason)
        return found

    def revoke(self, number: int, at: datetime, reason: str) -> VerifierKey:
        """Overwrite the secret of a key and say so for ever; done already: done.

        Raises:
            UnknownLogKey: none has this number.
        """
        held = self.states().get(number)
        if held is None:
            raise UnknownLogKey("expected the number of a key of this log, got another")
        if held.state is not KeyState.REVOKED:
            said = f"{held.key.text}\n{at:%Y-%m-%dT%H:%M:%SZ}\n{' '.join(reason.split())}\n"
            self._draft(said).replace(self._folder / f"log-{number:04d}.revoked")
            sync_folder(self._folder)
        # A crash between the two leaves both files: the revocation counts, and the secret goes with the next call.
        secret = self._folder / f"log-{number:04d}.skey"
        if secret.exists():
            with secret.open("r+b") as file:
                file.write(bytes(secret.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            secret.unlink()
            sync_folder(self._folder)
        return held.key

    def _files(self) -> dict[int, Path]:
        """The file of each number, oldest first; a revocation counts more than the secret beside it."""
        found: dict[int, Path] = {}
        for file in sorted(self._folder.glob("log-*"), key=lambda one: (one.stem, one.suffix == ".revoked")):
            if match := _FILE.fullmatch(file.name):
                found[int(match.group(1))] = file
        return found

    def _make(self, number: int) -> SignerKey:
        key = SignerKey.generate(self._origin)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._draft(key.text + "\n")
        try:
            os.link(draft, self._folder / f"log-{number:04d}.skey")  # fails when another process made this number first
        except FileExistsError:
            return self.signers()[number]
        finally:
            draft.unlink()
        sync_folder(self._folder)
        return key

    def _draft(self, text: str) -> Path:
        draft = self._folder / f".draft-{os.getpid()}-{os.urandom(4).hex()}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return draft
