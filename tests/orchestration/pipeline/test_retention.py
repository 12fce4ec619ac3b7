"""The retention run on a whole house under a clock that moves: on time, dry first, counted in the log, and never what is held back (consent.K2)."""

from datetime import timedelta

import pytest
from typer.testing import CliRunner

from consent.acts import NewAct
from consent.errors import HeldBack, HoldNotFound, RetentionInvalid
from consent.holds import Ground, parse
from consent.rights.checks import Method
from consent.schedule import Rule, Schedule
from events.log import CollectContext, NewEvent
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.clock import FrozenClock
from kernel.errors import InvalidInput
from orchestration.pipeline.checking.keeping import nothing_overdue
from orchestration.service.cli.main import build as build_cli
from tests.orchestration.pipeline.conftest import NOTICE, NOW, YES, settle

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


@pytest.fixture
def clock():
    return FrozenClock(NOW)


async def count(house, table: str, where: str = "true") -> int:
    async with house.kernel.db.reading() as conn:
        row = await (await conn.execute(f"SELECT count(*) AS n FROM {table} WHERE {where}")).fetchone()
    return int(row["n"])


def lines(report) -> dict[str, tuple[int, int, int]]:
    """Kind (and purpose) to due, held, gone; rules that found nothing left out."""
    return {
        "/".join(filter(None, (line.kind, line.purpose))): (line.due, line.held, line.gone)
        for line in report.lines
        if line.due or line.held or line.gone
    }


async def track(house, who: str, name: str, number: int, **properties):
    call = {
        "type": "track",
        "event": name,
        "userId": who,
        "messageId": f"{who}-{name}-{number}",
        "properties": properties,
    }
    (answer,) = await house.events.collect([call], CollectContext(source="shop"))
    return answer.status


async def consents(house, contact: Identifier) -> None:
    """She says yes again, today."""
    async with house.kernel.db.transaction() as conn:
        (subject,) = await house.identity.register_identifiers(conn, [contact])
        await house.consent.record(conn, [
            NewAct(
                subject=subject, purpose="marketing.email", status="granted", channel=None, basis="consent", jurisdiction="gdpr", notice=NOTICE,
                mechanism="form", actor="web", given_at=house.kernel.clock.now(),
            )
        ])  # fmt: skip


async def test_events_go_on_their_day_and_not_before(house, clock):
    people = await settle(house, {"ada": YES})
    clock.advance(1000 * DAY)
    assert await track(house, "ada", "Product Viewed", 1) == "accepted"
    before = await house.profiles.hot(people["ada"], "marketing.personalize")
    clock.advance(95 * DAY)
    assert lines(await house.retention.preview()) == {}, "a day before, nothing is due"
    clock.advance(DAY)
    assert lines(await house.retention.preview()) == {"events": (1, 0, 0)}
    assert await count(house, "events.events") == 2, "a dry run changes nothing"
    entries = await count(house, "audit.entries", "tag = 'retention.run'")
    report = await house.retention.run(actor="staff:ann")
    assert lines(report) == {"events": (1, 0, 1)}
    assert await count(house, "events.events") == 1
    assert await count(house, "audit.entries", "tag = 'retention.run'") == entries + 1
    assert (await house.profiles.hot(people["ada"], "marketing.personalize")).profile_version != before.profile_version
    assert lines(await house.retention.run()) == {}
    found = await nothing_overdue(house)
    assert (found.passed, found.figures["overdue"]) == (True, 0)


async def test_the_log_says_what_went_and_under_which_schedule(house, clock):
    await settle(house, {"ada": YES})
    clock.advance(100 * DAY)
    assert await track(house, "ada", "Product Viewed", 1) == "accepted"
    clock.advance(996 * DAY)
    await house.retention.run(actor="staff:ann")
    await house.audit.sequence()
    async with house.kernel.db.reading() as conn:
        found = await (await conn.execute("SELECT entry_id FROM audit.entries WHERE tag = 'retention.run'")).fetchall()
    opened = [await house.audit.open_entry(one["entry_id"]) for one in found]
    facts = next(one for one in opened if one["kind"] == "events")
    assert facts["count"] == 1
    assert facts["schedule"] == house.retention.schedule.digest
    assert facts["before"] == (NOW + DAY).isoformat()


