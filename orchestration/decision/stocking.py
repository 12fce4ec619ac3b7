"""Stocking: publishing what sources list, and reading it into memory.

Enters: items, lists, the ruling catalogue. Leaves: published contents and a new version of the assortment, in the transaction of whoever changed
something; or an `Assortment`. Whatever is listed is published first: a candidate that is not, is refused for it (decision.D47).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from kernel.canonical import Json, digest
from kernel.db import Conn
from orchestration.decision import item_store
from orchestration.decision.assortment import Assortment, as_item, assemble, things
from orchestration.decision.catalogue import Catalogue
from orchestration.decision.item_store import Bundle
from orchestration.decision.items import Item, variant_id, worded
from orchestration.decision.variants import Variant
from profiles.interests import Coder, Kind


def sourced(catalogue: Catalogue) -> bool:
    """Whether any placement asks for items."""
    return any(place.sources for place in catalogue.placements)


async def declare(conn: Conn, catalogue: Catalogue, at: datetime) -> None:
    """A catalogue was published: its bundles are offered, and its templates say what is listed."""
    declared = [
        Bundle(
            bundle_id=one.id, primary_id=one.primary, items=one.items, discount=one.discount, score=one.score, title=one.title,
            declared=True,
        )
        for one in catalogue.bundles
    ]  # fmt: skip
    await item_store.replace_bundles(conn, declared, declared=True)
    if sourced(catalogue):
        await restock(conn, catalogue, at)
        await item_store.bump(conn, "catalogue", at)


async def relist(conn: Conn, catalogue: Catalogue, ids: frozenset[str], at: datetime) -> None:
    """Items that are listed changed: publish their new words, and fence off what was decided on the old ones."""
    whole = [one for one in await item_store.bundles(conn) if not ids.isdisjoint((one.primary_id, *one.items))]
    parts = {name for one in whole for name in (one.primary_id, *one.items)}
    items = await item_store.items(conn, sorted(ids | parts))
    changed = {name: items[name] for name in ids if name in items}
    changed |= {one.bundle_id: made for one in whole if (made := as_item(one, items)) is not None}
    await _publish(
        conn, catalogue, [(template, item) for template in _templates(catalogue) for item in changed.values()], at
    )
    await item_store.bump(conn, "items", at)


async def restock(conn: Conn, catalogue: Catalogue, at: datetime) -> tuple[int, int]:
    """Mark what is listed and publish it; the number of new contents, and of those that cannot be said."""
    ranked = await item_store.lists(conn)
    whole = await item_store.bundles(conn)
    names = {name for ids in ranked.values() for name in ids} | {key for source, key in ranked if source == "similar"}
    names |= {name for one in whole for name in (one.primary_id, *one.items)}
    await item_store.mark_listed(conn, names)
    items = await item_store.items(conn, sorted(names))
    made = {one.bundle_id: item for one in whole if (item := as_item(one, items)) is not None}
    pairs = [
        (template, item)
        for template, sources in _uses(catalogue).items()
        for item in _listed_by(sources, ranked, items, made)
    ]
    return await _publish(conn, catalogue, pairs, at)


async def load(conn: Conn, catalogue: Catalogue, code: Coder, codes: dict[tuple[Kind, str], str]) -> Assortment:
    """What is offered now. `codes` remembers keyed hashes from one time to the next."""
    version = await item_store.version(conn)
    items = await item_store.listed(conn)
    ranked = await item_store.lists(conn)
    whole = await item_store.bundles(conn)
    published = await item_store.contents_of(conn, [*items, *(one.bundle_id for one in whole)])

    def build() -> Assortment:
        made = {one.bundle_id: item for one in whole if (item := as_item(one, items)) is not None}
        wanted = list(things(catalogue, {**items, **made}, [key for source, key in ranked if source == "category"]))
        codes.update({thing: code(*thing) for thing in wanted if thing not in codes})
        names: dict[tuple[Kind, str], str] = {(kind, codes[kind, name]): name for kind, name in wanted}
        return assemble(version, items, ranked, whole, published, names)

    return await asyncio.to_thread(build)


def _uses(catalogue: Catalogue) -> Mapping[str, set[str]]:
    """Each template with the sources whose items it says."""
    found: dict[str, set[str]] = {}
    for place in catalogue.placements:
        for rule in place.sources:
            found.setdefault(rule.template, set()).add(rule.source)
    return found


def _templates(catalogue: Catalogue) -> list[str]:
    return sorted(_uses(catalogue))


def _listed_by(
    sources: set[str],
    ranked: Mapping[tuple[str, str], Sequence[str]],
    items: Mapping[str, Item],
    made: Mapping[str, Item],
) -> Iterable[Item]:
    names = {name for (source, _), ids in ranked.items() if source in sources for name in ids}
    yield from (items[name] for name in sorted(names) if name in items)
    if "bundles" in sources:
        yield from made.values()


async def _publish(
    conn: Conn, catalogue: Catalogue, pairs: Sequence[tuple[str, Item]], at: datetime
) -> tuple[int, int]:
    variants: dict[str, Variant] = {name: catalogue.variant(name) for name in _templates(catalogue)}
    contents: list[tuple[str, str, str, Json]] = []
    unsaid = 0
    for template, item in pairs:
        words = worded(variants[template], item, catalogue.categories)
        if words is None:
            unsaid += 1
        else:
            contents.append((variant_id(template, item), item.item_id, digest(words), words))
    return await item_store.put_contents(conn, contents, at), unsaid
