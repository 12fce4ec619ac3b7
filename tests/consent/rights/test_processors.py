"""Processors: signed letters, signed acknowledgements, tries, alarms, and a probe that finds who kept the data (consent.D13)."""

import json
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest

from consent.errors import ProcessorInvalid
from consent.rights import processors
from consent.rights.checks import Method
from consent.rights.correcting import Correction
from consent.rights.post import SIGNATURE, State
from consent.rights.processors import troubled
from kernel.canonical import digest
from kernel.letters import Pen, genuine
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio
REAL = httpx.AsyncClient


@dataclass
class Peer:
    """A processor's system: holds contacts, answers letters as a good or a bad one does. It sits behind a real HTTP client's transport."""

    pen: Pen = field(default_factory=lambda: Pen.of(b"\x07" * 32))
    our_key: bytes = b""
    held: set[str] = field(default_factory=set)
    keeps: bool = False
    down: bool = False
    forged: bool = False
    more: dict = field(default_factory=dict)
    seen: list[dict] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            return httpx.Response(503)
        key, _, mark = request.headers[SIGNATURE].partition(":")
        assert genuine(request.content, bytes.fromhex(mark), self.our_key), key
        letter = json.loads(request.content)
        self.seen.append(letter)
        values = {one["value"] for one in letter["subjects"]}
        said = {"letter": letter["letter"], "digest": digest(letter)}
        if letter["act"] == "probe":
            said["held"] = bool(values & self.held)
        else:
            said["result"] = "done"
            if letter["act"] == "erase" and not self.keeps:
                self.held -= values
        words = json.dumps(said | self.more).encode()
        pen = Pen.of(b"\x08" * 32) if self.forged else self.pen
        return httpx.Response(200, content=words, headers={SIGNATURE: f"{self.pen.id}:{pen.sign(words).hex()}"})


@pytest.fixture
async def peer(house: House, monkeypatch: pytest.MonkeyPatch) -> Peer:
    found = Peer(our_key=house.rights.processors.pen.public, held={"ada@example.org"})
    client = httpx.AsyncClient

    def routed(**given: object) -> httpx.AsyncClient:
        return client(transport=httpx.MockTransport(found.answer), **given)  # type: ignore[arg-type]

    monkeypatch.setattr(processors.httpx, "AsyncClient", routed)
    await house.rights.processors.add(
        "blue-mailer", "https://blue.example/letters", "https://blue.example/probe", found.pen.public, actor="staff:a",
        receives=["your email address"], purposes=["marketing.email"], contract="C-17",
    )  # fmt: skip
    return found


