"""What SendGrid answers, or fails to, becomes the one outcome that is true: accepted, rejected, deferred, or honestly uncertain."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from channels.conformance import sample
from channels.connector import Answer, Message, Outcome
from channels.email.connector import SendGridConnector
from channels.email.settings import SendGridSettings
from channels.email.table import TABLE
from tests.support.provider import Provider, Reply, closed_port, provider

pytestmark = pytest.mark.anyio
AT = datetime(2026, 3, 5, 12, tzinfo=UTC)


def connector(url: str, **more: object) -> SendGridConnector:
    return SendGridConnector(SendGridSettings(api_key=SecretStr("SG.secret"), base_url=url, **more))


def message(**more: object) -> Message:
    return replace(sample("ada@example.org", AT), sender_address="hello@shop.example", **more)


async def send(one: SendGridConnector, what: Message | None = None, *, seconds: float = 5.0) -> Outcome:
    made = what or message()
    return await one.send(made, made.delivery_id, made.at + timedelta(seconds=seconds))


async def answered(*answers: Reply | str, **more: object) -> tuple[Outcome, Provider]:
    async with provider(*answers) as there:
        one = connector(there.url, **more)
        try:
            return await send(one, seconds=more.pop("seconds", 5.0) if "seconds" in more else 5.0), there
        finally:
            await one.close()


async def test_accepted_carries_the_providers_own_name_for_it() -> None:
    found, there = await answered(Reply(202, {"X-Message-Id": "abc.123"}))
    assert found == Outcome(answer=Answer.ACCEPTED, provider_id="abc.123")
    assert (there.got[0].method, there.got[0].path) == ("POST", "/v3/mail/send")
    assert there.got[0].headers["authorization"] == "Bearer SG.secret"


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (400, Answer.REJECTED, "bad_request"),
        (401, Answer.REJECTED, "unauthorized"),
        (403, Answer.REJECTED, "forbidden"),
        (404, Answer.DEFERRED, "configuration"),
        (405, Answer.DEFERRED, "configuration"),
        (413, Answer.REJECTED, "too_large"),
        (429, Answer.DEFERRED, "too_many_requests"),
        (500, Answer.DEFERRED, "provider_down"),
        (503, Answer.DEFERRED, "provider_down"),
        (
            502,
            Answer.UNCERTAIN,
            "gateway_lost_answer",
        ),  # passed on, and nobody knows what became of it: never sent again
        (504, Answer.UNCERTAIN, "gateway_timeout"),
        (200, Answer.UNCERTAIN, "unexpected_answer"),
        (204, Answer.UNCERTAIN, "unexpected_answer"),
        (301, Answer.DEFERRED, "configuration"),
        (418, Answer.REJECTED, "refused"),
    ],
)
async def test_every_status_has_one_meaning(status: int, answer: Answer, reason: str) -> None:
    found, there = await answered(Reply(status, {"Location": "http://127.0.0.1:1/elsewhere"}))
    assert (found.answer, found.reason) == (answer, reason)
    assert len(there.got) == 1  # a connector never tries again by itself, and follows nobody elsewhere


async def test_the_whole_table_is_covered_by_the_cases_above() -> None:
    assert set(TABLE.answers) == {200, 202, 400, 401, 403, 404, 405, 413, 429, 502, 504}


async def test_the_sandbox_is_asked_for_and_its_answer_understood() -> None:
    found, there = await answered(Reply(200), sandbox=True)
    assert (found.answer, found.reason) == (Answer.ACCEPTED, "sandbox")
    assert there.got[0].json["mail_settings"]["sandbox_mode"] == {"enable": True}


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": format_datetime(AT + timedelta(seconds=90), usegmt=True)}, 90.0),
        (
            {
                "Date": format_datetime(AT + timedelta(hours=1), usegmt=True),  # their clock is ahead of ours
                "Retry-After": format_datetime(AT + timedelta(hours=1, seconds=5), usegmt=True),
            },
            5.0,
        ),
        ({"Retry-After": format_datetime(AT - timedelta(seconds=90), usegmt=True)}, 0.0),
        ({"X-RateLimit-Reset": str(int(AT.timestamp()) + 40)}, 40.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "9" * 40}, 7 * 86_400.0),
        ({}, None),
    ],
)
async def test_the_time_to_wait_is_read_in_every_form(headers: dict[str, str], wait: float | None) -> None:
    found, _ = await answered(Reply(503, headers))
    assert (found.answer, found.retry_after) == (Answer.DEFERRED, wait)


async def test_nobody_there_means_nothing_left() -> None:
    one = connector(f"http://127.0.0.1:{closed_port()}")
    assert await send(one) == Outcome(answer=Answer.DEFERRED, reason="not_reached")
    await one.close()


@pytest.mark.parametrize("fault", ["reset", "reset_early", "hang"])
async def test_after_bytes_may_have_left_nobody_knows_and_nobody_resends(fault: str) -> None:
    async with provider(fault, Reply(202)) as there:
        one = connector(there.url)
        what = message()
        found = await send(one, what, seconds=0.4)
        assert found.answer is Answer.UNCERTAIN
        assert found.reason == ("timeout" if fault == "hang" else "connection_lost")
        assert await send(one, what) == found  # the same delivery again: the same word, and nothing leaves
        assert len(there.got) == (0 if fault == "reset_early" else 1)
        await one.close()


async def test_a_status_that_came_is_the_word_even_when_the_rest_is_lost() -> None:
    found, _ = await answered("half")
    assert found == Outcome(answer=Answer.ACCEPTED, provider_id="half")


async def test_a_429_closes_the_way_until_its_time_and_asks_nobody_meanwhile() -> None:
    async with provider(Reply(429, {"Retry-After": "30"}), Reply(202)) as there:
        one = connector(there.url)
        first, second = await send(one), await send(one)
        assert first.retry_after == 30.0
        assert (second.answer, second.reason) == (Answer.DEFERRED, "too_many_requests")
        assert 29 < second.retry_after < 38
        assert len(there.got) == 1
        one._shut_until = 0.0  # its time is over
        assert (await send(one)).answer is Answer.ACCEPTED
        await one.close()


async def test_one_delivery_that_failed_does_not_close_the_way_for_others() -> None:
    async with provider(Reply(500), Reply(202)) as there:
        one = connector(there.url)
        assert (await send(one)).answer is Answer.DEFERRED
        assert (await send(one)).answer is Answer.ACCEPTED
        await one.close()


async def test_without_a_key_nothing_leaves_and_nothing_is_lost() -> None:
    async with provider() as there:
        one = SendGridConnector(SendGridSettings(base_url=there.url))
        assert (await send(one)).answer is Answer.DEFERRED
        assert there.got == []
        assert [fault.what.split(":")[0] for fault in one.faults()] == [
            "no API key", "no verification key of the event webhook",
        ]  # fmt: skip


async def test_a_refusal_names_fields_in_the_log_and_never_the_providers_prose(capsys) -> None:
    from kernel.log import configure

    configure("info", json=True)
    prose = (
        b'{"errors":[{"message":"ada@example.org is bad","field":"personalizations.0.to.0.email"},{"field":"a@b c"}]}'
    )
    found, _ = await answered(Reply(400, {"Content-Type": "application/json"}, prose))
    told = capsys.readouterr()
    assert found.reason == "bad_request"
    assert "personalizations.0.to.0.email" in told.out + told.err
    assert "ada@example.org" not in told.out + told.err
    assert "SG.secret" not in told.out + told.err + repr(found)
