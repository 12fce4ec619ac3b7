"""The room on real engines, with people made by identity's own front door."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from audit.access.principal import Principal, Scope
from audit.service import Audit
from consent import endpoints
from consent.acts import NewAct, Notice
from consent.requests import Rights
from consent.service import Consent
from consent.settings import ConsentSettings
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.service import Identity
from kernel.clock import FrozenClock
from kernel.errors import CandorError, NotFound, NotPermitted
from kernel.ids import IdentifierId, PersonId, RecordId
from kernel.kernel import Kernel

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
NOTICE = Notice.of("May we send you offers by email?", version="v3", language="en", listed=["marketing.email"])


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@dataclass
class House:
    kernel: Kernel
    audit: Audit
    identity: Identity
    consent: Consent
    rights: Rights
    access: object = None

    async def person(self, email: str, key: str = "1", **more: str) -> tuple[PersonId, RecordId, IdentifierId]:
        """A person with one record; her record and her email's identifier."""
        identifiers = tuple(Identifier(kind, value) for kind, value in {"email": email, **more}.items())
        new = NewRecord(
            source="shop",
            source_key=key,
            identifiers=identifiers,
            traits={"first_name": f"Name{key}"},
            kinds={"first_name": "first_name"},
            observed_at=self.kernel.clock.now(),
            purpose="service",
            basis="contract",
        )
        async with self.kernel.db.transaction() as conn:
            (record,) = await self.identity.add_records(conn, [new])
            found = await self.identity.subjects(conn, [record])
            (identifier,) = await self.identity.register_identifiers(conn, [identifiers[0]])
        return found[record].people[0], record, identifier

    def grant(self, subject: IdentifierId | RecordId, purpose: str = "marketing.email", **more: object) -> NewAct:
        fields: dict[str, object] = {
            "channel": None,
            "basis": "consent",
            "jurisdiction": "gdpr",
            "notice": NOTICE,
            "mechanism": "form",
            "actor": "person",
            "given_at": self.kernel.clock.now(),
            "status": "granted",
        } | more
        return NewAct(subject=subject, purpose=purpose, **fields)  # type: ignore[arg-type]

    async def record(self, *acts: NewAct) -> list[str]:
        async with self.kernel.db.transaction() as conn:
            return list(await self.consent.record(conn, acts))

    async def may(self, person: PersonId, purpose: str = "marketing.email", channel: str | None = "email") -> str:
        async with self.kernel.db.reading() as conn:
            return str((await self.consent.check(conn, person, purpose, channel)).permission.reason)

    async def versions(self, *people: PersonId) -> dict[PersonId, int]:
        async with self.kernel.db.reading() as conn:
            return {p: s.version for p, s in (await self.consent.states(conn, people)).items()}


@pytest.fixture
async def house(kernel: Kernel) -> House:
    return build(kernel)


def build(kernel: Kernel, **settings: object) -> House:
    audit = Audit(kernel)
    identity = Identity(kernel, audit)
    consent = Consent(kernel, audit, identity, ConsentSettings(**settings))  # type: ignore[arg-type]
    identity.on_people_changed.append(consent.people_changed)
    identity.on_identifiers_stored.append(consent.identifiers_stored)
    return House(kernel, audit, identity, consent, Rights(kernel, audit, identity, consent))


@dataclass
class OfficerOnly:
    async def authenticate(self, secret: str) -> Principal | None:
        scopes = {"officer": {Scope.OFFICER}, "collect": {Scope.COLLECT}}.get(secret)
        return None if scopes is None else Principal(f"staff:{secret}", frozenset(scopes))


async def problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CandorError)
    status = 404 if isinstance(error, NotFound) else 403 if isinstance(error, NotPermitted) else 422
    return JSONResponse({"code": error.code, "detail": error.message}, status_code=status)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.house = replace(house, access=OfficerOnly())
    app.include_router(endpoints.router)
    app.add_exception_handler(CandorError, problem)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460") as found:
        yield found