async def erased(house: House, who: str = "ada@example.org"):
    person, _, _ = await house.person(who)
    request = await house.rights.open("erasure", person, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    return await house.rights.run(request.id, actor="staff:a")


async def step(house: House, hours: float = 0):
    house.kernel.clock.advance(timedelta(hours=hours))
    moved = await house.rights.processors.work()
    return moved[0] if moved else None


async def log(house: House, letter: str) -> list[str]:
    return sorted(entry.tag for entry in await house.audit.lineage([("letter", letter)], depth=1))


async def test_an_erasure_is_asked_for_acknowledged_under_signature_and_proven(house: House, peer: Peer) -> None:
    await erased(house)
    acked = await step(house)
    assert acked is not None
    assert (acked.state, acked.fault) == (State.ACKNOWLEDGED, None)
    assert json.loads(json.loads(acked.ack or "")["answer"])["result"] == "done"
    assert await step(house, 1) is None  # not yet
    proven = await step(house, 24)
    assert proven is not None
    assert (proven.state, proven.words, troubled(proven)) == (State.PROVEN, None, False)
    assert acked.key_id is not None
    assert await house.kernel.vault.unwrap([acked.key_id]) == {}
    assert await log(house, acked.id) == ["letter.acknowledged", "letter.proven", "letter.written"]
    assert peer.held == set()
    assert peer.seen[0]["subjects"] == [{"kind": "email", "value": "ada@example.org"}]


async def test_one_that_acknowledges_and_keeps_the_data_is_caught(house: House, peer: Peer) -> None:
    peer.keeps = True
    done = await erased(house)
    await step(house)
    caught = await step(house, 25)
    assert caught is not None
    assert (caught.state, caught.fault, troubled(caught)) == (State.KEPT, "kept", True)
    assert "processor.kept" in await log(house, caught.id)
    assert (await step(house, 25)).state is State.KEPT  # type: ignore[union-attr]
    assert (await log(house, caught.id)).count("processor.kept") == 1
    peer.held.clear()
    assert (await step(house, 25)).state is State.PROVEN  # type: ignore[union-attr]
    assert [one.state for one in await house.rights.processors.letters(done.request.id)] == [State.PROVEN]


async def test_silence_is_tried_again_and_after_a_day_somebody_must_look(house: House, peer: Peer) -> None:
    peer.down = True
    await erased(house)
    first = await step(house)
    assert first is not None
    assert (first.state, first.fault, troubled(first)) == (State.WAITING, "status_503", False)
    assert await step(house) is None
    assert (await step(house, 1)).attempts == 2  # type: ignore[union-attr]
    late = await step(house, 24)
    assert late is not None
    assert troubled(late)
    peer.down = False
    assert (await step(house, 24)).state is State.ACKNOWLEDGED  # type: ignore[union-attr]


async def test_an_acknowledgement_under_another_key_is_none(house: House, peer: Peer) -> None:
    peer.forged = True
    await erased(house)
    heard = await step(house)
    assert heard is not None
    assert (heard.state, heard.fault) == (State.WAITING, "unsigned")


@pytest.mark.parametrize(("right", "act"), [("restriction", "restrict"), ("opt_out", "stop"), ("objection", "stop")])
async def test_others_hear_of_what_she_does_not_want(house: House, peer: Peer, right: str, act: str) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open(right, person, actor="person")
    assert (await house.rights.run(request.id, actor="staff:a")).counts["letters"] == 1
    await step(house)
    assert peer.seen[0]["act"] == act
    assert peer.held == {"ada@example.org"}


async def test_others_hear_of_a_correction_by_what_they_know_her_by(house: House, peer: Peer) -> None:
    await house.person("ada@example.org")
    request = await house.rights.open(
        "rectification", "email:ada@example.org", actor="staff:a", check=Method.LOGIN,
        correction=Correction({"first_name": "Ada"}, {"email:ada@example.org": "email:ada.l@example.org"}),
    )  # fmt: skip
    await house.rights.run(request.id, actor="staff:a")
    await step(house)
    assert peer.seen[0]["subjects"] == [{"kind": "email", "value": "ada@example.org"}]
    assert peer.seen[0]["correct"]["contacts"] == {"email:ada@example.org": "email:ada.l@example.org"}


async def test_processors_are_recipients_in_a_package(house: House, peer: Peer) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person", check=Method.LOGIN)
    package = (await house.rights.run(request.id, actor="staff:a")).package
    assert package is not None
    assert [(one.name, one.receives, one.for_what) for one in package.recipients] == [("blue-mailer", ("your email address",), "marketing.email")]  # fmt: skip


async def test_one_that_was_removed_hears_of_erasures_only(house: House, peer: Peer) -> None:
    assert await house.rights.processors.remove("blue-mailer", actor="staff:a")
    person, _, _ = await house.person("ben@example.org", "2")
    request = await house.rights.open("restriction", person, actor="person")
    assert "letters" not in (await house.rights.run(request.id, actor="staff:a")).counts
    await erased(house)
    assert (await step(house)).state is State.ACKNOWLEDGED  # type: ignore[union-attr]


async def test_letters_go_by_https_only(house: House) -> None:
    with pytest.raises(ProcessorInvalid, match="https"):
        await house.rights.processors.add("x", "http://far.example", "https://far.example", b"k" * 32, actor="staff:a")
    with pytest.raises(ProcessorInvalid, match="32"):
        await house.rights.processors.add("x", "https://far.example", "https://far.example", b"k", actor="staff:a")


async def test_what_is_kept_of_an_acknowledgement_can_be_verified_and_says_nothing_of_her(
    house: House, peer: Peer
) -> None:
    await erased(house)
    acked = await step(house)
    kept = json.loads(acked.ack)
    key, _, mark = kept["signature"].partition(":")
    assert genuine(kept["answer"].encode(), bytes.fromhex(mark), peer.pen.public), key
    for more in (
        {"message": "done for ada@example.org"},
        {"subjects": [{"value": "ada@example.org"}]},
        {"at": "ada@example.org"},
    ):
        peer.more = more
        await erased(house, f"ada{len(peer.seen)}@example.org")
        acked = await step(house)
        assert acked.state == State.ACKNOWLEDGED
        assert json.loads(acked.ack)["answer"] is None
        assert "ada@" not in acked.ack


async def test_an_answer_to_another_letter_or_to_an_earlier_probe_is_none(
    house: House, peer: Peer, monkeypatch
) -> None:
    await erased(house)
    answer, old = peer.answer, []

    def replayed(request: httpx.Request) -> httpx.Response:
        old.append(answer(request))
        return old[0]

    monkeypatch.setattr(peer, "answer", replayed)
    monkeypatch.setattr(processors.httpx, "AsyncClient", lambda **_: REAL(transport=httpx.MockTransport(replayed)))
    assert (await step(house)).state == State.ACKNOWLEDGED
    probed = await step(house, 25)
    assert (probed.state, probed.fault) == (State.ACKNOWLEDGED, "another_letter")


async def test_a_flood_is_not_read_to_its_end(house: House, peer: Peer) -> None:
    await erased(house)
    peer.more = {"v": "x" * 100_000}
    assert (await step(house)).fault == "too_long"
