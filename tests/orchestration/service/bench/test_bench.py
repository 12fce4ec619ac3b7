"""The benchmarks measure what they say: observed percentiles, an open loop, a server of its own. No timed asserts."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.service.bench import harness
from orchestration.service.bench.figures import spread


def test_percentiles_are_values_that_were_seen():
    found = spread([number / 1000 for number in range(1, 101)])
    assert (found.n, found.p50, found.p90, found.p99, found.max) == (100, 50.0, 90.0, 99.0, 100.0)
    assert spread([]).n == 0


@pytest.mark.anyio
async def test_a_slow_answer_does_not_hold_back_the_next_request(tmp_path: Path):
    """Open loop: with one connection and a server that thinks for 50 ms, requests due every 10 ms pay for their wait."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        made = await harness.shoot(
            tmp_path, url, [harness.request(url, "GET", "/")], rps=100, seconds=0.2, connections=1, keep=True
        )
    assert (made.figures.asked, made.figures.answered, made.figures.errors) == (20, 20, {})
    assert set(made.bodies) == {"ok"}
    assert sorted(made.number) == list(range(20))
    # The last one was due after 190 ms and answered after 20 turns of 50 ms: a closed loop would have said 50 ms.
    assert made.figures.latency.max > 500


@pytest.mark.anyio
async def test_refusals_and_lost_connections_are_errors(tmp_path: Path):
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    for handler, kind in ((hang_up, "connection_lost"), (refuse, "status_503")):
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        made = await harness.shoot(tmp_path, url, [harness.request(url, "GET", "/")], rps=50, seconds=0.1)
        server.close()
        assert (made.figures.answered, made.figures.errors) == (0, {kind: 5})


def test_a_bench_reads_nothing_of_the_callers_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CANDOR_DATABASE_URL", "postgresql://somebody@elsewhere/production")
    made = harness._isolated(tmp_path, {"kernel": {"data_dir": tmp_path, "port": 0}})
    assert made.kernel.database_url is None
    told = harness._environment(made)
    assert told["CANDOR_KERNEL__DATA_DIR"] == str(tmp_path)
    assert "CANDOR_DATABASE_URL" not in told
    assert "elsewhere" not in json.dumps(told)


@pytest.mark.slow
def test_bench_decide_says_what_it_measured_and_loses_nothing():
    """A second of ten decisions: the shape of the answer, and every answered decision found after both were killed. Nothing is timed."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.service.cli.main", "bench", "decide",
         "--rps", "10", "--seconds", "1", "--people", "20", "--arms", "10", "--no-settle", "--json"],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (told["decide"]["asked"], told["decide"]["answered"], told["decide"]["errors"]) == (10, 10, {})
    assert (told["kept"], told["lost"], told["arms"], told["people"]) == (10, 0, 10, 20)
    assert told["floor"]["answered"] == told["floor"]["asked"] == 10
    assert set(told["decide"]["latency"]) == {"n", "mean", "p50", "p90", "p99", "max"}
    assert done.returncode == (0 if told["decide"]["latency"]["p99"] <= 25 else 1)
