"""A receipt: one file that proves one entry to anyone, offline.

Enters: the file's text, and the log's key when its reader has it from elsewhere. Leaves: a `Verdict` of plain lines. The
file holds the leaf, openings of chosen commitments, evidence bound to them by digest, the inclusion proof and the signed
checkpoint. Nothing here opens a store, reads settings or uses the network; what an erased person's receipt cannot open is
reported as redacted, with its integrity proven. Follows RFC 6962 proofs, C2SP checkpoints and RFC 8785 canonical JSON.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from audit import keylist, merkle, note
from audit.checkpoint import Checkpoint, SignedCheckpoint, verify_checkpoint
from audit.entries import SALT_SIZE, Leaf, Opening, read_leaf
from audit.errors import InvalidReceipt
from audit.keylist import KeyState
from audit.note import VerifierKey
from kernel.canonical import Json, digest
from kernel.errors import CandorError, IntegrityError, InvalidInput

_T = TypeVar("_T")

FORMAT = "candor/receipt@v1"
_FIELDS = {"format": str, "key": str, "checkpoint": str, "index": int, "proof": list, "leaf": str, "openings": dict,
           "evidence": dict}  # fmt: skip
_BITS = re.compile(r"-?0x[01]\.[0-9a-f]{1,13}p[+-]\d{1,4}")
_MAX_FILE = 20_000_000  # bytes; a receipt is a few kilobytes, its evidence may be larger


@dataclass(frozen=True, slots=True)
class Receipt:
    """The parts of a receipt file, not verified."""

    leaf: bytes
    openings: Mapping[str, Opening]
    evidence: Mapping[str, Json]
    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    key: str

    @property
    def text(self) -> str:
        """The file."""
        fields = {
            "format": FORMAT,
            "key": self.key,
            "checkpoint": self.checkpoint,
            "index": self.index,
            "proof": [note.base64_of(part) for part in self.proof],
            "leaf": self.leaf.decode(),
            "openings": {
                name: {"salt": note.base64_of(opening.salt), "value": opening.value}
                for name, opening in sorted(self.openings.items())
            },
            "evidence": dict(self.evidence),
        }
        return json.dumps(fields, ensure_ascii=False, indent=1, default=_plain) + "\n"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ok`: the proof holds under the key in the file. `trusted`: that key is the one the reader gave.

    `problems` are empty when ok. `redacted` names commitments that stand without an opening. `fingerprint` is SHA-256 of
    the key in the file, empty when there is none that can be read.
    """

    ok: bool
    trusted: bool
    lines: tuple[str, ...]
    problems: tuple[str, ...]
    redacted: tuple[str, ...]
    fingerprint: str


def make(
    leaf: bytes,
    openings: Mapping[str, Opening],
    evidence: Mapping[str, Json],
    index: int,
    proof: Sequence[bytes],
    signed: SignedCheckpoint,
    keys: Collection[VerifierKey],
) -> Receipt:
    """Put a receipt together; `InvalidInput` when evidence is not bound by an opened commitment of its name."""
    for name, value in evidence.items():
        if not _bound(name, value, openings):
            raise InvalidInput(
                f"expected the entry to hold the digest of evidence '{name}' as fact or reference '{name}', got another value",
                code="evidence_unbound",
                remedy="Record the evidence's digest as a fact of that name, and pass exactly what was digested.",
            )
    names = {(signature.name, signature.key_hash) for signature in note.parse(signed.note).signatures}
    key = next(key for key in keys if (key.name, key.key_hash) in names)
    return Receipt(leaf, dict(openings), dict(evidence), index, tuple(proof), signed.note, key.text)


def parse(text: str) -> Receipt:
    """Take a receipt file apart; `InvalidReceipt` when it is not one."""
    if len(text) > _MAX_FILE:
        raise InvalidReceipt(f"expected a file of at most {_MAX_FILE} characters, got more")
    try:
        return _read(json.loads(text, object_pairs_hook=_once))
    except InvalidReceipt:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, CandorError) as fault:
        raise InvalidReceipt(
            f"expected a receipt file, got one that cannot be read ({type(fault).__name__})"
        ) from fault


def verify(receipt: Receipt, key: str | None = None, keys: str | None = None) -> Verdict:
    """Check everything a receipt claims. `key` is the log's vkey as its reader knows it; without it nothing is trusted.

    `keys` is the log's signed list of keys (`GET /audit/keys`): with it, a receipt under another key of the log is trusted too, and one under a revoked key is not.
    """
    problems: list[str] = []
    leaf = _step(problems, lambda: read_leaf(receipt.leaf))
    shown = _step(problems, lambda: note.parse_key(receipt.key))
    lines: list[str] = []
    given = None if key is None else _step(problems, lambda: note.parse_key(key))
    trusted = given is not None and given == shown
    if given is not None and shown is not None and keys is not None:
        trusted = _listed(shown, given, keys, lines, problems)
    elif key is not None and shown is not None and not trusted:
        problems.append("the receipt was made under another key than the one given")
    if shown is not None:
        signed = _step(problems, lambda: verify_checkpoint(receipt.checkpoint, [shown]))
        if signed is not None and _step(problems, lambda: _included(receipt, signed)):
            lines.append(f"entry {receipt.index} of {signed.size} in the log {signed.origin}")
    redacted: tuple[str, ...] = ()
    if leaf is not None:
        redacted = _openings(receipt, leaf, lines, problems)
    fingerprint = "" if shown is None else f"sha256:{hashlib.sha256(shown.material).hexdigest()}"
    if not problems and not trusted:
        lines.append(f"UNTRUSTED: no key was given; the key in the file is {receipt.key}")
        lines.append(f"its fingerprint is {fingerprint}: compare it with the one the controller publishes")
    lines += [f"FAILED: {problem}" for problem in problems]
    lines.append("not valid" if problems else "valid" if trusted else "consistent in itself, under an untrusted key")
    return Verdict(not problems, trusted and not problems, tuple(lines), tuple(problems), redacted, fingerprint)


