"""An item of the feed, as it is now, and what it says in a template.

Enters: columns of a row. Leaves: a frozen `Item`; its slots; a revision, which changes whenever a reader would see other words. A bundle of items is
an item too: its parts' prices added and lowered, in stock while all parts are, where all parts are. Pure.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Final

from kernel.canonical import Json, canonical
from orchestration.decision.variants import SlotSource, Variant, item_variant

_REVISION: Final = 10  # hexadecimal characters; they tell the few versions of one item apart, not all items
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)  # without slots: the revision is worked out once
class Item:
    """`stock` None: not counted. `regions` empty: everywhere. `price` in `currency`. `parts`: the items of a bundle, the primary one first."""

    item_id: str
    title: str
    category: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    rating: float | None = None
    regions: tuple[str, ...] = ()
    stock: int | None = None
    locale: str | None = None
    brand: str | None = None
    url: str | None = None
    image: str | None = None
    content_rating: str | None = None
    discount: float = 0.0
    parts: tuple[str, ...] = ()

    def slots(self, names: Mapping[str, str]) -> dict[str, str]:
        """What each item slot says; a field that the item lacks is absent. `names`: how categories are called."""
        price = self.price
        before = price / Decimal(str(1 - self.discount)) if price is not None and self.discount else None
        said = {
            "title": self.title,
            "price": money(price, self.currency),
            "price_before": money(before, self.currency),
            "discount": f"{round(self.discount * 100)} %" if self.discount else None,
            "currency": self.currency,
            "rating": f"{self.rating:.1f}" if self.rating is not None else None,
            "category": names.get(self.category, self.category.replace("_", " ")) if self.category else None,
            "brand": self.brand,
            "url": self.url,
            "image": self.image,
        }
        return {name: text for name, text in said.items() if text}

    @cached_property
    def revision(self) -> str:
        """A short name for what a reader sees of the item."""
        words: dict[str, Json] = {**self.slots({})}
        return hashlib.sha256(canonical(words)).hexdigest()[:_REVISION]


def money(amount: Decimal | None, currency: str | None) -> str | None:
    """An amount as it is printed: two places, the currency behind it."""
    if amount is None or currency is None:
        return None
    return f"{amount.quantize(_CENT, ROUND_HALF_UP)} {currency}"


def variant_id(template: str, item: Item) -> str:
    """The id under which this item, in these words, is published by a template."""
    return item_variant(template, item.item_id, item.revision)


def slot_texts(template: Variant, item: Item, names: Mapping[str, str]) -> dict[str, str] | None:
    """The texts of a template's item slots; None when the item lacks one that has no fallback."""
    said = item.slots(names)
    found: dict[str, str] = {}
    for name, slot in template.slots.items():
        if slot.item is None:
            continue
        text = said.get(slot.item, slot.fallback)
        if text is None:
            return None
        found[name] = text
    return found


def worded(template: Variant, item: Item, names: Mapping[str, str]) -> dict[str, Json] | None:
    """The words of a template filled by an item, as they are published; None when a slot stays empty."""
    texts = slot_texts(template, item, names)
    if texts is None:
        return None
    slots: Mapping[str, SlotSource] = template.traits
    filled = template.filled(texts).model_copy(update={"id": template.id, "slots": slots})
    return {**filled.words(), "id": variant_id(template.id, item)}


def bundle(
    bundle_id: str, parts: Sequence[Item], *, discount: float, title: str | None = None
) -> Item | None:  # fmt: skip
    """Several items as one, the primary first; None when their prices cannot be added."""
    first = parts[0]
    currencies = {one.currency for one in parts}
    prices = [one.price for one in parts]
    if len(currencies) != 1 or any(price is None for price in prices):
        return None
    total = sum((price for price in prices if price is not None), Decimal(0))
    stocks = [one.stock for one in parts if one.stock is not None]
    places = [set(one.regions) for one in parts if one.regions]
    ratings = {one.content_rating for one in parts}
    shared = set.intersection(*places) if places else set()
    return Item(
        item_id=bundle_id,
        title=title or " + ".join(one.title for one in parts),
        category=first.category,
        price=(total * Decimal(str(1 - discount))).quantize(_CENT, ROUND_HALF_UP),
        currency=first.currency,
        rating=first.rating,
        regions=tuple(sorted(shared)) if places else (),
        # Parts that are sold nowhere together can be sold to nobody.
        stock=0 if places and not shared else min(stocks, default=None),
        locale=next((one.locale for one in parts if one.locale), None),
        brand=first.brand,
        url=first.url,
        image=first.image,
        content_rating=ratings.pop() if len(ratings) == 1 else None,
        discount=discount,
        parts=tuple(one.item_id for one in parts),
    )
