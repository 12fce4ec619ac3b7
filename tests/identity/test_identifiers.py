"""One written form for what means the same."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.errors import InvalidIdentifier, UnknownKind
from identity.identifiers import KINDS, Identifier, normalise, parse_contact


@pytest.mark.parametrize(
    ("kind", "written", "form"),
    [
        ("email", " Ada+News@Example.ORG ", "ada+news@example.org"),
        ("email", "ada@Bücher.example", "ada@xn--bcher-kva.example"),
        ("email", "mailto:a@b.example.", "a@b.example"),
        ("phone", "+44 20 7946 0958", "+442079460958"),
        ("phone", "0049 (0) 30 123456", "+4930123456"),
        ("phone", "tel:+39 06 1234567", "+39061234567"),
        ("phone", "030-123 456", "030123456"),
        ("national_id", "ab 12-34.c", "AB1234C"),
        ("login_id", " Ada ", "Ada"),
    ],
)
def test_written_forms(kind, written, form):
    assert normalise(kind, written) == form
    assert Identifier(kind, form).value == form


def test_a_region_completes_a_phone_number():
    assert normalise("phone", "030 123456", region="DE") == "+4930123456"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "ada"),
        ("email", "a b@c.de"),
        ("email", "@x.de"),
        ("email", "a@-x.de"),
        ("email", "a@" + "x" * 300),
        ("phone", "call me"),
        ("phone", "+"),
        ("login_id", "  "),
        ("login_id", "x" * 501),
        ("device_id", "a\x00b"),
    ],
)
def test_what_cannot_be_an_identifier_is_refused_without_quoting_it(kind, value):
    with pytest.raises(InvalidIdentifier) as fault:
        Identifier(kind, value)
    assert value.strip() == "" or value == "+" or value not in str(fault.value)


def test_kinds_are_closed():
    with pytest.raises(UnknownKind):
        normalise("shoe_size", "43")
    with pytest.raises(UnknownKind):
        parse_contact("ada@example.org")


def test_a_value_never_shows_in_a_traceback():
    assert "ada" not in repr(Identifier("email", "ada@example.org"))


@given(st.sampled_from(KINDS), st.text(min_size=1, max_size=40))
def test_normalising_twice_is_normalising_once(kind, text):
    try:
        once = normalise(kind, text)
    except InvalidIdentifier:
        return
    assert normalise(kind, once) == once


@given(st.emails())
def test_every_address_of_the_standard_is_taken_or_refused_cleanly(address):
    with contextlib.suppress(InvalidIdentifier):
        assert normalise("email", address).count("@") == 1
