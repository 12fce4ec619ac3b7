"""A sequencer that breaks or is killed anywhere: the next one goes on, and what was shown still holds."""

import asyncio
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

pytestmark = pytest.mark.anyio


class Broken(Exception):
    pass


@pytest.mark.parametrize("before", [300, 0], ids=["later", "the-first-time"])
@pytest.mark.parametrize("where", ["tiles", "checkpoint row", "files", "checkpoint file", "partials"])
async def test_a_crash_anywhere_in_sequencing_is_mended_by_the_next_run(audit, act, monkeypatch, where, before):
    await act(before)
    first = await audit.sequence()
    await act(600 - before)

    def breaks(*_args, **_kwargs):
        raise Broken

    async def abreaks(*_args, **_kwargs):
        raise Broken

    target, name, broken = {
        "tiles": ("audit.store", "put_tiles", abreaks),
        "checkpoint row": ("audit.store", "add_checkpoint", abreaks),
        "files": ("audit.published.Published", "write", breaks),
        "checkpoint file": ("audit.published.Published", "write_checkpoint", breaks),
        "partials": ("audit.published.Published", "drop_partials", breaks),
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(f"{target}.{name}", broken)
        with pytest.raises(Broken):
            await audit.sequence()
    if where == "partials":
        assert (await audit.checkpoint()).size == 600
    elif first is not None:
        assert await audit.checkpoint() == first
    else:
        assert audit.published.checkpoint() is None
    signed = await audit.sequence()
    assert signed.size == 600
    assert not audit.published.begun()
    report = await audit.verify_log()
    assert report.ok, report.lines


KILLED = """
import asyncio, sys
from pathlib import Path
from audit.entries import NewEntry
from audit.service import Audit
from audit.settings import AuditSettings
from audit.tags import Tag
from kernel.engines import Addresses
from kernel.kernel import open_at
from kernel.settings import KernelSettings

async def main(folder, kek, *urls):
    settings = KernelSettings(data_dir=Path(folder), kek_file=Path(kek))
    async with open_at(settings, Addresses(*urls, None, None)) as kernel:
        audit = Audit(kernel, AuditSettings(origin="example.org/test-log"))
        print("ready", flush=True)
        while True:
            async with kernel.db.transaction() as conn:
                await audit.append(conn, [NewEntry(Tag.DECISION_MADE, {"decision": "dec_1"}, {"n": n}) for n in range(70)])
            signed = await audit.sequence()
            print(signed.size, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_process_loses_nothing_it_published_and_the_next_goes_on(audit, kernel, addresses):
    """kill -9 at random moments: what was acknowledged is there, nothing is doubled, everything verifies."""
    random, published = Random(7), 0
    urls = (addresses.database, addresses.keys, addresses.redis)
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(kernel.settings.data_dir), str(kernel.settings.kek_file), *urls],
            cwd=Path(__file__).resolve().parents[2], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert child.stdout.readline() == "ready\n"
            await asyncio.sleep(random.uniform(0.05, 0.4))
        finally:
            child.kill()
            child.wait()
        for line in child.stdout.read().split("\n")[:-1]:
            published = max(published, int(line))
        child.stdout.close()
        assert (await audit.sequence()).size % 70 == 0
        assert (await audit.checkpoint()).size >= published
        report = await audit.verify_log()
        assert report.ok, report.lines
    assert published > 0
