"""Word lists that tell what a column holds and which given names belong together.

Enters: nothing but installed packages (`nicknames`, the name lists inside `faker`).  Leaves: sets of names and, for a
given name, the codes of the name families it may stand for ("bob" and "rob" share "robert").
"""

import re
import unicodedata
from functools import cache
from importlib import import_module

# Letters that Unicode decomposition leaves whole.
_WHOLE = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
# Persian keyboards write these two otherwise than Arabic ones; the stretcher is no letter.
_WHOLE |= str.maketrans({"ی": "ي", "ک": "ك", "ـ": ""})
_VOICED = "\u3099\u309a"  # は, ば and ぱ are three letters
# Locales whose names are written in Latin letters and differ enough to matter.
_LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "sv_SE", "pt_BR")
_NOT_LETTER = re.compile(r"[\W_]+")  # of any script but those that write vowels as marks


def fold(text: str) -> str:
    """Lower case, accents removed, runs of blanks made one."""
    lowered = text.lower()
    if not lowered.isascii():
        decomposed = unicodedata.normalize("NFKD", lowered.translate(_WHOLE))
        lowered = unicodedata.normalize("NFC", "".join(c for c in decomposed if not _unspoken(c)))
    return " ".join(lowered.split())


def _unspoken(character: str) -> bool:
    """Accents, and what only steers the writing: joiners, directions."""
    marked = unicodedata.combining(character) and character not in _VOICED
    return bool(marked) or unicodedata.category(character) == "Cf"


def words(text: str) -> list[str]:
    """Folded words of letters and digits; apostrophes and full stops join, everything else parts."""
    return parted(fold(text).replace("'", "").replace("’", "").replace(".", "")).split()


def parted(text: str) -> str:
    """Letters and digits of any script, a blank for everything else. A vowel sign of Devanagari or Thai belongs to its letter."""
    if text.isascii():
        return _NOT_LETTER.sub(" ", text)
    return "".join(c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in text)


def plain_digits(text: str) -> str:
    """The digits of any script as 0 to 9: full-width, Arabic, Devanagari."""
    return text if text.isascii() else "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


@cache
def given_names() -> frozenset[str]:
    """Given names of several languages, folded."""
    found = {n for pair in _nickname_pairs() for n in pair}
    for locale in _LOCALES:
        provider = import_module(f"faker.providers.person.{locale}").Provider
        for attribute in ("first_names", "first_names_female", "first_names_male"):
            found.update(w for name in getattr(provider, attribute, ()) for w in words(str(name)))
    return frozenset(found)


@cache
def family_names() -> frozenset[str]:
    """Family names of several languages, folded."""
    found: set[str] = set()
    for locale in _LOCALES:
        provider = import_module(f"faker.providers.person.{locale}").Provider
        found.update(w for name in getattr(provider, "last_names", ()) for w in words(str(name)))
    return frozenset(found)


@cache
def _nickname_pairs() -> tuple[tuple[str, str], ...]:
    from nicknames import name_triplets

    return tuple((fold(t.name1), fold(t.name2)) for t in name_triplets() if t.relationship == "has_nickname")


@cache
def _families() -> dict[str, frozenset[str]]:
    full_forms: dict[str, set[str]] = {}
    for full, short in _nickname_pairs():
        full_forms.setdefault(short, set()).add(full)
        full_forms.setdefault(full, set())
    return {name: frozenset(fulls | {name}) for name, fulls in full_forms.items()}


def name_family(name: str) -> frozenset[str]:
    """The full forms a folded given name may stand for, itself included."""
    return _families().get(name) or frozenset((name,))


def akin(left: str, right: str) -> bool:
    """Whether two folded given names may be forms of one name (by the nickname list)."""
    return left == right or not name_family(left).isdisjoint(name_family(right))
