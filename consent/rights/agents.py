"""Agents: whoever asks on behalf of people, by the Data Rights Protocol 0.9.4 (consent.D1, D2).

What enters: a token and a signed request. What leaves: an ``Ask`` (a right, a contact, a regime), or a refusal. The protocol's order of checks is kept: the form, the signature under the key of the agent
behind the token, then who it is from, whom it is to, and when. The signature stands in front of the words (libsodium's combined mode), all of it in base64.
"""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import lifecycle
from consent.errors import AgentRefused
from consent.lifecycle import Request
from consent.rights import agents_store as rows
from consent.rights import callbacks
from consent.rights.agents_store import Agent
from identity.identifiers import Identifier
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import RequestId
from kernel.kernel import Kernel
from kernel.letters import PUBLIC_BYTES, SIGNATURE_BYTES, genuine

VERSION: Final = "0.9.4"
NAMED: Final = r"^[A-Za-z0-9._:/-]{1,200}$"  # what an agent calls its request is kept: a code, no address of somebody
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_PEPPER: Final = "consent/agent-token"
_NAMELESS: Final = "consent/agent-request"
NAMELESS: Final = "content:"  # in front of what a request is called that its agent gave no name
_REGIMES: Final = {"ccpa": "us-ca", "gdpr": "gdpr", "uk-gdpr": "uk"}
_KINDS: Final = (("email", "email"), ("phone_number", "phone"))  # the claims of the protocol, the surest first


class Said(BaseModel):
    """What an agent signs. Further claims of the protocol are read over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    agent_id: Annotated[str, Field(alias="agent-id")]
    business_id: Annotated[str, Field(alias="business-id")]
    issued_at: Annotated[AwareDatetime, Field(alias="issued-at")]
    expires_at: Annotated[AwareDatetime, Field(alias="expires-at")]
    agent_request_id: Annotated[str | None, Field(alias="agent-request-id", pattern=NAMED)] = None
    version: Annotated[Literal["0.9.4"], Field(alias="drp.version")]
    exercise: str
    regime: str | None = None
    email: str | None = None
    phone_number: str | None = None
    status_callback: Annotated[str | None, Field(max_length=1000)] = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that may be opened: by whom, under which name of theirs, for whom."""

    agent: Agent
    named: str
    right: str
    regime: str | None
    contacts: tuple[Identifier, ...]
    callback: str | None = None