def _listed(shown: VerifierKey, given: VerifierKey, keys: str, lines: list[str], problems: list[str]) -> bool:
    """Whether the list says that the receipt's key holds; what it says, in words."""
    listed = _step(problems, lambda: keylist.read(keys, given))
    if listed is None:
        problems.append("the list of keys is not signed by the key given")
        return False
    found = next((one for one in listed if one.key == shown), None)
    if found is None:
        problems.append("the receipt was made under a key that is not in the log's list of keys")
    elif found.state is KeyState.REVOKED:
        problems.append(
            f"the receipt was made under a key that was revoked at {found.at} ({found.reason}): ask for a receipt made since, of the same decision"
        )
    elif found.state is KeyState.EARLIER:
        lines.append("signed by an earlier key of this log, which was rotated out and holds")
    return found is not None and found.state is not KeyState.REVOKED


def verify_file(path: Path, key: str | None = None, keys: str | None = None) -> Verdict:
    """`verify` for a file; one that cannot be read is a verdict too."""
    try:
        receipt = parse(path.read_bytes()[: _MAX_FILE + 1].decode())
    except (OSError, UnicodeDecodeError, InvalidReceipt) as fault:
        reason = (
            fault.message if isinstance(fault, InvalidReceipt) else f"the file cannot be read ({type(fault).__name__})"
        )
        lines = (f"FAILED: {reason}", "not valid")
        return Verdict(ok=False, trusted=False, lines=lines, problems=(reason,), redacted=(), fingerprint="")
    return verify(receipt, key, keys)


def _read(fields: dict[str, Any]) -> Receipt:
    if set(fields) != set(_FIELDS) or fields["format"] != FORMAT:
        raise InvalidReceipt(f"expected the fields of a {FORMAT} file, got others")
    wrong = [name for name, kind in _FIELDS.items() if type(fields[name]) is not kind]
    if wrong:
        raise InvalidReceipt(f"expected other types of {', '.join(wrong)}")
    openings = {
        name: Opening(note.unbase64(opening.pop("salt"), "salt"), _only_value(opening))
        for name, opening in fields["openings"].items()
    }
    return Receipt(
        leaf=fields["leaf"].encode(),
        openings=openings,
        evidence=dict(fields["evidence"]),
        index=fields["index"],
        proof=tuple(note.unbase64(part, "proof") for part in fields["proof"]),
        checkpoint=fields["checkpoint"],
        key=fields["key"],
    )


def _included(receipt: Receipt, signed: Checkpoint) -> bool:
    leaf = merkle.leaf_hash(receipt.leaf)
    merkle.verify_inclusion(receipt.index, signed.size, leaf, receipt.proof, signed.root)
    return True


def _openings(receipt: Receipt, leaf: Leaf, lines: list[str], problems: list[str]) -> tuple[str, ...]:
    lines.append(f"{leaf.tag} at {leaf.at}, id {leaf.entry_id}")
    for name, opening in receipt.openings.items():
        commitment = leaf.commitments.get(name)
        if commitment is None:
            problems.append(f"'{name}' is opened, but the entry has no such commitment")
        elif len(opening.salt) != SALT_SIZE or _step(problems, lambda: opening.opens(commitment)) is not True:  # noqa: B023
            problems.append(f"the value of '{name}' is not the one the entry commits to")
        else:
            lines.append(f"{name} = {json.dumps(opening.value, ensure_ascii=False)}{_decimal(opening.value)}")
    for name, value in receipt.evidence.items():
        if _step(problems, lambda: _bound(name, value, receipt.openings)) is True:  # noqa: B023
            lines.append(f"evidence '{name}' is what the entry rests on")
        else:
            problems.append(f"evidence '{name}' is not what the entry rests on")
    redacted = tuple(sorted(set(leaf.commitments) - set(receipt.openings)))
    lines += [f"{name}: redacted, integrity proven" for name in redacted]
    return redacted


def _decimal(value: Json) -> str:
    """A number that is kept to the last bit (hexadecimal), once more as people read it."""
    if not isinstance(value, str) or not _BITS.fullmatch(value):
        return ""
    return f" ({float.fromhex(value):.6g})"


def _bound(name: str, value: Json, openings: Mapping[str, Opening]) -> bool:
    return any(
        opening is not None and opening.value == digest(value)
        for opening in (openings.get(name), openings.get(f"ref.{name}"))
    )


def _step(problems: list[str], check: Callable[[], _T]) -> _T | None:
    try:
        return check()
    except (IntegrityError, InvalidInput) as fault:
        problems.append(fault.message)
        return None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise InvalidReceipt("expected every name once, got one twice")
    return held


def _only_value(opening: dict[str, Json]) -> Json:
    if set(opening) != {"value"}:
        raise InvalidReceipt("expected an opening to hold a salt and a value")
    return opening["value"]


def _plain(value: object) -> object:
    """Mappings and sequences of other types, as JSON knows them."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(cast("Sequence[object]", value))
