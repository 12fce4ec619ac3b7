"""Ids, time, errors and canonical bytes: the pure ground."""

import struct
import threading
from collections import ChainMap
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.canonical import NotCanonical, canonical, digest
from kernel.clock import FrozenClock, SystemClock
from kernel.errors import CandorError, Conflict, InvalidInput, NotFound, Problem, Unavailable
from kernel.ids import is_id, new_id


def test_ids_sort_in_the_order_of_their_making():
    made = [new_id("per") for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == 5000


def test_ids_of_several_threads_never_meet():
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend([new_id("evt") for _ in range(2000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000


def test_ids_carry_the_time_and_survive_a_clock_that_steps_back(monkeypatch):
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    before = new_id("per")
    monkeypatch.setattr("kernel.ids.time.time_ns", lambda: 0)
    assert new_id("per") > before
    millis = 0
    for letter in before[4:14]:
        millis = millis * 32 + alphabet.index(letter)
    assert abs(millis / 1000 - datetime.now(UTC).timestamp()) < 60


@pytest.mark.parametrize("prefix", ["per", "rec", "idn", "act", "evt", "dec", "dlv", "ent", "req", "key", "stf"])
def test_ids_have_one_shape(prefix):
    made = new_id(prefix)
    assert is_id(made)
    assert is_id(made, prefix)
    assert not is_id(made, "zzz")
    assert len(made) == 30


@pytest.mark.parametrize("text", ["", "per_", "per_01J", "per_" + "I" * 26, "PER_" + "0" * 26, "per_" + "8" * 26])
def test_other_texts_are_not_ids(text):
    assert not is_id(text)


def test_time_is_utc_and_moves_only_when_told():
    assert SystemClock().now().tzinfo is UTC
    clock = FrozenClock(datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))))
    assert clock.now() == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    clock.advance(timedelta(minutes=5))
    assert clock.now() == datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
    with pytest.raises(InvalidInput):
        clock.advance(timedelta(seconds=-1))
    with pytest.raises(InvalidInput):
        FrozenClock(datetime(2026, 3, 1))


def test_an_error_tells_code_message_and_remedy():
    class TooBig(InvalidInput):
        code = "too_big"
        remedy = "Send less."

    fault = TooBig("expected 3, got 4", problems=[Problem("/a", "too big")])
    assert str(fault) == "expected 3, got 4 [too_big] Send less."
    assert fault.problems[0].pointer == "/a"
    assert TooBig("x", remedy="Other.", code="other").code == "other"
    assert TooBig.code == "too_big"
    for family in (Conflict, NotFound, Unavailable):
        assert issubclass(family, CandorError)
        assert family("x").remedy


def test_canonical_example_of_rfc_8785_3_2_3():
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert (
        canonical(value)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_canonical_keys_sort_by_utf_16_units():
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    order = [part.split('"')[1] for part in canonical(value).decode().strip("{}").split(",")]
    assert order == ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_canonical_numbers_of_rfc_8785_appendix_b(bits, text):
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == text.encode()


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**53, -(2**53), b"x", Decimal(1), datetime(2026, 1, 1), {1: 2}, {"a": {2}}, "\ud800"],
    ids=repr,
)
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(NotCanonical):
        canonical(value)


def test_a_refusal_does_not_repeat_the_value():
    with pytest.raises(NotCanonical) as caught:
        canonical({"phone": 491701234567891234})
    assert "491701234567891234" not in str(caught.value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_equal_values_have_equal_bytes_whatever_their_order_and_type(value):
    def shuffled(item):
        if isinstance(item, dict):
            return ChainMap({key: shuffled(item[key]) for key in reversed(list(item))})
        return tuple(shuffled(part) for part in item) if isinstance(item, list) else item

    assert canonical(shuffled(value)) == canonical(value)
    assert digest(value).startswith("sha256:")
    assert len(digest(value)) == 71
