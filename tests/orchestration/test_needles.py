"""One pass finds exactly the needles that `in` finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.demo import traces
from orchestration.demo.needles import Needles

few = st.binary(min_size=4, max_size=7).map(lambda raw: bytes(one % 3 for one in raw))


@given(st.lists(few, max_size=8), st.binary(max_size=80).map(lambda raw: bytes(one % 3 for one in raw)))
def test_it_finds_what_is_there_and_nothing_else(needles, hay):
    assert Needles(needles).find(hay) == {one for one in needles if one in hay}


def test_it_finds_across_the_steps_it_takes(monkeypatch):
    monkeypatch.setattr("orchestration.demo.needles._STEP", 16)
    hay = b"." * 13 + b"wrapped" + b"." * 40 + b"key!"
    assert Needles([b"wrapped", b"key!", b"none"]).find(hay) == {b"wrapped", b"key!"}


def test_short_needles_are_refused():
    with pytest.raises(ValueError, match="4 bytes"):
        Needles([b"abc"])


@pytest.mark.parametrize(
    "spell", [bytes, lambda raw: raw.hex().encode(), lambda raw: __import__("base64").b64encode(b"x" + raw)]
)
def test_secrets_are_found_in_other_spellings(tmp_path, spell):
    secret = bytes(range(60, 120))
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a").write_bytes(b"..." + spell(secret) + b"...")
    assert traces.search([tmp_path], [], [secret]).hits == {"log": 1}
    assert traces.search([tmp_path], [], [secret[::-1]]).hits == {}
