"""Signed notes (C2SP signed-note): text, signature lines, verifier and signer keys. Pure, offline.

Enters: note text and keys as people pass them around (`name+hash+base64`). Leaves: which keys signed, or `InvalidNote`.
Key types: 1 Ed25519, 2 ECDSA over SHA-256 (older logs), 4 Ed25519 witness cosignature (C2SP tlog-cosignature), 5 RFC 6962
tree head. Base64 must be canonical, so that no bit of a note can change without its meaning changing.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from audit.errors import InvalidNote

ED25519, ECDSA, COSIGNATURE, RFC6962 = 1, 2, 4, 5
_TIMESTAMP = 8  # bytes of Unix time in front of cosignatures and tree-head signatures
_MAX_SIGNATURES = 100  # Go's limit: a note with more is an attempt to make a verifier work
_MAX_NOTE = 1_000_000  # bytes; a checkpoint is a few hundred
_SIGNATURE_LINE = "— "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under. `text` is the vkey as it is passed around."""

    name: str
    key_hash: bytes
    algorithm: int
    material: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """`name+hash+base64`."""
        return f"{self.name}+{self.key_hash.hex()}+{base64_of(bytes([self.algorithm]) + self.material)}"

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` (without the key hash in front) is this key's over the note's text."""
        if self.algorithm == ED25519:
            return _ed25519(self.material, signature, text)
        if self.algorithm == COSIGNATURE:
            if len(signature) != _TIMESTAMP + 64:
                return False
            (at,) = struct.unpack(">Q", signature[:_TIMESTAMP])
            return _ed25519(self.material, signature[_TIMESTAMP:], b"cosignature/v1\ntime %d\n%s" % (at, text))
        if self.algorithm == ECDSA:
            return _ecdsa(self.material, signature, text)
        return _tree_head(self.material, signature, text)


@dataclass(frozen=True, slots=True)
class SignerKey:
    """A private Ed25519 key with its name. Never logged: its `repr` shows the public part only."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> "SignerKey":
        """A fresh key under `name`."""
        _require(_is_name(name), f"expected a key name without spaces and '+', got {len(name)} characters")
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, skey: str) -> "SignerKey":
        """Read `PRIVATE+KEY+name+hash+base64(1 || seed)`."""
        parts = skey.split("+", 4)
        _require(len(parts) == 5 and parts[:2] == ["PRIVATE", "KEY"], "expected PRIVATE+KEY+name+hash+base64")
        raw = unbase64(parts[4], "signer key")
        _require(len(raw) == 33 and raw[0] == ED25519, "expected an Ed25519 seed of 32 bytes after algorithm 1")
        key = cls(parts[2], raw[1:])
        _require(_is_name(key.name), "expected a key name without spaces and '+'")
        _require(parts[3] == key.verifier.key_hash.hex(), "expected the hash of this key, got another")
        return key

    @property
    def text(self) -> str:
        """The private key as it is stored."""
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_hash.hex()}+{base64_of(bytes([ED25519]) + self.seed)}"

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return VerifierKey(self.name, key_hash(self.name, ED25519, public), ED25519, public)

    def cosigner(self) -> VerifierKey:
        """The public half under which this key's cosignatures verify."""
        public = self.verifier.material
        return VerifierKey(self.name, key_hash(self.name, COSIGNATURE, public), COSIGNATURE, public)

    def sign_line(self, text: str) -> str:
        """The signature line over `text`."""
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return f"{_SIGNATURE_LINE}{self.name} {base64_of(self.verifier.key_hash + signature)}\n"

    def cosign_line(self, text: str, at: int) -> str:
        """The cosignature line over `text`, observed at Unix second `at`."""
        signed = b"cosignature/v1\ntime %d\n%s" % (at, text.encode())
        signature = struct.pack(">Q", at) + Ed25519PrivateKey.from_private_bytes(self.seed).sign(signed)
        return f"{_SIGNATURE_LINE}{self.name} {base64_of(self.cosigner().key_hash + signature)}\n"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, verified or not."""

    name: str
    key_hash: bytes
    signature: bytes = field(repr=False)

    @property
    def cosigned_at(self) -> int:
        """Unix second inside a cosignature; `InvalidNote` when this is another type of signature."""
        _require(len(self.signature) == _TIMESTAMP + 64, "expected a cosignature of 72 bytes, got another type")
        return int.from_bytes(self.signature[:_TIMESTAMP], "big")


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart: its text (with final newline) and its signature lines, nothing verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class VerifiedNote:
    """A note whose text at least one known key signed, and no known key signed wrongly."""

    text: str
    verified: tuple[NoteSignature, ...]
    unverified: tuple[NoteSignature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys that signed, in the note's order."""
        return tuple(signature.name for signature in self.verified)


def key_hash(name: str, algorithm: int, material: bytes) -> bytes:
    """The four bytes that name a key in a signature line."""
    if algorithm == ECDSA:  # these logs hash the key alone
        return hashlib.sha256(material).digest()[:4]
    if algorithm == RFC6962:  # the log id stands for the key
        material = hashlib.sha256(material).digest()
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + material).digest()[:4]


def parse_key(vkey: str) -> VerifierKey:
    """Read a vkey; `InvalidNote` when malformed, of another length, of an unknown type, or not the hash it says."""
    parts = vkey.split("+", 2)
    _require(len(parts) == 3, "expected a verifier key name+hash+base64")
    name, hex_hash, encoded = parts
    _require(_is_name(name), "expected a key name without spaces and '+'")
    _require(re.fullmatch(r"[0-9a-f]{8}", hex_hash) is not None, "expected a key hash of 8 hex digits")
    raw = unbase64(encoded, "verifier key")
    _require(len(raw) > 1, "expected key material, got none")
    algorithm, material = raw[0], raw[1:]
    _require(algorithm in {ED25519, ECDSA, COSIGNATURE, RFC6962}, f"expected a known key type, got {algorithm}")
    if algorithm in {ED25519, COSIGNATURE}:
        _require(len(material) == 32, f"expected an Ed25519 key of 32 bytes, got {len(material)}")
    else:
        _public_key(material)
    hashed = key_hash(name, algorithm, material)
    _require(hashed.hex() == hex_hash, f"expected key hash {hashed.hex()} for this key, got {hex_hash}")
    return VerifierKey(name, hashed, algorithm, material)


def parse_signature(encoded: str, name: str = "") -> NoteSignature:
    """Read the base64 of one signature line."""
    raw = unbase64(encoded, "signature")
    _require(len(raw) > 4, "expected a key hash and a signature, got fewer than 5 bytes")
    return NoteSignature(name, raw[:4], raw[4:])


def parse(note: str) -> Note:
    """Take a signed note apart; `InvalidNote` when malformed."""
    _require(len(note) <= _MAX_NOTE, f"expected a note of at most {_MAX_NOTE} characters, got {len(note)}")
    _require(not re.search(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]", note), "expected no control characters in a note")
    head, blank, tail = note.rpartition("\n\n")
    _require(bool(blank and tail) and tail.endswith("\n"), "expected text, a blank line and signature lines")
    lines = tail[:-1].split("\n")
    _require(len(lines) <= _MAX_SIGNATURES, f"expected at most {_MAX_SIGNATURES} signatures, got {len(lines)}")
    signatures = []
    for line in lines:
        _require(line.startswith(_SIGNATURE_LINE), "expected a signature line that begins with an em dash")
        name, _, encoded = line[len(_SIGNATURE_LINE) :].partition(" ")
        _require(_is_name(name), "expected a key name in every signature line")
        signatures.append(parse_signature(encoded, name))
    return Note(head + "\n", tuple(signatures))


def verify(note: str, keys: Iterable[str | VerifierKey]) -> VerifiedNote:
    """Check every signature by a known key. Unknown signers are ignored, repeated lines count once.

    Raises:
        InvalidNote: malformed; a known key's signature is wrong; no known key signed; two keys answer to one name and hash.
    """
    taken = parse(note)
    known: dict[tuple[str, bytes], list[VerifierKey]] = {}
    for given in keys:
        key = parse_key(given) if isinstance(given, str) else given
        known.setdefault((key.name, key.key_hash), []).append(key)
    text = taken.text.encode()
    verified: dict[tuple[str, bytes], NoteSignature] = {}
    unverified: dict[NoteSignature, None] = {}
    for signature in taken.signatures:
        who = (signature.name, signature.key_hash)
        candidates = known.get(who)
        if candidates is None:
            unverified[signature] = None
        elif who not in verified:
            _require(len(candidates) == 1, f"expected one key for hash {who[1].hex()}, got {len(candidates)}")
            _require(candidates[0].verify(text, signature.signature), f"expected a signature by key {who[1].hex()}")
            verified[who] = signature
    _require(bool(verified), "expected a signature by a known key, got none")
    return VerifiedNote(taken.text, tuple(verified.values()), tuple(unverified))


def sign(text: str, *signers: SignerKey) -> str:
    """A signed note over `text`, which must end in a newline; a line per signer."""
    _require(text.endswith("\n"), "expected text that ends in a newline")
    note = text + "\n" + "".join(signer.sign_line(text) for signer in signers)
    parse(note)
    return note


def unbase64(encoded: str, what: str) -> bytes:
    """Canonical standard base64 (one encoding per value), or `InvalidNote` naming `what`."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = None
    if raw is None or base64_of(raw) != encoded:
        raise InvalidNote(f"expected canonical base64 for the {what}")
    return raw


def base64_of(raw: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(raw).decode()


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _public_key(material: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(material)
    except ValueError as fault:
        raise InvalidNote("expected a DER public key") from fault
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise InvalidNote("expected an elliptic-curve public key")
    return key


def _ecdsa(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        _public_key(public).verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _tree_head(public: bytes, signature: bytes, text: bytes) -> bool:
    """RFC 6962 §3.5: a timestamp and a TLS DigitallySigned over (version, type, timestamp, size, root)."""
    lines: Sequence[bytes] = text.split(b"\n")
    if len(signature) < _TIMESTAMP + 4 or len(lines) != 4 or lines[3] or not lines[1].isdigit():
        return False
    (at,) = struct.unpack(">Q", signature[:_TIMESTAMP])
    sha256, ecdsa, length = struct.unpack(">BBH", signature[_TIMESTAMP : _TIMESTAMP + 4])
    body, size = signature[_TIMESTAMP + 4 :], int(lines[1])
    root = unbase64(lines[2].decode("ascii", "replace"), "root")
    if (sha256, ecdsa, length) != (4, 3, len(body)) or len(root) != 32 or size >= 2**64:
        return False
    return _ecdsa(public, body, struct.pack(">BBQQ", 0, 1, at, size) + root)


def _require(condition: bool, message: str) -> None:  # noqa: FBT001  a private assertion reads best positionally
    if not condition:
        raise InvalidNote(message)
