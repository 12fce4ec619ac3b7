"""One looks again, the others go on meanwhile; who was told to forget, or failed, has not looked."""

import pytest

from kernel import looking
from kernel.looking import Looking


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(looking.time, "monotonic", lambda: now[0])
    return now


def test_one_looks_and_the_others_go_on_up_to_twice_the_age(clock):
    one = Looking(1.0)
    assert one.due
    with one.look():
        assert one.due  # nothing was ever seen: who comes meanwhile looks, too
    assert not one.due
    clock[0] += 1.0
    assert one.due
    with one.look():
        assert not one.due
        clock[0] += 1.0
        assert one.due  # they take too long
    assert one.due  # what it found is as old as its beginning


def test_what_changed_during_a_look_is_looked_for_again(clock):
    one = Looking(1.0)
    with one.look():
        one.forget()
    assert one.due
    with one.look():
        pass
    one.forget()
    assert one.due


def test_a_look_that_failed_is_still_due(clock):
    one = Looking(1.0)
    with pytest.raises(ValueError, match="down"), one.look():
        raise ValueError("down")
    assert one.due
    assert Looking(0.0).due
