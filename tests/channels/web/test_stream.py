"""The stream of a visitor's page: ids without gaps, exact replay or one resync, pings, caps, an end at shutdown (channels.A27)."""

import asyncio
import gc
import json
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.settings import ChannelsSettings
from channels.web.standing import Standing, pack, unpack
from channels.web.stream import Streams, TooManyStreams
from channels.web.visitor import Visitor
from consent.visitors import Visitors
from identity.visitor import visitor as named
from orchestration.service.server import serve
from tests.channels.web.conftest import NOTICE, PURPOSES

pytestmark = pytest.mark.anyio


async def always() -> bool:
    return True


class Reader:
    """Reads events of a stream, one at a time."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._events: list[dict] = []

    async def next(self) -> dict:
        while not self._events:
            chunk = (await asyncio.wait_for(anext(self._chunks), 10)).decode()
            for part in chunk.split("\n\n"):
                lines = dict(line.split(": ", 1) for line in part.splitlines() if ": " in line and line[0] != ":")
                if "event" in lines:
                    self._events.append(lines | {"data": json.loads(lines["data"])})
        return self._events.pop(0)

    async def close(self) -> None:
        await self._chunks.aclose()


class Visits:
    def __init__(self, web) -> None:
        self.web, self.house = web, web.house

    async def agreed(self) -> Visitor:
        visitor = Visitor(identifier=named(str(uuid.uuid4())), source="site", actor="test")
        await self.say(visitor, **dict.fromkeys(PURPOSES, True))
        return visitor

    async def say(self, visitor: Visitor, **choices: bool) -> dict:
        desk = Visitors(self.house.consent, self.house.identity, self.house.kernel.clock)
        async with self.house.kernel.db.transaction() as conn:
            return await desk.say(conn, visitor.identifier, choices, notice=NOTICE, gpc=False, actor="test")

    async def place(self, visitor: Visitor, *names: str) -> list:
        return await self.house.placing.place(visitor, names or ("hero",))

    def streams(self, **settings) -> Streams:
        """As another process has them."""
        return Streams(
            self.house.kernel, self.house.identity, self.house.channels.pages,
            ChannelsSettings(**{"web_look_seconds": 0.05, **settings}),
        )  # fmt: skip

    def open(self, visitor: Visitor, last: str | None = None, streams: Streams | None = None) -> Reader:
        return Reader((streams or self.house.channels.streams).open(visitor, last, "127.0.0.1", always))


@pytest.fixture
def visits(web) -> Visits:
    return Visits(web)


async def test_changes_come_in_order_with_ids_that_count(visits) -> None:
    visitor = await visits.agreed()
    await visits.place(visitor)
    stream = visits.open(visitor)
    begun = await stream.next()
    assert begun["event"] == "ready"
    await visits.place(visitor, "side")
    decided = await stream.next()
    await visits.say(visitor, **{"marketing.web": False})
    withdrawn = await stream.next()
    (placed,) = await visits.place(visitor)
    redecided = await stream.next()
    assert [one["event"] for one in (decided, withdrawn, redecided)] == ["decision", "permissions", "decision"]
    assert decided["data"]["placement"] == "side"
    assert redecided["data"] == {
        "placement": "hero", "channel": "web", "decision_id": placed.standing.decision_id,
    }  # fmt: skip
    numbers = [int(one["id"].split(".")[1]) for one in (begun, decided, withdrawn, redecided)]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    await stream.close()


async def test_who_comes_back_gets_exactly_what_followed(visits) -> None:
    visitor = await visits.agreed()
    await visits.place(visitor)
    stream = visits.open(visitor)
    start = (await stream.next())["id"]
    await stream.close()
    for n in range(6):
        await visits.say(visitor, **{"marketing.personalize": bool(n % 2)})
    whole = visits.open(visitor, start)
    all_of_them = [await whole.next() for _ in range(6)]
    for cut in range(6):
        again = visits.open(visitor, all_of_them[cut]["id"])
        rest = [await again.next() for _ in range(5 - cut)]
        assert rest == all_of_them[cut + 1 :]
        await again.close()
    await whole.close()


@pytest.mark.parametrize(
    "last",
    ["nonsense", "0.5", "x.1", "{tag}.999", "{tag}.-1", "{tag}.", "{tag}.٣", "000000000000.1", "{tag}." + "9" * 5000],
)
async def test_an_id_that_cannot_be_followed_gets_one_resync(visits, last) -> None:
    visitor = await visits.agreed()
    await visits.place(visitor)
    first = visits.open(visitor)
    tag, _, number = (await first.next())["id"].partition(".")
    await first.close()
    stream = visits.open(visitor, last.format(tag=tag))
    assert (await stream.next()) == {"event": "resync", "id": f"{tag}.{number}", "data": {}}
    await visits.say(visitor, **{"marketing.personalize": False})
    assert (await stream.next())["event"] == "permissions"
    await stream.close()


async def test_who_was_away_for_longer_than_is_kept_starts_anew(visits, monkeypatch) -> None:
    monkeypatch.setattr("channels.web.pages.KEPT", 3)
    visitor = await visits.agreed()
    await visits.place(visitor)
    first = visits.open(visitor)
    start = (await first.next())["id"]
    await first.close()
    for n in range(5):
        await visits.say(visitor, **{"marketing.personalize": bool(n % 2)})
    stream = visits.open(visitor, start)
    assert (await stream.next())["event"] == "resync"
    await stream.close()
    async with visits.house.kernel.db.reading() as conn:
        got = await conn.execute("SELECT count(*) AS n FROM channels.page_changes")
        assert (await got.fetchone())["n"] == 3


async def test_many_writers_at_once_leave_no_gap(visits) -> None:
    visitor = await visits.agreed()
    await visits.place(visitor)
    stream = visits.open(visitor, streams=visits.streams())
    start = int((await stream.next())["id"].split(".")[1])
    person = (await visits.place(visitor))[0].standing.person

    async def touch() -> None:
        async with visits.house.kernel.db.transaction() as conn:
            await visits.house.consent.touch(conn, [person])

    await asyncio.gather(*(touch() for _ in range(12)), visits.place(visitor, "side"))
    seen = [await stream.next() for _ in range(13)]
    assert [int(one["id"].split(".")[1]) for one in seen] == list(range(start + 1, start + 14))
    await stream.close()


async def test_a_message_on_another_channel_is_told(visits) -> None:
    visitor = await visits.agreed()
    (placed,) = await visits.place(visitor)
    stream = visits.open(visitor)
    await stream.next()
    async with visits.house.kernel.db.transaction() as conn:
        from channels.web.standing import Elsewhere

        one = Elsewhere(person=placed.standing.person, placement="mail", channel="email", decision_id="dec_x")
        await visits.house.channels.elsewhere(conn, [one])
    assert (await stream.next())["data"] == {"placement": "mail", "channel": "email", "decision_id": "dec_x"}
    await stream.close()


async def test_somebody_unknown_is_followed_once_she_is_known(visits) -> None:
    visitor = await visits.agreed()
    stream = visits.open(visitor)
    assert (await stream.next())["event"] == "ready"
    await visits.place(visitor)
    assert (await stream.next())["event"] == "resync"
    await stream.close()


async def test_an_erased_person_s_stream_says_so_and_tells_nothing_more(visits) -> None:
    visitor = await visits.agreed()
    (placed,) = await visits.place(visitor)
    stream = visits.open(visitor, streams=visits.streams())
    known = (await stream.next())["id"]
    async with visits.house.kernel.db.transaction() as conn:
        await visits.house.channels.erase(conn, placed.standing.person)
        await visits.house.identity.erase(conn, placed.standing.person)
    assert (await stream.next())["event"] == "resync"
    await stream.close()
    again = visits.open(visitor, known)
    assert (await again.next())["event"] == "resync"
    await again.close()


async def test_a_silent_stream_says_that_it_lives_and_ends_with_its_key(visits) -> None:
    visitor = await visits.agreed()
    left = [True, True, False]

    async def alive() -> bool:
        return left.pop(0)

    chunks = visits.streams(web_ping_seconds=0.05).open(visitor, None, "127.0.0.1", alive)
    told = [one async for one in chunks]
    assert told[2:] == [b": ping\n\n"] * 3


async def test_a_visitor_and_an_address_hold_so_many_and_no_more(visits) -> None:
    streams = visits.streams(web_streams_per_visitor=2, web_streams_per_address=3)
    one, other = await visits.agreed(), await visits.agreed()
    held = [visits.open(one, streams=streams), visits.open(one, streams=streams)]
    with pytest.raises(TooManyStreams):
        visits.open(one, streams=streams)
    held.append(visits.open(other, streams=streams))
    with pytest.raises(TooManyStreams):
        visits.open(other, streams=streams)
    for reader in held:
        await reader.next()
        await reader.close()
    del held, reader
    await visits.open(one, streams=streams).close()


async def test_over_http_it_is_an_event_stream_and_ends_when_the_server_does(web, visits) -> None:
    visitor = await visits.agreed()
    headers = {
        "Authorization": f"Bearer {web.key}", "Origin": web.site.origin, "Candor-Visitor": visitor.identifier.value,
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=web.at, timeout=20) as client:
        refused = await client.get("/v1/stream", headers={**headers, "Candor-Visitor": "short"})
        assert (refused.status_code, refused.json()["code"]) == (422, "not_a_visitor")
        async with client.stream("GET", "/v1/stream", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["access-control-allow-origin"] == web.site.origin
            chunks = answer.aiter_text()
            assert "retry: 3000" in await anext(chunks)
            assert web.house.channels.streams.count == 1
            await web.stop()
            assert all([isinstance(one, str) async for one in chunks])  # it ends, without a fault
    assert web.house.channels.streams.count == 0


@given(st.floats(min_value=1e-12, max_value=1), st.one_of(st.none(), st.text(max_size=20)), st.booleans())
def test_what_stands_keeps_its_bits_in_the_hot_store(propensity, variant, personal) -> None:
    from datetime import UTC, datetime

    at = datetime(2026, 3, 5, 12, 0, 0, 123456, tzinfo=UTC)
    one = Standing(
        person="per_x", placement="hero", decision_id="dec_x", choice="a@web", variant=variant, propensity=propensity,
        withheld=None, purpose="p", personalize_under="q", personal=personal, consent_version=7, graph_version=9,
        catalogue="sha256:x", since=at, until=at, expires_at=at,
    )  # fmt: skip
    assert unpack(pack(one)) == one
    assert unpack(pack(one).replace(b'"form":1', b'"form":0')) is None


async def test_a_server_that_is_asked_to_stop_ends_its_streams_and_stops(web, visits) -> None:
    visitor = await visits.agreed()
    await web.stop()
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(web.house, stop=stop))
    headers = {
        "Authorization": f"Bearer {web.key}", "Origin": web.site.origin, "Candor-Visitor": visitor.identifier.value,
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=web.at, timeout=20) as client:
        for _ in range(200):
            try:
                await client.get("/healthz")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
        async with client.stream("GET", "/v1/stream", headers=headers) as answer:
            chunks = answer.aiter_text()
            await anext(chunks)
            stop.set()
            assert all([isinstance(one, str) async for one in chunks])
    await asyncio.wait_for(serving, 15)  # less than the server would wait for a request that does not end
    assert web.house.channels.streams.count == 0
    assert gc.get_freeze_count() == 0, "what stays frozen is told as leaked by libraries when the process ends"
