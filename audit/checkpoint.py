"""Checkpoints (C2SP tlog-checkpoint): a signed note over origin, tree size and root hash. Pure, offline.

Enters: text. Leaves: `Checkpoint`, or `InvalidNote`. `parse` only takes the text apart (it takes a body without signatures
too, and a root of any length, as other parsers do); `verify` answers for the signatures; `verify_checkpoint` is the one to
trust: signed, 32-byte root, no extension lines.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from audit import merkle, note
from audit.errors import InvalidNote
from audit.note import SignerKey, VerifiedNote, VerifierKey, parse_key, verify

__all__ = [
    "Checkpoint",
    "SignedCheckpoint",
    "SignerKey",
    "VerifiedNote",
    "VerifierKey",
    "cosignature_time",
    "parse",
    "parse_key",
    "sign",
    "verify",
    "verify_checkpoint",
]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log claims: under `origin`, `size` leaves have `root`. `extensions` are lines that others may append."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def hash(self) -> bytes:
        """The root, by the name the specification gives it."""
        return self.root

    @property
    def body(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), note.base64_of(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the signed note that carries it."""

    checkpoint: Checkpoint
    note: str

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        """Root hash of the tree."""
        return self.checkpoint.root


def parse(text: str) -> Checkpoint:
    """Take a checkpoint (signed or only its body) apart, verifying nothing; `InvalidNote` when malformed."""
    signed = "\n\n— " in text
    lines = (note.parse(text).text if signed else text).split("\n")
    _require(len(lines) >= 4, "expected origin, size and root, each on a line that ends")
    origin, size, root = lines[:3]
    _require(bool(origin), "expected an origin, got an empty line")
    _require(size.isascii() and size.isdigit() and (size == "0" or size[0] != "0"), "expected a decimal size")
    _require(int(size) < 2**64, "expected a size below 2**64")
    return Checkpoint(origin, int(size), note.unbase64(root, "root hash"), tuple(lines[3:-1]))


def verify_checkpoint(text: str, keys: Iterable[str | VerifierKey], origin: str | None = None) -> Checkpoint:
    """The checkpoint inside a note that a known key signed; `InvalidNote` when anything about it is off."""
    verified = verify(text, keys)
    checkpoint = parse(text)
    _require(checkpoint.body == verified.text, "expected the signed text to be the checkpoint")
    _require(len(checkpoint.root) == merkle.HASH_SIZE, f"expected a root of 32 bytes, got {len(checkpoint.root)}")
    _require(not checkpoint.extensions, "expected no extension lines")
    _require(origin is None or checkpoint.origin == origin, "expected a checkpoint of this log, got another origin")
    return checkpoint


def sign(checkpoint: Checkpoint, *signers: SignerKey) -> SignedCheckpoint:
    """Sign a checkpoint. Ed25519 is deterministic: signing the same tree again gives the same note."""
    return SignedCheckpoint(checkpoint, note.sign(checkpoint.body, *signers))


def cosignature_time(encoded: str) -> int:
    """The Unix second in the base64 of a cosignature; `InvalidNote` for another type of signature."""
    return note.parse_signature(encoded).cosigned_at


def _require(condition: bool, message: str) -> None:  # noqa: FBT001  a private assertion reads best positionally
    if not condition:
        raise InvalidNote(message)
