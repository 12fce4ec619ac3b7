"""The server is killed and nothing acknowledged is lost: one kill here, twenty in `candor bench kill`; and the proof sees what it must see."""

import pytest

from orchestration.service.bench import kill
from orchestration.service.bench.kill_client import Word
from orchestration.service.bench.kill_peer import Taken
from orchestration.service.bench.kill_proof import (
    Proof,
    _caps,
    _choices,
    _consents,
    _events,
    _imported,
    _messages,
    _noes,
    _Tables,
)

TABLES = {
    "messages": {},
    "acts": frozenset(),
    "decisions": [],
    "deliveries": [],
    "receipts": {},
    "imported": {"rows": 0, "accepted": 0, "duplicates": 0, "refused": 0, "unfinished": 0},
}


def test_a_seed_draws_its_moments():
    first = kill.moments(20, 7)
    assert first == kill.moments(20, 7) != kill.moments(20, 8)
    assert [one.after for one in first] == sorted(one.after for one in first)
    assert sum(bool(one.engines) for one in first) == 5


@pytest.mark.anyio
@pytest.mark.slow
async def test_after_a_kill_everything_acknowledged_is_there_once():
    """Postgres dies with the server; the client says everything again until it is answered."""
    report = await kill.run(kills=1, people=6, seed=4, batch=False)
    assert report.proof.faults == []
    assert report.ok
    assert (len(report.hits), report.lives) == (1, 2)
    kinds = report.proof.kinds
    assert kinds["send"].acknowledged > 0
    assert kinds["event"].acknowledged > 0
    assert kinds["consent"].acknowledged == kinds["consent"].said > 0
    assert all(one.found == one.acknowledged for one in kinds.values())
    assert report.proof.messages > 0


def word(*answers, refused=None):
    return Word(1, 5.0, list(answers), refused)


def decision(id_, trigger, **more):
    return {
        "id": id_,
        "trigger": trigger,
        "person": "per_1",
        "placement": "p",
        "delivery_id": None,
        "logged": True,
    } | more


def delivery(id_, decision_id, state="accepted", **more):
    row = {"delivery_id": id_, "decision_id": decision_id, "state": state, "person": "per_1", "last_step": state}
    return row | {"connector": "sendgrid", "attempts": 1, "cap_keys": []} | more


@pytest.mark.parametrize(
    ("said", "rows", "fault"),
    [
        ({"s-1": word({"decision_id": "dec_1"})}, [], "acknowledged sends that are lost: 1"),
        ({"s-1": word({"decision_id": "dec_1"})}, [decision("dec_1", "s-1"), decision("dec_2", "s-1")], "sends that are there more than once: 1"),
        ({"s-1": word({"decision_id": "dec_1"}, {"decision_id": "dec_2"})}, [decision("dec_1", "s-1"), decision("dec_2", "s-1")], "sends with two answers: 1"),
        ({"s-1": word({"decision_id": "dec_1"})}, [decision("dec_1", "s-1", logged=False)], "sends without their place in the log: 1"),
        ({"s-1": word(refused="bad")}, [decision("dec_1", "s-1")], "refused sends that are there: 1"),
        ({"s-1": word({"decision_id": "dec_1", "delivery_id": "dlv_1"})}, [decision("dec_1", "s-1")], "queued messages that are lost: 1"),
        ({"s-1": word()}, [], "sends never answered: 1"),
    ],
    ids=["lost", "doubled", "two-answers", "unlogged", "refused-and-kept", "no-delivery", "unanswered"],
)  # fmt: skip
def test_the_proof_sees_decisions_that_are_lost_or_doubled(said, rows, fault):
    proof = Proof()
    _choices(proof, "send", said, _Tables(**TABLES | {"decisions": rows}))
    assert fault in proof.faults


def test_the_proof_is_content_with_one_of_each():
    proof = Proof()
    said = {
        "s-1": word({"decision_id": "dec_1", "delivery_id": "dlv_1"}, {"decision_id": "dec_1", "delivery_id": "dlv_1"})
    }
    tables = _Tables(**TABLES | {"decisions": [decision("dec_1", "s-1")], "deliveries": [delivery("dlv_1", "dec_1")]})
    _choices(proof, "send", said, tables)
    _messages(proof, [Taken("dlv_1", "dec_1", "a@example.org", 1.0)], tables)
    assert proof.ok
    assert proof.kinds["send"].found == 1


