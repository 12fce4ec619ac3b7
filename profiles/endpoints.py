"""Routes of profiles: what one purpose may use of a person, as a decision reads it (features V17), and why she is in a segment or not (V16).

Enters: a person id or contact and a purpose. Leaves: features by name, segments, permissions, versions: numbers, codes and times, never a
word of a record. The house is found at ``request.app.state.house``.
"""

import math
from dataclasses import asdict
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict

from audit.access.endpoints import needs
from audit.access.principal import Principal
from consent.service import Consent
from identity.service import Identity
from kernel.kernel import Kernel
from profiles.service import Profiles

router = APIRouter(prefix="/v1/people", tags=["people"])
_Purpose = Annotated[
    str, Query(description="A purpose of the tree: whatever it may not see is absent.", max_length=100)
]


class Seen(BaseModel):
    """A person as one purpose may use her, at one moment."""

    model_config = ConfigDict(frozen=True)

    person: str
    purpose: str
    permitted: bool
    at: AwareDatetime
    until: AwareDatetime
    features: dict[str, float]
    segments: list[str]
    permissions: dict[str, str]
    channels: list[str]
    sure: float
    graph_version: int
    consent_version: int
    profile_version: int
    feature_set: str


class Asked(BaseModel):
    """One condition of a segment, what is known of it, and whether that meets it."""

    model_config = ConfigDict(frozen=True)

    feature: str
    asked: str
    value: float | None
    word: str | None
    holds: bool
    gap: float | None
    source: str | None
    observed_at: AwareDatetime | None


class InSegment(BaseModel):
    """A segment and why she is in it, or is not."""

    model_config = ConfigDict(frozen=True)

    segment: str
    member: bool
    conditions: list[Asked]


class Memberships(BaseModel):
    """Every declared segment for one person and purpose."""

    model_config = ConfigDict(frozen=True)

    person: str
    purpose: str
    segments: list[InSegment]


@router.get("/{person}/segments")
async def segments(
    request: Request,
    person: str,
    purpose: _Purpose = "marketing.personalize",
    _principal: Principal = needs("decide", "officer"),
) -> Memberships:
    """Why a person is in each segment, or is not."""
    house = request.app.state.house
    cast("Consent", house.consent).rules.purposes.expect(purpose)
    async with cast("Kernel", house.kernel).db.reading() as conn:
        living = await cast("Identity", house.identity).lookup(conn, person)
        found = await cast("Profiles", house.profiles).memberships(conn, living, purpose)
    return Memberships(
        person=living,
        purpose=purpose,
        segments=[
            InSegment(
                segment=one.segment,
                member=one.member,
                conditions=[Asked.model_validate(asdict(held)) for held in one.conditions],
            )
            for one in found
        ],
    )


@router.get("/{person}/profile")
async def profile(
    request: Request,
    person: str,
    purpose: _Purpose = "marketing.personalize",
    _principal: Principal = needs("decide", "officer"),
) -> Seen:
    """Features, segments and permissions of a person for a purpose; features that are unknown are left out."""
    house = request.app.state.house
    cast("Consent", house.consent).rules.purposes.expect(purpose)
    profiles = cast("Profiles", house.profiles)
    async with cast("Kernel", house.kernel).db.reading() as conn:
        living = await cast("Identity", house.identity).lookup(conn, person)
    seen = await profiles.hot(living, purpose)
    named = zip(profiles.features.names, seen.features, strict=True)
    return Seen(
        person=seen.person,
        purpose=seen.purpose,
        permitted=seen.permitted,
        at=seen.at,
        until=seen.until,
        features={name: value for name, value in named if math.isfinite(value)},
        segments=sorted(seen.segments),
        permissions={key: str(one.answer) for key, one in sorted(seen.permissions.items())},
        channels=sorted(seen.reach),
        sure=seen.sure,
        graph_version=int(seen.graph_version),
        consent_version=seen.consent_version,
        profile_version=seen.profile_version,
        feature_set=seen.feature_set,
    )
