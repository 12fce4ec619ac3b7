"""Identity's section of the settings tree."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated

from pydantic import Field

from identity.limits import Limit, Limits
from kernel.settings import Section


class IdentitySettings(Section):
    """Which identifiers join records at once, and how far doubt reaches."""

    default_region: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Z]{2}$",
            description="ISO 3166 region of phone numbers written without a country code, for example DE. Absent: such "
            "numbers are kept as their digits.",
        ),
    ] = None
    joining_kinds: Annotated[
        tuple[str, ...],
        Field(
            description="Identifier kinds that one person owns alone: a record that shares one joins that person at once.",
        ),
    ] = ("login_id", "customer_id", "national_id")
    exclusive_kinds: Annotated[
        tuple[str, ...],
        Field(
            description="Kinds of which one person never has two values; a customer_id is exclusive inside its source.",
        ),
    ] = ("login_id", "national_id")
    contact_kinds: Annotated[
        tuple[str, ...],
        Field(
            description="Kinds that join a record to a person provisionally, when exactly one person holds the value.",
        ),
    ] = ("email", "anonymous_id")
    resolve_priority: Annotated[
        tuple[str, ...],
        Field(
            description="The order in which identifier kinds decide who a subject is, and which of them is left out first where a limit would be exceeded "
            "(the last; kinds that are not named come after, by name).",
        ),
    ] = ("login_id", "customer_id", "national_id", "email", "phone", "device_id", "anonymous_id")
    limits: Annotated[
        Mapping[str, Limit],
        Field(
            description="Of these kinds a person has at most so many values in a time. A match that would bring more rests on too little and is refused (cause "
            "'limit', for review), unless it rests on a more important kind: then the values beyond the limit lead nobody to the person.",
        ),
    ] = {
        # Wider than Segment's five: typing errors count, and so does whom staff merged. Nobody of 7,800 made people has more than four; a kiosk has in an hour.
        "email": Limit(most=8, within="year"),
        "phone": Limit(most=8, within="year"),
        "device_id": Limit(most=50, within="month"),
        "anonymous_id": Limit(most=50, within="month"),
    }
    contact_surety: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="How sure a person is, at most, whom a record joined by a contact alone, until the next graph.",
        ),
    ] = 0.95
    index_ttl_seconds: Annotated[
        int,
        Field(
            ge=1,
            description="An entry of the hot identifier index is forgotten after this long, whatever happened to it.",
        ),
    ] = 900
    resident_identifiers: Annotated[
        int,
        Field(
            ge=0,
            description="Up to so many identifiers a serving process keeps in its memory as keyed hashes (48 bytes each), so that asking who "
            "holds one needs no other process. 0, or more identifiers than this: the hot store and Postgres are asked.",
        ),
    ] = 4_000_000
    first_answers: Annotated[
        bool,
        Field(
            description="Whether a profile that no identifier finds is looked for by its blocking keys at once, by the last run's weights and guard: at "
            "collection (it joins provisionally) and at POST /v1/people/resolve. Off: it is somebody new until the next settling or run.",
        ),
    ] = True
    first_answers_at_once: Annotated[
        int,
        Field(
            ge=0,
            description="Of records stored together, so many are looked for at once; the others, as those of a large import, wait for the settling.",
        ),
    ] = 8
    settle_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="A serving process looks this often for records that came since the last linkage run, and settles whose they are by that run's model "
            "and guard. 0: they wait for the next run.",
        ),
    ] = 5.0
    loose_limit: Annotated[
        int,
        Field(
            ge=0,
            description="An identifier held by more people than this (a kiosk, a junk address) does not make them "
            "'may be the same'; an opt-out on the identifier itself still reaches each of them.",
        ),
    ] = 20
    gate_drift: Annotated[
        float,
        Field(
            gt=0,
            description="A linkage run is held back when the weights of its pairs or the sizes of its people moved more than this against "
            "the last graph (population stability index; counted from 1,000 records on).",
        ),
    ] = 0.25
    gate_largest: Annotated[
        int,
        Field(
            ge=2, description="A linkage run is held back when one person would have more current records than this."
        ),
    ] = 200
    gate_changed: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="A linkage run is held back when more than this share of the records that the last graph knew (and more than 25) "
            "would be led to somebody else by the id they had.",
        ),
    ] = 0.01

    @cached_property
    def limited(self) -> Limits:
        """The limits with the order of importance."""
        return Limits(self.limits, {kind: place for place, kind in enumerate(self.resolve_priority)})
