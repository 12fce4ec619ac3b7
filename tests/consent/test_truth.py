"""The truth table that lawyers read is what the gate answers, holds every conflict, and never says yes against a no that stands."""

import csv
import io
from itertools import permutations
from pathlib import Path

import pytest

from consent import precedence, purposes, truth
from consent.precedence import Rules
from consent.reasons import TEXTS, Reason

FILE = Path(__file__).parents[2] / "docs" / "compliance" / "gate.csv"
RULES = Rules(purposes.load(), precedence.load())
HER_OWN = {"yes, on the preference page"}
LIFTS = {
    "Global Privacy Control": {"yes, asked about a conflict with her browser's signal"},
    "asked not to sell or share": {"yes, asked about a conflict with her browser's signal"},
    "an opt-out in a GPP string": {"yes, asked about a conflict with her browser's signal"},
    "a GPP string that cannot be read": {"yes, asked about a conflict with her browser's signal"},
    "no, of somebody who may be the same person": {"yes, of somebody who may be the same person"},
    "asked for restriction": {"lifted the restriction"},
    "unsubscribed by one click": HER_OWN,
    "complained of spam": HER_OWN,
    "no, on the preference page": {*HER_OWN, "yes, imported with its notice"},
    "no, imported": {*HER_OWN, "yes, imported with its notice"},
    "an imported choice that cannot be read": {*HER_OWN, "yes, imported with its notice"},
    "no, in a TC string": {*HER_OWN, "yes, imported with its notice", "yes, in a TC string"},
    "a TC string that cannot be read": {*HER_OWN, "yes, imported with its notice", "yes, in a TC string"},
}  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(FILE.read_text(encoding="utf-8"))))


def test_the_file_is_what_the_gate_answers() -> None:
    assert FILE.read_text(encoding="utf-8") == truth.as_csv(RULES), "run `python docs/compliance/make_gate.py`"


def test_every_conflict_has_a_row_in_every_jurisdiction(rows: list[dict[str, str]]) -> None:
    found = {(row["purpose"], row["first"], row["then"]): set[str]() for row in rows}
    for row in rows:
        found[row["purpose"], row["first"], row["then"]] |= set(row["jurisdictions"].split())
    assert all(places == set(RULES.precedence.jurisdictions) for places in found.values())
    for purpose in truth.QUESTIONS:
        known = truth.signals(purpose)
        for one, other in permutations(known, 2):
            assert ((purpose, one.words, other.words) in found) is not (one.yes and other.yes)


def test_a_no_is_only_lifted_by_what_may_lift_it(rows: list[dict[str, str]]) -> None:
    """Written down here by hand: whoever changes the precedence changes this too."""
    nos = {one.words for purpose in truth.QUESTIONS for one in truth.signals(purpose) if not one.yes}
    for row in rows:
        said = [word for word in (row["first"], row["then"]) if word in nos]
        bears = [no for no in said if not (no == "Global Privacy Control" and row["purpose"] != "sharing")]
        if row["answer"] == "yes" and bears:
            assert len(bears) == 1, row
            assert row["first"] == bears[0], row
            assert row["then"] in LIFTS.get(bears[0], set()), row
            if row["then"].startswith("yes, asked about"):
                assert row["jurisdictions"] == "us-ca", row


def test_where_consent_is_asked_a_yes_rests_on_one(rows: list[dict[str, str]]) -> None:
    good = (
        "yes, on the preference page",
        "yes, imported with its notice",
        "yes, in a TC string",
        "yes, to offers in general; the notice named",
    )
    for row in rows:
        if row["answer"] == "yes" and row["legal basis"] == "consent":
            assert row["first"].startswith(good) or row["then"].startswith(good), row


def test_every_row_names_its_rule_its_source_and_a_reason_that_has_words(rows: list[dict[str, str]]) -> None:
    assert all(row["rule"] and row["source"] and row["in words"] == TEXTS[Reason(row["reason"])] for row in rows)
    shown = {row["reason"] for row in rows}
    assert {"directive.gpc", "signal.denied", "signal.undecodable", "withdrawn.channel", "person.restricted"} <= shown


def test_every_class_and_pack_names_its_source() -> None:
    table = RULES.precedence
    assert all(kind.source for kind in table.classes)
    assert all(pack.source and pack.title for pack in table.jurisdictions.values())
    assert {basis_place for one in RULES.purposes.by_key.values() for basis_place in one.basis} <= set(
        table.jurisdictions
    )
