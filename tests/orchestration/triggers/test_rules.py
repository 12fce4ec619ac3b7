"""The triggers file: what it may say, and faults by line."""

from datetime import timedelta

import pytest

from orchestration.triggers.errors import TriggersInvalid, UnknownTrigger
from orchestration.triggers.rules import Rules, misnamed, parse, refuse
from tests.house.tree import ROOT

FILE = """\
version: 1
triggers:
  - name: cart
    placement: open
    when:
      event: Product Added
      where: {price: {at_least: 10}, category: [books, toys], gift: true, cart.total: {over: 0}}
      delay: PT1H
      unless: [Order Completed, {event: Product Removed, where: {all: true}}]
    quiet: {from: 21:30, until: "08:00", zone: Europe/Berlin}
    once_per: 7d
  - {name: call, placement: open, when: api}
  - {name: back, placement: open, when: {segment: grown_up, delay: 2d}, channels: email}
  - {name: monday, placement: open, when: {schedule: "0 9 * * mon", zone: Europe/Berlin}}
"""


def test_a_file_says_all_four_kinds_and_survives_its_own_document():
    rules = parse(FILE)
    assert [one.kind for one in rules.triggers] == ["event", "api", "segment", "schedule"]
    assert Rules.model_validate(rules.document()) == rules
    assert Rules.model_validate(rules.document()).digest == rules.digest
    cart, call, back, monday = rules.triggers
    assert (cart.delay, cart.window) == (timedelta(hours=1), timedelta(days=7))
    assert (call.window, monday.window, back.window) == (None, None, timedelta(days=1))
    assert (str(cart.quiet.begin), str(cart.quiet.end)) == ("21:30:00", "08:00:00")


@pytest.mark.parametrize(
    ("properties", "fits"),
    [
        ({"price": 10, "category": "toys", "gift": True, "cart": {"total": 1}}, True),
        ({"price": 10, "category": "toys", "gift": True, "cart.total": 1}, True),
        ({"price": 9.99, "category": "toys", "gift": True, "cart": {"total": 1}}, False),
        ({"price": "10", "category": "toys", "gift": True, "cart": {"total": 1}}, False),
        ({"price": float("nan"), "category": "toys", "gift": True, "cart": {"total": 1}}, False),
        ({"price": True, "category": "toys", "gift": True, "cart": {"total": 1}}, False),
        ({"price": 10, "category": "shoes", "gift": True, "cart": {"total": 1}}, False),
        ({"price": 10, "category": "toys", "gift": 1, "cart": {"total": 1}}, False),
        ({"price": 10, "category": "toys", "gift": True, "cart": "x"}, False),
        ({}, False),
    ],
)
def test_conditions_on_properties(properties, fits):
    assert parse(FILE).triggers[0].when.fits(properties) is fits


def test_a_property_may_have_to_be_there_or_not():
    for known, properties in ((True, {"coupon": "X"}), (False, {})):
        text = f"triggers: [{{name: a, placement: b, when: {{event: E, where: {{coupon: {{known: {str(known).lower()}}}}}}}}}]"
        when = parse(text).triggers[0].when
        assert when.fits(properties)
        assert not when.fits({} if known else {"coupon": "X"})


FAULTS = [
    ("delay: PT1H", "delay: an hour", "line 8 (/triggers/0/when/delay)", "expected a duration such as PT1H, P7D, 30m"),
    ("delay: PT1H", "delay: -PT1H", "line 8 (/triggers/0/when/delay)", "expected a duration"),
    ("delay: PT1H", "delay: 900d", "line 8 (/triggers/0/when/delay)", "366 days"),
    ("delay: PT1H", "dely: PT1H", "line 8 (/triggers/0/when/dely)", "unknown key 'dely'; did you mean 'delay'?"),
    ("at_least: 10", "at_leest: 10", "line 7 (/triggers/0/when/where/price/at_leest)", "did you mean 'at_least'?"),
    ("from: 21:30", "from: 25:00", "line 10 (/triggers/0/quiet/from)", "expected a time of day"),
    ("zone: Europe/Berlin}\n    once", "zone: Europe/Berlni}\n    once", "line 10 (/triggers/0/quiet/zone)", "IANA"),
    ("placement: open\n    when:", "when:", "line 3 (/triggers/0/placement)", "Field required"),
    ("event: Product Added", "evnt: Product Added", "line 5 (/triggers/0/when)", "one of event, segment, schedule and api"),
    ("0 9 * * mon", "0 99 * * mon", "line 14 (/triggers/3/when/schedule)", "five fields of a crontab"),
    ("0 9 * * mon", "0 9 * * mon *", "line 14 (/triggers/3/when/schedule)", "got 6"),
    ("when: api", "when: apy", "line 12 (/triggers/1/when)", "one of event, segment, schedule and api"),
    ("channels: email", "channels: fax", "line 13 (/triggers/2/channels/0)", "'web', 'email' or 'push'"),
    ("name: call", "name: cart", "line 1 (/)", "every trigger's name once, got again: cart"),
    ("once_per: 7d", "once_per: 7d\n    once_per: 8d", "line 12", "key 'once_per' stands here twice"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "where", "words"), FAULTS)
def test_a_fault_is_named_with_its_line(good, bad, where, words):
    assert good in FILE
    with pytest.raises(TriggersInvalid) as told:
        parse(FILE.replace(good, bad))
    (problem,) = told.value.problems
    assert problem.pointer == where
    assert words in problem.reason


def test_all_faults_are_told_at_once():
    text = FILE.replace("PT1H", "x").replace("0 9 * * mon", "never").replace("when: api", "when: nope")
    with pytest.raises(TriggersInvalid) as told:
        parse(text)
    assert [one.pointer.split(" (")[0] for one in told.value.problems] == ["line 8", "line 12", "line 14"]


@pytest.mark.parametrize("text", ["a: [", "- a", "", "triggers: 3", "triggers: [3]", "version: 2"])
def test_what_is_no_triggers_file_is_told_so(text):
    with pytest.raises(TriggersInvalid):
        parse(text)


def test_names_of_the_catalogue_and_the_features_are_held_against_them():
    rules = parse(FILE)
    places = {"open": frozenset({"email"}), "home": frozenset()}
    refuse(FILE, misnamed(rules, places, frozenset({"grown_up"})))
    with pytest.raises(TriggersInvalid) as told:
        refuse(FILE, misnamed(rules, {"opne": frozenset({"email"})}, frozenset({"grown"})))
    assert [one.pointer.split(" ")[1] for one in told.value.problems] == ["4", "12", "13", "13", "14"]
    assert "did you mean 'opne'?" in told.value.problems[0].reason
    text = FILE.replace("placement: open, when: api", "placement: home, when: api")
    with pytest.raises(TriggersInvalid, match=r"line 12 .*email or push"):
        refuse(text, misnamed(parse(text), places, frozenset({"grown_up"})))


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownTrigger, match="did you mean 'monday'"):
        parse(FILE).rule("munday")


def test_the_shipped_example_is_a_good_file_with_every_kind():
    rules = parse((ROOT / "examples" / "triggers" / "triggers.yaml").read_text())
    assert {one.kind for one in rules.triggers} == {"event", "segment", "schedule", "api"}
