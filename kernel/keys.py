"""The secrets of an installation: key-encryption keys, the hashing secrets, the token keys.

What enters: a file with mode 0600, made on first start. What leaves: wrapped and unwrapped data keys, and secrets derived by
HKDF-SHA256 (RFC 5869), one per purpose, so that no two uses share a key. Wrapping is AES-256-GCM with the key id as
associated data: a wrapped key copied to another row does not open.

The file is looked at again whenever it has changed, so that a rotation by another process needs no restart.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kernel import key_file
from kernel.errors import Conflict, IntegrityError, NotFound
from kernel.ids import KeyId
from kernel.key_file import FIRST_INDEX, KEY_BYTES, Content, KeyFileRefused, decode, fresh

__all__ = [
    "KEY_BYTES", "NONCE_BYTES", "FileKeys", "KekMissing", "KeyEncryptionKeys", "KeyFileRefused", "KeyInUse", "UnknownSecret", "Wrapped", "WrappedKeyAltered", "derive",
]  # fmt: skip

NONCE_BYTES: Final = 12
_SALT: Final = b"candor/v1"

Kind = Literal["kek", "tok", "idx"]


class KekMissing(NotFound):
    """A data key was wrapped under a key-encryption key that this installation no longer holds."""

    code = "kek_missing"
    remedy = "Put that key-encryption key back into the key file; its backup has it."


class UnknownSecret(NotFound):
    """No secret of this name was ever here."""

    code = "unknown_secret"
    remedy = "See the names: `candor keys secrets`."


class KeyInUse(Conflict):
    """A key cannot be retired: it is current, or something still hangs on it."""

    code = "key_in_use"
    remedy = "Rotate first and let the rotation end: `candor keys rotate`."


class WrappedKeyAltered(IntegrityError):
    """A wrapped key does not open: altered, or moved to another key id."""

    code = "wrapped_key_altered"
    remedy = "Restore the keys database from its backup; the words under this key cannot be opened until then."


class Wrapped(NamedTuple):
    """Wrapped forms in order, and the name of the key-encryption key that wrapped all of them."""

    kek: str
    keys: list[bytes]


class KeyEncryptionKeys(Protocol):
    """What wraps data keys: a file here, a KMS, HSM or Vault's transit engine elsewhere.

    A *name* stands for one version of a key-encryption key for ever: ``kek-2`` here, key ARN and version elsewhere. It is stored beside every
    wrapped key. Calls are bulk because a person has many keys and a remote KMS charges a round trip each. All are atomic (all
    or an error), may be retried, and are called from several tasks and processes at once. A driver binds the key id as
    associated data (``AAD``, ``context``), so that a wrapped key moved to another id does not open.
    """

    @property
    def current(self) -> str:
        """Name of the key-encryption key that ``wrap`` uses now; another process may rotate at any time."""
        ...

    async def wrap(self, keys: Sequence[tuple[KeyId, bytes]]) -> Wrapped:
        """Wrapped forms of (key id, 32 clear bytes), all under one key-encryption key, which is named."""
        ...

    async def unwrap(self, keys: Sequence[tuple[KeyId, str, bytes]]) -> list[bytes]:
        """Clear 32 bytes of (key id, key-encryption key name, wrapped), in order. Opens what older ones wrapped.

        Raises:
            WrappedKeyAltered: one does not open.
            KekMissing: one was wrapped under a key-encryption key that is unknown or retired.
        """
        ...

    async def rotate(self) -> str:
        """Make a new version, current from now on; its name. Durable on return; older ones go on opening."""
        ...

    async def retire(self, name: str) -> None:
        """Destroy a version for good: from now on nobody opens anything under it. Done already: done.

        The caller has made sure that nothing hangs on it. A KMS that delays deletion disables it at once.

        Raises:
            KeyInUse: it is current.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """The file as it was last read, ready for use."""

    mark: tuple[int, int, int]
    content: Content
    keks: Mapping[str, AESGCM]
    tokens: Mapping[str, bytes]
    indexes: tuple[tuple[str, bytes], ...]
    """(name, secret), the current one first."""


