"""One entry: a leaf of salted commitments, and the openings that lie beside it. Pure.

Enters: `NewEntry`. Leaves: `SealedEntry` with the leaf's canonical bytes (RFC 8785)
`{"at":…,"c":{name: commitment},"id":…,"tag":…,"v":1}`. A commitment is SHA-256(32-byte salt || canonical value), written as
base64. Names are `actor`, `ref.KIND` for references and the facts' own names. The leaf never holds a value: a person's
words are found only in the openings, sealed under the person's key, and go when it goes; the leaf and its proofs stay.
"""

import hashlib
import hmac
import json
import os
import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, cast

from audit.errors import EntryTooLarge
from audit.tags import Tag
from audit.tiles import MAX_LEAF
from kernel.canonical import Json, canonical
from kernel.errors import IntegrityError, InvalidInput
from kernel.ids import EntryId, KeyId

if TYPE_CHECKING:  # a verifier reads leaves without a vault, and must not load a database driver for it
    from kernel.vault import SubjectKey

SALT_SIZE: Final = 32
_REF = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.:/|+=~-]{0,199}"
)  # ids and digests; no "@" and no space: never a person's words
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SAFE_INTEGER: Final = 2**53 - 1  # RFC 8785 writes numbers as IEEE doubles
_string = json.JSONEncoder(ensure_ascii=False).encode
_sorted = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Redacted(Enum):
    """What stands where an opening cannot be read any more: the key was destroyed, the commitment still proves."""

    REDACTED = "redacted"


REDACTED: Final = Redacted.REDACTED


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An act to remember. `refs` are ids by kind (look-up and lineage), `facts` anything else worth proving."""

    tag: Tag
    refs: Mapping[str, str | Sequence[str]]
    facts: Mapping[str, Json]
    key_id: KeyId | None = None
    actor: str = "system"


@dataclass(frozen=True, slots=True)
class Opening:
    """A value and its salt, which together show what a commitment holds."""

    salt: bytes
    value: Json

    def opens(self, commitment: str) -> bool:
        """Whether the commitment on a leaf is to this value."""
        return hmac.compare_digest(commit(self.salt, encode(self.value)), commitment)


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry as it is stored."""

    entry_id: EntryId
    tag: str
    at: datetime
    leaf: bytes
    key_id: KeyId
    sealed: bytes
    refs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf, read."""

    entry_id: str
    tag: str
    at: str
    commitments: Mapping[str, str]


def seal(entry_id: EntryId, entry: NewEntry, at: datetime, key: "SubjectKey") -> SealedEntry:
    """Commit to every value, write the leaf, seal the openings under `key`.

    Raises:
        InvalidInput: a name or reference that might carry a person's words.
        EntryTooLarge: a leaf over 65,535 bytes.
    """
    values, refs = _values(entry)
    salts = os.urandom(SALT_SIZE * len(values))
    commitments: list[str] = []
    openings: list[str] = []
    for place, name in enumerate(sorted(values)):
        salt = salts[place * SALT_SIZE : (place + 1) * SALT_SIZE]
        value = encode(values[name])
        commitments.append(f'"{name}":"{commit(salt, value)}"')
        openings.append(f'"{name}":["{b64encode(salt).decode()}",{value.decode()}]')
    # Keys in RFC 8785 order; every value here is plain ASCII, so this is the canonical form by construction.
    leaf = f'{{"at":"{timestamp(at)}","c":{{{",".join(commitments)}}},"id":"{entry_id}","tag":"{entry.tag}","v":1}}'.encode()
    if len(leaf) > MAX_LEAF:
        raise EntryTooLarge(f"expected a leaf of at most {MAX_LEAF} bytes, got {len(leaf)}")
    sealed = key.seal("audit.openings", "sealed", entry_id, f"{{{','.join(openings)}}}".encode())
    return SealedEntry(entry_id, entry.tag, at, leaf, key.id, sealed, refs)


def unseal(entry_id: str, sealed: bytes, key: "SubjectKey") -> dict[str, Opening]:
    """The openings, by name."""
    words = json.loads(key.open("audit.openings", "sealed", entry_id, sealed))
    return {name: Opening(a2b_base64(salt), value) for name, (salt, value) in words.items()}


def read_leaf(leaf: bytes) -> Leaf:
    """Take a leaf apart; `IntegrityError` when it is not one that `seal` wrote."""
    try:
        fields = json.loads(leaf)
        at, commitments, entry_id, tag = (fields[name] for name in ("at", "c", "id", "tag"))
        # Nothing but plain ASCII texts and the version: then sorted, compact JSON is the RFC 8785 form.
        exact = (
            leaf.isascii()
            and leaf == _sorted({"at": at, "c": commitments, "id": entry_id, "tag": tag, "v": 1}).encode()
        )
        exact = exact and all(type(text) is str for text in (at, entry_id, tag))
        exact = exact and all(len(a2b_base64(text, strict_mode=True)) == SALT_SIZE for text in commitments.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        exact = False
    if not exact:
        raise IntegrityError("expected a leaf in canonical form, got something else", code="invalid_leaf")
    return Leaf(entry_id, tag, at, commitments)


def commit(salt: bytes, value: bytes) -> str:
    """The commitment to canonical bytes under a 32-byte salt, as base64."""
    return b64encode(hashlib.sha256(salt + value).digest()).decode()


def encode(value: Json) -> bytes:
    """`kernel.canonical`, with a short way for texts and whole numbers, which nearly every value is."""
    if type(value) is str:
        try:
            return _string(value).encode()
        except UnicodeEncodeError:
            return canonical(value)
    if type(value) is int and -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        return b"%d" % value
    if type(value) is float and 1e-4 <= abs(value) < 1e15 and not value.is_integer():
        return repr(value).encode()  # in this range Python and ECMAScript write the same shortest digits
    return canonical(value)


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds, always of one length."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _values(entry: NewEntry) -> tuple[dict[str, Json], tuple[tuple[str, str], ...]]:
    values: dict[str, Json] = {"actor": entry.actor}
    refs: list[tuple[str, str]] = []
    for kind, ref in entry.refs.items():
        many = [ref] if isinstance(ref, str) else list(ref)
        for one in many:
            if not _REF.fullmatch(one):
                raise InvalidInput(f"expected an id or digest as reference '{kind}', got {len(one)} other characters")
            refs.append((_name(kind), one))
        values[f"ref.{kind}"] = cast("Json", ref if isinstance(ref, str) else many)
    for name, value in entry.facts.items():
        if name == "actor":
            raise InvalidInput("expected the actor in its own field, got it among the facts")
        values[_name(name)] = value
    return values, tuple(dict.fromkeys(refs))


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput("expected a lower-case name of letters, digits and underscores for a reference or fact")
    return name
