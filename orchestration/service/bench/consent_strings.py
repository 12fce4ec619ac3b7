"""Writes consent strings as the specifications say, by another road than the decoders read them, and spoils them.

Enters: what a string shall say. Leaves: the string, or one with letters changed, lost, put in or cut off. For measurements and tests; the house itself never writes
such strings.
"""

import base64
import random
from collections.abc import Iterable
from datetime import datetime
from typing import Final

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTERS: Final = f"{ALPHABET}abcdefghijklmnopqrstuvwxyz0123456789-_"
ODD: Final = ".~=+/ é"


def bits(value: int, width: int) -> str:
    """A number in so many bits."""
    return f"{value:0{width}b}"


def places(ids: Iterable[int], width: int) -> str:
    """One bit for each id, set for those that are named."""
    wanted = set(ids)
    return "".join("1" if place in wanted else "0" for place in range(1, width + 1))


def field(ids: Iterable[int]) -> str:
    """Vendors as a bit field."""
    known = sorted(ids)
    most = known[-1] if known else 0
    return bits(most, 16) + "0" + places(known, most)


def ranged(ids: Iterable[int]) -> str:
    """Ids as a range of single entries."""
    known = sorted(ids)
    return bits(len(known), 12) + "".join("0" + bits(one, 16) for one in known)


def text(said: str) -> str:
    """Bits as base64url, padded to whole bytes."""
    padded = said + "0" * (-len(said) % 8)
    raw = bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def moment(at: datetime) -> str:
    """A date in tenths of a second."""
    return bits(round(at.timestamp() * 10), 36)


def tc(
    created: datetime,
    *,
    updated: datetime | None = None,
    cmp_id: int = 31,
    policy: int = 5,
    service_specific: bool = True,
    purposes: Iterable[int] = (),
    interests: Iterable[int] = (),
    vendors: Iterable[int] = (),
    restrictions: Iterable[tuple[int, int, Iterable[int]]] = (),
    disclosed: Iterable[int] | None = (),
    publisher: Iterable[int] | None = None,
    language: str = "EN",
) -> str:
    """A TC string of version 2; ``disclosed`` and ``publisher`` None: without that segment."""
    limits = list(restrictions)
    core = (
        bits(2, 6) + moment(created) + moment(updated or created) + bits(cmp_id, 12) + bits(7, 12) + bits(1, 6)
        + "".join(bits(ALPHABET.index(letter), 6) for letter in language) + bits(48, 12) + bits(policy, 6)
        + ("1" if service_specific else "0") + "0" + places((), 12) + places(purposes, 24) + places(interests, 24)
        + "0" + bits(0, 6) * 2 + field(vendors) + field(())
        + bits(len(limits), 12) + "".join(bits(p, 6) + bits(kind, 2) + ranged(ids) for p, kind, ids in limits)
    )  # fmt: skip
    parts = [text(core)]
    if disclosed is not None:
        parts.append(text(bits(1, 3) + field(disclosed)))
    if publisher is not None:
        parts.append(text(bits(3, 3) + places(publisher, 24) + places((), 24) + bits(0, 6)))
    return ".".join(parts)


def fibonacci(number: int) -> str:
    """Fibonacci coding: the numbers that make it up, smallest first, and a one."""
    numbers = [1, 2]
    while numbers[-1] + numbers[-2] <= number:
        numbers.append(numbers[-1] + numbers[-2])
    code = ""
    for one in reversed([one for one in numbers if one <= number]):
        code = ("1" if one <= number else "0") + code
        number -= one if one <= number else 0
    return code + "1"


def gpp(section: int, said: str) -> str:
    """A GPP string of one section."""
    return text(bits(3, 6) + bits(1, 6) + bits(1, 12) + "0" + fibonacci(section)) + "~" + said


def spoil(said: str, rng: random.Random) -> tuple[str, bool]:
    """The string with up to four faults, and whether all that happened is that its end is gone."""
    letters, cut = list(said), True
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(max(len(letters), 1))
        how = rng.choice(("change", "change", "drop", "insert", "cut"))
        if how == "cut":
            letters = letters[:at]
            continue
        cut = False
        if how == "insert" or not letters:
            letters.insert(at, rng.choice(LETTERS + ODD))
        elif how == "drop":
            del letters[at]
        else:
            letters[at] = rng.choice(LETTERS if rng.random() < 0.9 else ODD)
    return "".join(letters), cut
