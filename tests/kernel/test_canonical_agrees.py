"""The fast writer and the reference library give the same bytes for every value, or both refuse."""

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.canonical import NotCanonical, canonical

leaves = st.none() | st.booleans() | st.integers() | st.text() | st.floats()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(values)
def test_both_writers_agree(value: object) -> None:
    try:
        expected = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        expected = None
    try:
        got = canonical(value)
    except (NotCanonical, UnicodeEncodeError):
        got = None
    assert got == expected


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False)
        | st.floats(-1e17, 1e17)
        | st.integers(-(2**53), 2**53).map(float)
    )
)
def test_fractions_are_written_alike_at_every_size(numbers: list[float]) -> None:
    assert canonical(numbers) == rfc8785.dumps(numbers)
