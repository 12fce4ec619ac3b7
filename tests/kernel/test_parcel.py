"""Parcels open with their code and label and with nothing else; letters are genuine under their key and no other."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.letters import Pen, genuine, key_id
from kernel.parcel import FORM, ParcelClosed, new_code, seal, unseal


def test_a_parcel_opens_with_its_code_however_it_is_typed() -> None:
    code = new_code()
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}", code)
    sealed = seal(b"CANARY", code, "pkg_1")
    assert b"CANARY" not in sealed
    for typed in (code, code.lower(), code.replace("-", ""), f" {code} ", code.replace("0", "o").replace("1", "l")):
        assert unseal(sealed, typed, "pkg_1") == b"CANARY"


def test_another_code_label_or_byte_opens_nothing() -> None:
    code = new_code()
    sealed = seal(b"words", code, "pkg_1")
    cases = [(sealed, new_code(), "pkg_1"), (sealed, code, "pkg_2"), (sealed, "", "pkg_1")]
    for place in (0, len(FORM), len(FORM) + 20, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[place] ^= 1
        cases.append((bytes(altered), code, "pkg_1"))
    cases += [(sealed[:length], code, "pkg_1") for length in (0, len(FORM), len(FORM) + 16, len(FORM) + 28)]
    for parcel, typed, label in cases:
        with pytest.raises(ParcelClosed):
            unseal(parcel, typed, label)


def test_codes_and_parcels_never_repeat() -> None:
    assert len({new_code() for _ in range(500)}) == 500
    assert seal(b"x", "code", "a") != seal(b"x", "code", "a")


def test_the_first_vector_of_rfc_8032() -> None:
    pen = Pen.of(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert pen.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert pen.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    assert pen.id == key_id(pen.public)
    assert "9d61" not in repr(pen)


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 63), st.binary(max_size=80))
def test_what_was_altered_is_not_genuine_and_nothing_raises(words: bytes, place: int, noise: bytes) -> None:
    pen = Pen.of(b"\x01" * 32)
    signature = pen.sign(words)
    assert genuine(words, signature, pen.public)
    assert not genuine(words + b"!", signature, pen.public)
    other = bytearray(signature)
    other[place] ^= 1
    assert not genuine(words, bytes(other), pen.public)
    assert not genuine(words, signature, Pen.of(b"\x02" * 32).public)
    assert not genuine(words, noise, pen.public)
    assert not genuine(words, signature, noise)
