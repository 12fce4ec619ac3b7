"""What a message says, before it is rendered: the catalogue's words, and the slots a profile may fill.

Enters: words written by staff, with slots written as ``{{ first_name }}``; a `UnifiedProfile`, which holds only what the purpose may see.
Leaves: `Content`, sealed beside the delivery. A slot never comes from anywhere else, so a trait that consent withholds cannot be printed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from channels.errors import Unrenderable
from kernel.canonical import Json, canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A named gap in the words: the trait that fills it, and the neutral words for when it is absent. No fallback: required."""

    name: str
    trait: str
    fallback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """The one button of a message."""

    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One message in words. `slots` are values already, filled by `fill`; every text may use them as ``{{ name }}``.

    `confirms`: the purpose that the action's page asks to confirm; its address is a key, so nobody leads it elsewhere or counts its clicks.
    `advertisement` and `on_behalf_of` are the catalogue's statement for the footer (who speaks, and that it is advertising).
    """

    content_id: str
    subject: str
    heading: str
    paragraphs: tuple[str, ...]
    preheader: str = ""
    action: Action | None = None
    locale: str | None = None
    advertisement: bool = True
    on_behalf_of: str = ""
    confirms: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)


def fill(slots: Sequence[Slot], traits: Mapping[str, object]) -> dict[str, str]:
    """Slot values from a unified profile's traits. Raises Unrenderable when a required one is absent or empty."""
    values: dict[str, str] = {}
    for slot in slots:
        value = traits.get(slot.trait)
        words = "" if value is None else str(value).strip()
        if words:
            values[slot.name] = words
        elif slot.fallback is not None:
            values[slot.name] = slot.fallback
        else:
            raise missing_variable(slot.name)
    return values


def missing_variable(name: str) -> Unrenderable:
    """The refusal for a slot without a value."""
    return Unrenderable(
        "missing_variable",
        f"expected a value for the slot {name!r}, got none that this purpose may see",
        "Give the slot a fallback in the catalogue, or choose a variant without it.",
    )


def pack(content: Content) -> bytes:
    """Canonical bytes of a content, for sealing."""
    words: dict[str, Json] = asdict(content)
    return canonical(words)


def unpack(words: Mapping[str, Json]) -> Content:
    """The content whose parsed bytes these are."""
    from pydantic import TypeAdapter

    return TypeAdapter(Content).validate_python(dict(words))