class FileKeys:
    """``KeyEncryptionKeys`` in a file; holds several versions, the newest wraps. Also the hashing secrets and the token keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held = _read(path)
        self._hash_secret = decode(self._held.content.hash_secret, "hash_secret")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; refuses one that others may read."""
        return cls(path)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new file with fresh secrets; when another process was quicker, read its file."""
        key_file.make(path)
        return cls.load(path)

    @property
    def current(self) -> str:
        """Name of the key-encryption key in use."""
        return self._now().content.current

    @property
    def names(self) -> tuple[str, ...]:
        """Names of every living key-encryption key, oldest first."""
        return tuple(self._now().content.keys)

    def known(self, name: str) -> bool:
        """Whether a secret of this name is in the file, or was until it was retired."""
        held = self._now().content
        return name in {*held.keys, *held.token_keys, *held.index_names, *held.retired}

    async def wrap(self, keys: Sequence[tuple[KeyId, bytes]]) -> Wrapped:
        """See ``KeyEncryptionKeys.wrap``; nonce in front."""
        return self.wrap_now(keys)

    def wrap_now(self, keys: Sequence[tuple[KeyId, bytes]]) -> Wrapped:
        """The same without waiting: nothing here is remote."""
        held = self._now()
        encrypt = held.keks[held.content.current].encrypt
        nonces = secrets.token_bytes(NONCE_BYTES * len(keys))
        wrapped = []
        for place, (key_id, clear) in enumerate(keys):
            nonce = nonces[place * NONCE_BYTES : (place + 1) * NONCE_BYTES]
            wrapped.append(nonce + encrypt(nonce, clear, key_id.encode()))
        return Wrapped(held.content.current, wrapped)

    async def unwrap(self, keys: Sequence[tuple[KeyId, str, bytes]]) -> list[bytes]:
        """See ``KeyEncryptionKeys.unwrap``."""
        keks = self._now().keks if keys else {}
        clear = []
        for key_id, name, wrapped in keys:
            kek = keks.get(name)
            if kek is None:
                msg = f"expected the key-encryption key '{name}' of {key_id}, got none of that name"
                raise KekMissing(msg)
            try:
                clear.append(kek.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], key_id.encode()))
            except (InvalidTag, ValueError):
                msg = f"expected a wrapped key that opens as {key_id}, got one that was altered or moved"
                raise WrappedKeyAltered(msg) from None
        return clear

    async def rotate(self) -> str:
        """See ``KeyEncryptionKeys.rotate``."""
        return self.add("kek")

    async def retire(self, name: str) -> None:
        """See ``KeyEncryptionKeys.retire``."""
        self.remove(name)

    def add(self, kind: Kind) -> str:
        """A new key of this kind, current from now on; its name."""
        with key_file.changing(self.path):
            old = key_file.read(self.path)
            name = old.next_name(kind)
            change: Mapping[str, object] = {
                "kek": {"current": name, "keys": {**old.keys, name: fresh()}},
                "tok": {"token_current": name, "token_keys": {**old.token_keys, name: fresh()}},
                "idx": {
                    "index_names": (*old.index_names, name),
                    "index_keys": {**old.index_keys, name: fresh()},
                },
            }[kind]
            key_file.replace(self.path, old.model_copy(update=dict(change)))
        return name

    def remove(self, name: str) -> None:
        """Destroy a key that is not current; done already: done.

        Raises:
            KeyInUse: it is current.
        """
        with key_file.changing(self.path):
            old = key_file.read(self.path)
            if name in {old.current, old.token_current, old.index_names[-1]}:
                msg = f"expected a key that was rotated out, got '{name}', which is current"
                raise KeyInUse(msg)
            if name not in {*old.keys, *old.token_keys, *old.index_names}:
                return
            change = {
                "keys": {key: value for key, value in old.keys.items() if key != name},
                "token_keys": {key: value for key, value in old.token_keys.items() if key != name},
                "index_names": tuple(key for key in old.index_names if key != name),
                "index_keys": {key: value for key, value in old.index_keys.items() if key != name},
                "retired": (*old.retired, name),
            }
            key_file.replace(self.path, old.model_copy(update=change))

    def derive(self, purpose: str) -> bytes:
        """A 32-byte secret for one purpose, from the hashing secret; the same for ever."""
        return derive(self._hash_secret, purpose)

    def indexes(self) -> tuple[tuple[str, bytes], ...]:
        """(name, secret) of the blind index: the current one first, then those whose look-ups still count."""
        return self._now().indexes

    def token_secrets(self) -> tuple[str, Mapping[str, bytes]]:
        """Name of the current token key, and every token key by name."""
        held = self._now()
        return held.content.token_current, held.tokens

    def _now(self) -> _Held:
        """The file as it is: read again when it has changed. Gone for the moment: as it was."""
        try:
            if _mark(self.path) != self._held.mark:
                self._held = _read(self.path)
        except FileNotFoundError:
            return self._held
        return self._held


def derive(secret: bytes, purpose: str) -> bytes:
    """HKDF-SHA256 of ``secret`` for one purpose."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_SALT, info=purpose.encode()).derive(secret)


def _mark(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> _Held:
    mark = _mark(path)
    content = key_file.read(path)
    if (
        content.current not in content.keys
        or content.token_current not in content.token_keys
        or not content.index_names
    ):
        msg = "expected the current keys among the listed ones, got names without a key"
        raise KeyFileRefused(msg)
    if missing := [name for name in content.index_names if name != FIRST_INDEX and name not in content.index_keys]:
        msg = f"expected a secret for every name of the blind index, got {len(missing)} names without one"
        raise KeyFileRefused(msg)
    first = derive(decode(content.hash_secret, "hash_secret"), "blind-index")
    return _Held(
        mark=mark,
        content=content,
        keks={name: AESGCM(decode(value, name)) for name, value in content.keys.items()},
        tokens={name: decode(value, name) for name, value in content.token_keys.items()},
        indexes=tuple(
            (name, first if name == FIRST_INDEX else decode(content.index_keys[name], name))
            for name in reversed(content.index_names)
        ),
    )
