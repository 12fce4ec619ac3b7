"""What a push service's answer means, for every status and every Retry-After."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.connector import Answer
from channels.push.answers import judge, wait

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


@given(status=st.integers(100, 599), header=st.text(max_size=40))
def test_every_status_has_one_meaning(status: int, header: str) -> None:
    judged = judge(status, {"retry-after": header, "location": header}, NOW, otherwise="push:x")
    outcome = judged.outcome
    assert outcome.gone == (status in {404, 410})
    assert judged.alarm == (status in {401, 403})
    assert (outcome.answer is Answer.ACCEPTED) == (200 <= status < 300) == (outcome.provider_id is not None)
    assert (outcome.answer is Answer.DEFERRED) == (status in {406, 408, 429} or status >= 500)
    assert outcome.retry_after is None or 0 <= outcome.retry_after <= 86_400
    if outcome.answer is Answer.ACCEPTED:
        assert 1 <= len(outcome.provider_id) <= 200
        assert outcome.provider_id.isascii()


@given(st.integers(0, 200_000))
def test_seconds_and_dates_are_the_same_wait(seconds: int) -> None:
    then = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert wait(str(seconds), NOW) == wait(then, NOW) == min(seconds, 86_400)


@pytest.mark.parametrize("said", ["", "soon", "-1", "1.5", "Thu, 99 Mar 2026", "٣"])
def test_a_wait_that_cannot_be_read_is_none(said: str) -> None:
    assert wait(said, NOW) is None


def test_a_date_that_is_past_is_now() -> None:
    assert wait("Thu, 05 Mar 2026 11:00:00 GMT", NOW) == 0


def test_a_message_is_known_by_the_last_part_of_its_address() -> None:
    for location in ("https://push.example/m/abc-1", "/m/abc-1/"):
        assert judge(201, {"location": location}, NOW, otherwise="x").outcome.provider_id == "abc-1"
    assert judge(201, {"location": "http://["}, NOW, otherwise="x").outcome.provider_id == "x"
