"""A sound key for names, after the idea of Metaphone (L. Philips, 1990) but smaller and not only for English.

Enters: a folded name.  Leaves: its first sound and the consonants that follow, so that spelling variants fall together.
"""

import re
from functools import lru_cache

_RULES = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^(kn|gn|pn)", "n"), (r"^wr", "r"), (r"^x", "s"), (r"mc|mac", "mk"), (r"ph", "f"), (r"sch|sh|ch|tch|cz", "x"),
        (r"th", "t"), (r"gh", "g"), (r"ck|q|c(?![eiy])", "k"), (r"c|z|ss", "s"), (r"dg", "j"), (r"g(?=[eiy])", "j"),
        (r"x", "x"), (r"w|v", "v"), (r"d", "t"), (r"b", "p"), (r"[hy]", ""),
    )
)  # fmt: skip
_NOT_LETTER = re.compile(r"[^a-z]")
_VOWELS = re.compile(r"[aeiou]+")
_DOUBLE = re.compile(r"(.)\1+")


@lru_cache(maxsize=200_000)
def sound(text: str) -> str:
    """The sound key of a name; empty for a name without letters."""
    letters = _NOT_LETTER.sub("", text)
    for pattern, replacement in _RULES:
        letters = pattern.sub(replacement, letters)
    head = "a" if letters[:1] in "aeiou" and letters else letters[:1]
    return (head + _DOUBLE.sub(r"\1", _VOWELS.sub("", letters[1:])))[:5]
