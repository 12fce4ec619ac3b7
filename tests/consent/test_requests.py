"""Subject requests end to end: four eyes, the ledger before the first destructive act, keys gone, nothing readable."""

import json
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from audit.entries import REDACTED
from consent.errors import FourEyes, RequestNotFound, RequestState, UnknownRight
from consent.ledger import Ledger, LedgerDamaged
from consent.lifecycle import Denial, State
from consent.rights.checks import Method
from kernel.db import Conn
from kernel.errors import NotFound
from kernel.ids import PersonId
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio


class Holder:
    """A room above, as far as requests see it; notes when it was asked."""

    name = "events"

    def __init__(self, house: House) -> None:
        self.house = house
        self.erased: list[tuple[PersonId, int]] = []
        self.fails = False

    async def export(self, conn: Conn, person: PersonId):
        at = {"source": "shop", "purpose": "service", "basis": "contract", "event_time": "2026-03-01T00:00:00+00:00"}
        return {"events": [{"name": "Order Completed", **at}, {"name": "Order Completed", **at}]}

    async def erase(self, conn: Conn, person: PersonId) -> int:
        if self.fails:
            raise ConnectionResetError
        self.erased.append((person, len(self.house.rights.ledger.lines())))
        return 2


@pytest.fixture
def holder(house: House) -> Holder:
    found = Holder(house)
    house.rights.register(found)
    return found


async def erase(house: House, who: str, **more: bool):
    request = await house.rights.open("erasure", who, actor="person", **more)
    await house.rights.approve(request.id, actor="staff:b")
    return await house.rights.run(request.id, actor="staff:a")


async def test_an_erasure_from_opening_to_end(house: House, holder: Holder) -> None:
    person, _, email = await house.person("ada@example.org")
    (act,) = await house.record(house.grant(email, raw=b"CANARY-signal"))
    keys_before = (await members(house, person)).key_ids
    request = await house.rights.open("deletion", "email:ada@example.org", actor="staff:a")
    assert (request.state, request.due_on) == (State.OPEN, date(2026, 4, 5))

    preview = await house.rights.preview(request.id)
    assert preview.holdings["events"] == {"events": 2}
    assert preview.holdings["consent"] == {"acts": 1}
    assert preview.keys == len(keys_before) > 0

    with pytest.raises(RequestState, match="approved"):
        await house.rights.run(request.id, actor="staff:a")
    with pytest.raises(FourEyes):
        await house.rights.approve(request.id, actor="staff:a")
    approved = await house.rights.approve(request.id, actor="staff:b")
    assert (approved.state, approved.approved_by) == (State.IN_PROGRESS, "staff:b")
    with pytest.raises(RequestState):
        await house.rights.approve(request.id, actor="staff:c")

    outcome = await house.rights.run(request.id, actor="staff:a")
    assert holder.erased == [(person, 1)]  # the ledger had its line before
    assert outcome.counts["keys"] == len(keys_before)
    assert outcome.request.state is State.FULFILLED
    assert await house.kernel.vault.unwrap(keys_before) == {}
    assert await house.may(person, "service") == "person.erased"

    again = await house.rights.run(request.id, actor="staff:a")
    assert again.counts == outcome.counts
    assert len(holder.erased) == 1

    tags = [e.tag for e in await house.audit.lineage([("request", request.id)], depth=1)]
    assert sorted(tags) == ["erasure.done", "request.approved", "request.opened", "request.run"]
    (entry,) = await house.audit.lineage([("act", act)], depth=1)
    assert set((await house.audit.open_entry(entry.entry_id)).values()) == {REDACTED}


async def members(house: House, person: PersonId):
    async with house.kernel.db.reading() as conn:
        return (await house.identity.members(conn, [person]))[person]


async def test_the_act_stays_and_its_raw_bytes_cannot_be_opened(house: House, holder: Holder, addresses) -> None:
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email, raw=b"CANARY-signal"))
    await erase(house, person)
    async with house.kernel.db.reading() as conn:
        (line,) = await house.consent.history_of(conn, [email])
        assert line.act.has_raw
    with psycopg.connect(addresses.owner) as conn:
        row = conn.execute("SELECT key_id FROM consent.acts").fetchone()
    assert row is not None
    assert await house.kernel.vault.unwrap([row[0]]) == {}


