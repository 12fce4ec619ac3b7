"""Maps: what they mean, and errors that name the path and the nearest known key."""

from datetime import UTC, datetime

import pytest

from events.errors import BadMap
from events.mapping import parse
from events.reading import Fault
from events.rows import RowMapper, row_print
from identity.identifiers import Identifier
from tests.events.maps import CONSENTS, DECISIONS, EVENTS, PEOPLE


def _map(text, *rows):
    mapper = RowMapper(parse(text))
    return mapper.wanted, [mapper.map(line, row) for line, row in enumerate(rows, start=2)]


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (EVENTS + "colums: {a: email}\n", "colums", "did you mean columns?"),
        (EVENTS.replace("header: false", "haeder: false"), "format.haeder", "did you mean header?"),
        (EVENTS.replace("column: 1,", "colum: 1,"), "timestamp.colum", "did you mean column?"),
        (PEOPLE.replace("trait: occupation", "trate: occupation"), "columns.job.trate", "did you mean trait?"),
        (CONSENTS.replace("mechanism: import", "mechanism: import, via: web"), "consent.0.via", "known here"),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest_known_one(text, path, words):
    with pytest.raises(BadMap) as refused:
        parse(text)
    (problem,) = [p for p in refused.value.problems if p.pointer == path]
    assert words in problem.reason
    assert path in refused.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "mapping"),
        ("a: [1\n", "YAML"),
        ("source: s\nsource: t\n", "twice"),
        (PEOPLE + "arm: x\n", "arm: not read when what is people"),
        (EVENTS.replace("event: {constant: Order Completed}\n", ""), "event: needed"),
        (
            EVENTS.replace("event: {constant: Order Completed}", "event: {constant: a, column: b}"),
            "either column or constant",
        ),
        (PEOPLE.replace("email: email", "email: e_mail"), "did you mean email?"),
        (
            PEOPLE.replace("first: first_name", "first: first_name, second: first_name"),
            "more than one gives the trait first_name",
        ),
        (PEOPLE.replace("basis: contract", "basis: because"), "collect_under.basis"),
        (EVENTS.replace("kind: customer_id", "kind: record"), "names no one"),
        (PEOPLE.replace("what: people", "what: persons"), "what"),
    ],
)
def test_a_map_that_cannot_be_followed_says_why(text, words):
    with pytest.raises(BadMap) as refused:
        parse(text)
    assert words in str(refused.value)


def test_the_digest_is_of_the_meaning():
    spelled = EVENTS.replace("properties: {units: 2, revenue: 3}", "properties:\n  revenue: {column: 3}\n  units: 2")
    assert parse(EVENTS).digest == parse(spelled).digest
    assert parse(EVENTS).digest != parse(EVENTS.replace("units: 2", "units: 3")).digest


def test_an_event_row():
    wanted, (row, bad, repeat) = _map(
        EVENTS, ["00001", "19970101", "1", "11.77"], ["7", "1997-01-01", "1", "2"], ["00001", "19970101", "1", "11.77"]
    )
    assert wanted == [0, 1, 2, 3]
    assert row.identifiers == (Identifier("customer_id", "00001"),)
    assert (row.event, row.at, row.properties) == (
        "Order Completed",
        datetime(1997, 1, 1, tzinfo=UTC),
        {"units": 1, "revenue": 11.77},
    )
    assert bad == Fault(3, "1", "expected a time written as %Y%m%d, got other text")
    assert (row.nth, repeat.nth) == (1, 2)
    assert row_print(row) != row_print(repeat)


def test_a_person_row():
    _, (row, bad) = _map(PEOPLE, ["u1", "Ada@Example.org", "Ada", "engineer"], ["u2", "no-address", None, None])
    assert row.source_key == "u1"
    assert row.identifiers == (Identifier("login_id", "u1"), Identifier("email", "ada@example.org"))
    assert row.traits == {"first_name": "Ada", "occupation": "engineer"}
    assert row.kinds == {"first_name": "first_name", "occupation": "category"}
    assert (bad.line, bad.column) == (3, "email")
    assert "no-address" not in bad.reason


def test_a_decision_row_without_ids_is_named_by_its_number():
    wanted, (row, wrong) = _map(DECISIONS, ["Mens", "1", "0", "0.0", "10"], ["Mens", "1", "0", "x", "10"])
    assert wanted == ["segment", "visit", "conversion", "spend", "recency"]
    assert row.identifiers == (Identifier("customer_id", "hill-1"), Identifier("email", "hill-1@example.org"))
    assert (row.placement, row.arm, row.propensity) == ("winter_mail", "Mens", 1 / 3)
    assert row.outcomes == {"visit": 1, "conversion": 0, "revenue": 0.0}
    assert row.features == {"recency": 10}
    assert wrong == Fault(3, "spend", "expected a number, got other text")


def test_a_consent_row():
    _, (row, unknown) = _map(CONSENTS, ["a@b.org", "yes", "2026-01-02"], ["a@b.org", "maybe", None])
    (told,) = row.consents
    assert (told.purpose, told.status, told.notice) == ("marketing.email", "granted", "v3")
    assert told.given_at == datetime(2026, 1, 2, tzinfo=UTC)
    assert unknown.consents[0].status == "not under values: maybe"  # consent's to judge: nothing readable, so a no


def test_a_no_holds_whatever_its_time_says_and_a_yes_does_not():
    _, (no, yes) = _map(CONSENTS, ["a@b.org", "no", "soon"], ["a@b.org", "yes", "soon"])
    (told,) = no.consents
    assert (told.status, told.given_at) == ("denied", None)
    assert isinstance(yes, Fault)
    assert yes.column == "day"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12),
        ("-3.50", -3.5),
        ("007", "007"),
        ("0", 0),
        ("0.5", 0.5),
        ("1e5", "1e5"),
        ("12345678901234567890", "12345678901234567890"),
        ("nan", "nan"),
        ("٣", "٣"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_numbers_are_read_when_they_are_written_as_numbers(cell, value):
    _, (row,) = _map(EVENTS, ["1", "19970101", cell, None])
    assert row.properties == {"units": value}
