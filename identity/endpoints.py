"""Routes of people: who holds these identifiers, and what the graph knows of a person.

What enters: identifiers as a source writes them, or profiles of people whom perhaps no record holds (scope collect), or a person id or contact (scope officer). What leaves: ids,
kinds and weights; never a word of a record.
"""

from collections.abc import Sequence
from typing import Annotated, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from audit.access.endpoints import needs
from audit.access.principal import Principal
from identity.errors import LinkageNotReady
from identity.identifiers import Identifier, normalise
from identity.records import NAMING_KINDS
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.kernel import Kernel

MOST_SUBJECTS = 1000  # one query answers them all
MOST_PROFILES = 20  # each opens the records of its candidates
MOST_CANDIDATES = 10

router = APIRouter(prefix="/v1/people", tags=["people"])


class Named(BaseModel):
    """An identifier as written by its source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    value: str = Field(min_length=1, max_length=500)


class Profile(BaseModel):
    """Somebody whom perhaps no record holds yet: what is known of her, each by its kind (`email`, `first_name`, `birth_date`, ...)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identifiers: Annotated[list[Named], Field(max_length=50)] = []
    traits: Annotated[list[Named], Field(max_length=50)] = []


class Subjects(BaseModel):
    """Those to resolve: ``subjects`` by the identifiers they are known by, ``profiles`` by all that is known of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subjects: Annotated[list[Annotated[list[Named], Field(max_length=50)]], Field(max_length=MOST_SUBJECTS)] = []
    profiles: Annotated[list[Profile], Field(max_length=MOST_PROFILES)] = []


class Resolved(BaseModel):
    """Who a subject is: the person, or none with those who fit."""

    model_config = ConfigDict(frozen=True)

    person: str | None
    record: str | None
    candidates: list[str]


class Weighed(BaseModel):
    """A candidate, and the match weight of her best record: log2 odds."""

    model_config = ConfigDict(frozen=True)

    person: str
    weight: float


class Met(BaseModel):
    """Whom a profile may join, and how surely; always provisional: the next settling or run judges on everything.

    ``reason``, where there is no person: first_answers_off, no_run, nobody_near, too_faint, refused (by the guard), several.
    """

    model_config = ConfigDict(frozen=True)

    person: str | None
    sure: float | None
    weight: float | None
    reason: str | None
    provisional: bool
    candidates: list[Weighed]
    model: str | None


class Answer(BaseModel):
    """One answer a subject and one a profile, in order."""

    model_config = ConfigDict(frozen=True)

    results: list[Resolved]
    profiles: list[Met] = []


@router.post("/resolve")
async def resolve(request: Request, body: Subjects, _principal: Principal = needs("collect")) -> Answer:
    """Identifiers to person ids; profiles to whom they may join."""
    kernel, identity = rooms(request)
    region = identity.settings.default_region
    subjects = [_identifiers(subject, region) for subject in body.subjects]
    async with kernel.db.reading() as conn:
        found = await identity.resolve(conn, subjects) if subjects else []
        met = [await _met(conn, identity, profile, region) for profile in body.profiles]
    results = [Resolved(person=r.person, record=r.record, candidates=list(r.candidates)) for r in found]
    return Answer(results=results, profiles=met)


async def _met(conn: Conn, identity: Identity, profile: Profile, region: str | None) -> Met:
    traits = {one.kind: one.value for one in profile.traits}
    if unknown := set(traits) - NAMING_KINDS:
        raise InvalidInput(
            f"traits: expected kinds out of {', '.join(sorted(NAMING_KINDS))}, got {len(unknown)} others",
            remedy="Name each trait by its kind.",
            code="identity.bad_profile",
        )
    if not identity.settings.first_answers:
        return _nobody("first_answers_off")
    try:
        found = await identity.meeting.guess(conn, _identifiers(profile.identifiers, region), traits)
    except LinkageNotReady:
        return _nobody("no_run")
    return Met(
        person=found.person,
        sure=found.sure,
        weight=found.weight,
        reason=found.reason,
        provisional=True,
        candidates=[Weighed(person=one.person, weight=one.weight) for one in found.candidates[:MOST_CANDIDATES]],
        model=found.model,
    )


def _nobody(reason: str) -> Met:
    return Met(person=None, sure=None, weight=None, reason=reason, provisional=True, candidates=[], model=None)


def _identifiers(named: Sequence[Named], region: str | None) -> list[Identifier]:
    return [Identifier(one.kind, normalise(one.kind, one.value, region=region)) for one in named]


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
