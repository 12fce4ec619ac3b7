"""An unmodified Segment client delivers every event to a live server (features V1)."""

import asyncio
import json
import shutil
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI
from segment.analytics.client import Client

from audit.access.principal import Scope
from audit.access.service import Access
from events.endpoints import router
from kernel.clock import SystemClock
from orchestration.service import problems
from tests.support.peers import peer

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock():
    return SystemClock()  # the client stamps its events with the machine's time


@pytest.fixture
async def server(rooms):
    await rooms.source()
    access = Access(rooms.kernel, rooms.audit)
    made = await access.create_key([Scope.COLLECT], actor="test", source="shop")
    app = FastAPI()
    problems.install(app)
    app.include_router(router)
    app.state.house = SimpleNamespace(events=rooms.events, access=access, kernel=rooms.kernel)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        task = asyncio.create_task(running.serve(sockets=[bound]))
        while not running.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}", made.secret
        running.should_exit = True
        await task


@pytest.mark.parametrize("gzip", [False, True])
async def test_the_segment_python_client_delivers_two_hundred_events(rooms, server, gzip):
    url, key = server
    failures = []

    def send():
        client = Client(
            key,
            host=url,
            gzip=gzip,
            on_error=lambda error, _: failures.append(error),
            upload_interval=0.05,
            max_retries=1,
        )
        client.identify("u0", {"email": "ada@example.org", "firstName": "Ada"})
        client.alias("anon-0", "u0")
        client.group("u0", "acme", {"plan": "pro"})
        client.page("u0", "docs", "Home", {"path": "/"})
        client.screen("u0", "app", "Start")
        for n in range(195):
            client.track(f"u{n % 10}", "Product Viewed", {"n": n}, anonymous_id=f"anon-{n % 10}")
        client.shutdown()
        for session in [t for t in threading.enumerate() if t.name.startswith("Consumer")]:
            session.join()

    await asyncio.to_thread(send)
    assert failures == []
    assert await rooms.count("events.events") == 200
    assert await rooms.count("events.dead_letters") == 0
    assert await rooms.person("email:ada@example.org") == await rooms.person("login_id:u0")
    history = await rooms.history("login_id:u3")
    assert {e.properties["n"] for e in history} == set(range(3, 195, 10))
    assert all(0 <= (e.received_at - e.event_time).total_seconds() < 30 for e in history)


async def test_a_thousand_events_of_the_python_client_are_stored_once_though_they_are_sent_twice(rooms, server):
    url, key = server
    failures = []

    def send():
        client = Client(key, host=url, on_error=lambda error, _: failures.append(error), max_queue_size=2_000)
        for n in range(1_000):
            client.track(f"u{n % 20}", "Product Viewed", {"n": n}, message_id=f"m-{n}")
        client.shutdown()

    for _ in range(2):
        await asyncio.to_thread(send)
    assert failures == []
    assert await rooms.count("events.events") == 1_000
    assert await rooms.count("events.dead_letters") == 0


async def test_a_thousand_events_of_the_node_client_are_stored_once_though_they_are_sent_twice(rooms, server):
    package = peer("segment")
    url, key = server
    script = Path(__file__).with_name("segment_client.cjs")
    for _ in range(2):
        node = await asyncio.create_subprocess_exec(
            shutil.which("node"), script, package.parent, url, key, "1000",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, faults = await asyncio.wait_for(node.communicate(), 90)
        assert node.returncode == 0, faults.decode()
        assert json.loads(told) == {"failed": 0}
    assert await rooms.count("events.events") == 1_000
    assert await rooms.count("events.dead_letters") == 0
    assert {e.properties["n"] for e in await rooms.history("login_id:u3")} == set(range(3, 1_000, 20))