@pytest.mark.parametrize(
    ("messages", "deliveries", "fault"),
    [
        (["dlv_1", "dlv_1"], [delivery("dlv_1", "dec_1")], "messages that somebody got twice: 1"),
        (["dlv_1", "dlv_2"], [delivery("dlv_1", "dec_1"), delivery("dlv_2", "dec_2")], "messages that somebody got twice: 1"),
        (["dlv_9"], [], "messages that left without a delivery: 1"),
        (["dlv_1"], [delivery("dlv_1", "dec_1", "withheld")], "messages that left though the ledger says they did not: 1"),
        ([], [delivery("dlv_1", "dec_1")], "messages that the ledger calls accepted and nobody got: 1"),
        ([], [delivery("dlv_1", "dec_1", "intent")], "deliveries that are stuck: 1"),
        (["dlv_1"], [delivery("dlv_1", "dec_1", last_step="intent")], "deliveries whose history ends elsewhere: 1"),
    ],
    ids=["one-delivery-twice", "one-asking-twice", "unknown", "withheld", "accepted-by-nobody", "stuck", "history"],
)  # fmt: skip
def test_the_proof_sees_messages_that_somebody_got_twice_or_never(messages, deliveries, fault):
    proof = Proof()
    rows = [decision("dec_1", "s-1"), decision("dec_2", "s-1")]
    made = {"dlv_1": "dec_1", "dlv_2": "dec_2"}
    taken = [Taken(one, made.get(one, "dec_9"), "a@example.org", 1.0) for one in messages]
    _messages(proof, taken, _Tables(**TABLES | {"decisions": rows, "deliveries": deliveries}))
    assert fault in proof.faults


CAP = {"person": "per_1", "cap_key": "k", "cap_limit": 1}


@pytest.mark.parametrize(
    ("held", "messages", "live", "faults"),
    [
        (["dlv_1"], [("dlv_1", "per_1")], {}, []),
        (["dlv_1", "dlv_2"], [("dlv_1", "per_1"), ("dlv_2", "per_1")], {}, ["caps exceeded: 1"]),
        (["dlv_1", "dlv_2"], [("dlv_1", "per_1"), ("dlv_2", "per_2")], {"per_2": "per_1"}, []),
        (["dlv_1"], [("dlv_1", "per_1"), ("dlv_2", "per_2")], {"per_2": "per_1"}, ["messages without their place under a cap: 1"]),
        (["dlv_1"], [], {}, ["places under caps that nobody holds: 1"]),
        (["dlv_1"], [("dlv_2", "per_1")], {}, ["messages without their place under a cap: 1", "places under caps that nobody holds: 1"]),
    ],
    ids=["full", "over", "merged-each-had-one", "left-behind-by-a-merge", "nobodys", "somebody-elses"],
)  # fmt: skip
def test_the_proof_sees_caps_that_are_exceeded_or_held_by_nobody(held, messages, live, faults):
    proof = Proof()
    rows = [delivery(one, "dec_1", person=person, cap_keys=["k"]) for one, person in messages]
    _caps(proof, [CAP | {"holders": held}], rows, live)
    assert proof.faults == faults


def test_an_uncertain_message_may_have_left_once_and_not_twice():
    tables = _Tables(
        **TABLES | {"decisions": [decision("dec_1", "s-1")], "deliveries": [delivery("dlv_1", "dec_1", "uncertain")]}
    )
    for times, ok in ((0, True), (1, True), (2, False)):
        proof = Proof()
        _messages(proof, [Taken("dlv_1", "dec_1", "a@example.org", 1.0)] * times, tables)
        assert proof.ok is ok
        assert (proof.uncertain, proof.uncertain_taken) == (1, int(times > 0))


@pytest.mark.parametrize(
    ("times", "accepted", "faults"),
    [
        ([1, 1], 2, []),
        ([1], 2, ["imported events that are lost: 1"]),
        ([1, 2], 2, ["imported events that are there more than once: 1"]),
        ([1, 1, 1], 2, ["events that nobody said: 1"]),
    ],
    ids=["whole", "lost", "doubled", "made-up"],
)
def test_the_proof_counts_the_events_of_files(times, accepted, faults):
    proof = Proof()
    _imported(proof, times, {"rows": 3, "accepted": accepted, "duplicates": 0, "refused": 1, "unfinished": 0})
    assert proof.faults == faults


@pytest.mark.parametrize(("at", "faults"), [(4.9, []), (5.1, ["messages that left after a no was acknowledged: 1"])])
def test_the_proof_sees_a_message_after_a_no(at, faults):
    proof = Proof()
    _noes(proof, [Taken("dlv_1", "dec_1", "Ada@example.org", at)], {"ada@example.org": word({"ids": ["act_1"]})})
    assert proof.faults == faults


def test_the_proof_sees_events_and_consents_that_are_lost_or_doubled():
    said = {"m1": word({"status": "accepted"}), "m2": word({"status": "duplicate"}), "m3": word({"status": "filtered"})}
    proof = Proof()
    _events(proof, said, _Tables(**TABLES | {"messages": {b"m1": 2, b"m9": 1}}), str.encode)
    assert proof.faults == [
        "acknowledged events that are lost: 1",
        "events that are there more than once: 1",
        "events that nobody said: 1",
    ]
    proof = Proof()
    said = {"c1": word({"ids": ["act_1"]}, {"ids": ["act_2"]}), "c2": word({"ids": ["act_3"]})}
    _consents(proof, said, _Tables(**TABLES | {"acts": frozenset({"act_1", "act_2", "act_4"})}))
    assert set(proof.faults) == {
        "acknowledged consents that are lost: 1",
        "consents that are there more than once: 1",
        "consent acts beyond those acknowledged: 1",
    }
