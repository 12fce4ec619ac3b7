"""The list of a log's keys: which sign, which did, which must be believed no longer. Pure, offline.

Enters: keys with their state. Leaves: a signed note (C2SP signed-note) with one line a key, oldest first: `vkey state time reason`. Every key that is not revoked
signs it, so that a reader who trusts any of them can check it. A key is revoked when somebody else may have it: what it signed may be forged, so a reader asks
for a receipt made since, which proves the same entry under a key that holds.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from audit import note
from audit.errors import InvalidNote
from audit.note import SignerKey, VerifierKey

_HEAD = "candor keys of "


class KeyState(StrEnum):
    """What a key stands for."""

    CURRENT = "current"
    EARLIER = "earlier"
    """Rotated out: signs nothing new, and what it signed holds."""
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class LogKey:
    """A public key of the log. `at` and `reason` only of a revoked one."""

    key: VerifierKey
    state: KeyState
    at: str = ""
    reason: str = ""


def write(origin: str, keys: Sequence[LogKey], signers: Collection[SignerKey]) -> str:
    """The list, signed by `signers`."""
    lines = [f"{one.key.text} {one.state} {one.at} {one.reason}".rstrip() for one in keys]
    return note.sign("".join(f"{line}\n" for line in (f"{_HEAD}{origin}", *lines)), *signers)


def read(text: str, trusted: VerifierKey) -> list[LogKey]:
    """The list, when the key that its reader trusts has signed it.

    Raises:
        InvalidNote: it has not, or this is no such list, or it is another log's.
    """
    head, *lines = note.verify(text, [trusted]).text.splitlines()
    if head != f"{_HEAD}{trusted.name}":
        raise InvalidNote("expected the list of this log's keys, got another text")
    return [_key(line) for line in lines]


def _key(line: str) -> LogKey:
    vkey, _, rest = line.partition(" ")
    state, _, rest = rest.partition(" ")
    at, _, reason = rest.partition(" ")
    if state not in set(KeyState):
        raise InvalidNote("expected current, earlier or revoked as the state of a key, got another word")
    return LogKey(note.parse_key(vkey), KeyState(state), at, reason)
