"""Agents ask by the Data Rights Protocol: its states, its rights, its order of checks and its refusals (consent.D1, D2)."""

import base64
import json
from datetime import timedelta

import pytest

from consent.errors import AgentRefused, RequestState
from consent.lifecycle import FINAL, NAMES, STEPS, Denial, State, step
from kernel.errors import InvalidInput
from kernel.letters import Pen
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
    back = await client.delete(f"/v1/data-rights-request/{second['request_id']}", headers=mine)
    assert back.json()["status"] == "revoked"
    stranger = signed(said(house) | {"email": "no@example.org", "agent-request-id": "baz"})
    assert (await client.post("/v1/data-rights-request", content=stranger, headers=mine)).status_code == 404
    keys = (await client.get("/.well-known/dsrdelete.json")).json()["keys"]
    assert base64.b64decode(keys[0]["key"]) == house.rights.processors.pen.public


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
