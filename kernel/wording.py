"""Words of pages from files, one file a language under a room's ``wording/``.

Enters: a room, a language, the languages it has. Leaves: its sentences by dotted keys, with their slots filled.
"""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from kernel.yaml_text import read_yaml


class Sentences:
    """One language's words, by dotted keys such as ``preferences.title``. Rooms add what they say of their own."""

    def __init__(self, language: str, words: Mapping[str, str]) -> None:
        self.language = language
        self._words = MappingProxyType(dict(words))

    def keys(self) -> frozenset[str]:
        """Every key of this language."""
        return frozenset(self._words)

    def __call__(self, key: str, **slots: str) -> str:
        """The sentence under ``key``."""
        return self._words[key].format(**slots)


def language_of(tag: str) -> str:
    """The language of a tag: ``de`` for ``de-AT`` and ``de_DE``."""
    return tag.strip().replace("_", "-").split("-", maxsplit=1)[0].lower()


def read_words(room: str, language: str) -> dict[str, str]:
    """The words of ``<room>/wording/<language>.yaml``, by dotted keys."""
    tree = read_yaml(files(room).joinpath(f"wording/{language}.yaml").read_text(encoding="utf-8"))
    return dict(_flat(tree, ""))


def _flat(tree: object, prefix: str) -> list[tuple[str, str]]:
    if isinstance(tree, dict):
        return [pair for key, below in tree.items() for pair in _flat(below, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, str(tree))]
