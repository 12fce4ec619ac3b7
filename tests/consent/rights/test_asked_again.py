"""The same asked again, in other words or under another id, and who may agree to it (consent.D4, D10, D14, D16)."""

from datetime import UTC, date, datetime

import numpy as np
import psycopg
import pytest

from consent.errors import CheckFailed
from consent.holds import Ground
from consent.rights.checks import Method
from consent.rights.correcting import Correction
from identity.clusters import Clusters
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.regrouping import By
from kernel.errors import CandorError
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio


async def merged(house: House) -> None:
    """Two records become one person."""
    async with house.kernel.db.transaction() as conn:
        found = await (await conn.execute("SELECT record_id FROM identity.records ORDER BY 1")).fetchall()
        await house.identity.publish(conn, Clusters(np.array([0, 0]), ()), [row["record_id"] for row in found])


async def test_a_wish_for_silence_is_not_lost_in_a_repeat(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    first = await house.rights.open("erasure", person, actor="person")
    again = await house.rights.open("erasure", person, actor="staff:a", suppress=True)
    assert again.id == first.id
    assert again.suppress
    assert (await house.rights.show(first.id)).suppress


async def test_what_was_asked_under_a_retired_id_is_found(house: House) -> None:
    ada, _, _ = await house.person("ada@example.org", "1")
    ben, _, _ = await house.person("ben@example.org", "2")
    first = await house.rights.open("erasure", max(ada, ben), actor="person")
    await merged(house)
    assert (await house.rights.open("erasure", min(ada, ben), actor="person")).id == first.id


async def test_each_withdrawal_has_its_own_repeats(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    opened = [await house.rights.open("withdrawal", person, actor="person", about={"purpose": one}) for one in ("marketing.email", "analytics")]  # fmt: skip
    again = await house.rights.open("withdrawal", person, actor="person", about={"purpose": "analytics"})
    assert again.id == opened[1].id


async def test_nobody_is_the_second_officer_by_saying_so(house: House) -> None:
    """What the protocol's signature and the approval say is noted by them alone."""
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="staff:a")
    for method in (Method.SECOND_OFFICER, Method.AGENT):
        with pytest.raises(CandorError):
            await house.rights.check(request.id, method, actor="staff:a")


async def test_what_half_the_world_shares_is_no_point(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    more = NewRecord(
        source="crm", source_key="9", identifiers=(Identifier("email", "ada@example.org"),),
        traits={"sex": "f", "land": "DE", "postcode": "10115"}, kinds={"sex": "gender", "land": "country", "postcode": "postcode"},
        observed_at=house.kernel.clock.now(), purpose="service", basis="contract",
    )  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        await house.identity.add_records(conn, [more])
    request = await house.rights.open("access_categories", person, actor="person")
    weak = await house.rights.check(
        request.id, Method.POINTS, actor="staff:a", points=["sex:F", "land:DE", "email:ada@example.org"]
    )
    assert weak.verdict is not None
    assert not weak.verdict.passed
    strong = await house.rights.check(
        request.id, Method.POINTS, actor="staff:a", points=["postcode:10115", "email:Ada@Example.org"]
    )
    assert strong.verdict is not None
    assert strong.verdict.passed


async def test_the_day_of_receipt_is_the_day_where_the_law_is(house: House) -> None:
    """30 June, 23:59, in California; 1 July nearly everywhere else."""
    person, _, _ = await house.person("ada@example.org")
    house.kernel.clock.advance(datetime(2026, 7, 1, 6, 59, tzinfo=UTC) - house.kernel.clock.now())
    assert (await house.rights.open("access", person, actor="person", regime="us-ca")).due_on == date(2026, 8, 14)
    assert (await house.rights.open("erasure", person, actor="person", regime="gdpr")).due_on == date(2026, 8, 1)


async def test_a_failed_check_is_not_overruled_by_an_approval(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("erasure", person, actor="person")
    await house.rights.check(request.id, Method.DOCUMENT, actor="staff:a", passed=False)
    with pytest.raises(CheckFailed):
        await house.rights.approve(request.id, actor="staff:b")


async def test_who_wanted_silence_has_it_after_a_restore_too(house: House) -> None:
    """The dump is older than the list of silenced contacts; the ledger is not."""
    person, _, _ = await house.person("ada@example.org", "1")
    house.rights.ledger.write("req_of_the_future", [person], house.kernel.clock.now(), silent=True)  # type: ignore[arg-type]
    assert await house.rights.replay() == [person]
    back, _, email = await house.person("ada@example.org", "2")
    await house.record(house.grant(email))
    assert await house.may(back) == "withdrawn.channel"


async def test_records_that_come_back_under_somebody_else_go_again(house: House) -> None:
    """Ben was split off Ada and erased; the dump is from before the split, so his record is hers in it."""
    ada, _, _ = await house.person("ada@example.org", "1")
    _, bens, _ = await house.person("ben@example.org", "2")
    await merged(house)
    house.rights.ledger.write("req_later", ["per_of_ben"], house.kernel.clock.now(), records=[bens])  # type: ignore[arg-type, list-item]
    assert await house.rights.replay() == []
    async with house.kernel.db.reading() as conn:
        held = (await house.identity.records(conn, [ada]))[ada]
        assert [[one.value for one in record.identifiers] for record in held] == [["ada@example.org"]]
    assert await house.may(ada, "service") == "basis.contract"
    assert await house.rights.replay() == []


async def test_somebody_of_whom_nothing_else_is_left_goes_whole(house: House) -> None:
    ada, record, _ = await house.person("ada@example.org", "1")
    house.rights.ledger.write("req_later", ["per_another"], house.kernel.clock.now(), records=[record])  # type: ignore[arg-type, list-item]
    assert await house.rights.replay() == [ada]
    assert await house.may(ada, "service") == "person.erased"


async def test_what_staff_wrote_and_what_waits_to_be_corrected_goes_with_her(house: House, addresses) -> None:
    person, _, _ = await house.person("ada@example.org")
    fix = await house.rights.open("rectification", person, actor="person", correction=Correction({"first_name": "Ada"}))
    await house.rights.clock.extend(fix.id, actor="staff:a", reason="because Ada Lovelace was on holiday")
    request = await house.rights.open("erasure", person, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    with psycopg.connect(addresses.owner) as conn:
        ((key,),) = conn.execute("SELECT words_key FROM consent.requests WHERE words IS NOT NULL").fetchall()
        await house.rights.run(request.id, actor="staff:a")
        rows = conn.execute("SELECT words, extension_reason FROM consent.requests WHERE id = %s", (fix.id,)).fetchall()
    assert rows == [(None, "")]
    assert await house.kernel.vault.unwrap([key]) == {}


async def test_who_was_parted_from_the_other_is_reached_by_her_own_requests_only(house: House, addresses) -> None:
    """The id that was retired when they were taken for one leads to the other to this day; what stands under it is hers alone (consent.D5)."""
    by, wrong = By("staff:ann"), Correction({"first_name": "A. Lovelace"})
    (ada, _, _), (bea, record, _) = sorted([await house.person(f"{one}@example.org", one) for one in ("ada", "bea")])
    fix = await house.rights.open("rectification", bea, actor="person", correction=wrong)
    asked = await house.rights.open("access", bea, actor="person")
    await house.rights.clock.extend(fix.id, actor="staff:a", reason="on holiday")
    hold = await house.rights.holds.place(bea, Ground.LEGAL_CLAIM, actor="staff:c")
    async with house.kernel.db.transaction() as conn:
        await house.identity.review(conn, bea, "said_so")
        assert (await house.identity.judging.merge(conn, ada, bea, by)).refused is None
        assert (await house.identity.judging.split(conn, ada, [record], by)).refused is None
        (new,) = (await house.identity.subjects(conn, [record]))[record].people
        assert (await house.identity.former(conn, [ada]))[ada] == [ada, bea], "the redirect stays"
        assert [await house.rights.holds.of(conn, one) for one in (ada, new)] == [[], [hold]]
        held = await house.rights.holds.held(conn)
        assert (held.people, held.records) == ({bea, new}, {record})
    assert (await house.rights.open("access", new, actor="person")).id == asked.id
    assert (await house.rights.open("access", ada, actor="person")).id != asked.id

    async def erased(one: str) -> tuple[set[str], int, int]:
        request = await house.rights.open("erasure", one, actor="person")
        await house.rights.approve(request.id, actor="staff:b")
        assert (await house.rights.run(request.id, actor="staff:a")).counts["keys"] > 0
        with psycopg.connect(addresses.owner) as conn:
            words = conn.execute("SELECT 1 FROM consent.requests WHERE id = %s AND words IS NOT NULL AND extension_reason <> ''", (fix.id,))  # fmt: skip
            return set(house.rights.ledger.among([ada, bea, new])), words.rowcount, conn.execute("SELECT 1 FROM identity.reviews").rowcount  # fmt: skip

    assert await erased(ada) == ({ada}, 1, 1), "whoever was taken for her keeps what is hers"
    await house.rights.holds.lift(hold.id, actor="staff:c")
    assert await erased(new) == ({ada, bea, new}, 0, 0)


async def test_two_corrections_each_keep_their_words_until_they_are_done(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    both = [
        await house.rights.open("rectification", person, actor="person", correction=one, check=Method.LOGIN)
        for one in (
            Correction({"first_name": "Ada"}),
            Correction({}, {"email:ada@example.org": "email:ada.l@example.org"}),
        )
    ]
    for one in both:
        assert (await house.rights.run(one.id, actor="staff:a")).counts["records"] == 1
