"""Bits of a base64url text, read strictly from left to right.

Enters: one segment of a consent string. Leaves: integers, dates, letters and sets of ids. Data types of the IAB Europe TC string
(InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework, "Consent string and vendor list formats v2") and of the IAB
Tech Lab GPP string (Global-Privacy-Platform, Core/Consent String Specification, with Fibonacci coding). Libraries read missing bits
as zeroes and forget what is left over; here both make the string unreadable, because a cut string must never be taken for an answer.
Writers pad with zeroes to 6, 8 or 24 bits, and some more: any number of zeroes may follow.
"""

from typing import Final

from consent.signals.errors import Undecodable, Why

LONGEST: Final = 32_768  # characters; the longest string seen in the wild has under 2,000
MOST_IDS: Final = 500_000  # ids that ranges of one segment may unfold to: a short text could name billions
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_SIX: Final = {letter: f"{place:06b}" for place, letter in enumerate(_ALPHABET)}
_MAX_ID: Final = 65_535  # ids are written in 16 bits
_MAX_FIBONACCI: Final = 32  # bits of a code word; section ids need 8


def from_base64url(text: str) -> "Bits":
    """The bits of a base64url text, with or without ``=`` at its end.

    Raises:
        Undecodable: nothing, another letter, or ``=`` that does not fill four.
    """
    if not text:
        raise Undecodable(Why.EMPTY)
    if len(text) > LONGEST:
        raise Undecodable(Why.TOO_LONG)
    bare = text.rstrip("=")
    if len(text) != len(bare) and (len(text) % 4 or len(text) - len(bare) > 2):
        raise Undecodable(Why.NOT_BASE64URL)
    try:
        return Bits("".join([_SIX[letter] for letter in bare]))
    except KeyError:
        raise Undecodable(Why.NOT_BASE64URL) from None


class Bits:
    """A reader over a text of zeroes and ones."""

    __slots__ = ("_at", "_bits", "_unfolded")

    def __init__(self, bits: str) -> None:
        if bits.strip("01"):
            raise Undecodable(Why.NOT_BITS)
        self._bits = bits
        self._at = 0
        self._unfolded = 0

    def __len__(self) -> int:
        """Bits that are left."""
        return len(self._bits) - self._at

    def take(self, width: int) -> str:
        """The next ``width`` bits as text."""
        end = self._at + width
        if end > len(self._bits):
            raise Undecodable(Why.TRUNCATED)
        taken = self._bits[self._at : end]
        self._at = end
        return taken

    def again(self) -> "Bits":
        """A reader of the same bits from where this one is."""
        return Bits(self._bits[self._at :])

    def peek(self, width: int) -> int:
        """The number in the next ``width`` bits, without going on."""
        at = self._at
        value = self.number(width)
        self._at = at
        return value

    def number(self, width: int) -> int:
        """An unsigned number, most significant bit first."""
        return int(self.take(width), 2) if width else 0

    def bit(self) -> bool:
        """One bit."""
        return self.take(1) == "1"

    def flags(self, width: int) -> list[bool]:
        """As many bits, one answer each."""
        return [bit == "1" for bit in self.take(width)]

    def ids(self, width: int) -> list[int]:
        """Places of the bits that are set, counted from 1."""
        return [place for place, bit in enumerate(self.take(width), start=1) if bit == "1"]

    def letters(self, count: int) -> str:
        """Capital letters of six bits each, A is 0."""
        found = [self.number(6) for _ in range(count)]
        if any(place >= 26 for place in found):
            raise Undecodable(Why.NOT_A_LETTER)
        return "".join(chr(ord("A") + place) for place in found)

    def fixed_range(self, most: int = _MAX_ID) -> list[int]:
        """Range(Int16): 12 bits of count, then per entry one bit (1: from and to) and ids of 16 bits; none over ``most``."""
        chosen: set[int] = set()
        for _ in range(self.number(12)):
            grouped = self.bit()
            first = self.number(16)
            last = self.number(16) if grouped else first
            if first == 0 or last < first or last > most:
                raise Undecodable(Why.BAD_RANGE)
            self._count(last - first + 1)
            chosen.update(range(first, last + 1))
        return sorted(chosen)

    def optimized_range(self) -> list[int]:
        """Vendors: the highest id in 16 bits, then a bit: 0 a bit for each id, 1 a range."""
        most = self.number(16)
        return self.fixed_range(most) if self.bit() else self.ids(most)

    def optimized_fibonacci_range(self) -> list[int]:
        """The same with a range in Fibonacci coding, whose last id is the highest."""
        most = self.number(16)
        if not self.bit():
            return self.ids(most)
        found = self.fibonacci_range()
        if most != (found[-1] if found else 0):
            raise Undecodable(Why.BAD_RANGE)
        return found

    def fibonacci(self) -> int:
        """One positive number in Fibonacci coding: its last two bits are the first ``11``."""
        end = self._bits.find("11", self._at, self._at + _MAX_FIBONACCI)
        if end < 0:
            raise Undecodable(Why.TRUNCATED if len(self) < _MAX_FIBONACCI else Why.BAD_RANGE)
        value, this, following = 0, 1, 2
        for bit in self._bits[self._at : end + 1]:
            value += this if bit == "1" else 0
            this, following = following, this + following
        self._at = end + 2
        return value

    def fibonacci_range(self) -> list[int]:
        """Range(Fibonacci): 12 bits of count, then per entry one bit (1: from and to) and offsets from the id before."""
        chosen: list[int] = []
        last = 0
        for _ in range(self.number(12)):
            grouped = self.bit()
            first = last + self.fibonacci()
            last = first + self.fibonacci() if grouped else first
            if last > _MAX_ID:
                raise Undecodable(Why.BAD_RANGE)
            self._count(last - first + 1)
            chosen.extend(range(first, last + 1))
        return chosen

    def end(self, most: int | None = None) -> None:
        """Nothing but zeroes may be left, at most ``most`` of them."""
        rest = self._bits[self._at :]
        if "1" in rest or (most is not None and len(rest) > most):
            raise Undecodable(Why.TRAILING)

    def _count(self, more: int) -> None:
        self._unfolded += more
        if self._unfolded > MOST_IDS:
            raise Undecodable(Why.TOO_LONG)
