"""Routes of people: who holds these identifiers, and what the graph knows of a person.

What enters: identifiers as a source writes them (scope collect), or a person id or contact (scope officer). What leaves: ids,
kinds and weights; never a word of a record.
"""

from typing import Annotated, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from audit.access.endpoints import needs
from audit.access.principal import Principal
from identity.identifiers import Identifier, normalise
from identity.service import Identity
from kernel.canonical import Json
from kernel.kernel import Kernel

MOST_SUBJECTS = 1000  # one query answers them all

router = APIRouter(prefix="/v1/people", tags=["people"])


class Named(BaseModel):
    """An identifier as written by its source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    value: str = Field(min_length=1, max_length=500)


class Subjects(BaseModel):
    """Those to resolve: each a list of the identifiers it is known by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subjects: Annotated[list[Annotated[list[Named], Field(max_length=50)]], Field(max_length=MOST_SUBJECTS)]


class Resolved(BaseModel):
    """Who a subject is: the person, or none with those who fit."""

    model_config = ConfigDict(frozen=True)

    person: str | None
    record: str | None
    candidates: list[str]


class Answer(BaseModel):
    """One answer a subject, in order."""

    model_config = ConfigDict(frozen=True)

    results: list[Resolved]


@router.post("/resolve")
async def resolve(request: Request, body: Subjects, _principal: Principal = needs("collect")) -> Answer:
    """Identifiers to person ids."""
    kernel, identity = rooms(request)
    region = identity.settings.default_region
    subjects = [
        [Identifier(named.kind, normalise(named.kind, named.value, region=region)) for named in subject]
        for subject in body.subjects
    ]
    async with kernel.db.reading() as conn:
        found = await identity.resolve(conn, subjects)
    return Answer(results=[Resolved(person=r.person, record=r.record, candidates=list(r.candidates)) for r in found])


@router.get("/{person}/graph")
async def graph(request: Request, person: str, _principal: Principal = needs("officer")) -> Json:
    """What the graph knows of a person, by ids, kinds and weights."""
    kernel, identity = rooms(request)
    async with kernel.db.reading() as conn:
        view = await identity.show(conn, await identity.lookup(conn, person))
    return view.as_json()


def rooms(request: Request) -> tuple[Kernel, Identity]:
    """The house's kernel and this room."""
    house = request.app.state.house
    return cast("Kernel", house.kernel), cast("Identity", house.identity)
