"""Routes for agents of people (Data Rights Protocol 0.9.4) and for processors: ask, look, take back; our keys for letters.

Enters: signed requests behind an agent's own token. Leaves: the protocol's status. An agent sees its own requests only.
"""

import base64
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request

from consent.errors import AgentRefused, RequestNotFound
from consent.lifecycle import Manner
from consent.lifecycle import Request as SubjectRequest
from consent.pages_endpoints import House
from consent.rights import agents, post
from consent.rights.agents_store import Agent
from consent.rights.checks import Method
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import IdentifierId, PersonId

router = APIRouter(tags=["subject requests"])
_MOST: Final = 64 * 1024  # bytes of a request


@router.post("/v1/data-rights-request")
async def ask(request: Request, authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """Open a request for somebody; the same agent-request-id again gives the same request."""
    house = House(request)
    rights = house.rights
    if int(request.headers.get("content-length") or "0") > _MOST:
        raise InvalidInput(
            f"expected at most {_MOST} bytes, got more", code="consent.agent_form", remedy="Send one request."
        )
    body = await request.body()
    async with house.kernel.db.transaction() as conn:
        asked = await rights.agents.read(conn, _token(authorization), body)
        known = await rights.agents.known(conn, asked)  # first: she may be erased since, and it is hers all the same
        seeds = [] if known is not None else await _contacts(house, conn, asked)
    if known is not None:
        return agents.status(await rights.show(known), asked.named)
    key = f"agent:{asked.agent.id}:{asked.named}"
    if not seeds:
        opened = await rights.open_unmatched(asked.right, actor=f"agent:{asked.agent.id}", regime=asked.regime, agent=asked.agent.id, idempotency_key=key)  # fmt: skip
    else:
        opened = await rights.open(
            asked.right, seeds[0][0], actor=f"agent:{asked.agent.id}", regime=asked.regime, manner=Manner.AGENT,
            agent=asked.agent.id, idempotency_key=key, check=Method.AGENT, seeds=[one for _, one in seeds],
        )  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        await rights.agents.keep(conn, asked, opened.id)
    return agents.status(opened, asked.named)


@router.get("/v1/data-rights-request/{request_id}")
async def look(request: Request, request_id: str, authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """Where a request of this agent stands."""
    _, held, named = await _own(request, request_id, authorization)
    return agents.status(held, named)


@router.delete("/v1/data-rights-request/{request_id}")
async def take_back(request: Request, request_id: str, authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """Take a request of this agent back."""
    house = House(request)
    async with house.kernel.db.reading() as conn:
        await house.rights.agents.revoking(conn, _token(authorization), await request.body())
    _, held, named = await _own(request, request_id, authorization)
    if held.agent is None:  # she asked herself, and the agent for the same: hers is not the agent's to take back
        raise AgentRefused("expected a request that this agent opened, got one that the person opened herself")
    return agents.status(await house.rights.revoke(held.id, actor=f"agent:{held.agent}"), named)


@router.get(post.DISCOVERY)
async def discovery(request: Request) -> dict[str, Any]:
    """The keys under which letters to processors are signed."""
    house = House(request)
    pen = house.rights.processors.pen
    key = {"id": pen.id, "alg": "Ed25519", "key": base64.b64encode(pen.public).decode()}
    return {"controller": house.consent.settings.controller, "keys": [key]}


async def _own(request: Request, request_id: str, authorization: str) -> tuple[Agent, SubjectRequest, str | None]:
    house = House(request)
    async with house.kernel.db.reading() as conn:
        agent = await house.rights.agents.of(conn, _token(authorization))
    try:
        held = await house.rights.show(request_id)
    except RequestNotFound:
        raise AgentRefused("expected a request of this agent, got another") from None
    async with house.kernel.db.reading() as conn:
        if not await house.rights.agents.owns(conn, agent, held):
            raise AgentRefused("expected a request of this agent, got another")
        return agent, held, await house.rights.agents.names_of(conn, agent, held.id)


async def _contacts(house: House, conn: Conn, asked: agents.Ask) -> list[tuple[PersonId, IdentifierId]]:
    """The contacts that lead to the one person on whom all agree that anybody holds; none where they lead to nobody, or to several."""
    found = await house.identity.resolve(conn, [[one] for one in asked.contacts])
    people = {one.person for one in found if one.person is not None}
    if len(people) != 1:
        return []
    ids = await house.identity.known_identifiers(conn, asked.contacts)
    pairs = zip(asked.contacts, found, strict=True)
    return [(got.person, ids[one]) for one, got in pairs if got.person is not None and one in ids]


def _token(authorization: str) -> str:
    kind, _, token = authorization.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
