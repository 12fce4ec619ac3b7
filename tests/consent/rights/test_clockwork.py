"""Clocks of requests, plans of erasures, repeats: frozen time, every date, each alarm once (consent.D3, D7, D10, D16)."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from consent.errors import HeldBack, Replanned, RequestState, TooLate
from consent.holds import Ground
from consent.lifecycle import Denial, Right, State
from consent.rights import plans
from consent.rights.checks import Method
from consent.rights.clockwork import Alarm, dates, due
from consent.rights.plans import Fate
from identity.clusters import Clusters
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.errors import InvalidInput
from tests.consent.conftest import House
from tests.support.shared import shared_path

pytestmark = pytest.mark.anyio


async def tags(house: House, request: str) -> list[str]:
    return [entry.tag for entry in await house.audit.lineage([("request", request)], depth=1)]


async def test_every_date_of_the_cases_is_shown(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    opened = await house.rights.open("access", person, actor="person")
    for case in json.loads(shared_path("cases/deadlines.json").read_text())["cases"]:
        right, regime = {
            "gdpr": (Right.ACCESS, "gdpr"),
            "ccpa_know_delete_correct": (Right.ACCESS, "us-ca"),
            "ccpa_opt_out_or_limit": (Right.LIMIT_SENSITIVE, "us-ca"),
        }[case["regime"]]
        received = datetime.fromisoformat(case["received"]).replace(hour=12, tzinfo=UTC)
        asked = replace(opened, right=right, regime=regime, received_at=received)
        shown = {name: day.isoformat() for name, day in dates(asked).items()}
        wanted = {
            "due_nominal": "due", "due_if_weekend_rolls": "due_if_weekend_rolls", "extended_due_nominal": "extended_due",
            "extension_notice_by": "extension_notice_by", "confirm_receipt_by_10_business_days": "confirm_by",
            "due_45_calendar_days": "due", "max_due_90_calendar_days": "max_due", "due_15_business_days": "due",
        }  # fmt: skip
        assert {name: shown[name] for name in wanted.values() if name in shown and name != "due_counted_from_the_day_after"} == {
            ours: case[theirs] for theirs, ours in wanted.items() if theirs in case
        }  # fmt: skip
        assert due(right, received.date(), regime).isoformat() == shown["due"]
        if regime == "gdpr":
            assert (
                shown["due_counted_from_the_day_after"] >= shown["due"]
            )  # the earlier reading is the one that is kept


async def test_alarms_come_at_half_at_four_fifths_and_at_the_end_each_once(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person")  # 5 March, due 5 April
    raised = []
    for _ in range(40):
        raised += await house.rights.clock.watch()
        house.kernel.clock.advance(timedelta(days=1))
    day = date(2026, 4, 5)
    assert raised == [Alarm(request.id, percent, day) for percent in (50, 80, 100)]
    assert (await tags(house, request.id)).count("request.alarm") == 3
    assert (await house.rights.show(request.id)).alarmed == 100


async def test_a_clock_that_nobody_watched_raises_its_worst_alarm_and_no_other(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person")
    house.kernel.clock.advance(timedelta(days=60))
    assert [one.percent for one in await house.rights.clock.watch()] == [100]
    await house.rights.revoke(request.id, actor="person")
    assert await house.rights.clock.watch() == []


async def test_one_extension_before_the_date_with_a_reason_and_alarms_begin_anew(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person")
    house.kernel.clock.advance(timedelta(days=20))
    await house.rights.clock.watch()
    with pytest.raises(InvalidInput, match="reason"):
        await house.rights.clock.extend(request.id, actor="staff:a", reason="late")
    longer = await house.rights.clock.extend(request.id, actor="staff:a", reason="Two archives have to be read.")
    assert (longer.due_on, longer.first_due_on, longer.alarmed) == (date(2026, 6, 5), date(2026, 4, 5), 0)
    with pytest.raises(TooLate):
        await house.rights.clock.extend(request.id, actor="staff:a", reason="Two archives have to be read.")
    late = await house.rights.open("portability", person, actor="person")
    house.kernel.clock.advance(timedelta(days=40))
    with pytest.raises(TooLate, match="expected a day until"):
        await house.rights.clock.extend(late.id, actor="staff:a", reason="Two archives have to be read.")
    no = await house.rights.open("opt_out", person, actor="person", regime="us-ca")
    with pytest.raises(TooLate):
        await house.rights.clock.extend(no.id, actor="staff:a", reason="Two archives have to be read.")


async def test_verification_does_not_stop_the_clock(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person", regime="us-ca")
    await house.rights.check(request.id, Method.DOCUMENT, actor="staff:a", passed=False)
    house.kernel.clock.advance(timedelta(days=30))
    assert (await house.rights.show(request.id)).due_on == request.due_on
    assert [one.percent for one in await house.rights.clock.watch()] == [50]


async def test_confirming_is_noted_once(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person")
    first = await house.rights.clock.confirm(request.id, actor="staff:a")
    house.kernel.clock.advance(timedelta(days=1))
    assert (await house.rights.clock.confirm(request.id, actor="staff:b")).confirmed_at == first.confirmed_at
    assert (await tags(house, request.id)).count("request.confirmed") == 1


async def test_every_step_of_a_request_is_a_leaf(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person")
    await house.rights.check(request.id, Method.DOCUMENT, actor="staff:a")
    await house.rights.revoke(request.id, actor="person")
    with pytest.raises(RequestState):
        await house.rights.expire(request.id, actor="staff:a")
    assert sorted(await tags(house, request.id)) == ["request.checked", "request.ended", "request.opened"]


async def test_what_is_asked_again_is_grouped_with_its_dates_and_ways(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    first = await house.rights.open("erasure", person, actor="person", manner="preference_page")
    house.kernel.clock.advance(timedelta(days=1))
    again = await house.rights.open("erasure", "email:ada@example.org", actor="staff:a", manner="phone")
    assert again.id == first.id
    assert [(one["manner"], one["actor"]) for one in await house.rights.repeats(first.id)] == [("phone", "staff:a")]
    assert "request.repeated" in await tags(house, first.id)


async def test_the_six_fields_of_a_record_are_kept_when_it_is_closed(house: House) -> None:
    """11 CCR 7101: date, nature, manner, date and nature of the response, basis of a denial."""
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person", manner="email")
    house.kernel.clock.advance(timedelta(days=2))
    closed = await house.rights.deny(request.id, actor="staff:a", reason=Denial.INSUFFICIENT_VERIFICATION)
    assert (closed.received_at.date(), closed.right, closed.manner) == (date(2026, 3, 5), Right.ACCESS, "email")
    assert closed.closed_at is not None
    assert (closed.closed_at.date(), closed.response, closed.reason) == (date(2026, 3, 7), "refused", "insuf_verification")  # fmt: skip


async def test_a_preview_says_what_is_erased_what_stays_without_her_and_what_is_held(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email))
    request = await house.rights.open("erasure", person, actor="person")
    before = await house.rights.preview(request.id)
    fates = {(one.room, one.kind): (one.count, one.fate) for one in before.lines}
    assert {one: held for one, held in fates.items() if held[0]} == {
        ("consent", "acts"): (1, Fate.PSEUDONYMISED),
        ("identity", "records"): (1, Fate.ERASED),
    }
    assert plans.totals(before.lines) == {"erased": 1, "pseudonymised": 1, "held": 0}
    until = house.kernel.clock.now() + timedelta(days=400)
    await house.rights.holds.place(person, Ground.LEGAL_CLAIM, actor="staff:c", until=until)
    held = await house.rights.preview(request.id)
    assert {(one.fate, one.ground, one.law, one.until) for one in held.lines} == {
        (Fate.HELD, "legal_claim", "GDPR Art. 17(3)(e)", until)
    }
    await house.rights.approve(request.id, actor="staff:b")
    with pytest.raises(HeldBack):
        await house.rights.run(request.id, actor="staff:a")


async def test_a_record_that_came_since_the_approval_is_erased_too(house: House) -> None:
    person, _, _ = await house.person("ada@example.org", "1", login_id="ada")
    request = await house.rights.open("erasure", person, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    more = NewRecord(
        source="shop", source_key="2", identifiers=(Identifier("login_id", "ada"),), traits={}, kinds={},
        observed_at=house.kernel.clock.now(), purpose="service", basis="contract",
    )  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        (record,) = await house.identity.add_records(conn, [more])
    assert (await house.rights.run(request.id, actor="staff:a")).request.state is State.FULFILLED
    async with house.kernel.db.reading() as conn:
        assert await house.identity.subjects(conn, [record]) == {}


async def test_a_split_after_the_approval_is_planned_anew(house: House) -> None:
    async def publish(labels: list[int]) -> None:
        async with house.kernel.db.transaction() as conn:
            found = await (await conn.execute("SELECT record_id FROM identity.records ORDER BY 1")).fetchall()
            await house.identity.publish(conn, Clusters(np.array(labels), ()), [row["record_id"] for row in found])

    ada, _, _ = await house.person("ada@example.org", "1")
    await house.person("ben@example.org", "2")
    await publish([0, 0])
    request = await house.rights.open("erasure", ada, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    await publish([0, 1])
    with pytest.raises(Replanned):
        await house.rights.run(request.id, actor="staff:a")
    assert house.rights.ledger.lines() == []
    assert (await house.rights.show(request.id)).state is State.OPEN
    assert "request.replanned" in await tags(house, request.id)
