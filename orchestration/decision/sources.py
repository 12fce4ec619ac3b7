"""Which items a placement's sources bring forward for one person, in which order, under which title.

Enters: the placement's rules, the assortment, her tastes (things she engages with, from her hot profile, hence through the consent filter) and where
she is. Leaves: picks in order, at most `most`; an item comes once. What she cannot be shown is brought forward too, so that the record can say
why not, but does not use up a rule's limit. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from orchestration.decision.assortment import Assortment
from orchestration.decision.catalogue import Catalogue
from orchestration.decision.cold import ladder
from orchestration.decision.items import Item
from orchestration.decision.sections import title
from orchestration.decision.sourcing import SourceRule
from orchestration.decision.variants import name_parts
from profiles.interests import DeedKind, Interest, Kind

_SEEDS: Final = 3  # categories or items that one rule starts from
_SPARE: Final = 2  # as many items again as the limit may be brought forward only to be refused


@dataclass(frozen=True, slots=True)
class Liking:
    """One thing she engages with."""

    name: str
    weight: float
    deed: DeedKind


@dataclass(frozen=True, slots=True)
class Tastes:
    """`categories` and `items`: hers, above zero, categories strongest first, items newest first. `weights`: everything, below zero too."""

    categories: tuple[Liking, ...] = ()
    items: tuple[Liking, ...] = ()
    weights: Mapping[tuple[Kind, str], float] = field(default_factory=dict)

    def of(self, category: str | None, item: str | None, content: str | None) -> float:
        """How much this is to her taste."""
        wanted: tuple[tuple[Kind, str | None], ...] = (("category", category), ("item", item), ("content", content))
        return sum(self.weights.get((kind, name), 0.0) for kind, name in wanted if name is not None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the person is and what she reads, as far as it is known; `category`: what the page is about, where the request says so."""

    region: str | None = None
    locale: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """An item brought forward. `personal`: by what is known of her."""

    item: Item
    rule: SourceRule
    section: str
    personal: bool


def tastes(interests: Iterable[Interest], assortment: Assortment, catalogue: Catalogue) -> Tastes:
    """Codes of a hot profile as things of this shop; what the shop does not know is left out.

    What she thinks of a content she thinks of the item in it, and of the category of either.
    """
    weights: dict[tuple[Kind, str], float] = {}
    kinds: list[Liking] = []
    things: list[Liking] = []
    for one in interests:
        name = assortment.names.get((one.kind, one.code))
        if name is None:
            continue
        weights[one.kind, name] = weights.get((one.kind, name), 0.0) + one.weight
        if one.kind == "content":
            for kind, behind in _behind(name, assortment, catalogue):
                weights[kind, behind] = weights.get((kind, behind), 0.0) + one.weight
        elif one.weight > 0:
            (kinds if one.kind == "category" else things).append(Liking(name, one.weight, one.deed))
    kinds = [one for one in kinds if weights["category", one.name] > 0]
    things = [one for one in things if weights["item", one.name] > 0]
    kinds.sort(key=lambda one: (-weights["category", one.name], one.name))
    return Tastes(tuple(kinds), tuple(things), weights)


def _behind(content: str, assortment: Assortment, catalogue: Catalogue) -> Iterator[tuple[Kind, str]]:
    family, item = name_parts(content)
    if item is not None:
        yield "item", item
        category = assortment.items[item].category if item in assortment.items else None
    else:
        category = catalogue.content_of(family).category
    if category is not None:
        yield "category", category


def picks(
    rules: Sequence[SourceRule], assortment: Assortment, catalogue: Catalogue, hers: Tastes, place: Place, *, most: int
) -> list[Pick]:
    """The items of every rule, in the order of the rules."""
    seen: set[str] = set()
    found: list[Pick] = []
    for rule in rules:
        locale = catalogue.variant(rule.template).locale or place.locale
        shown = tried = 0
        for name, section, personal in _listed(rule, assortment, catalogue, hers, place, locale):
            item = assortment.items.get(name)
            if item is None or name in seen:
                continue
            if shown >= rule.limit or tried >= rule.limit * _SPARE or len(found) >= most:
                break
            seen.add(name)
            tried += 1
            shown += _sold(item, place)
            found.append(Pick(item, rule, rule.label or section, personal))
    return found


def _sold(item: Item, place: Place) -> bool:
    return item.stock != 0 and (not item.regions or place.region in item.regions)


def _listed(
    rule: SourceRule, assortment: Assortment, catalogue: Catalogue, hers: Tastes, place: Place, locale: str | None
) -> Iterator[tuple[str, str, bool]]:
    """(item, section's title, personal), best first."""
    match rule.source:
        case "popular":
            where = catalogue.regions.get(place.region or "", place.region or "")
            for rung, name in ladder(assortment.lists, place.region, place.category):
                key = "popular_in" if rung == "region" else "popular"
                yield name, title(key, locale, region=where), rung == "region"
        case "trending":
            yield from ((name, title("trending", locale), False) for name in assortment.lists.get(("trending", ""), ()))
        case "category":
            starts = [
                (
                    assortment.lists.get(("category", one.name), ()),
                    title(f"category_{one.deed}", locale, category=_called(one.name, catalogue)),
                )
                for one in hers.categories[:_SEEDS]
            ]
            yield from ((name, section, True) for name, section in _in_turn(starts))
        case "similar":
            starts = [
                (there, title(f"similar_{one.deed}", locale, item=assortment.items[one.name].title))
                for one in _seeds(hers, assortment)
                if (there := assortment.lists.get(("similar", one.name), ()))
            ]
            yield from ((name, section, True) for name, section in _in_turn(starts[:_SEEDS]))
        case "bundles":
            for one in islice((one for one in _seeds(hers, assortment) if one.name in assortment.bundles), _SEEDS):
                for pair in assortment.bundles[one.name]:
                    key = "bundle_declared" if pair.declared else "bundle_found"
                    yield pair.bundle_id, title(key, locale, item=assortment.items[one.name].title), True


def _seeds(hers: Tastes, assortment: Assortment) -> Iterator[Liking]:
    """The items she engaged with last that are still of the assortment."""
    return (one for one in hers.items if one.name in assortment.items)


def _in_turn(starts: Sequence[tuple[Sequence[str], str]]) -> Iterator[tuple[str, str]]:
    """The best of each list, then the second of each, and so on."""
    longest = max((len(names) for names, _ in starts), default=0)
    for place in range(longest):
        for names, section in starts:
            if place < len(names):
                yield names[place], section


def _called(category: str, catalogue: Catalogue) -> str:
    return catalogue.categories.get(category, category.replace("_", " "))
