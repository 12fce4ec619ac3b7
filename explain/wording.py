"""The words of explanations, from files, per locale.

Enters: a locale and a key path. Leaves: a sentence with its slots filled. Every locale has the keys of English (a test holds them to it), so a look-up
cannot fail for a shipped locale; an unknown locale reads as its language, then as English.
"""

from datetime import datetime
from functools import cache
from typing import Final

from kernel.wording import Sentences, language_of, read_words

LOCALES: Final = ("en", "de")
_DAYS_MONTH: Final = 30
_DAYS_YEAR: Final = 365


class Words(Sentences):
    """One locale's words, addressed by dotted keys such as `headline.model`."""

    def of(self, group: str, name: str) -> str:
        """The words for `name` in `group`, or the group's `other`."""
        return self._words.get(f"{group}.{name}") or self._words[f"{group}.other"]

    def date(self, at: datetime) -> str:
        """A day, in a form that needs no month names."""
        return f"{at:%d.%m.%Y}" if self.language == "de" else f"{at.day} {_MONTHS[at.month - 1]} {at.year}"

    def age(self, observed: datetime, at: datetime) -> str:
        """How old something was at the time of the decision, coarsely."""
        days = max(0, (at - observed).days)
        if days == 0:
            return self("age.today")
        for unit, size in (("years", _DAYS_YEAR), ("months", _DAYS_MONTH), ("days", 1)):
            if days >= size:
                count = days // size
                return self(f"age.{unit}_one") if count == 1 else self(f"age.{unit}", n=str(count))
        return self("age.today")


_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@cache
def words(locale: str) -> Words:
    """The words of a locale; `de-AT` reads as `de`, anything unknown as `en`."""
    language = language_of(locale)
    language = language if language in LOCALES else "en"
    return Words(language, read_words("explain", language))
