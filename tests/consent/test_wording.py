"""Which language a page is in, and that each has every word."""

import re

import pytest

from consent import purposes, wording
from consent.reasons import Reason, text
from consent.receipts import vocabulary
from consent.wording import LANGUAGES, preferred, wanted, words


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_word_and_the_same_slots(language: str) -> None:
    english, other = words("en"), words(language)
    assert english.keys() - other.keys() == frozenset()
    assert {one for one in other.keys() - english.keys() if not one.startswith("reason.")} == set()
    for key in sorted(english.keys()):
        slots = [set(re.findall(r"{(\w+)}", one._words[key])) for one in (english, other)]
        assert slots[0] == slots[1], key
    assert len(other("months").split()) == 12
    for key in vocabulary().status:
        assert other(f"status.{key}")


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_every_reason_and_every_shipped_purpose_can_be_read_in_it(language: str) -> None:
    say = words(language)
    for reason in Reason:
        assert say.reason(reason) != text(reason), reason
    for purpose in purposes.load().by_key.values():
        assert language in purpose.translations, purpose.key


@pytest.mark.parametrize(("header", "found"), [
    ("", None), ("de", "de"), ("de-AT,de;q=0.9,en;q=0.8", "de"), ("en-GB,en;q=0.9,de;q=0.8", "en"),
    ("fr,de;q=0.5,en;q=0.7", "en"), ("fr;q=1, de;q=0", None), ("de;q=x,en;q=0.1", "en"), ("*", None), ("EN_us", "en"),
    ("de;q=7", None), (",;q=,=;", None), ("en;q=0.5,de;q=0.5", "en"), ("x" * 5000 + ",de", None),
])  # fmt: skip
def test_the_best_language_of_a_browser_by_weight_and_place(header: str, found: str | None) -> None:
    assert preferred(header) == found


def test_what_was_asked_for_outranks_her_own_language_and_hers_the_browsers() -> None:
    assert wanted(asked="de", own=["en"], accepted="en") == "de"
    assert wanted(asked="fr", own=["de_AT"], accepted="en") == "de"
    assert wanted(asked="<script>", own=["", "tlh"], accepted="de") == "de"
    assert wanted() == "en"
    assert wording.words("pt-BR").language == "en"