class Agents:
    """Stands at ``Rights.agents``."""

    def __init__(self, kernel: Kernel, audit: Audit, business_id: str) -> None:
        self._kernel = kernel
        self._audit = audit
        self._business = business_id

    async def add(self, name: str, title: str, public_key: bytes, *, actor: str) -> str:
        """Note an agent; the token that it must send, shown this once.

        Raises:
            InvalidInput: the key is none.
        """
        if not _CODE.fullmatch(name):
            raise InvalidInput("expected an agent-id of letters, digits and . _ : -, got another", code="consent.agent_invalid", remedy="Give the id as the agent signs it.")  # fmt: skip
        if len(public_key) != PUBLIC_BYTES:
            raise InvalidInput(f"expected an Ed25519 public key of {PUBLIC_BYTES} bytes, got {len(public_key)}", code="consent.agent_invalid", remedy="Ask the agent for the base64 of its signing key.")  # fmt: skip
        token = f"agt_{secrets.token_urlsafe(32)}"
        made = Agent(name, title, public_key, actor, self._kernel.clock.now())
        async with self._kernel.db.transaction() as conn:
            await rows.add(conn, made, self._kernel.vault.pepper(_PEPPER, token))
            await self._audit.append(conn, [NewEntry(Tag.AGENT_ADDED, {"agent": name}, {}, actor=actor)])
        return token

    async def remove(self, name: str, *, actor: str) -> bool:
        """It may not ask any more."""
        async with self._kernel.db.transaction() as conn:
            gone = await rows.remove(conn, name, self._kernel.clock.now())
            if gone:
                await self._audit.append(conn, [NewEntry(Tag.AGENT_REMOVED, {"agent": name}, {}, actor=actor)])
        return gone

    async def listed(self) -> list[Agent]:
        """Those that may ask."""
        async with self._kernel.db.reading() as conn:
            return await rows.listed(conn)

    async def of(self, conn: Conn, token: str) -> Agent:
        """The agent behind a token.

        Raises:
            AgentRefused: nobody's.
        """
        found = await rows.by_token(conn, self._kernel.vault.pepper(_PEPPER, token))
        if found is None:
            raise AgentRefused("expected the token of a registered agent, got another")
        return found

    async def read(self, conn: Conn, token: str, body: bytes) -> Ask:
        """A request, judged in the protocol's order.

        Raises:
            AgentRefused: not signed by the agent behind the token, from or to another, too early or too late.
            InvalidInput: another form; a right or contact that is none.
        """
        agent = await self.of(conn, token)
        words = _verified(agent, body)
        said = _said(words)
        if said.agent_id != agent.id:
            raise AgentRefused("expected the agent-id of the token, got another")
        if said.business_id != self._business:
            raise AgentRefused("expected our business-id, got another: a request that was sent on")
        _in_time(said, self._kernel.clock.now())
        if said.exercise not in lifecycle.NAMES:
            raise _form("expected a right of the protocol, got another word")
        contacts = tuple(Identifier(kind, value) for claim, kind in _KINDS if (value := getattr(said, claim)))
        if not contacts:
            raise _form("expected an email or phone_number to find the person by, got none")
        if said.status_callback is not None and not callbacks.allowed(said.status_callback):
            raise _form("expected an https address as status_callback, got another")
        named = said.agent_request_id or f"{NAMELESS}{self._kernel.vault.pepper(_NAMELESS, body.decode()).hex()}"
        return Ask(agent, named, said.exercise, _REGIMES.get(said.regime or "ccpa"), contacts, said.status_callback)

    async def revoking(self, conn: Conn, token: str, body: bytes) -> Agent:
        """Who takes a request back, under signature: a token that somebody found revokes nothing.

        Raises:
            AgentRefused: nobody's token, or not signed by the agent behind it.
            InvalidInput: another form.
        """
        agent = await self.of(conn, token)
        try:
            _Reason.model_validate(orjson.loads(_verified(agent, body)))
        except (orjson.JSONDecodeError, ValidationError):
            raise _form("expected a JSON object with a reason or without, got another form") from None
        return agent

    async def known(self, conn: Conn, ask: Ask) -> RequestId | None:
        """The request that was opened for the same asking."""
        return await rows.known(conn, ask.agent.id, ask.named)

    async def keep(self, conn: Conn, ask: Ask, request: RequestId) -> None:
        """Remember which request this asking became, and whom to tell of it."""
        sealed = None
        if ask.callback is not None:
            (key_id,) = await self._kernel.vault.create_keys(1)
            key = (await self._kernel.vault.unwrap([key_id]))[key_id]
            sealed = callbacks.seal(key, request, ask.callback), key_id
        await rows.keep(conn, ask.agent.id, ask.named, request, sealed, self._kernel.clock.now())

    async def names_of(self, conn: Conn, agent: Agent, request: RequestId) -> str | None:
        """What the agent calls it, where it gave it a name."""
        return await rows.named(conn, agent.id, request)

    async def owns(self, conn: Conn, agent: Agent, request: Request) -> bool:
        """Whether the agent asked for it."""
        return await rows.owns(conn, agent.id, request.id)


class _Reason(BaseModel):
    """What an agent signs to take a request back. The reason is not kept: it is in the person's words."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reason: str | None = None


def _verified(agent: Agent, body: bytes) -> bytes:
    """The words under the agent's signature."""
    try:
        signed = base64.b64decode(body.strip(), validate=True)
    except binascii.Error:
        raise _form("expected base64, got other bytes") from None
    signature, words = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
    if not genuine(words, signature, agent.public_key):
        raise AgentRefused("expected the signature of the agent behind the token, got another")
    return words


def status(request: Request, named: str | None = None) -> dict[str, Json]:
    """As the protocol answers it; nothing in it is about a person. ``named``: what the agent calls it."""
    found: dict[str, Json] = {
        "request_id": request.id,
        "received_at": request.received_at.isoformat(),
        "expected_by": request.due_on.isoformat(),
        "status": request.state.value,
        "reason": request.reason,
    }
    if named is not None and not named.startswith(NAMELESS):
        found["agent_request_id"] = named
    details = request.response or ("the law gives more time, and it is needed" if request.extended_at else None)
    return found | ({"processing_details": details} if details else {})


def _said(words: bytes) -> Said:
    try:
        return Said.model_validate(orjson.loads(words))
    except (orjson.JSONDecodeError, ValidationError):
        raise _form(f"expected a request of the Data Rights Protocol {VERSION}, got another form") from None


def _in_time(said: Said, now: datetime) -> None:
    if now < said.issued_at:
        raise AgentRefused("expected a request that was issued before now, got one of later")
    if now >= said.expires_at:
        raise AgentRefused("expected a request that has not run out, got one that has")


def _form(message: str) -> InvalidInput:
    return InvalidInput(message, code="consent.agent_form", remedy="Send base64 of a 64-byte Ed25519 signature followed by the JSON request.")  # fmt: skip