async def test_a_rule_for_a_purpose_is_for_that_purpose(house, clock):
    await settle(house, {"ada": YES})
    async with house.kernel.db.transaction() as conn:
        members = await house.identity.members(conn, await house.identity.people(conn))
        record = next(iter(members.values())).records[0]
        await house.events.note(conn, [NewEvent("Page Viewed", clock.now(), "shop", "analytics", "consent", record_id=record)])  # fmt: skip
    clock.advance(396 * DAY)
    assert lines(await house.retention.run()) == {"events/analytics": (1, 0, 1)}
    assert await count(house, "events.events") == 1


async def test_who_was_not_heard_of_is_erased_and_stays_in_the_ledger(house, clock):
    people = await settle(house, {"ada": YES, "bob": YES, "cyd": YES})
    clock.advance(600 * DAY)
    assert await track(house, "bob", "Product Viewed", 1) == "accepted"
    await consents(house, Identifier("email", "cyd@example.org"))
    clock.advance(500 * DAY)
    report = await house.retention.run()
    assert lines(report)["source_records"] == (1, 0, 1)
    async with house.kernel.db.reading() as conn:
        assert set(await house.identity.people(conn)) == {people["bob"], people["cyd"]}
    assert house.rights.ledger.among(list(people.values())) == {people["ada"]: False}
    assert await count(house, "identity.records", "body IS NOT NULL") == 3, "bob has two by now"
    assert lines(await house.retention.run()) == {}


async def test_a_row_that_nobody_needs_goes_and_the_person_stays(house, clock):
    people = await settle(house, {"ada": YES})
    async with house.kernel.db.transaction() as conn:  # a visit that was measured, of the same person
        (visit,) = await house.identity.add_records(conn, [
            NewRecord(source="web", source_key="9", identifiers=(Identifier("login_id", "ada"), Identifier("anonymous_id", "a-9")),
                      traits={"browser": "x"}, kinds={}, observed_at=clock.now(), purpose="analytics", basis="consent")
        ])  # fmt: skip
        await house.events.note(
            conn, [NewEvent("Page Viewed", clock.now(), "shop", "analytics", "consent", record_id=visit)]
        )
    clock.advance(300 * DAY)
    assert await track(house, "ada", "Product Viewed", 1) == "accepted"  # heard of, but not for analytics
    clock.advance(96 * DAY)
    async with house.kernel.db.reading() as conn:
        keys = (await house.identity.members(conn, [people["ada"]]))[people["ada"]].key_ids
    due = {"source_records/analytics": (1, 0, 0), "events/analytics": (1, 0, 0)}
    assert lines(await house.retention.preview()) == due
    assert lines(await house.retention.run()) == {"source_records/analytics": (1, 0, 1)}, "its event went with it"
    async with house.kernel.db.reading() as conn:
        held = (await house.identity.records(conn, [people["ada"]]))[people["ada"]]
        contacts = {one.kind for one in (await house.identity.identifiers(conn, [people["ada"]]))[people["ada"]]}
        changes = [change.kind for *_, change in await house.identity.changes(conn)]
        census = await house.identity.counts.census(conn)
    assert {one.source for one in held} == {"shop"}
    assert contacts == {"login_id", "email"}, "the anonymous id was the row's alone"
    assert changes[-1] == "expired"
    assert (census.homeless, census.orphaned, census.empty) == (0, 0, 0)
    assert await count(house, "events.events", "purpose = 'analytics'") == 0
    assert await count(house, "consent.doomed_keys") == 0
    assert len(await house.kernel.vault.unwrap(keys)) == len(keys) - 2, "of the row and of the anonymous id"
    assert house.rights.ledger.lines() == []


