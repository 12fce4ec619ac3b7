"""A no on one side is a no on the other; nothing is ever taken off a list."""

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from channels.email.errors import ListsUnreachable, NoApiKey
from channels.email.lists import Lists
from channels.email.settings import SendGridSettings
from channels.service import Channels
from consent.gate import permission
from identity.identifiers import Identifier
from tests.channels.conftest import World, delivery
from tests.support.prism import prism
from tests.support.provider import Got, Provider, Reply, provider

pytestmark = pytest.mark.anyio


class Account:
    """SendGrid's lists, in memory."""

    def __init__(self) -> None:
        self.lists: dict[str, list[str]] = {
            name: [] for name in ("bounces", "blocks", "invalid_emails", "spam_reports", "unsubscribes")
        }
        self.group: list[str] = []
        self.since = 1_600_000_000
        self.writes = 0

    def answer(self, got: Got) -> Reply:
        parts = urlsplit(got.path)
        name = parts.path.rsplit("/", 1)[-1]
        if got.method == "POST":
            self.writes += 1
            (self.lists["unsubscribes"] if name == "global" else self.group).extend(got.json["recipient_emails"])
            return Reply(201, {"Content-Type": "application/json"}, b"{}")
        if name == "suppressions":
            rows = [{"email": one, "group_id": 7, "created_at": self.since} for one in self.group]
            return Reply(200, {}, json.dumps([*rows, {"email": "other@example.org", "group_id": 8}]).encode())
        asked = {key: int(values[0]) for key, values in parse_qs(parts.query).items()}
        page = self.lists[name][asked["offset"] : asked["offset"] + asked["limit"]]
        return Reply(200, {}, json.dumps([{"created": self.since, "email": one} for one in page]).encode())


def rooms(world: World, there: Provider, **more: object) -> Channels:
    how = SendGridSettings(api_key=SecretStr("SG.x"), base_url=there.url, **more)
    return world.channels(sendgrid=how)


async def barred(room: Channels, world: World, *names: str) -> list[bool]:
    async with world.kernel.db.reading() as conn:
        found = await room._suppressions.barred(conn, [Identifier("email", one) for one in names], "email")
    return [one in found for one in names]


async def test_what_sendgrid_holds_comes_here_page_by_page_for_people_known_and_unknown(world: World) -> None:
    account = Account()
    person, contact = await world.person("1")
    account.lists["bounces"] = [f"b{n}@example.org" for n in range(1203)]
    account.lists["spam_reports"] = ["Ada1@Example.org"]
    account.lists["unsubscribes"] = ["u@example.org", "not an address"]
    account.lists["blocks"] = ["blocked@example.org"]
    async with provider() as there:
        there.handler = account.answer
        room = rooms(world, there)
        dry = await room.sync_lists(dry_run=True, actor="test")
        assert (dry.suppressed, account.writes) == (1205, 0)
        assert await barred(room, world, "u@example.org") == [False]
        done = await room.sync_lists(actor="test")
        assert dict(done.listed) == {
            "bounces": 1203, "invalid_emails": 0, "spam_reports": 1, "unsubscribes": 1, "blocks": 1,
        }  # fmt: skip
        assert (done.suppressed, done.unreadable, done.added) == (1205, 1, 0)
        names = ("b0@example.org", "b1202@example.org", "ada1@example.org", "u@example.org", "blocked@example.org")
        assert await barred(room, world, *names) == [True, True, True, True, False]
        (withheld,) = await world.reserve(room, delivery(person, contact))
        assert withheld.reason == "suppressed"
        assert (await room.sync_lists(actor="test")).suppressed == 0  # again: nothing new, nothing written
        assert account.writes == 0
        assert all("@" not in got.path for got in there.got)


async def test_our_noes_reach_sendgrid_and_only_those(world: World) -> None:
    account = Account()
    (_, silent), (_, gone), (_, agreed) = [await world.person(key) for key in ("1", "2", "3")]
    await world.withdraw(gone)
    async with provider() as there:
        there.handler = account.answer
        room = rooms(world, there, asm_group_id=7)
        async with world.kernel.db.transaction() as conn:
            await room.suppress(conn, [silent], "email", "complaint", actor="staff:ann")
        assert (await room.sync_lists(dry_run=True, actor="test")).added == 1
        assert account.writes == 0
        done = await room.sync_lists(actor="test")
        assert (done.added, done.left) == (1, 1)
        assert account.lists["unsubscribes"] == ["ada1@example.org"]
        assert account.group == ["ada2@example.org"]
        again = await room.sync_lists(actor="test")
        assert (again.added, again.left, again.suppressed, again.withdrawn) == (0, 0, 0, 0)
        assert account.writes == 2
        assert agreed
    assert (await world.tags()).count("suppression.synced") == 2


