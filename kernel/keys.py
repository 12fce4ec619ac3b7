"""The secrets of an installation: key-encryption keys, the hashing secret, the token keys.

What enters: a file with mode 0600, made on first start. What leaves: wrapped and unwrapped data keys, and secrets derived by
HKDF-SHA256 (RFC 5869), one per purpose, so that no two uses share a key. Wrapping is AES-256-GCM with the key id as
associated data: a wrapped key copied to another row does not open.
"""

import base64
import binascii
import json
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, ValidationError

from kernel.errors import IntegrityError, InvalidInput, NotFound
from kernel.ids import KeyId

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_SALT: Final = b"candor/v1"


class KeyFileRefused(InvalidInput):
    """The key file cannot be used as it is."""

    code = "key_file_refused"
    remedy = "Restore it from its backup; do not make a new one, or everything sealed stays closed for ever."


class KekMissing(NotFound):
    """A data key was wrapped under a key-encryption key that this installation no longer holds."""

    code = "kek_missing"
    remedy = "Put that key-encryption key back into the key file; its backup has it."


class WrappedKeyAltered(IntegrityError):
    """A wrapped key does not open: altered, or moved to another key id."""

    code = "wrapped_key_altered"
    remedy = "Restore the keys database from its backup; the words under this key cannot be opened until then."


class KeyEncryptionKeys(Protocol):
    """What wraps data keys: a file here, a KMS or HSM elsewhere.

    Calls are bulk because a person has many keys and a remote KMS charges a round trip each. ``wrap`` uses the current
    key-encryption key and names it; ``unwrap`` is given that name back and must keep opening what older ones wrapped.
    Both are atomic (all or an error), may be retried, and are called from several tasks at once.
    """

    @property
    def current(self) -> str:
        """Name of the key-encryption key that ``wrap`` uses now."""
        ...

    async def wrap(self, keys: Sequence[tuple[KeyId, bytes]]) -> list[bytes]:
        """Wrapped forms of (key id, 32 clear bytes), in order."""
        ...

    async def unwrap(self, keys: Sequence[tuple[KeyId, str, bytes]]) -> list[bytes]:
        """Clear 32 bytes of (key id, key-encryption key name, wrapped), in order.

        Raises:
            WrappedKeyAltered: one does not open.
            KekMissing: one was wrapped under an unknown key-encryption key.
        """
        ...


class _File(BaseModel):
    """The content of the key file. Values are base64 of 32 bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int
    current: str
    keys: dict[str, str]
    token_current: str
    token_keys: dict[str, str]
    hash_secret: str


class FileKeys:
    """``KeyEncryptionKeys`` in a file; holds several versions, the newest wraps."""

    def __init__(self, path: Path, content: _File) -> None:
        self.path = path
        self._content = content
        self._keks = {name: AESGCM(_decode(value, name)) for name, value in content.keys.items()}
        self._hash_secret = _decode(content.hash_secret, "hash_secret")
        if content.current not in self._keks or content.token_current not in content.token_keys:
            msg = "expected the current keys among the listed ones, got names without a key"
            raise KeyFileRefused(msg)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; refuses one that others may read."""
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            msg = f"expected mode 600 on the key file, got {mode:o}"
            raise KeyFileRefused(msg, remedy=f"chmod 600 {path}, and think about who may have read it.")
        try:
            return cls(path, _File.model_validate_json(path.read_bytes()))
        except ValidationError as fault:
            # The validation text would show the secrets: count the faults only.
            msg = f"expected a key file of version 1, got {fault.error_count()} faulty fields"
            raise KeyFileRefused(msg) from None

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new file with fresh secrets; when another process was quicker, read its file."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = _File(
            version=1,
            current="kek-1",
            keys={"kek-1": _fresh()},
            token_current="tok-1",  # noqa: S106 - a name
            token_keys={"tok-1": _fresh()},
            hash_secret=_fresh(),
        )
        half = _write_half(path, content)
        try:
            os.link(half, path)  # fails when the file exists: never overwrites
        except FileExistsError:
            pass
        finally:
            half.unlink()
        _sync_folder(path.parent)
        return cls.load(path)

    def rotate(self) -> Self:
        """Add a key-encryption key and a token key and make them current; older ones keep opening what they wrapped."""
        number = len(self._content.keys) + 1
        content = self._content.model_copy(
            update={
                "current": f"kek-{number}",
                "keys": {**self._content.keys, f"kek-{number}": _fresh()},
                "token_current": f"tok-{number}",
                "token_keys": {**self._content.token_keys, f"tok-{number}": _fresh()},
            }
        )
        _write_half(self.path, content).replace(self.path)
        _sync_folder(self.path.parent)
        return self.load(self.path)

    @property
    def current(self) -> str:
        """Name of the key-encryption key in use."""
        return self._content.current

    async def wrap(self, keys: Sequence[tuple[KeyId, bytes]]) -> list[bytes]:
        """See ``KeyEncryptionKeys.wrap``; nonce in front."""
        return self.wrap_now(keys)

    def wrap_now(self, keys: Sequence[tuple[KeyId, bytes]]) -> list[bytes]:
        """The same without waiting: nothing here is remote."""
        encrypt = self._keks[self.current].encrypt
        nonces = secrets.token_bytes(NONCE_BYTES * len(keys))
        wrapped = []
        for place, (key_id, clear) in enumerate(keys):
            nonce = nonces[place * NONCE_BYTES : (place + 1) * NONCE_BYTES]
            wrapped.append(nonce + encrypt(nonce, clear, key_id.encode()))
        return wrapped

    async def unwrap(self, keys: Sequence[tuple[KeyId, str, bytes]]) -> list[bytes]:
        """See ``KeyEncryptionKeys.unwrap``."""
        clear = []
        for key_id, name, wrapped in keys:
            kek = self._keks.get(name)
            if kek is None:
                msg = f"expected the key-encryption key '{name}' of {key_id}, got none of that name"
                raise KekMissing(msg)
            try:
                clear.append(kek.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], key_id.encode()))
            except (InvalidTag, ValueError):
                msg = f"expected a wrapped key that opens as {key_id}, got one that was altered or moved"
                raise WrappedKeyAltered(msg) from None
        return clear

    def derive(self, purpose: str) -> bytes:
        """A 32-byte secret for one purpose, from the hashing secret; the same for ever."""
        return derive(self._hash_secret, purpose)

    def token_secrets(self) -> tuple[str, Mapping[str, bytes]]:
        """Name of the current token key, and every token key by name."""
        return self._content.token_current, {
            name: _decode(value, name) for name, value in self._content.token_keys.items()
        }


def derive(secret: bytes, purpose: str) -> bytes:
    """HKDF-SHA256 of ``secret`` for one purpose."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_SALT, info=purpose.encode()).derive(secret)


def _fresh() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _decode(value: str, name: str) -> bytes:
    try:
        clear = base64.b64decode(value, validate=True)
    except binascii.Error:
        clear = b""
    if len(clear) != KEY_BYTES:
        msg = f"expected base64 of {KEY_BYTES} bytes as '{name}' in the key file, got something else"
        raise KeyFileRefused(msg)
    return clear


def _write_half(path: Path, content: _File) -> Path:
    """The content beside ``path``, mode 0600 from its first byte, on disk before it is named."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content.model_dump(), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return half


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
