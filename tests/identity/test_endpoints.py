"""The routes of people: who may ask, what comes back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from audit.access.principal import Principal, Scope
from audit.errors import NotAuthenticated, ScopeMissing
from identity.endpoints import router
from identity.errors import InvalidIdentifier, PersonNotFound
from identity.service import Identity
from kernel.kernel import Kernel

pytestmark = pytest.mark.anyio


@dataclass
class Access:
    """Keys by their secret; the real one is tested in its own room."""

    async def authenticate(self, secret: str) -> Principal | None:
        scopes = {"collector": {Scope.COLLECT}, "officer": {Scope.OFFICER}}.get(secret)
        return Principal("test", frozenset(scopes)) if scopes else None


@dataclass
class House:
    kernel: Kernel
    identity: Identity
    access: Access


@pytest.fixture
async def client(kernel: Kernel, identity: Identity) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(router)
    app.state.house = House(kernel, identity, Access())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://candor.test") as found:
        yield found


def key(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


async def test_identifiers_are_resolved_as_their_source_writes_them(client, kernel, identity, record):
    async with kernel.db.transaction() as conn:
        (made,) = await identity.add_records(conn, [record("1", ("email", "ada@example.org"))])
        (person,) = await identity.people(conn)
    body = {"subjects": [[{"kind": "email", "value": " ADA@Example.org"}], [{"kind": "login_id", "value": "nobody"}]]}
    answer = await client.post("/v1/people/resolve", json=body, headers=key("collector"))
    assert answer.json() == {
        "results": [
            {"person": person, "record": made, "candidates": [person]},
            {"person": None, "record": None, "candidates": []},
        ],
        "profiles": [],
    }


async def test_what_is_no_identifier_is_an_error_that_does_not_quote_it(client):
    with pytest.raises(InvalidIdentifier) as fault:
        body = {"subjects": [[{"kind": "email", "value": "not-an-address"}]]}
        await client.post("/v1/people/resolve", json=body, headers=key("collector"))
    assert "not-an-address" not in str(fault.value)


async def test_the_graph_of_a_person_shows_ids_and_kinds_and_no_word(client, kernel, identity, record):
    async with kernel.db.transaction() as conn:
        (made,) = await identity.add_records(
            conn, [record("1", ("email", "ada@example.org"), first_name="Adalbertine")]
        )
        (person,) = await identity.people(conn)
    for who in (person, "email:ada@example.org"):
        answer = await client.get(f"/v1/people/{who}/graph", headers=key("officer"))
        assert answer.json() == {
            "person": person, "graph_version": 0, "sure": 1.0, "records": [made], "identifiers": {"email": 1}, "edges": [],
            "ambiguous": [], "may_be_same": [],
        }  # fmt: skip
    with pytest.raises(PersonNotFound):
        await client.get("/v1/people/per_01ARZ3NDEKTSV4RRFFQ69G5FAV/graph", headers=key("officer"))


async def test_both_routes_are_closed_without_their_scope(client):
    with pytest.raises(NotAuthenticated):
        await client.post("/v1/people/resolve", json={"subjects": []})
    with pytest.raises(ScopeMissing):
        await client.post("/v1/people/resolve", json={"subjects": []}, headers=key("officer"))
    with pytest.raises(ScopeMissing):
        await client.get("/v1/people/email:a@b.example/graph", headers=key("collector"))
    answer = await client.post("/v1/people/resolve", json={"subjects": [], "more": 1}, headers=key("collector"))
    assert answer.status_code == 422