async def test_who_left_the_group_there_has_withdrawn_here(world: World) -> None:
    account = Account()
    person, _ = await world.person("1")
    account.since = int(world.clock.now().timestamp()) - 3600
    account.group = ["ada1@example.org", "stranger@example.org"]
    async with provider() as there:
        there.handler = account.answer
        done = await rooms(world, there, asm_group_id=7).sync_lists(actor="test")
    assert done.withdrawn == 1
    async with world.kernel.db.reading() as conn:
        state = (await world.consent.states(conn, [person]))[person]
    assert permission(state, "marketing.email", "email", world.clock.now()).reason == "withdrawn.channel"


async def test_a_yes_that_she_gave_after_she_was_listed_there_is_not_undone_and_staff_hear_of_it(world: World) -> None:
    account = Account()
    account.since = int((world.clock.now() - timedelta(days=2)).timestamp())
    _, mail = await world.person("1")
    await world.person("2")
    account.group = ["ada1@example.org", "ada2@example.org"]

    async def answers() -> list[str]:
        async with world.kernel.db.reading() as conn:
            people = [await world.identity.lookup(conn, f"email:ada{n}@example.org") for n in (1, 2)]
            states = await world.consent.states(conn, people)
        now = world.clock.now()
        return [str(permission(states[one], "marketing.email", "email", now).reason) for one in people]

    async with provider() as there:
        there.handler = account.answer
        room = rooms(world, there, asm_group_id=7)
        # Both agreed before our clock's now, and after they were listed there: nothing is withdrawn, at the first exchange or later.
        assert (await answers())[0] == "consent.granted"
        foreseen = await room.sync_lists(dry_run=True, actor="test")
        done = await room.sync_lists(actor="test")
        assert (foreseen.withdrawn, done.withdrawn, done.outlived, done.left) == (0, 0, 2, 0)
        assert await answers() == ["consent.granted"] * 2
        account.lists["unsubscribes"] = ["ada1@example.org", "stranger@example.org"]
        done = await room.sync_lists(actor="test")
        assert (done.suppressed, done.outlived) == (1, 3)
        assert await barred(room, world, "ada1@example.org", "stranger@example.org") == [False, True]
        account.since = int((world.clock.now() + timedelta(minutes=1)).timestamp())
        world.clock.advance(timedelta(minutes=2))
        done = await room.sync_lists(actor="test")  # left again since: that is her newest word
        assert (done.withdrawn, done.outlived) == (2, 0)
        assert await answers() == ["withdrawn.channel"] * 2
        assert (await room.sync_lists(actor="test")).withdrawn == 0
        world.clock.advance(timedelta(minutes=2))
        async with world.kernel.db.transaction() as conn:
            await world.consent.record(conn, [replace(world.grant(mail), given_at=world.clock.now())])
        assert (await room.sync_lists(actor="test")).outlived == 2  # by the group, and by the list of all
        assert (await answers())[0] == "consent.granted"


async def test_an_exchange_that_breaks_off_says_so_and_what_was_done_stands(world: World) -> None:
    account = Account()
    account.lists["bounces"] = ["b@example.org"]
    async with provider() as there:

        def failing(got: Got) -> Reply:
            return Reply(500) if "spam_reports" in got.path else account.answer(got)

        there.handler = failing
        room = rooms(world, there)
        with pytest.raises(ListsUnreachable, match="500"):
            await room.sync_lists(actor="test")
        assert await barred(room, world, "b@example.org") == [True]
        there.handler = None
        there.answers = ["reset"]
        with pytest.raises(ListsUnreachable):
            await room.sync_lists(actor="test")
    with pytest.raises(NoApiKey):
        await world.channels().sync_lists(actor="test")


async def test_a_server_that_ignores_the_offset_is_not_read_for_ever() -> None:
    page = json.dumps([{"email": f"a{n}@example.org"} for n in range(500)]).encode()
    async with provider(Reply(200, {}, page)) as there:
        async with Lists(SendGridSettings(api_key=SecretStr("SG.x"), base_url=there.url)) as lists:
            assert [len(found) async for found in lists.read("bounces")] == [500]
        assert len(there.got) == 2


@pytest.mark.shared
async def test_every_request_is_as_twilios_document_says(world: World) -> None:
    _, silent = await world.person("1")
    _, gone = await world.person("2")
    await world.withdraw(gone)
    with prism("tsg_suppressions_v3.json") as url:
        how = SendGridSettings(api_key=SecretStr("SG.x"), base_url=url, asm_group_id=2)
        room = world.channels(sendgrid=how)
        async with world.kernel.db.transaction() as conn:
            await room.suppress(conn, [silent], "email", "complaint", actor="staff:ann")
        done = await room.sync_lists(actor="test")  # a violation would be answered with an error
    assert set(done.listed) == {"bounces", "invalid_emails", "spam_reports", "unsubscribes", "blocks", "group"}
    assert min(done.listed.values()) >= 1
    assert (done.added, done.left) == (1, 1)
