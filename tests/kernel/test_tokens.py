"""One token scheme: signed, scoped, expiring, and silent about why it refuses."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.clock import FrozenClock
from kernel.errors import InvalidInput
from kernel.tokens import Fault, Tokens

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRETS = {"tok-1": b"1" * 32, "tok-2": b"2" * 32}


@pytest.fixture
def clock():
    return FrozenClock(AT)


def tokens(clock, current="tok-1", secrets=SECRETS):
    return Tokens(clock, current, secrets)


def test_a_token_says_what_was_put_in(clock):
    said = tokens(clock).read(tokens(clock).issue("why", "dec_1", HOUR, view="person", n=3), "why")
    assert said is not None
    assert (said.scope, said.subject, said.claims) == ("why", "dec_1", {"view": "person", "n": 3})
    assert said.issued_at == AT
    assert said.expires_at == AT + HOUR


def test_it_ends_when_its_time_is_over(clock):
    issued = tokens(clock).issue("why", "dec_1", HOUR)
    clock.advance(HOUR - timedelta(seconds=1))
    assert tokens(clock).read(issued, "why") is not None
    clock.advance(timedelta(seconds=1))
    assert tokens(clock).read(issued, "why") is None
    assert tokens(clock).inspect(issued, "why") is Fault.EXPIRED


def test_a_token_of_one_scope_is_nothing_in_another(clock):
    issued = tokens(clock).issue("why", "dec_1", HOUR)
    assert tokens(clock).read(issued, "preferences") is None
    assert tokens(clock).inspect(issued, "preferences") is Fault.SIGNATURE, "each scope has a key of its own"


def test_another_spelling_of_the_same_bytes_is_refused(clock):
    issued = tokens(clock).issue("why", "dec_1", HOUR)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(issued[-1])
    # 32 bytes are 43 letters; the last one carries two bits that mean nothing.
    for twin in range(last & ~3, (last & ~3) + 4):
        found = tokens(clock).read(issued[:-1] + alphabet[twin], "why")
        assert (found is not None) == (twin == last)


def test_old_keys_still_read_after_a_rotation_and_removed_ones_do_not(clock):
    old = tokens(clock, "tok-1").issue("why", "dec_1", HOUR)
    assert tokens(clock, "tok-2").read(old, "why") is not None
    gone = tokens(clock, "tok-2", {"tok-2": SECRETS["tok-2"]})
    assert gone.inspect(old, "why") is Fault.UNKNOWN_KEY
    assert gone.read(old, "why") is None


@given(st.data())
def test_any_altered_character_is_refused(data):
    clock = FrozenClock(AT)
    issued = tokens(clock).issue("why", "dec_1", HOUR)
    place = data.draw(st.integers(0, len(issued) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != issued[place]))
    assert tokens(clock).read(issued[:place] + other + issued[place + 1 :], "why") is None


@given(st.text(max_size=200))
def test_any_garbage_is_none_and_never_an_accident(text):
    assert tokens(FrozenClock(AT)).read(text, "why") is None


@pytest.mark.parametrize("text", ["v1...", "v1.tok-1.e30.AAAA", "x" * 5000, "v2.tok-1.e30.AAAA", "v1.tok-1.é.AAAA"])
def test_known_garbage_is_none(clock, text):
    assert tokens(clock).read(text, "why") is None


def test_a_token_is_safe_in_a_path(clock):
    issued = tokens(clock).issue("preferences", "per_1", HOUR, words="äöü/?&=#%")
    assert set(issued) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_token_without_time_to_live_is_refused(clock):
    with pytest.raises(InvalidInput):
        tokens(clock).issue("why", "dec_1", timedelta(0))