async def test_the_ledger_holds_no_identifier_and_knows_whom(house: House, holder: Holder) -> None:
    person, _, _ = await house.person("ada@example.org", "1")
    other, _, _ = await house.person("ben@example.org", "2")
    outcome = await erase(house, person)
    text = house.rights.ledger.path.read_text()
    assert person not in text
    assert "ada@" not in text  # with its sign: three letters alone may well stand in a digest
    assert "example.org" not in text
    assert set(json.loads(text)) == {"v", "at", "request", "salt", "who", "records"}
    assert house.rights.ledger.among([person, other]) == {person: False}
    house.rights.ledger.write(outcome.request.id, [person], datetime.now(UTC))
    assert len(house.rights.ledger.lines()) == 1
    house.rights.ledger.write("req_another", [person], datetime.now(UTC))  # type: ignore[arg-type]
    one, two = house.rights.ledger.lines()
    assert one.who != two.who  # the same person, another salt: nobody can tell that it is


async def test_a_line_cut_short_is_dropped_and_a_damaged_one_stops_us(house: House, tmp_path) -> None:
    ledger = Ledger(tmp_path, house.kernel.vault)
    at = house.kernel.clock.now()
    ledger.write("req_1", [PersonId("per_1")], at)  # type: ignore[arg-type]
    with ledger.path.open("ab") as file:
        file.write(b'{"v":1,"at"')
    assert len(ledger.lines()) == 1
    ledger.write("req_2", [PersonId("per_2")], at)  # type: ignore[arg-type]
    assert [line.request for line in ledger.lines()] == ["req_1", "req_2"]
    ledger.path.write_text("nonsense\n" + ledger.path.read_text())
    with pytest.raises(LedgerDamaged, match="line 1"):
        ledger.lines()


