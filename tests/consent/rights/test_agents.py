"""Agents ask by the Data Rights Protocol: its states, its rights, its order of checks and its refusals (consent.D1, D2)."""

import base64
import json
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import numpy as np
import psycopg
import pytest

from consent.errors import AgentRefused, RequestState
from consent.lifecycle import FINAL, NAMES, STEPS, Denial, State, step
from consent.rights import callbacks
from identity.clusters import Clusters
from identity.linkage import Edges
from kernel.errors import InvalidInput
from kernel.letters import Pen, genuine
from tests.consent.conftest import House
from tests.support.shared import shared_path

pytestmark = pytest.mark.anyio
PEN = Pen.of(b"\x05" * 32)


def said(house: House, **changes: object) -> dict[str, object]:
    now = house.kernel.clock.now()
    return {
        "agent-id": "aa-id", "business-id": "candor", "issued-at": now.isoformat(),
        "expires-at": (now + timedelta(minutes=10)).isoformat(), "agent-request-id": "foo", "drp.version": "0.9.4",
        "exercise": "sale:opt-out", "regime": "ccpa", "relationships": ["customer"], "email": "ada@example.org",
        "status_callback": "https://dsr-agent.example.com/update_status",
    } | changes  # fmt: skip


def signed(body: dict[str, object], pen: Pen = PEN) -> bytes:
    words = json.dumps(body).encode()
    return base64.b64encode(pen.sign(words) + words)


async def read(house: House, token: str, body: bytes):
    async with house.kernel.db.reading() as conn:
        return await house.rights.agents.read(conn, token, body)


@pytest.fixture
async def token(house: House) -> str:
    return await house.rights.agents.add("aa-id", "An agent", PEN.public, actor="staff:a")


async def test_a_genuine_request_is_read(house: House, token: str) -> None:
    ask = await read(house, token, signed(said(house)))
    assert (ask.right, ask.regime, ask.named) == ("sale:opt-out", "us-ca", "foo")


async def test_the_protocols_refusals(house: House, token: str) -> None:
    now = house.kernel.clock.now()
    good = base64.b64decode(signed(said(house)))
    for body, found in (
        (b"not base64!", InvalidInput),
        (signed(said(house), Pen.of(b"\x06" * 32)), AgentRefused),
        (base64.b64encode(good[:-3] + b"x" + good[-2:]), AgentRefused),
        (signed(said(house) | {"agent-id": "bb-id"}), AgentRefused),
        (signed(said(house) | {"business-id": "another"}), AgentRefused),
        (signed(said(house) | {"issued-at": (now + timedelta(minutes=1)).isoformat()}), AgentRefused),
        (signed(said(house) | {"expires-at": now.isoformat()}), AgentRefused),
        (signed(said(house) | {"exercise": "teleport"}), InvalidInput),
        (signed(said(house) | {"email": None}), InvalidInput),
        (signed(said(house) | {"status_callback": "http://a.example/told"}), InvalidInput),
    ):
        with pytest.raises(found):
            await read(house, token, body)
    with pytest.raises(AgentRefused):
        await read(house, "agt_of_nobody", signed(said(house)))


async def test_over_http_an_agent_asks_once_sees_its_own_and_takes_it_back(house: House, token: str, client) -> None:
    await house.person("ada@example.org")
    mine = {"Authorization": f"Bearer {token}"}
    body = signed(said(house))
    asked = (await client.post("/v1/data-rights-request", content=body, headers=mine)).json()
    assert (asked["status"], asked["expected_by"]) == ("open", "2026-03-26")
    again = (await client.post("/v1/data-rights-request", content=body, headers=mine)).json()
    assert again["request_id"] == asked["request_id"]
    held = await house.rights.show(asked["request_id"])
    assert (held.agent, held.manner, held.regime) == ("aa-id", "agent", "us-ca")
    done = await house.rights.run(held.id, actor="staff:a")  # no proof of identity is asked for an opt-out
    assert done.request.state is State.FULFILLED
    path = f"/v1/data-rights-request/{held.id}"
    assert (await client.get(path, headers=mine)).json()["status"] == "fulfilled"
    other = await house.rights.agents.add("bb-id", "Another", PEN.public, actor="staff:a")
    assert (await client.get(path, headers={"Authorization": f"Bearer {other}"})).status_code == 403
    more = signed(said(house) | {"exercise": "access", "agent-request-id": "bar"})
    second = (await client.post("/v1/data-rights-request", content=more, headers=mine)).json()
    path = f"/v1/data-rights-request/{second['request_id']}"
    for unsigned in (
        b"",
        b"e30=",
        signed({"reason": "no"}, Pen.of(b"\x06" * 32)),
    ):  # a token that somebody found is not enough
        assert (await client.request("DELETE", path, headers=mine, content=unsigned)).status_code in {403, 422}
    back = await client.request("DELETE", path, headers=mine, content=signed({"reason": "I changed my mind"}))
    assert (back.json()["status"], back.json()["agent_request_id"]) == ("revoked", "bar")
    keys = (await client.get("/.well-known/dsrdelete.json")).json()["keys"]
    assert base64.b64decode(keys[0]["key"]) == house.rights.processors.pen.public


