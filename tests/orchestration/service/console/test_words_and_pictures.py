"""Codes of the house all have words, and pictures stay on their sheet."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.tags import Tag
from channels.ledger import State as Sending
from consent.lifecycle import Denial, Right, State
from consent.reasons import Reason
from identity.clusters import Cause
from identity.identifiers import KINDS
from orchestration.decision.eligibility import Stage
from orchestration.service.console import drawing, rendering, words

TEMPLATES = Path(rendering.__file__).parent / "templates"


def test_the_gates_are_the_stages_in_the_order_of_asking() -> None:
    asked = [key for key, _, _ in words.GATES if key not in words.UNRULED]
    assert asked == [stage.value for stage in Stage]


def test_every_code_has_words_of_its_own() -> None:
    assert {one.value for one in Sending} == set(words.STATES)
    assert {one.value for one in State} == set(words.REQUESTS)
    assert {one.value for one in Right} == set(words.RIGHTS)
    assert {one.value for one in Denial} == set(words.DENIALS)
    assert set(Cause.__args__) == set(words.CAUSES)
    assert set(KINDS) <= set(words.KINDS)
    assert {one.value for one in Reason} - {"question.malformed"} <= set(words.REASONS)
    assert words.tag(Tag.DECISION_MADE) == Tag.DECISION_MADE.description


@pytest.mark.parametrize(("code", "said"), [
    ("consent.denied", "the person said no"),
    ("holdout:spring", "in the comparison group spring"),
    ("cap:placement:cart|604800s", "the cap placement:cart|604800s is full"),
    ("suppression:suppressed", "the contact is on a do-not-send list"),
    ("made_up_code", "made up code"),
    (None, ""),
])  # fmt: skip
def test_a_reason_is_said_in_words(code, said) -> None:
    assert words.reason(code) == said


def test_what_is_due_is_said_in_days() -> None:
    assert [words.left(n) for n in (-2, -1, 0, 1, 30)] == [
        "2 days late",
        "1 day late",
        "today",
        "1 day left",
        "30 days left",
    ]


def test_an_id_leads_to_its_page_and_nothing_else_does() -> None:
    assert words.link("dec_" + "0" * 26) == "/console/decisions/dec_" + "0" * 26
    for name in ("dec_1", "ada@example.org", "rec_" + "0" * 26, "", "dec_" + "0" * 27):
        assert words.link(name) == ""


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=91))
def test_columns_stand_on_the_floor_and_under_the_roof(days) -> None:
    rows = [{"day": str(n), "a": low, "b": high} for n, (low, high) in enumerate(days)]
    for one in drawing.columns(rows, "a", "b"):
        assert 0 <= one.x <= 720 - one.width
        assert -1e-6 <= one.upper_y <= one.lower_y <= 160
        assert one.lower_y + one.lower == pytest.approx(160)
        assert one.upper_y + one.upper == pytest.approx(one.lower_y)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_bar_fills_no_more_than_all_and_shows_what_is_not_nothing(value, whole) -> None:
    filled = drawing.part(value, whole)
    assert 0 <= filled <= 100
    assert (filled > 0) == (value > 0 and whole > 0)


@given(st.integers(-2000, 2000).map(lambda n: n / 1000), st.floats(0, 1), st.floats(0, 1))
def test_an_interval_is_drawn_in_order_around_zero(value, below, above) -> None:
    low, middle, high, zero = drawing.interval(value - below, value, value + above)
    assert 0 <= low <= middle <= high <= 240
    assert zero == 120
    assert (middle > zero) == (value > 0)


@given(st.integers(1, 60))
def test_a_ring_of_records_stays_on_its_sheet_and_apart(count) -> None:
    records = [{"id": f"r{n}", "source": "shop"} for n in range(count)]
    edges = [{"a": "r0", "b": f"r{n}", "weight": n} for n in range(1, count)]
    doubts = [{"a": "r0", "b": "elsewhere"}, {"a": "gone", "b": "elsewhere"}]
    picture = drawing.circle(records, edges, doubts)
    assert len(picture.lines) == count  # every edge, and the one doubt that touches a record
    for node in picture.nodes:
        assert 0 < node.x < picture.width
        assert 0 < node.y < picture.height
    near = [
        ((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5
        for place, a in enumerate(picture.nodes) for b in picture.nodes[place + 1 :]
    ]  # fmt: skip
    assert all(gap >= 24 for gap in near)


def test_a_lineage_of_five_hundred_acts_is_drawn_and_no_longer_one() -> None:
    acts = [{"entry_id": f"e{n}", "tag": "decision.made", "things": [f"d{n}", f"d{n + 1}"]} for n in range(600)]
    picture = drawing.lineage(acts)
    assert len([one for one in picture.nodes if one.side == "left"]) == drawing.MOST_NODES
    assert all(0 <= node.y <= picture.height for node in picture.nodes)
    assert len(picture.lines) == 2 * drawing.MOST_NODES


def test_no_template_turns_escaping_off_or_names_another_site() -> None:
    for path in TEMPLATES.iterdir():
        text = path.read_text()
        assert not re.search(r"\|\s*safe|autoescape|<script|\sstyle=|https?://", text), path.name


def test_every_template_is_somebodys() -> None:
    sources = "".join(path.read_text() for path in [*TEMPLATES.iterdir(), *TEMPLATES.parent.glob("*.py")])
    for path in TEMPLATES.iterdir():
        assert f'"{path.name}"' in sources, path.name
