"""The why page can be read with eight years of school: every sentence, in every language, measured (explain.E8)."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import explain
from explain.feedback import Feedback
from explain.wording import LOCALES, words
from tests.support import readability as reading

TEMPLATES = Path(explain.__file__).parent / "templates"
MOST = 8.0
FEWEST = 7  # words from which a formula says something of one sentence; shorter ones are measured together
DAY = datetime(2026, 3, 5, tzinfo=UTC)
NOT_SENTENCES = (
    "language",
    "concepts.",
    "purpose.",
    "basis.",
    "value.",
    "ways.",
    "age.",
    "channel.",
    "levers.nothing",
    "levers.other",
    "levers.a_message",
)


def filled(locale: str) -> list[tuple[str, str]]:
    """Every text of a language with what may stand in its slots: of each slot the hardest to read."""
    say = words(locale)
    texts = dict(say._words)

    def hardest(group: str) -> str:
        found = [text for key, text in texts.items() if key.startswith(group) and "{" not in text]
        return max(found, key=lambda text: reading.grade(text, locale))

    slots = {
        "purpose": hardest("purpose."), "concept": hardest("concepts."), "basis": hardest("basis."), "channel": texts["channel.push"],
        "outcome": texts["levers.other_message"], "about": hardest("concepts."), "date": say.date(DAY), "source": "shop", "n": "3",
        "how": hardest("ways."), "age": texts["age.days"].format(n="3"), "who": "Blue Shop",
        "purposes": hardest("purpose."), "machine": hardest("purpose."), "title": "Ten percent", "what": hardest("concepts."), "way": texts["direction.raised"],
    }  # fmt: skip
    return [(key, text.format(**slots)) for key, text in sorted(texts.items()) if not key.startswith(NOT_SENTENCES)]


def ended(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


@pytest.mark.parametrize("locale", LOCALES)
def test_every_sentence_can_be_read_with_eight_years_of_school(locale: str) -> None:
    short: list[str] = []
    hard: dict[str, float] = {}
    for key, text in filled(locale):
        for one in reading.sentences(text):
            if len(reading.words(one)) < FEWEST:
                short.append(ended(one))
            elif (years := reading.grade(one, locale)) > MOST:
                hard[f"{key}: {one}"] = round(years, 1)
    assert hard == {}
    assert len(short) > 20
    assert reading.grade(" ".join(short), locale) <= MOST
    assert reading.grade(" ".join(ended(text) for _, text in filled(locale)), locale) <= 6.0


def test_the_formulas_measure_what_their_authors_say() -> None:
    """The two sentences by which Flesch-Kincaid is commonly shown, and German that no page of ours may be written in."""
    assert reading.grade("The cat sat on the mat.", "en") == pytest.approx(-1.45, abs=0.01)
    hard = "The Australian platypus is seemingly a hybrid of a mammal and reptilian creature."
    assert reading.grade(hard, "en") == pytest.approx(11.3, abs=1.0)
    law = "Die Rechtmäßigkeit der aufgrund der Einwilligung bis zum Widerruf erfolgten Verarbeitung bleibt unberührt."
    assert reading.grade(law, "de") > 13
    assert reading.grade("Das ist ein Haus. Wir sind hier.", "de") < 4


def test_every_word_that_a_page_may_ask_for_is_there() -> None:
    """A bare `no:` in YAML is the key False, which no page finds."""
    keys = words("en").keys()
    said = {key for page in TEMPLATES.glob("*.html") for key in re.findall(r"say\(\"([a-z_.]+)\"\)", page.read_text())}
    said |= {f"done.{kind}{end}" for kind in Feedback for end in ("", "_title")}
    said |= {f"ask.{kind}{end}" for kind in ("opt_out", "correct") for end in ("", "_title", "_yes")}
    assert said <= keys
    assert not [key for key in keys if re.search(r"\.(True|False|None)\b", key)]