async def test_somebody_whom_nobody_is_gets_a_request_that_is_kept_and_denied(house: House, token: str, client) -> None:
    mine = {"Authorization": f"Bearer {token}"}
    stranger = signed(said(house) | {"email": "no@example.org", "agent-request-id": "baz"})
    asked = (await client.post("/v1/data-rights-request", content=stranger, headers=mine)).json()
    assert (asked["status"], asked["reason"], asked["agent_request_id"]) == ("denied", "no_match", "baz")
    assert (await client.post("/v1/data-rights-request", content=stranger, headers=mine)).json() == asked
    assert (await client.get(f"/v1/data-rights-request/{asked['request_id']}", headers=mine)).json() == asked
    kept = await house.rights.show(asked["request_id"])
    assert (kept.person, kept.state, kept.agent, kept.response) == ("nobody", State.DENIED, "aa-id", "refused")
    tags = [one.tag for one in await house.audit.lineage([("request", kept.id)], depth=1)]
    assert sorted(tags) == ["request.opened", "request.refused"]


async def test_what_she_asked_herself_is_not_the_agents_to_take_back(house: House, token: str, client) -> None:
    person, _, _ = await house.person("ada@example.org")
    hers = await house.rights.open("opt_out", person, actor="person", regime="us-ca")
    mine = {"Authorization": f"Bearer {token}"}
    asked = (await client.post("/v1/data-rights-request", content=signed(said(house)), headers=mine)).json()
    assert asked["request_id"] == hers.id
    path = f"/v1/data-rights-request/{hers.id}"
    assert (await client.get(path, headers=mine)).json()["status"] == "open"
    assert (await client.request("DELETE", path, headers=mine, content=signed({}))).status_code == 403
    assert (await house.rights.show(hers.id)).state is State.OPEN


async def test_an_asking_is_known_after_the_erasure_that_it_was(house: House, token: str, client) -> None:
    await house.person("ada@example.org")
    mine = {"Authorization": f"Bearer {token}"}
    body = signed(said(house) | {"exercise": "deletion"})
    asked = (await client.post("/v1/data-rights-request", content=body, headers=mine)).json()
    await house.rights.approve(asked["request_id"], actor="staff:b")
    await house.rights.run(asked["request_id"], actor="staff:a")
    again = (await client.post("/v1/data-rights-request", content=body, headers=mine)).json()
    assert (again["request_id"], again["status"]) == (asked["request_id"], "fulfilled")


async def test_names_that_agents_and_clients_chose_are_codes_or_hidden(
    house: House, token: str, client, addresses
) -> None:
    """Whoever chooses a name may put somebody into it, and it would outlive her."""
    person, _, _ = await house.person("ada@example.org")
    with pytest.raises(InvalidInput):
        await read(house, token, signed(said(house) | {"agent-request-id": "ada@example.org"}))
    nameless = {name: value for name, value in said(house).items() if name != "agent-request-id"}
    assert (await read(house, token, signed(nameless))).named.startswith("content:")
    await house.rights.open("access", person, actor="person", idempotency_key="ada@example.org")
    with psycopg.connect(addresses.owner) as conn:
        rows = conn.execute("SELECT r::text FROM consent.requests r").fetchall()
    assert not [row for (row,) in rows if "ada@" in row]


async def test_access_by_an_agent_is_answered_about_whom_it_named(house: House, token: str, client) -> None:
    """Ben's record was joined to Ada's, an older one, on a weak link: Ben's agent gets Ben's."""
    await house.person("ada@example.org", "1")
    await house.person("ben@example.org", "2")
    async with house.kernel.db.transaction() as conn:
        found = await (await conn.execute("SELECT record_id FROM identity.records ORDER BY 1")).fetchall()
        edges = Edges(np.array([0]), np.array([1]), np.array([1.0]))
        clusters = Clusters(np.zeros(2, dtype=np.int64), ())
        await house.identity.publish(conn, clusters, [row["record_id"] for row in found], edges)
    body = signed(said(house) | {"exercise": "access", "email": "ben@example.org"})
    asked = (await client.post("/v1/data-rights-request", content=body, headers={"Authorization": f"Bearer {token}"})).json()  # fmt: skip
    done = await house.rights.run(asked["request_id"], actor="staff:a")
    assert done.package is not None
    told = done.package.model_dump_json()
    assert "ben@example.org" in told
    assert "ada@example.org" not in told


