"""Somebody of whom nothing is known yet: what is brought forward, rung by rung, and never an error (decision.D36).

Enters: how many different people engaged with each item, in a region and everywhere; the shop's ratings; the category of the page. Leaves: one order. The rungs are the region's favourites,
everybody's, and the best rated; where the page says what it is about, its category goes before everybody's. A list of favourites goes by what people did times a rating that is believed as far as people vouch for it
(a Bayesian mean, weighed against that of the shop): a five by one visitor is no better than the usual.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from orchestration.decision.items import Item

_BELIEF: Final = 10.0
"""People after whom an item's own rating counts as much as that of the shop."""


def usual(items: Mapping[str, Item]) -> float | None:
    """The mean rating of what is rated; None when nothing is, or all at nought."""
    told = [one.rating for one in items.values() if one.rating is not None]
    mean = sum(told) / len(told) if told else 0.0
    return mean if mean > 0 else None


def vouched(rating: float | None, people: int, mean: float | None) -> float:
    """The factor of a rating for so many people: one where nothing is rated, or this is not."""
    if rating is None or mean is None:
        return 1.0
    return (_BELIEF * mean + people * rating) / ((_BELIEF + people) * mean)


def best_rated(rated: Mapping[str, Sequence[str]], items: Mapping[str, Item]) -> list[str]:
    """The best rated of every category in one order; what has no rating comes last, equal ones by name."""
    names = {name for ours in rated.values() for name in ours if name in items and items[name].stock != 0}
    return sorted(names, key=lambda name: (-(items[name].rating or 0.0), name))


def filled(favourites: Sequence[tuple[str, float]], spare: Sequence[str], length: int) -> list[tuple[str, float]]:
    """Favourites, then what is there besides, below all of them."""
    held = {name for name, _ in favourites}
    rest = [name for name in spare if name not in held]
    least = min((score for _, score in favourites), default=0.0)
    below = min(least, 0.0)
    return [*favourites, *((name, below - 1.0 - place) for place, name in enumerate(rest))][:length]


def ladder(
    lists: Mapping[tuple[str, str], Sequence[str]], region: str | None, category: str | None
) -> Iterator[tuple[str, str]]:
    """(rung, item) from the region's favourites down: `region`, `context`, `everywhere`. Whoever takes them leaves out what came before.

    Everybody's list ends in the best rated, so that it is empty only where there are no items.
    """
    if region is not None:
        yield from (("region", name) for name in lists.get(("popular", region), ()))
    if category is not None:
        yield from (("context", name) for name in lists.get(("category", category), ()))
    yield from (("everywhere", name) for name in lists.get(("popular", ""), ()))
