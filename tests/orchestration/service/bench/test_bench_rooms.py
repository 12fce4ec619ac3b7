"""`candor bench ingest|resolve|audit`: what they say at a tiny size, their bars, and that a miss is exit code 1. Nothing is timed."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from audit import merkle
from identity.identifiers import Identifier
from kernel.ids import PersonId
from orchestration.service.bench import audit, resolve
from orchestration.service.bench.figures import Bar
from orchestration.service.bench.harness import Shots
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


@pytest.mark.slow
def test_bench_resolve_compares_every_answer():
    code, told = bench(
        "resolve", "--people", "30", "--calls", "40", "--rps", "40", "--seconds", "0.5", "--records", "200"
    )
    assert (told["memory"]["asked"]["n"], told["memory"]["identifiers"], told["memory"]["wrong"]) == (40, 400, 0)
    assert (told["event"]["asked"], told["event"]["answered"]) == (20, 20)
    assert (told["postgres"]["n"], told["hot"]["n"], told["people"]) == (40, 40, 30)
    assert (told["http"]["asked"], told["http"]["answered"], told["wrong"]) == (20, 20, 0)
    assert {bar["what"]: bar["got"] for bar in told["bars"]}["over HTTP p99, ms"] == told["http"]["latency"]["p99"]
    assert code == (0 if told["ok"] else 1)


def test_a_wrong_answer_is_counted():
    who = {"u1": PersonId("per_1")}
    known, unknown = (Identifier("email", "person1@example.org"),), (Identifier("login_id", "u7"),)
    bodies = [json.dumps({"results": [{"person": person}]}) for person in ("per_1", "per_2", None, "per_1")]
    shots = Shots(4, 1.0, {}, [0.1] * 4, [0.0] * 4, status=[200] * 4, number=[0, 0, 1, 1], bodies=bodies)
    assert resolve._wrong(shots, [known, unknown], who) == 2


@pytest.mark.slow
def test_bench_audit_proves_and_verifies_what_it_appended():
    code, told = bench("audit", "--entries", "130", "--batch", "64")
    assert told["entries"] == 130 + 200 + 20 * 64
    assert told["size"] >= told["entries"]
    assert (told["wrong_proofs"], told["findings"], told["lost"]) == (0, 0, 0)
    assert (told["inclusion"]["n"], told["checked"]["n"], told["small"]["n"]) == (500, 500, 20)
    assert (code, told["ok"]) == (0, True)


def test_a_proof_of_another_leaf_is_counted():
    leaves = [b"a", b"b", b"c"]
    shown = SimpleNamespace(size=3, root=merkle.root(leaves))
    proof = tuple(merkle.inclusion_proof(1, 3, merkle.lookup_over([merkle.leaf_hash(one) for one in leaves])))
    proofs = [SimpleNamespace(leaf_index=1, leaf=leaf, proof=proof, checkpoint=shown) for leaf in (b"b", b"x")]
    assert audit._checked(proofs)[0] == 1