async def test_keys_that_were_doomed_are_destroyed_by_whoever_starts_next(house, clock, monkeypatch):
    await settle(house, {"ada": YES})
    (key,) = await house.kernel.vault.create_keys(1)

    async def dies(_):
        raise ConnectionResetError

    from kernel.db import AfterCommitFailed

    with monkeypatch.context() as patch, pytest.raises(AfterCommitFailed):
        patch.setattr(house.kernel.vault, "destroy", dies)
        async with house.kernel.db.transaction() as conn:
            await house.consent.shredder.doom(conn, [key])
    assert len(await house.kernel.vault.unwrap([key])) == 1
    await house.rights.finish()
    assert await house.kernel.vault.unwrap([key]) == {}
    assert await count(house, "consent.doomed_keys") == 0


async def test_what_is_held_back_stays(house, clock):
    people = await settle(house, {"ada": YES, "bob": YES, "cyd": YES, "dan": YES})
    clock.advance(1100 * DAY)
    hold = await house.rights.holds.place(
        "email:ada@example.org", Ground.LEGAL_CLAIM, actor="staff:ann", reference="12/26"
    )
    await house.rights.open("access", people["bob"], actor="person")
    await house.rights.run(
        (await house.rights.open("restriction", people["cyd"], actor="person")).id, actor="staff:ann"
    )
    report = await house.retention.preview()
    assert report.held == {"hold": 1, "open_request": 1, "restricted": 1}
    assert lines(report) == {"source_records": (1, 2, 0), "events": (1, 3, 0)}  # her restriction is a word of cyd's
    await house.retention.run()
    async with house.kernel.db.reading() as conn:
        assert set(await house.identity.people(conn)) == {people[name] for name in ("ada", "bob", "cyd")}
    assert await count(house, "events.events") == 3

    request = await house.rights.open("erasure", people["ada"], actor="person")
    await house.rights.approve(request.id, actor="staff:bea")
    with pytest.raises(HeldBack) as caught:
        await house.rights.run(request.id, actor="staff:ann")
    assert "legal_claim" in caught.value.message
    assert len(house.rights.ledger.lines()) == 1, "the refusal came before her line; the other one is dan's"
    await house.rights.holds.lift(hold.id, actor="staff:ann")
    with pytest.raises(HoldNotFound):
        await house.rights.holds.lift(hold.id, actor="staff:ann")
    assert (await house.rights.run(request.id, actor="staff:ann")).counts["identity"] > 0
    assert await count(house, "audit.entries", "tag IN ('hold.placed', 'hold.lifted')") == 2


async def test_a_hold_ends_on_its_day(house, clock):
    await settle(house, {"ada": YES})
    await house.rights.holds.place("email:ada@example.org", Ground.AUTHORITY, actor="staff:ann", until=NOW + 1200 * DAY)
    clock.advance(1199 * DAY)
    assert lines(await house.retention.preview())["events"] == (0, 1, 0)
    clock.advance(2 * DAY)
    assert lines(await house.retention.preview())["events"] == (1, 0, 0)


