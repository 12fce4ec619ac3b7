"""`candor bench ingest`: what it says at a tiny size, its bars, and that a miss is exit code 1. Nothing is timed."""

import json
import subprocess
import sys

import pytest

from orchestration.service.bench.figures import Bar
from orchestration.service.cli import bench_rooms


def bench(*words: str) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.service.cli.main", "bench", *words, "--json"],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_a_bar_is_a_most_or_a_least():
    assert Bar("p99", 500, 500).ok
    assert not Bar("p99", 500, 500.1).ok
    assert Bar("rate", 2_000, 2_000, least=True).ok
    assert not Bar("rate", 2_000, 1_999.9, least=True).ok


def test_a_missed_bar_is_shown_and_is_exit_code_1(capsys: pytest.CaptureFixture[str]):
    bench_rooms.judged([Bar("p99", 500, 20)], quiet=False)
    with pytest.raises(bench_rooms.typer.Exit) as ended:
        bench_rooms.judged([Bar("p99", 500, 20), Bar("lost", 0, 1)], quiet=False)
    assert ended.value.exit_code == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("lost") and line.endswith("missed") for line in lines)


@pytest.mark.slow
def test_bench_ingest_finds_every_event_that_was_answered_for():
    code, told = bench(
        "ingest", "--events", "30", "--batch", "10", "--steady", "20", "--seconds", "1", "--people", "20"
    )
    # Three batches flat out, two at the steady rate, five to warm up, ten single events.
    assert (told["flat_out"]["asked"], told["steady"]["asked"], told["fresh"]["n"]) == (3, 2, 10)
    assert (told["accepted"], told["lost"], told["unseen"]) == (110, 0, 0)
    assert told["flat_out_cost"]["server_ms"] > 0
    bars = {bar["what"]: bar for bar in told["bars"]}
    assert bars["durable events a second"]["got"] == told["flat_out_events"]
    assert bars["capture to feature p99, ms"]["got"] == told["fresh"]["p99"]
    assert code == (0 if told["ok"] else 1)
    assert told["ok"] == all(bar["ok"] for bar in told["bars"])
