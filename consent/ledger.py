"""The erasure ledger: a file beside the database that says, to nobody but us, who was erased.

What enters: a person and a request, before the first destructive act. What leaves: a line that is on disk, and the answer
whether a person is in it. It survives the erasure and any restore of an old dump, so that a restored person is erased again.
A line holds a fresh salt and SHA-256 of it with a keyed hash of the person id, and of each record of hers: no identifier, and nothing that can be
compared without our hashing secret.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from kernel.durable import sync_folder
from kernel.errors import IntegrityError
from kernel.ids import PersonId, RecordId, RequestId
from kernel.vault import Vault

NAME: Final = "erasure-ledger.jsonl"


class LedgerDamaged(IntegrityError):
    """A line of the erasure ledger cannot be read."""

    code = "consent.ledger_damaged"
    remedy = "Restore erasure-ledger.jsonl from its backup; without it a restored dump may bring erased people back."


@dataclass(frozen=True, slots=True)
class Line:
    """One erasure."""

    request: str
    salt: bytes
    who: bytes
    silent: bool = False
    records: frozenset[bytes] = frozenset()
    """Whether her contacts are to stay silent: the list of silenced contacts is in the database, and may be an old one too.
    ``records``: hers, behind the same salt: a dump of before a split holds them under somebody else.
    """


class Ledger:
    """The file; append-only, fsynced."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self.path = folder / NAME
        self._vault = vault

    def write(
        self, request: RequestId, people: Iterable[PersonId], at: datetime, *, silent: bool = False,
        records: Sequence[RecordId] = (),
    ) -> None:  # fmt: skip
        """Add a line for each of these ids, the first with the records, on disk when this returns; a request that has one of an id keeps it."""
        with self._alone() as handle:
            theirs = [line for line in self.lines() if line.request == request]
            added = b""
            for person in dict.fromkeys(people):
                pepper = self._pepper(person)
                if any(_hash(line.salt, pepper) == line.who for line in theirs):
                    continue
                salt = secrets.token_bytes(32)
                hers, records = sorted(_hash(salt, self._pepper(one)).hex() for one in records), ()
                words = {
                    "v": 1, "at": at.isoformat(), "request": request, "salt": salt.hex(), "who": _hash(salt, pepper).hex(),
                }  # fmt: skip
                added += (
                    json.dumps(
                        words | ({"silent": True} if silent else {}) | ({"records": hers} if hers else {}),
                        sort_keys=True,
                    ).encode()
                    + b"\n"
                )
            if added:
                os.ftruncate(
                    handle, len(self._whole())
                )  # drops a line that a crash cut short: nothing was destroyed after it
                os.lseek(handle, 0, os.SEEK_END)
                while added:
                    added = added[os.write(handle, added) :]
                os.fsync(handle)
                sync_folder(self.path.parent)

    def lines(self) -> list[Line]:
        """Every line, in order.

        Raises:
            LedgerDamaged: names the line.
        """
        found = []
        for number, text in enumerate(self._whole().splitlines(), start=1):
            try:
                words = json.loads(text)
                found.append(
                    Line(
                        words["request"],
                        bytes.fromhex(words["salt"]),
                        bytes.fromhex(words["who"]),
                        words.get("silent") is True,
                        frozenset(bytes.fromhex(one) for one in words.get("records", ())),
                    )
                )
            except (ValueError, KeyError, TypeError):
                raise LedgerDamaged(f"expected an erasure in line {number} of {NAME}, got something else") from None
        return found

    def among(self, people: Sequence[PersonId], lines: Sequence[Line] | None = None) -> dict[PersonId, bool]:
        """Which of these people the lines name (all there are without), and whether one of them says that they stay silent."""
        lines = self.lines() if lines is None else lines
        found = {}
        for person in people if lines else ():
            named = _naming(lines, self._pepper(person))
            if named:
                found[person] = any(line.silent for line in named)
        return found

    def records_among(self, records: Iterable[RecordId], lines: Sequence[Line]) -> list[RecordId]:
        """Which of these records the lines name."""
        told = [line for line in lines if line.records]
        return [one for one in records if told and self._named(one, told)]

    def _named(self, record: RecordId, lines: Sequence[Line]) -> bool:
        pepper = self._pepper(record)
        return any(_hash(line.salt, pepper) in line.records for line in lines)

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """The open file, for one writer at a time on this machine: another would cut off what was just added."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    def _whole(self) -> bytes:
        """The file up to its last complete line."""
        held = self.path.read_bytes() if self.path.exists() else b""
        return held[: held.rfind(b"\n") + 1]

    def _pepper(self, one: PersonId | RecordId) -> bytes:
        return self._vault.pepper("erasure-ledger", one)


def _naming(lines: Iterable[Line], pepper: bytes) -> list[Line]:
    return [line for line in lines if hmac.compare_digest(_hash(line.salt, pepper), line.who)]


def _hash(salt: bytes, pepper: bytes) -> bytes:
    return hashlib.sha256(salt + pepper).digest()
