"""What staff records for somebody lands on the right subjects."""

import pytest

from consent.errors import ActIncomplete
from consent.staff import Desk, Word
from kernel.errors import NotFound
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio
YES = Word(purpose="marketing.email", status="granted", channel="email", notice_text="May we?", notice_version="p1")


def desk(house: House) -> Desk:
    return Desk(house.consent, house.identity, house.kernel.clock)


async def subjects(house: House, person) -> set[str]:
    async with house.kernel.db.reading() as conn:
        return {line.act.subject for line in await house.consent.history(conn, person)}


async def test_a_yes_for_a_person_is_put_on_what_the_channel_reaches(house: House) -> None:
    person, _, email = await house.person("ada@example.org", "1", phone="+12025550143")
    async with house.kernel.db.transaction() as conn:
        await desk(house).record(conn, person, YES, actor="staff:a")
    assert await subjects(house, person) == {email}
    assert await house.may(person) == "consent.granted"


async def test_a_no_for_a_person_is_put_on_everything_and_repeated_only_once(house: House) -> None:
    person, record, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        assert len(await desk(house).withdraw(conn, person, "marketing.email", None, actor="staff:a")) == 2
        assert await desk(house).withdraw(conn, person, "marketing.email", "email", actor="staff:a") == []
    assert await subjects(house, person) == {record, email}


async def test_a_contact_nobody_knows_yet_is_registered_for_it(house: House) -> None:
    async with house.kernel.db.transaction() as conn:
        await desk(house).record(conn, "email:new@example.org", YES, actor="staff:a")
    person, _, _ = await house.person("new@example.org")
    assert await house.may(person) == "consent.granted"


async def test_nobody_and_no_notice_are_refused(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        with pytest.raises(NotFound):
            await desk(house).record(conn, "per_01J0000000000000000000000A", YES, actor="staff:a")
        with pytest.raises(ActIncomplete, match="notice"):
            await desk(house).record(conn, person, Word(purpose="analytics", status="granted"), actor="staff:a")
