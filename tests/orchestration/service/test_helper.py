"""The process that makes explanations beside the server: it works on the same house, and never outlives who started it."""

import asyncio
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestration.service.bench import harness, seeding
from orchestration.service.helper import Helper

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_explanations_are_made_beside_the_server_and_end_with_it():
    async with harness.rig() as rig:
        async with rig.house() as house:
            world = await seeding.seed(house, count=5, arms=4)
        async with rig.serve() as served:
            asked = [
                harness.request(
                    served.url, "POST", "/v1/decisions", secret=world.secret,
                    body={"person": person, "placement": world.placement},
                )
                for person in world.people
            ]  # fmt: skip
            shots = await harness.shoot(rig.folder, served.url, asked, rps=10, seconds=0.5, patience=60)
            assert shots.figures.answered == 5
            (helper,) = served.process.children()
            for _ in range(600):  # it steps back once it runs
                if helper.nice() == 19:
                    break
                await asyncio.sleep(0.1)
            assert helper.nice() == 19
            async with rig.house() as house:
                for _ in range(600):
                    async with house.kernel.db.reading() as conn:
                        if (await house.explain.count(conn, world.people))["explanations"] == 5:
                            break
                    await asyncio.sleep(0.1)
                else:
                    pytest.fail("expected five explanations within a minute")
            served.kill()
            gone, _ = await asyncio.to_thread(psutil.wait_procs, [helper], timeout=30)
            assert gone == [helper]


async def test_a_helper_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    marks = tmp_path / "marks"
    program = tmp_path / "orchestration_helper.py"
    program.write_text(f"open({str(marks)!r}, 'a').write('x')\n")
    started = asyncio.create_subprocess_exec

    async def instead(*words: str, **more):
        return await started(sys.executable, str(program), **more)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", instead)
    monkeypatch.setattr("orchestration.service.helper._PAUSES", (0.01,))
    stop = asyncio.Event()
    task = asyncio.create_task(Helper().run(stop))
    until = time.monotonic() + 30
    while not (marks.exists() and len(marks.read_text()) >= 3) and time.monotonic() < until:
        await asyncio.sleep(0.02)
    stop.set()
    await task
    assert len(marks.read_text()) >= 3