async def test_everything_else_that_has_a_time(house, clock, broken):
    """Dead letters with their keys, words of messages, decisions, explanations, imported decisions, files, closed requests."""
    people = await settle(house, {"ada": YES, "bob": YES})
    (answer,) = await house.events.collect(
        [{"type": "track", "event": "", "userId": "ada", "messageId": "m"}], CollectContext(source="shop")
    )
    assert answer.status == "rejected"
    async with house.kernel.db.transaction() as conn:
        await house.profiles.write_features(conn, "marketing.personalize", clock.now())
    request = await house.rights.open("access", people["bob"], actor="person")
    await house.rights.check(request.id, Method.DOCUMENT, actor="staff:ann")
    await house.rights.run(request.id, actor="staff:ann")
    clock.advance(31 * DAY)
    async with house.kernel.db.transaction() as conn:
        newest = await house.profiles.write_features(conn, "marketing.personalize", clock.now())
    broken(
        "INSERT INTO learning.logged VALUES ('old', 'k', (SELECT min(record_id) FROM identity.records), 'home', 'a', 0.5, '{}', %s, %s)",
        NOW, NOW,
    )  # fmt: skip
    for row, age in (("old", 0), ("new", 700)):
        at = NOW + age * DAY
        broken(
            "INSERT INTO consent.invitations (id, identifier, acts, language, asked_at, expires_at) VALUES (%s, 'idn_x', '{act_x}', 'en', %s, %s)",
            f"cfm_{row}", at, at + 7 * DAY,
        )  # fmt: skip
        broken(
            "INSERT INTO channels.deliveries (delivery_id, decision_id, person, identifier_id, channel, purpose, state, key_id, deliver_after,"
            " expires_at, reserved_at, changed_at, content) VALUES (%s, %s, %s, 'idn_x', 'email', 'marketing.email', 'delivered', 'key_x', %s, %s, %s, %s, 'x')",
            f"dlv_{row}", f"dec_{row}", people["ada"], at, at, at, at,
        )  # fmt: skip
        broken(
            "INSERT INTO decision.decisions VALUES (%s, %s, 'home', %s, %s, NULL, 'a', 'a', 'email', 0.5, 'rules', false, NULL, false, true, NULL,"
            " 'c', 'f', 'p', NULL, 'r', 'i', 'e', NULL, 'key_x', 'x', NULL)",
            f"dec_{row}", people["ada"], at, at,
        )  # fmt: skip
        broken(
            "INSERT INTO explain.explanations VALUES (%s, %s, 'sha256:0', 'x', 'key_x', %s, NULL)",
            f"dec_{row}", people["ada"], at,
        )  # fmt: skip
    assert lines(await house.retention.run()) == {"dead_letters": (1, 0, 1), "feature_files": (1, 0, 1)}
    folder = house.kernel.settings.data_dir / "features"
    assert [file.name for file in folder.iterdir()] == [newest.file]
    assert await count(house, "consent.doomed_keys") == 0
    clock.advance(702 * DAY)
    assert lines(await house.retention.run()) == {
        "delivery_words": (1, 0, 1), "decisions": (1, 0, 1), "explanations": (1, 0, 1), "imported_decisions": (1, 0, 1),
        "confirmation_questions": (1, 0, 1), "closed_requests": (1, 0, 1),
    }  # fmt: skip
    assert await count(house, "consent.invitations", "id = 'cfm_new'") == await count(house, "consent.invitations") == 1
    assert await count(house, "channels.deliveries", "content IS NOT NULL") == 1
    assert await count(house, "decision.decisions", "id = 'dec_old' AND person IS NULL AND record = 'r'") == 1
    assert await count(house, "decision.decisions", "sealed IS NOT NULL") == 1
    assert await count(house, "explain.explanations", "body IS NOT NULL") == 1
    assert await house.rights.list_requests() == []


async def test_a_schedule_must_fit_the_house(house):
    tree = house.consent.rules.purposes
    long = "because the law says so"
    for rules, word in (
        ((Rule(kind="evnets", keep_days=1, because=long),), "evnets"),
        ((Rule(kind="events", purpose="marketing.fax", keep_days=1, because=long),), "marketing.fax"),
        ((Rule(kind="events", keep_days=1, because=long), Rule(kind="events", keep_days=2, because=long)), "two for"),
    ):
        with pytest.raises(RetentionInvalid, match=word):
            Schedule("1", rules).check(house.retention.kinds, tree)
    house.retention.schedule.check(house.retention.kinds, tree)
    assert {rule.kind for rule in house.retention.schedule.rules} == set(house.retention.kinds), (
        "nothing is kept for ever"
    )


@pytest.mark.parametrize(
    ("ground", "reference"), [("because", ""), ("authority", "Ada Lovelace"), ("authority", "x" * 81)]
)
def test_a_hold_names_a_ground_and_a_number_and_nobody(ground, reference) -> None:
    with pytest.raises(InvalidInput):
        parse(ground, reference)


def test_the_command_line_offers_it() -> None:
    done = CliRunner().invoke(build_cli(), ["retention", "run", "--help"])
    assert done.exit_code == 0
    assert "--dry-run" in done.output
