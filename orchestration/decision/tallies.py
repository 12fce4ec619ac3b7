"""What sources list: counted over people, from what the purpose may see of them (decision.D46, D47).

Enters: for each person a region and her deeds, weighed; then the items. Leaves: ranked lists by source and key, and the bundles found in orders. Pure.
Nothing of one person is in a list: what fewer than `least_people` different people did is not counted, and one person counts at most once for an
item, however often she comes (decision.D42).
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from orchestration.decision import cold
from orchestration.decision.item_store import Bundle
from orchestration.decision.items import Item
from profiles.interests import Deed

EVERYWHERE: Final = ""
_NEWEST: Final = 15  # things of one person that are counted together: pairs grow with the square
_CAP: Final = 1.0  # what one person may add to a trend

Lists = dict[tuple[str, str], list[tuple[str, float]]]


@dataclass(slots=True)
class Tally:
    """Counters over people."""

    people: Counter[tuple[str, str]] = field(default_factory=Counter)
    worth: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    trend: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    together: Counter[tuple[str, str]] = field(default_factory=Counter)
    baskets: Counter[str] = field(default_factory=Counter)
    ordered: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, region: str | None, deeds: Sequence[Deed], weighed: Iterable[tuple[Deed, float]]) -> None:
        """One person: her deeds, the newest first, and the same with what they count for a trend."""
        best: dict[str, float] = {}
        orders: dict[str, set[str]] = {}
        for deed in deeds:
            if deed.item is None or deed.weight <= 0:
                continue
            best[deed.item] = max(best.get(deed.item, 0.0), deed.weight)
            if deed.basket is not None:
                orders.setdefault(deed.basket, set()).add(deed.item)
        recent: dict[str, float] = {}
        for deed, weight in weighed:
            if deed.item is not None and weight > 0:
                recent[deed.item] = recent.get(deed.item, 0.0) + weight
        for item, weight in best.items():
            for place in {EVERYWHERE, region or EVERYWHERE}:
                self.people[place, item] += 1
                self.worth[place, item] += weight
        for item, weight in recent.items():
            self.trend[item] += min(weight, _CAP)
        self.together.update(combinations(sorted(list(best)[:_NEWEST]), 2))
        bought = {item for basket in orders.values() for item in basket}
        self.baskets.update(bought)
        pairs = {pair for basket in orders.values() for pair in combinations(sorted(basket)[: 2 * _NEWEST], 2)}
        self.ordered.update(pairs)

    @property
    def items(self) -> frozenset[str]:
        """Everything that somebody did something with."""
        return frozenset(item for _, item in self.people)


def lists(
    tally: Tally, items: Mapping[str, Item], rated: Mapping[str, Sequence[str]], *, length: int, least_people: int
) -> Lists:
    """Every list, best first. `rated`: of each category the best rated items, which fill up what nobody has looked at yet."""
    found: Lists = {}
    popular = _popular(tally, items, least_people)
    for place, ranked in popular.items():
        if ranked:
            found["popular", place] = ranked[:length]
    spare = cold.best_rated(rated, items)
    if everybodys := cold.filled(popular.get(EVERYWHERE, ()), spare, length):
        found["popular", EVERYWHERE] = everybodys
    everywhere = dict(popular.get(EVERYWHERE, ()))
    trends = [(item, tally.trend[item]) for item in everywhere if tally.trend[item] > 0]
    if trends:
        found["trending", EVERYWHERE] = _ranked(trends)[:length]
    by_kind = _by_category(everywhere, items, rated, length)
    found |= {("category", kind): ranked for kind, ranked in by_kind.items()}
    found |= {("similar", seed): ranked for seed, ranked in _similar(tally, items, by_kind, length, least_people)}
    return found


def bundles(tally: Tally, items: Mapping[str, Item], *, most: int, least_people: int) -> list[Bundle]:
    """What people bought together: for each item the companions that most of its buyers also took, at no discount."""
    found: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for (a, b), count in tally.ordered.items():
        if count >= least_people and a in items and b in items:
            found[a].append((b, count / tally.baskets[a]))
            found[b].append((a, count / tally.baskets[b]))
    return [
        Bundle(bundle_id=bundle_id(seed, other), primary_id=seed, items=(other,), discount=0.0, score=score)
        for seed in sorted(found)
        for other, score in _ranked(found[seed])[:most]
    ]


def bundle_id(primary: str, other: str) -> str:
    """The same name for the same two items at every count."""
    return f"b-{hashlib.sha256(f'{primary}|{other}'.encode()).hexdigest()[:16]}"


def _popular(tally: Tally, items: Mapping[str, Item], least_people: int) -> dict[str, list[tuple[str, float]]]:
    found: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    mean = cold.usual(items)
    for (place, name), people in tally.people.items():
        item = items.get(name)
        if item is None or item.stock == 0 or (place and item.regions and place not in item.regions):
            continue
        if people >= least_people:
            vouched = cold.vouched(item.rating, tally.people[EVERYWHERE, name], mean)
            found[place].append((name, tally.worth[place, name] * vouched))
    return {place: _ranked(ranked) for place, ranked in found.items()}


def _by_category(
    everywhere: Mapping[str, float], items: Mapping[str, Item], rated: Mapping[str, Sequence[str]], length: int
) -> dict[str, list[tuple[str, float]]]:
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, worth in everywhere.items():
        if (kind := items[name].category) is not None:
            found[kind][name] = worth
    for kind, names in rated.items():
        for place, name in enumerate(names):
            # Below everything that people engaged with, in the order of the ratings.
            found[kind].setdefault(name, -1.0 - place)
    return {kind: _ranked(ranked.items())[:length] for kind, ranked in found.items()}


def _similar(
    tally: Tally,
    items: Mapping[str, Item],
    by_kind: Mapping[str, Sequence[tuple[str, float]]],
    length: int,
    least_people: int,
) -> Iterable[tuple[str, list[tuple[str, float]]]]:
    """Of the same category: first what the same people engaged with (cosine), then what costs about as much."""
    near: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (a, b), count in tally.together.items():
        if count < least_people or a not in items or b not in items or items[a].category != items[b].category:
            continue
        cosine = count / math.sqrt(tally.people[EVERYWHERE, a] * tally.people[EVERYWHERE, b])
        near[a][b] = near[b][a] = cosine
    for seed in sorted(tally.items & items.keys()):
        kind = items[seed].category
        if kind is None:
            continue
        ranked = dict(near.get(seed, {}))
        for name, _ in by_kind.get(kind, ()):
            if name != seed and name not in ranked and name in items:
                ranked[name] = -_apart(items[seed], items[name])
        if ranked:
            yield seed, _ranked(ranked.items())[:length]


def _apart(a: Item, b: Item) -> float:
    """How far two prices are apart, as a ratio; far when it cannot be told. Zero for the same price."""
    if a.price is None or b.price is None or a.currency != b.currency or not a.price or not b.price:
        return 10.0
    return abs(math.log(float(a.price) / float(b.price)))


def _ranked(pairs: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
