"""The words of the pages that people open from a message, from files, per language (``wording/en.yaml``, ``wording/de.yaml``).

Enters: a language, a key, an act or a purpose. Leaves: sentences. Every language has every key of English (a test holds them to it). Which
language a page is in: the one asked for in its address, else the person's own, else the first of Accept-Language (RFC 9110, 12.5.4) that
there are words in, else English.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

import yaml

from consent import reasons
from consent.purposes import EVERYTHING, SALE_SHARE, PurposeTree

LANGUAGES: Final = ("en", "de")
DEFAULT: Final = "en"


class Words:
    """One language's words, by dotted keys such as ``preferences.title``."""

    def __init__(self, language: str, words: dict[str, str]) -> None:
        self.language = language
        self._words = MappingProxyType(words)

    def keys(self) -> frozenset[str]:
        """Every key of this language."""
        return frozenset(self._words)

    def __call__(self, key: str, **slots: str) -> str:
        """The sentence under ``key``."""
        return self._words[key].format(**slots)

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
        found = tree.get(key)
        return (key, "") if found is None else found.told(self.language)


def wanted(*, asked: str | None = None, own: Iterable[str] = (), accepted: str = "") -> str:
    """The language of a page: as asked, as hers, as her browser's, English."""
    for one in (asked or "", *own):
        if _language(one) in LANGUAGES:
            return _language(one)
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
        if 0 < weight <= 1 and _language(tag) in known:
            found.append((-weight, place, _language(tag)))
    return min(found)[2] if found else None


@cache
def words(language: str) -> Words:
    """The words of a language; ``de-AT`` reads as ``de``, anything unknown as English."""
    name = _language(language)
    name = name if name in LANGUAGES else DEFAULT
    tree = yaml.safe_load(files("consent").joinpath(f"wording/{name}.yaml").read_text(encoding="utf-8"))
    return Words(name, dict(_flat(tree, "")))


def _language(tag: str) -> str:
    return tag.strip().replace("_", "-").split("-", maxsplit=1)[0].lower()


def _flat(tree: object, prefix: str) -> list[tuple[str, str]]:
    if isinstance(tree, dict):
        return [pair for key, below in tree.items() for pair in _flat(below, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, str(tree))]
