"""Contents and variants: the words, the slots in them, and the arms that slots make of one variant.

Enters: parts of a catalogue file. Leaves: frozen variants. A slot is filled by a trait of the person (at rendering), by an item of the feed
(at publication; the variant is then a template), or by one of several options: each combination is a variant of its own, with its own id
(decision.D47: 5 x 3 x 2 = 30 permutations). A published variant is immutable; what it says is `words`.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from kernel.canonical import Json
from orchestration.decision.parts import Amount, Channel, Cost, Name, Names, Part, Words

MOST_PERMUTATIONS: Final = 64
"""Of one variant: more arms than this learn too slowly to be worth telling apart."""
ITEM_MARK: Final = "~"
"""Stands between a template, an item and the revision of its words; no name of the catalogue has it."""

ItemSlot = Literal[
    "title", "price", "price_before", "discount", "currency", "rating", "category", "brand", "url", "image"
]


def _options(value: object) -> object:
    """A list names its options 1, 2, 3."""
    return {str(place): text for place, text in enumerate(value, 1)} if isinstance(value, list) else value


class SlotSource(Part):
    """What fills a slot: a `trait` of the person, a field of the `item`, or one of the `options`.

    `fallback` stands in where the purpose may not see the trait, or the item has no such field. No fallback: required.
    """

    trait: str | None = None
    fallback: str | None = None
    item: ItemSlot | None = None
    options: Annotated[Mapping[Name, str], BeforeValidator(_options)] = {}

    @model_validator(mode="after")
    def _one_way(self) -> "SlotSource":
        if (self.trait is not None) + (self.item is not None) + bool(self.options) != 1:
            msg = "expected exactly one of trait, item and options"
            raise ValueError(msg)
        if self.options and self.fallback is not None:
            msg = "expected no fallback beside options: one of them always fills the slot"
            raise ValueError(msg)
        return self


class Button(Part):
    """The one button of a message."""

    label: str = Field(min_length=1, max_length=80)
    url: str = Field(min_length=1)


class Variant(Part):
    """One version of a content: its words, with slots written as `{{ name }}`, and its economics.

    `body` is split into paragraphs at empty lines. `logged_as` are names under which imported logs know this arm. `regions`: where it may
    be shown, everywhere when empty.
    """

    id: Name
    label: str = Field(min_length=1, max_length=200)
    channels: Annotated[
        tuple[Channel, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v), Field(min_length=1)
    ]
    subject: str = ""
    heading: str = ""
    preheader: str = ""
    body: str = Field(min_length=1)
    image: str = ""
    action: Button | None = None
    slots: Mapping[str, SlotSource] = {}
    locale: str | None = None
    is_advertisement: bool = True
    on_behalf_of: str = ""
    paid_by: str = ""
    value: Amount = Field(default=1.0, description="Worth of one unit of reward, in the placement's currency.")
    cost: Cost = Field(default=0.0, description="Cost of showing it once, in the same currency.")
    tags: Names = ()
    personal: bool = True
    stock: int | None = Field(default=None, ge=0)
    regions: Words = ()
    logged_as: Words = ()

    @model_validator(mode="after")
    def _can_be_sent(self) -> "Variant":
        if "email" in self.channels and not self.subject:
            msg = f"expected a subject in variant '{self.id}', which goes out by email"
            raise ValueError(msg)
        counts = [len(one.options) for one in self.slots.values() if one.options]
        if prod(counts) > MOST_PERMUTATIONS:
            shape = " x ".join(map(str, counts))
            msg = f"expected at most {MOST_PERMUTATIONS} permutations of variant '{self.id}', got {shape} = {prod(counts)}"
            raise ValueError(msg)
        if counts and self.template:
            msg = f"expected items or options in the slots of variant '{self.id}', got both"
            raise ValueError(msg)
        return self

    @property
    def template(self) -> bool:
        """Items fill it; it is nothing by itself."""
        return any(one.item is not None for one in self.slots.values())

    @property
    def traits(self) -> Mapping[str, SlotSource]:
        """The slots that somebody's traits fill."""
        return {name: one for name, one in self.slots.items() if one.trait is not None}

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The body, paragraph by paragraph."""
        return tuple(part.strip() for part in re.split(r"\n\s*\n", self.body) if part.strip())

    def words(self) -> dict[str, Json]:
        """What is published and immutable: everything a reader could see. Keys that came later are there only when they say something."""
        told: dict[str, Json] = self.model_dump(
            mode="json", exclude=_ECONOMICS | ({"image"} if not self.image else set())
        )
        told["slots"] = {name: one.model_dump(mode="json", exclude=_later(one)) for name, one in self.slots.items()}
        return told

    def permutations(self) -> Iterator["Variant"]:
        """The variants that its options make, in the order of the file; itself when it has none."""
        chosen = {name: one.options for name, one in self.slots.items() if one.options}
        if not chosen:
            yield self
            return
        rest = {name: one for name, one in self.slots.items() if name not in chosen}
        for names in product(*chosen.values()):
            texts = {slot: chosen[slot][name] for slot, name in zip(chosen, names, strict=True)}
            changed = self.filled(texts)
            yield changed.model_copy(
                update={
                    "id": ".".join((self.id, *names)),
                    "label": f"{self.label} ({', '.join(names)})",
                    "slots": rest,
                    # An imported log that names the variant as a whole says nothing about its permutations.
                    "logged_as": (),
                }
            )

    def filled(self, texts: Mapping[str, str]) -> "Variant":
        """The variant with these slots replaced by texts, everywhere a reader could see them."""

        def fill(text: str) -> str:
            return _SLOT.sub(lambda found: texts.get(found[1], found[0]), text)

        action = self.action
        return self.model_copy(
            update={name: fill(getattr(self, name)) for name in _TEXTS}
            | {"action": action and Button(label=fill(action.label), url=fill(action.url))}
        )


class Content(Part):
    """A message that may be said in several ways."""

    id: Name
    category: Name | None = None
    variants: tuple[Variant, ...] = Field(min_length=1)


def item_variant(template: str, item: str, revision: str) -> str:
    """The id of a template filled by an item, as its words are in this revision."""
    return f"{template}{ITEM_MARK}{item}{ITEM_MARK}{revision}"


def name_parts(variant: str) -> tuple[str, str | None]:
    """The catalogue's variant, and the item that fills it."""
    head, mark, rest = variant.partition(ITEM_MARK)
    return (head, rest.rpartition(ITEM_MARK)[0] or rest) if mark else (variant, None)


_SLOT: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_TEXTS: Final = ("subject", "heading", "preheader", "body", "image")
_ECONOMICS: Final = {"channels", "value", "cost", "tags", "personal", "stock", "logged_as", "regions", "slots"}


def _later(slot: SlotSource) -> set[str]:
    """Keys of a slot that the first published variants did not have."""
    absent = {name for name in ("item", "trait") if getattr(slot, name) is None}
    return absent | ({"options"} if not slot.options else set())
