"""What arrives in any order reads in one order; what was answered is there after a kill (features V5, V9)."""

import json
import random
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.events.conftest import CTX, NOW, track

pytestmark = pytest.mark.anyio


async def test_any_order_of_arrival_gives_the_same_history(rooms):
    """Seeded permutations with equal times, repeats and late arrivals; each in a source and for a person of its own."""
    rng = random.Random(7)
    minutes = [rng.randrange(6) for _ in range(24)]
    calls = [(n, (NOW - timedelta(minutes=minute)).isoformat()) for n, minute in enumerate(minutes)]
    histories = []
    for turn in range(6):
        await rooms.source(f"s{turn}")
        order = calls + rng.sample(calls, 8)
        if turn:
            rng.shuffle(order)
        ctx = replace(CTX, source=f"s{turn}")
        while order:
            size = rng.randint(1, 9)
            part, order = order[:size], order[size:]
            await rooms.events.collect(
                [track(user=f"u{turn}", message=f"m{n}", timestamp=at, properties={"n": n}) for n, at in part], ctx
            )
        histories.append([(e.event_time, e.properties["n"]) for e in await rooms.history(f"login_id:u{turn}")])
    assert len(histories[0]) == 24
    assert histories[0] == sorted(histories[0], key=lambda pair: pair[0])
    assert all(history == histories[0] for history in histories)


_COLLECTOR = """
import asyncio, json, sys
from pathlib import Path
from events.log import CollectContext
from kernel.engines import Addresses
from kernel.kernel import open_at
from kernel.settings import KernelSettings
from tests.events.conftest import build, track

async def main(given):
    settings = KernelSettings(data_dir=Path(given["data_dir"]), kek_file=Path(given["kek_file"]), pool_size=4)
    async with open_at(settings, Addresses(**given["addresses"])) as kernel:
        rooms = build(kernel)

        async def client(name):
            for n in range(100_000):
                message = f"{name}-{n}"
                (answer,) = await rooms.events.collect([track(user=name, message=message)], CollectContext("shop"))
                print(answer.status, message, flush=True)

        await asyncio.gather(*(client(f"c{n}") for n in range(8)))

asyncio.run(main(json.loads(sys.argv[1])))
"""


async def test_no_answered_event_is_lost_when_the_process_is_killed(rooms, addresses):
    await rooms.source()
    given_ = {
        "data_dir": str(rooms.kernel.settings.data_dir),
        "kek_file": str(rooms.kernel.settings.kek_file),
        "addresses": {name: getattr(addresses, name) for name in ("database", "keys", "redis", "owner", "keys_owner")},
    }
    with subprocess.Popen(
        [sys.executable, "-c", _COLLECTOR, json.dumps(given_)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline().split() for _ in range(300)]
        process.send_signal(signal.SIGKILL)
        answered += [line.split() for line in process.stdout if line.endswith("\n")]
    assert {status for status, _ in answered} == {"accepted"}
    results = await rooms.events.collect([track(user="again", message=message) for _, message in answered], CTX)
    assert {r.status for r in results} == {"duplicate"}
    assert await rooms.count("events.events") == await rooms.count("events.dedupe") >= len(answered)
