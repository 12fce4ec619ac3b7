"""The words of the pages that people open from a message, from files, per language (``wording/en.yaml``, ``wording/de.yaml``).

Enters: a language, a key, an act or a purpose. Leaves: sentences. Every language has every key of English (a test holds them to it). Which
language a page is in: the one asked for in its address, else the person's own, else the first of Accept-Language (RFC 9110, 12.5.4) that
there are words in, else English.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Final

from consent import reasons
from consent.purposes import EVERYTHING, PAUSE, SALE_SHARE, USE, PurposeTree
from kernel.wording import Sentences, language_of, read_words

LANGUAGES: Final = ("en", "de")
DEFAULT: Final = "en"


class Words(Sentences):
    """One language's words, by dotted keys such as ``preferences.title``."""

    def of(self, group: str, name: str) -> str:
        """The words for ``name`` in ``group``; the name itself, readable, where there are none."""
        return self._words.get(f"{group}.{name}") or name.replace("_", " ")

    def moment(self, at: datetime) -> str:
        """A time as people read it."""
        at = at.astimezone(UTC)
        return f"{self.day(at)}, {at:%H:%M} UTC"

    def day(self, at: datetime) -> str:
        """A day as people read it."""
        return self("day", day=str(at.day), month=self("months").split()[at.month - 1], year=str(at.year))

    def reason(self, code: str) -> str:
        """Why a permission is what it is."""
        return self._words.get(f"reason.{code}") or reasons.text(code)

    def purpose(self, tree: PurposeTree, key: str) -> tuple[str, str]:
        """Title and description of a purpose; of the two words that stand for many, and of one that is declared no more."""
        if key in {EVERYTHING, SALE_SHARE}:
            return self(f"many.{'everything' if key == EVERYTHING else key}"), ""
        if key == PAUSE:
            return self("many.pause"), ""
        if key.startswith(USE):
            return self("many.use", kind=self.of("kind", key.removeprefix(USE))), ""
        found = tree.get(key)
        return (key, "") if found is None else found.told(self.language)


def wanted(*, asked: str | None = None, own: Iterable[str] = (), accepted: str = "") -> str:
    """The language of a page: as asked, as hers, as her browser's, English."""
    for one in (asked or "", *own):
        if language_of(one) in LANGUAGES:
            return language_of(one)
    return preferred(accepted) or DEFAULT


def preferred(accepted: str, among: Iterable[str] = LANGUAGES) -> str | None:
    """The best language of an Accept-Language header among those there are; None when it names none of them."""
    known, found = set(among), list[tuple[float, int, str]]()
    for place, part in enumerate(accepted[:1000].split(",")):
        tag, _, rest = part.partition(";")
        name, _, value = rest.strip().partition("=")
        try:
            weight = float(value) if name.strip() == "q" else 1.0
        except ValueError:  # somebody's own idea of a weight
            weight = 0.0
        if 0 < weight <= 1 and language_of(tag) in known:
            found.append((-weight, place, language_of(tag)))
    return min(found)[2] if found else None


@cache
def words(language: str) -> Words:
    """The words of a language; ``de-AT`` reads as ``de``, anything unknown as English."""
    name = language_of(language)
    name = name if name in LANGUAGES else DEFAULT
    return Words(name, read_words("consent", name))