async def test_a_failure_in_the_middle_leaves_everything_and_can_be_run_again(house: House, holder: Holder) -> None:
    person, _, _ = await house.person("ada@example.org")
    keys = (await members(house, person)).key_ids
    request = await house.rights.open("erasure", person, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    holder.fails = True
    with pytest.raises(ConnectionResetError):
        await house.rights.run(request.id, actor="staff:a")
    assert len(await house.kernel.vault.unwrap(keys)) == len(keys)
    assert (await house.rights.show(request.id)).state is State.IN_PROGRESS
    assert len(house.rights.ledger.lines()) == 1
    holder.fails = False
    outcome = await house.rights.run(request.id, actor="staff:a")
    assert outcome.counts["keys"] == len(keys)
    assert len(house.rights.ledger.lines()) == 1


async def test_a_crash_before_the_keys_are_destroyed_destroys_them_on_the_next_run(
    house: House, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, _, _ = await house.person("ada@example.org")
    keys = (await members(house, person)).key_ids
    request = await house.rights.open("erasure", person, actor="person")
    await house.rights.approve(request.id, actor="staff:b")

    async def die(*_: object) -> int:
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr(type(house.kernel.vault), "destroy", die)
        with pytest.raises(ConnectionResetError):
            await house.rights.run(request.id, actor="staff:a")
    assert await house.may(person, "service") == "person.erased"  # nobody decides for her meanwhile
    outcome = await house.rights.run(request.id, actor="staff:a")
    assert await house.kernel.vault.unwrap(keys) == {}
    assert outcome.counts["events"] == 2
    assert len(holder.erased) == 1


async def test_erasing_who_is_erased_succeeds(house: House, holder: Holder) -> None:
    person, _, _ = await house.person("ada@example.org")
    await erase(house, person)
    outcome = await erase(house, person)
    assert outcome.request.state is State.FULFILLED
    assert outcome.counts["keys"] == 0
    with pytest.raises(NotFound):
        await house.rights.open("erasure", "email:nobody@example.org", actor="person")


async def test_duplicates_are_one_request(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    first = await house.rights.open("erasure", person, actor="person")
    assert (await house.rights.open("erasure", "email:ada@example.org", actor="staff:a")).id == first.id
    assert (await house.rights.open("access", person, actor="person")).id != first.id


async def test_a_silenced_contact_stays_silent_when_it_comes_back(house: House, holder: Holder) -> None:
    person, _, _ = await house.person("ada@example.org")
    await erase(house, person, suppress=True)
    house.kernel.clock.advance(timedelta(days=1))
    back, _, email = await house.person("ada@example.org", "9")
    assert back != person
    await house.record(house.grant(email))
    assert await house.may(back) == "withdrawn.channel"
    assert await house.may(back, "service") == "basis.contract"


async def test_a_contact_shared_with_somebody_else_is_silenced_at_once(house: House, holder: Holder) -> None:
    person, _, email = await house.person("family@example.org", "1", customer_id="c1")
    other, _, same = await house.person("family@example.org", "2", customer_id="c2")
    assert same == email
    assert other != person
    await house.record(house.grant(email))
    assert await house.may(other) == "consent.granted"
    await erase(house, person, suppress=True)
    assert await house.may(other) == "withdrawn.channel"


async def test_without_suppression_a_contact_that_comes_back_is_new(house: House, holder: Holder) -> None:
    person, _, _ = await house.person("ada@example.org")
    await erase(house, person)
    back, _, email = await house.person("ada@example.org", "9")
    await house.record(house.grant(email))
    assert await house.may(back) == "consent.granted"


async def test_the_silence_is_a_keyed_hash_of_its_own(house: House, holder: Holder, addresses) -> None:
    person, _, _ = await house.person("ada@example.org")
    await erase(house, person, suppress=True)
    with psycopg.connect(addresses.owner) as conn:
        rows = conn.execute("SELECT contact FROM consent.silenced").fetchall()
    assert [bytes(r[0]) for r in rows] == [house.kernel.vault.pepper("suppression", "email:ada@example.org")]
    assert bytes(rows[0][0]) != house.kernel.vault.blind_index("email", "ada@example.org")


async def test_restored_people_are_erased_again(house: House, holder: Holder, addresses) -> None:
    """A dump from before the erasure comes back: the person lives in it, the ledger beside it does not forget."""
    person, _, _ = await house.person("ada@example.org", "1")
    other, _, _ = await house.person("ben@example.org", "2")
    house.rights.ledger.write("req_of_the_future", [person], house.kernel.clock.now())  # type: ignore[arg-type]
    assert await house.rights.replay() == [person]
    assert await house.may(person, "service") == "person.erased"
    assert await house.may(other, "service") == "basis.contract"
    assert await house.rights.replay() == []


async def test_an_access_request_hands_out_what_every_room_holds(house: House, holder: Holder) -> None:
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email))
    request = await house.rights.open("access", person, actor="person", check=Method.LOGIN)
    outcome = await house.rights.run(request.id, actor="staff:a")
    assert outcome.package is not None
    assert set(outcome.package.holdings) == {"events", "consent", "identity"}
    assert "ada@example.org" in json.dumps(outcome.package.holdings["identity"])
    assert outcome.counts["consent"] == 1
    with pytest.raises(RequestState):
        await house.rights.run(request.id, actor="staff:a")


@pytest.mark.parametrize(("right", "purpose", "reason"), [
    ("restriction", "service", "person.restricted"),
    ("objection", "marketing.email", "consent.denied"),
    ("opt_out", "sharing", "directive.gpc"),
    ("sale:opt-out", "sharing", "directive.gpc"),
])  # fmt: skip
async def test_rights_that_are_a_no(house: House, right: str, purpose: str, reason: str) -> None:
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email), house.grant(email, "sharing"))
    house.kernel.clock.advance(timedelta(minutes=1))
    request = await house.rights.open(right, person, actor="person")
    outcome = await house.rights.run(request.id, actor="staff:a")
    assert outcome.counts["consent"] > 0
    assert await house.may(person, purpose, None) == reason


async def test_a_refusal_has_a_reason_and_ends_it(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("erasure", person, actor="person")
    refused = await house.rights.deny(request.id, actor="staff:a", reason=Denial.NOT_COVERED)
    assert (refused.state, refused.reason) == (State.DENIED, "claim_not_covered")
    with pytest.raises(RequestState):
        await house.rights.approve(request.id, actor="staff:b")
    with pytest.raises(RequestState):
        await house.rights.run(request.id, actor="staff:b")


async def test_unknown_requests_and_rights_are_said_to_be_unknown(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    with pytest.raises(RequestNotFound):
        await house.rights.show("req_01J0000000000000000000000A")
    with pytest.raises(UnknownRight, match="right"):
        await house.rights.open("teleportation", person, actor="person")


async def test_california_has_other_clocks(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    opt_out = await house.rights.open("opt_out", person, actor="person", regime="us-ca")
    access = await house.rights.open("access", person, actor="person", regime="us-ca")
    assert (opt_out.due_on, access.due_on) == (date(2026, 3, 26), date(2026, 4, 19))
