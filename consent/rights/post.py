"""The form of a letter to a processor and of its answer (consent.D13). Pure.

What enters: what is asked, about whom. What leaves: canonical bytes to sign, and a judgement of what came back. After IAB Tech Lab's Data Deletion Request Framework, which ends at an
acknowledged receipt: here the answer names the digest of what it answers and what was done, is signed, and a probe asks afterwards whether anything is still held.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import orjson

from kernel import letters
from kernel.canonical import Json, canonical, digest

_SAID: Final = frozenset({"letter", "digest", "result", "held", "v", "at", "processed_at"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9:._+-]{0,100}")  # codes, digests, times
SIGNATURE: Final = "Candor-Signature"  # header: key id, colon, 128 hexadecimal digits
DISCOVERY: Final = "/.well-known/dsrdelete.json"
MOST: Final = 64 * 1024  # bytes of an answer


class Act(StrEnum):
    """What a processor is asked to do."""

    ERASE = "erase"
    RESTRICT = "restrict"
    STOP = "stop"  # to use it for what was opted out of
    CORRECT = "correct"


class State(StrEnum):
    """Where a letter stands."""

    WAITING = "waiting"
    ACKNOWLEDGED = "acknowledged"
    PROVEN = "proven"
    TAKEN = "taken"  # a provider without letters took the job; nothing proves what it did
    KEPT = "kept"  # they said that it is done, and hold it still


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back: ``fault`` is a code when it is not what it must be; ``held`` is a probe's."""

    fault: str | None = None
    held: bool | None = None


def written(
    name: str,
    act: Act,
    request: str,
    controller: str,
    subjects: Sequence[Mapping[str, str]],
    at: datetime,
    purposes: Sequence[str],
) -> dict[str, Json]:
    """A letter."""
    return {
        "v": 1, "letter": name, "act": act, "request": request, "controller": controller, "issued_at": at.isoformat(),
        "purposes": list(purposes), "subjects": [dict(one) for one in subjects],
    }  # fmt: skip


def asked(name: str, subjects: Json, at: datetime) -> dict[str, Json]:
    """A probe: do you hold anything about them still?"""
    return {"v": 1, "letter": name, "act": "probe", "issued_at": at.isoformat(), "subjects": subjects}


def signed(body: Mapping[str, Json], pen: letters.Pen) -> tuple[bytes, dict[str, str]]:
    """Bytes and headers."""
    words = canonical(dict(body))
    return words, {"Content-Type": "application/json", SIGNATURE: f"{pen.id}:{pen.sign(words).hex()}"}


def judged(body: Mapping[str, Json], answer: bytes, signature: str, public: bytes, *, probe: bool) -> Answered:
    """Whether an answer is signed by them, is about this very letter, and what it says."""
    key, _, mark = signature.partition(":")
    try:
        given = bytes.fromhex(mark)
    except ValueError:
        return Answered("unsigned")
    if key != letters.key_id(public) or not letters.genuine(answer, given, public):
        return Answered("unsigned")
    try:
        said = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return Answered("unreadable")
    if not isinstance(said, dict) or said.get("letter") != body["letter"] or said.get("digest") != digest(dict(body)):
        return Answered("another_letter")
    if probe:
        held = said.get("held")
        return Answered(held=held) if isinstance(held, bool) else Answered("unreadable")
    return Answered() if said.get("result") in {"done", "nothing_held"} else Answered("not_done")


def evidence(answer: bytes, signature: str) -> str:
    """What is kept of an acknowledgement: answer and signature, as they came, so that anybody can verify them with the processor's key.

    An answer that says more than it must may say it about her, and would outlive her: of such a one the signature is kept.
    """
    said = orjson.loads(answer)
    plain = all(
        name in _SAID and (isinstance(value, bool | int) or (isinstance(value, str) and _PLAIN.fullmatch(value)))
        for name, value in said.items()
    )
    return orjson.dumps({"answer": answer.decode() if plain else None, "signature": signature}).decode()
