"""Who a call is about: the identifiers it names and the traits it tells (Segment Spec, conventions 6.1).

What enters: a checked ``Call`` and the kind of its source's user ids. What leaves: (kind, raw value) pairs in a fixed
order, and scalar traits with their kinds. Normalising is identity's work; a value it refuses is dropped, not guessed at.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from events.calls import Call
from kernel.canonical import Json

EXTERNAL_KINDS: Final[Mapping[str, str]] = {
    "email": "email",
    "phone": "phone",
    "user_id": "login_id",
    "customer_id": "customer_id",
    "anonymous_id": "anonymous_id",
    "android.id": "device_id",
    "android.idfa": "device_id",
    "ios.id": "device_id",
    "ios.idfa": "device_id",
}
"""``context.externalIds[].type`` to our kinds; other types stay in the context, unread."""

TRAIT_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "firstName": ("first_name", "first_name"),
    "first_name": ("first_name", "first_name"),
    "lastName": ("last_name", "last_name"),
    "last_name": ("last_name", "last_name"),
    "name": ("full_name", "full_name"),
    "birthday": ("birth_date", "birth_date"),
    "gender": ("gender", "gender"),
    "title": ("title", "text"),
    "description": ("description", "text"),
    "company.name": ("company", "category"),
    "address.street": ("street", "street"),
    "address.city": ("city", "city"),
    "address.postalCode": ("postcode", "postcode"),
    "address.state": ("state", "place"),
    "address.country": ("country", "country"),
    "createdAt": ("created_at", "time"),
}
"""Segment's reserved traits to (our trait name, kind); any other scalar trait keeps its name as a category or text."""

_NOT_TRAITS: Final = frozenset({"email", "phone", "id", "avatar", "username", "website", "anonymousId", "userId"})
_CATEGORY_LENGTH: Final = 64  # a longer value is prose, not a category

_SAFE_INTEGER: Final = 2**53

Scalar = str | int | float | bool


def identifiers(call: Call, *, user_kind: str, browser: bool = False) -> tuple[tuple[str, str], ...]:
    """(kind, raw value) pairs of the call, strongest first, without repeats.

    A public browser key speaks for its visitor's ``anonymousId`` only: anything else it says could tie a stranger's
    browser to somebody's account, so it is not taken as evidence.
    """
    if browser:
        return (("anonymous_id", call.anonymous_id),) if call.anonymous_id else ()
    return tuple(dict.fromkeys(_named(call, user_kind)))


def _named(call: Call, user_kind: str) -> Iterator[tuple[str, str]]:
    if call.user_id:
        yield user_kind, call.user_id
    if call.anonymous_id:
        yield "anonymous_id", call.anonymous_id
    if call.previous_id:
        # The id that alias retires is the visitor's name before sign-up (Segment: anonymous previousId → userId).
        yield "anonymous_id", call.previous_id
    told = (call.traits if call.type == "identify" else {}, _mapping(call.context.get("traits")))
    for kind in ("email", "phone"):
        for traits in told:
            value = traits.get(kind)
            if isinstance(value, str) and value.strip():
                yield kind, value.strip()
    device = _mapping(call.context.get("device")).get("id")
    if isinstance(device, str) and device.strip():
        yield "device_id", device.strip()
    listed = call.context.get("externalIds")
    for entry in listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ():
        item = _mapping(entry)
        kind_of, value = item.get("type"), item.get("id")
        plain = item.get("collection", "users") == "users" and item.get("encoding", "none") == "none"
        if (
            plain
            and isinstance(kind_of, str)
            and isinstance(value, str)
            and value.strip()
            and kind_of in EXTERNAL_KINDS
        ):
            kind = EXTERNAL_KINDS[kind_of]
            yield user_kind if kind_of == "user_id" else kind, value.strip()


def traits(call: Call) -> tuple[dict[str, Scalar], dict[str, str]]:
    """Scalar traits that an identify tells of its person, and trait → kind. Nested ones but address and company stay
    in the event.
    """
    told: dict[str, Scalar] = {}
    kinds: dict[str, str] = {}
    if call.type != "identify":
        return told, kinds
    for source in (_mapping(call.context.get("traits")), call.traits):
        for key, value in _flat(source):
            if key in _NOT_TRAITS or value == "":
                continue
            name, kind = TRAIT_KINDS.get(key, (key, _kind_of(value)))
            # A whole number that JSON readers disagree about is a code: as text it stays what it is.
            told[name] = str(value) if isinstance(value, int) and abs(value) > _SAFE_INTEGER else value
            kinds[name] = kind
    return told, kinds


def _flat(source: Mapping[str, Json]) -> Iterator[tuple[str, Scalar]]:
    for key, value in source.items():
        if isinstance(value, str | int | float | bool):
            yield key, value.strip() if isinstance(value, str) else value
        elif key in {"address", "company"} and isinstance(value, Mapping):
            for part, inner in value.items():
                if isinstance(inner, str | int | float | bool) and f"{key}.{part}" in TRAIT_KINDS:
                    yield f"{key}.{part}", inner.strip() if isinstance(inner, str) else inner


def _kind_of(value: Scalar) -> str:
    return "text" if isinstance(value, str) and len(value) > _CATEGORY_LENGTH else "category"


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
