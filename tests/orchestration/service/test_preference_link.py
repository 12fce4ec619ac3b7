"""`candor consent link` and what stands behind it, in a whole house."""

import httpx
import pytest

from audit.tags import Tag
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.errors import NotFound
from orchestration.service.cli.consent_link import links_of
from orchestration.wiring import House

pytestmark = pytest.mark.anyio


async def somebody(house: House) -> None:
    """A person with an address and a log-in."""
    async with house.kernel.db.transaction() as conn:
        await house.identity.add_records(
            conn,
            [
                NewRecord(
                    source="shop", source_key="1", traits={}, kinds={}, observed_at=house.kernel.clock.now(),
                    identifiers=(Identifier("email", "ada@example.org"), Identifier("login_id", "u1")),
                    purpose="service", basis="contract",
                )
            ],
        )  # fmt: skip


async def test_staff_make_the_link_of_one_contact_or_of_all_and_it_opens(
    house: House, client: httpx.AsyncClient
) -> None:
    await somebody(house)
    (one,) = await links_of(house, "email:ada@example.org", language="de", by="staff:bea")
    assert one.kind == "email"
    shown = await client.get(one.url)
    assert shown.status_code == 200
    assert '<html lang="de">' in shown.text
    assert "ada@example.org" not in one.url
    async with house.kernel.db.reading() as conn:
        person = await house.identity.lookup(conn, "login_id:u1")
    every = await links_of(house, person, language="", by="staff:bea")
    assert {each.kind for each in every} == {"email", "login_id"}
    read = [entry for entry in await house.audit.entries(limit=20) if entry.tag == Tag.READ_PERSONAL]
    assert len(read) == 2
    assert (await house.audit.open_entry(read[0].entry_id))["what"] == "preference link"
    with pytest.raises(NotFound):
        await links_of(house, "email:nobody@example.org", language="", by="staff:bea")


async def test_such_a_link_was_not_sent_to_the_contact_so_it_proves_nothing(house: House) -> None:
    await somebody(house)
    (one,) = await links_of(house, "email:ada@example.org", language="", by="staff:bea")
    said = house.kernel.tokens.read(one.url.rsplit("/", 1)[1], "preferences")
    assert said is not None
    assert "sent" not in said.claims
    assert house.consent.confirmations.post == house.channels.confirming.post