@dataclass
class Listener:
    """An agent's address behind a real HTTP client's transport."""

    status: int = 200
    heard: list[dict] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        key, _, mark = request.headers["Candor-Signature"].partition(":")
        assert genuine(request.content, bytes.fromhex(mark), self.pen.public), key
        self.heard.append(json.loads(request.content))
        return httpx.Response(self.status, content=b"x" * 1000)

    def __post_init__(self) -> None:
        self.pen = PEN


async def test_an_agent_hears_of_every_change_until_the_end_and_again_when_it_was_down(
    house: House, token: str, client, addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.person("ada@example.org")
    listener, real = Listener(), httpx.AsyncClient
    listener.pen = house.rights.processors.pen
    monkeypatch.setattr(callbacks.httpx, "AsyncClient", lambda **given: real(transport=httpx.MockTransport(listener.answer), **given))  # fmt: skip
    body = signed(said(house) | {"exercise": "access", "status_callback": "https://a.example/told?of=ada@example.org"})
    asked = (await client.post("/v1/data-rights-request", content=body, headers={"Authorization": f"Bearer {token}"})).json()  # fmt: skip
    work, advance = house.rights.callbacks.work, house.kernel.clock.advance

    async def heard() -> list[str]:
        await work()
        return [str(one["status"]) for one in listener.heard]

    assert await heard() == ["open"]
    advance(timedelta(hours=1))
    assert await heard() == ["open"]  # nothing new
    listener.status = 503
    await house.rights.run(asked["request_id"], actor="staff:a")
    assert await heard() == ["open", "fulfilled"]
    assert await heard() == ["open", "fulfilled"]  # not before its time
    listener.status = 200
    advance(timedelta(minutes=2))
    assert await heard() == ["open", "fulfilled", "fulfilled"]
    advance(timedelta(days=1))
    assert await heard() == ["open", "fulfilled", "fulfilled"]
    assert listener.heard[-1]["request_id"] == asked["request_id"]
    assert "ada" not in json.dumps(listener.heard)
    with psycopg.connect(addresses.owner) as conn:
        ((row, callback),) = conn.execute("SELECT a::text, a.callback FROM consent.agent_requests a").fetchall()
    assert callback is None
    assert "ada@" not in row


async def test_after_a_week_of_silence_it_is_given_up(house: House, token: str, client, monkeypatch) -> None:
    await house.person("ada@example.org")
    listener, real = Listener(status=500), httpx.AsyncClient
    listener.pen = house.rights.processors.pen
    monkeypatch.setattr(callbacks.httpx, "AsyncClient", lambda **given: real(transport=httpx.MockTransport(listener.answer), **given))  # fmt: skip
    await client.post("/v1/data-rights-request", content=signed(said(house)), headers={"Authorization": f"Bearer {token}"})  # fmt: skip
    for _ in range(40):
        await house.rights.callbacks.work()
        house.kernel.clock.advance(timedelta(hours=6))
    assert len(listener.heard) == 30


@pytest.mark.parametrize(("url", "fine"), [
    ("https://a.example/told", True), ("http://127.0.0.1:9/told", True), ("http://localhost/x", True), ("http://a.example/told", False),
    ("https://user:pass@a.example/", False), ("ftp://a.example/", False), ("https:///x", False), ("file:///etc/passwd", False),
    ("https://a.example:99999/", False), ("http://127.0.0.1@a.example/", False), ("", False),
])  # fmt: skip
def test_where_a_callback_may_go(url: str, fine: bool) -> None:
    assert callbacks.allowed(url) is fine


async def test_an_agents_signature_is_the_strong_check(house: House, token: str, client) -> None:
    await house.person("ada@example.org")
    body = signed(said(house) | {"exercise": "access:specific"})
    asked = (await client.post("/v1/data-rights-request", content=body, headers={"Authorization": f"Bearer {token}"})).json()  # fmt: skip
    assert (await house.rights.run(asked["request_id"], actor="staff:a")).request.state is State.FULFILLED


def test_states_and_rights_are_the_protocols() -> None:
    told = json.loads(shared_path("cases/drp.json").read_text())
    assert set(told["rights"]) <= NAMES.keys()
    states = {(state, reason) for state, reason, _ in told["states"]}
    ours = {(state.value, None) for state in State if state is not State.DENIED}
    ours |= {("denied", one.value) for one in Denial} | {("in_progress", "need_user_verification")}
    assert ours == states
    assert {state for state, _, final in told["states"] if final} == {one.value for one in FINAL}


@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_step_from_anywhere_else_is_refused(name: str) -> None:
    starts, end = STEPS[name]
    for state in State:
        if state in starts:
            assert step(name, state) is end
        else:
            with pytest.raises(RequestState):
                step(name, state)
