"""The commands on what the collection door refused."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from events.log import CollectContext, Source
from events.settings import EventsSettings
from orchestration.service.cli import events as commands
from orchestration.service.cli.main import build

pytestmark = pytest.mark.anyio


async def test_refused_items_are_counted_and_pass_once_the_fault_is_corrected(house, monkeypatch) -> None:
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("web", "service", "contract"))
    wide = {"type": "track", "event": "Seen", "userId": "u1", "properties": {f"p{n}": n for n in range(301)}}
    await house.events.collect([wide, {**wide, "event": None}], CollectContext("web"))
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(
        commands, "in_house", lambda work: asyncio.run_coroutine_threadsafe(work(house), loop).result(30)
    )

    async def said(*words: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, build(), ["events", *words])
        assert done.exit_code == 0, done.output
        return done.output

    (row,) = json.loads(await said("refused", "--json"))
    assert (row["source"], row["reason"], row["count"]) == ("web", "rejected", 2)
    assert "rejected" in await said("refused")
    assert json.loads(await said("replay", "--json")) == {"accepted": 0, "duplicates": 0, "rejected": 2, "filtered": 0}
    monkeypatch.setattr(house.events, "limits", house.events.limits.__class__(EventsSettings().event_bytes, 500))
    assert json.loads(await said("replay", "--source", "web", "--json"))["accepted"] == 1
    assert "still faulty" in await said("replay")
