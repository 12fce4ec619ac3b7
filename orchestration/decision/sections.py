"""What titles a section of items: words from a file, and only what is true of its source and of what she did.

Enters: a source, what led to it (a region, a category, an item, a deed), a language. Leaves: one line. English where a language has no words.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from kernel.yaml_text import read_yaml

_FILE: Final = Path(__file__).parent / "data" / "sections.yaml"
_DEFAULT: Final = "en"


@cache
def _wording() -> Mapping[str, Mapping[str, str]]:
    parsed: Mapping[str, Mapping[str, str]] = read_yaml(_FILE.read_text(encoding="utf-8"))
    return parsed


def title(key: str, locale: str | None, **about: str) -> str:
    """The line for a key such as `popular_in`, with its words filled in."""
    spoken = _wording()
    language = (locale or _DEFAULT).replace("_", "-").partition("-")[0].lower()
    line = spoken.get(language, spoken[_DEFAULT])[key]
    for name, text in about.items():
        line = line.replace(f"{{{name}}}", text)
    return line


def languages() -> Mapping[str, frozenset[str]]:
    """The keys of every language."""
    return {language: frozenset(lines) for language, lines in _wording().items()}
