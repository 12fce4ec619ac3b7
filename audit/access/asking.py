"""Asking twice, getting one answer: Idempotency-Keys, kept in the transaction that does what was asked (operations.B6, B7).

Enters: an actor's key and what it was sent with. Leaves: the ids that the first asking made. The row commits with the act, so there is no moment in which one
of them is known and the other is not: who never heard an answer asks again with the same key, and learns what became of it. What is kept are keyed hashes and ids,
for `KEPT`; a refusal is not kept, so that it can be asked again once its cause is gone.

`asking_store.find` before the work saves it; `asking_store.claim` in the work's transaction decides, since two may ask at the same time.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from kernel.canonical import Json, canonical
from kernel.errors import InvalidInput
from kernel.vault import Vault

KEPT: Final = timedelta(days=30)
LONGEST: Final = 255


class KeyReused(InvalidInput):
    """An Idempotency-Key came again with other content."""

    code = "idempotency_mismatch"
    remedy = "Use a new Idempotency-Key for a new request; the same one only to repeat a request exactly."


@dataclass(frozen=True, slots=True)
class Asked:
    """One asking: 32 bytes that name it, 32 bytes that say what was asked."""

    key: bytes
    print: bytes


def asked(vault: Vault, header: str | None, *, actor: str, what: str, content: Json) -> Asked | None:
    """The asking behind an Idempotency-Key header; None without one. `what` names the act, so that a key may serve one of each.

    Raises:
        InvalidInput: an empty key, or one of more than 255 characters.
    """
    if header is None:
        return None
    key = header.strip().strip('"')
    if not key or len(key) > LONGEST:
        raise InvalidInput(
            f"expected an Idempotency-Key of 1 to {LONGEST} characters, got {len(key)}", code="bad_idempotency_key"
        )
    name = canonical([actor, what, key]).decode()
    return Asked(vault.pepper("asked/key", name), vault.pepper("asked/print", canonical(content).decode()))
