"""The six calls: what is taken, what is refused with which pointer, when it happened, who it is about (features V1, V2, V8)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.calls import Call, Limits, event_time, instant, parse
from events.machine import verdict
from events.subjects import identifiers, traits
from kernel.errors import Problem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    "type",
    "userId",
    "anonymousId",
    "messageId",
    "event",
    "properties",
    "traits",
    "context",
    "timestamp",
    "sentAt",
    "groupId",
    "previousId",
    "name",
)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ({"type": "identify", "userId": "u", "traits": {"email": "a@b.c"}}, "identify"),
        ({"type": "track", "userId": "u", "event": "Order Completed", "properties": {"revenue": 5}}, "Order Completed"),
        ({"type": "page", "anonymousId": "a", "name": "Home", "category": "Docs"}, "Home"),
        ({"type": "page", "anonymousId": "a"}, "page"),
        ({"type": "screen", "userId": 17, "name": "Start"}, "Start"),
        ({"type": "group", "userId": "u", "groupId": "g" * 500, "traits": {"plan": "x"}}, "group"),
        ({"type": "alias", "previousId": "old", "userId": "u"}, "alias"),
        (
            {
                "type": "track",
                "userId": "u",
                "event": "X",
                "_metadata": {"a": 1},
                "version": 2,
                "integrations": {"All": True},
            },
            "X",
        ),
    ],
)
def test_every_call_of_the_spec_is_taken(raw, name):
    call = parse(raw)
    assert isinstance(call, Call), call
    assert call.name == name


@pytest.mark.parametrize(
    ("raw", "pointer", "reason"),
    [
        ([], "", "object"),
        (None, "", "object"),
        ({"type": "track", "event": "X"}, "/userId", "neither"),
        ({"type": "track", "userId": " ", "event": "X"}, "/userId", "neither"),
        ({"type": "track", "userId": {"a": 1}, "event": "X"}, "/userId", "text or a whole number"),
        ({"type": "track", "userId": True, "event": "X"}, "/userId", "text or a whole number"),
        ({"type": "track", "userId": "u\x00", "event": "X"}, "/userId", "NUL"),
        ({"type": "track", "userId": "u"}, "/event", "got nothing"),
        ({"type": "track", "userId": "u", "event": "X", "messageId": "m" * 101}, "/messageId", "at most 100"),
        ({"type": "track", "userId": "u", "event": "X", "properties": []}, "/properties", "a list"),
        ({"type": "track", "userId": "u", "event": "X", "properties": {str(i): i for i in range(301)}}, "/properties", "at most 300"),
        ({"type": "track", "userId": "u", "event": "X", "properties": {"a": "x" * 33_000}}, "", "32768 bytes"),
        ({"type": "track", "userId": "u", "event": "X", "timestamp": "yesterday"}, "/timestamp", "ISO 8601"),
        ({"type": "track", "userId": "u", "event": "X", "timestamp": 1700000000}, "/timestamp", "a number"),
        ({"type": "track", "userId": "u", "event": "X", "context": {"consent": {"categoryPreferences": {"a/b": "no"}}}},
         "/context/consent/categoryPreferences/a~1b", "true or false"),
        ({"type": "track", "userId": "u", "event": "X", "context": {"externalIds": [{"id": 4, "type": "email"}]}}, "/context/externalIds/0/id", "text"),
        ({"type": "identify", "userId": "u", "traits": {"email": 5}}, "/traits/email", "text"),
        ({"type": "group", "userId": "u", "groupId": "g" * 501}, "/groupId", "at most 500"),
        ({"type": "alias", "userId": "u"}, "/previousId", "got nothing"),
        ({"type": "alias", "previousId": "p", "anonymousId": "a"}, "/userId", "got nothing"),
        ({"type": "dance", "userId": "u"}, "/type", "one of"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(raw, pointer, reason):
    problem = parse(raw)
    assert isinstance(problem, Problem)
    assert problem.pointer == pointer
    assert reason in problem.reason


def test_the_path_names_the_call_and_a_different_type_is_refused():
    assert isinstance(parse({"userId": "u", "event": "X"}, kind="track"), Call)
    assert parse({"type": "page", "userId": "u", "event": "X"}, kind="track") == Problem(
        "/type", "expected track as named by the path, got page"
    )


def test_json_nested_too_deep_is_refused_not_crashed_on():
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    assert isinstance(parse({"type": "track", "userId": "u", "event": "X", "properties": {"a": deep}}), Problem)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_any_json_is_a_call_or_a_problem_and_a_problem_never_repeats_the_words(raw):
    found = parse(raw)
    assert isinstance(found, Call | Problem)
    if isinstance(found, Call):
        assert found.user_id or found.anonymous_id


@given(
    st.timedeltas(timedelta(days=-400), timedelta(days=400)),
    st.timedeltas(timedelta(0), timedelta(days=30)),
    st.timedeltas(timedelta(0), timedelta(seconds=30)),
)
def test_a_wrong_clock_does_not_move_events(skew, ago, transit):
    """Whatever the device's clock says, the event is placed by the receiver's; only the time on the wire stays unknown."""
    happened = NOW - ago - transit
    sent = NOW - transit
    call = Call(type="track", name="X", original_timestamp=happened + skew, sent_at=sent + skew)
    assert event_time(call, NOW) - happened == transit
    assert event_time(Call(type="track", name="X", timestamp=happened + skew, sent_at=sent + skew), NOW) == event_time(
        call, NOW
    )


def test_event_times_without_a_sending_time_are_believed_but_never_in_the_future():
    assert event_time(Call(type="track", name="X", timestamp=NOW - timedelta(days=9)), NOW) == NOW - timedelta(days=9)
    assert event_time(Call(type="track", name="X", timestamp=NOW + timedelta(days=9)), NOW) == NOW
    assert event_time(Call(type="track", name="X"), NOW) == NOW


def test_times_are_read_as_utc():
    assert (
        instant("2026-03-01T12:00:00")
        == instant("2026-03-01T13:00:00+01:00")
        == instant("2026-03-01T12:00:00.000Z")
        == NOW
    )


def _call(raw):
    call = parse(raw, limits=Limits())
    assert isinstance(call, Call), call
    return call


def test_identifiers_come_from_everywhere_the_spec_puts_them():
    call = _call({
        "type": "identify", "userId": "u", "anonymousId": "a", "traits": {"email": "x@y.z", "phone": "+49 30 1"},
        "context": {
            "traits": {"email": "old@y.z"}, "device": {"id": "dev"},
            "externalIds": [
                {"id": "c1", "type": "customer_id", "collection": "users", "encoding": "none"},
                {"id": "acc", "type": "email", "collection": "accounts"},
                {"id": "ga", "type": "ga_client_id"}, {"id": "hash", "type": "email", "encoding": "sha256"},
            ],
        },
    })  # fmt: skip
    assert identifiers(call, user_kind="login_id") == (
        ("login_id", "u"), ("anonymous_id", "a"), ("email", "x@y.z"), ("email", "old@y.z"), ("phone", "+49 30 1"),
        ("device_id", "dev"), ("customer_id", "c1"),
    )  # fmt: skip
    assert identifiers(call, user_kind="customer_id")[0] == ("customer_id", "u")
    assert identifiers(call, user_kind="login_id", browser=True) == (("anonymous_id", "a"),)


def test_an_alias_links_the_visitor_to_the_account_and_a_group_links_nobody():
    assert identifiers(_call({"type": "alias", "previousId": "anon", "userId": "u"}), user_kind="login_id") == (
        ("login_id", "u"),
        ("anonymous_id", "anon"),
    )
    assert identifiers(_call({"type": "group", "userId": "u", "groupId": "acme"}), user_kind="login_id") == (
        ("login_id", "u"),
    )


def test_reserved_traits_get_their_kinds_and_others_keep_their_names():
    told, kinds = traits(_call({
        "type": "identify", "userId": "u",
        "traits": {"firstName": "Ada", "birthday": "1815-12-10", "address": {"city": "London", "geo": [1]}, "email": "a@b.c", "plan": "pro", "n": 2**60, "tags": ["x"]},
    }))  # fmt: skip
    assert told == {"first_name": "Ada", "birth_date": "1815-12-10", "city": "London", "plan": "pro", "n": str(2**60)}
    assert kinds == {
        "first_name": "first_name",
        "birth_date": "birth_date",
        "city": "city",
        "plan": "category",
        "n": "category",
    }


@pytest.mark.parametrize(
    ("agent", "machine"),
    [
        (None, False),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            False,
        ),
        ("Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 21) AppleWebKit/537.36 Mobile", False),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", True),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/126.0.0.0", True),
        ("curl/8.5.0", True),
        ("Barracuda Sentinel (EE)", True),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", False),
    ],
)
def test_machines_are_told_from_people_with_a_confidence(agent, machine):
    found = verdict(agent)
    assert found.machine is machine
    assert 0 <= found.confidence <= 1


def test_an_image_proxy_is_doubted_but_not_dismissed():
    assert 0 < verdict("GoogleImageProxy").confidence < 0.8
