"""Cursors are given back as they were made, and anything else is refused by one error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import paging
from kernel.paging import BadCursor


@given(st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_a_cursor_gives_its_key_back(key: list[str]) -> None:
    written = paging.write(*key)
    assert written.isascii()
    if len(written) <= 400:
        assert paging.read(written, len(key)) == tuple(key)
        with pytest.raises(BadCursor):
            paging.read(written, len(key) + 1)


@given(st.text(max_size=500))
def test_anything_else_is_refused(text: str) -> None:
    try:
        found = paging.read(text, 1)
    except BadCursor:
        return
    assert paging.read(paging.write(*found), 1) == found


def test_a_cursor_of_other_things_than_texts_is_refused() -> None:
    for text in ("WzFd", "e30", "bnVsbA", "W1tdXQ", "%", "W" * 401):  # [1], {}, null, [[]]
        with pytest.raises(BadCursor):
            paging.read(text, 1)


@given(st.integers(0, 30), st.integers(1, 10))
def test_pages_hold_everything_once(count: int, limit: int) -> None:
    whole = [f"{n:02}" for n in range(count)]
    seen: list[str] = []
    after = ""
    while True:
        found = [one for one in whole if one > after][: limit + 1]
        page = paging.cut(found, limit, lambda one: (one,))
        seen += page.items
        if page.next is None:
            break
        after = paging.read(page.next, 1)[0]
    assert seen == whole
