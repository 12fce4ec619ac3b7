"""What sources offer at this moment, in memory: items, lists, which of them are published, and what hot profiles call them.

Enters: rows of the item store. Leaves: a frozen `Assortment` with the version that commits are fenced by. One per process, read again when the
version has moved; a request only looks things up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestration.decision.catalogue import Catalogue
from orchestration.decision.item_store import Bundle
from orchestration.decision.items import Item, bundle
from orchestration.decision.variants import ITEM_MARK
from profiles.interests import Kind


@dataclass(frozen=True, slots=True)
class Assortment:
    """`lists` by (source, key). `bundles` by primary item. `published`: variants, and since when the item is. `names`: what stands behind a code of a hot profile."""

    version: int = 0
    items: Mapping[str, Item] = field(default_factory=dict)
    lists: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    bundles: Mapping[str, Sequence[Bundle]] = field(default_factory=dict)
    published: Mapping[str, datetime] = field(default_factory=dict)
    names: Mapping[tuple[Kind, str], str] = field(default_factory=dict)


def assemble(
    version: int,
    items: Mapping[str, Item],
    lists: Mapping[tuple[str, str], Sequence[str]],
    bundles: Sequence[Bundle],
    published: Mapping[str, datetime],
    names: Mapping[tuple[Kind, str], str],
) -> Assortment:
    """Bundles become items of their own; what a part does not allow, the bundle does not."""
    made: dict[str, Item] = {}
    by_primary: dict[str, list[Bundle]] = {}
    for one in bundles:
        if (whole := as_item(one, items)) is not None:
            made[one.bundle_id] = whole
            by_primary.setdefault(one.primary_id, []).append(one)
    return Assortment(version, {**items, **made}, lists, by_primary, published, names)


def as_item(one: Bundle, items: Mapping[str, Item]) -> Item | None:
    """A bundle as an item; None when a part is not there or the prices cannot be added."""
    parts = [items.get(name) for name in (one.primary_id, *one.items)]
    there = [part for part in parts if part is not None]
    if len(there) < len(parts):
        return None
    return bundle(one.bundle_id, there, discount=one.discount, title=one.title)


def things(catalogue: Catalogue, items: Mapping[str, Item], kinds: Sequence[str]) -> Iterator[tuple[Kind, str]]:
    """Everything that a hot profile may name: categories, items, and contents without the revision of their words."""
    categories = {*kinds, *(one.category for one in catalogue.contents if one.category)}
    categories |= {one.category for one in items.values() if one.category}
    yield from (("category", name) for name in sorted(categories))
    yield from (("item", name) for name in items)
    templates = sorted({rule.template for place in catalogue.placements for rule in place.sources})
    for variant in catalogue.variants():
        if not variant.template:
            yield "content", variant.id
    for template in templates:
        yield from (("content", f"{template}{ITEM_MARK}{name}") for name in items)
