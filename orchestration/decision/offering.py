"""What is brought forward for one person at one placement: the arms, and the market they are judged in.

Enters: a request, what rules now, her hot profile. Leaves: arms and `Market`. What is known of her comes from the hot profile alone, which the
consent filter made: without permission there are no interests and no region, and only what suits everybody comes forward. A request may say
where the page is shown (`context.region`, `context.locale`); that is the caller's word, not hers.
"""

from collections.abc import Collection, Mapping

from kernel.canonical import Json
from orchestration.decision.candidates import arms
from orchestration.decision.catalogue import Placement
from orchestration.decision.inputs import Arm
from orchestration.decision.market import Market
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.shelf import Shelved
from orchestration.decision.sources import Place, picks, tastes
from profiles.features import FeatureSet
from profiles.hot import HotProfile


def offering(
    shelved: Shelved,
    placement: Placement,
    hot: HotProfile,
    features: FeatureSet,
    *,
    context: Mapping[str, Json],
    channels: Collection[str] | None,
    settings: DecisionSettings,
) -> tuple[tuple[Arm, ...], Market]:
    """The arms of this placement for her, and the market."""
    catalogue, assortment = shelved.catalogue, shelved.assortment
    place, known = _place(shelved, hot, features, context)
    hers = tastes(hot.interests, assortment, catalogue)
    brought = picks(placement.sources, assortment, catalogue, hers, place, most=settings.most_arms)
    found = arms(
        catalogue,
        placement,
        settings=settings,
        common=shelved.declared(placement, settings, channels),
        items=assortment.published,
        channels=channels,
        picks=brought,
        hers=hers,
    )
    rules = placement.items
    return found, Market(
        region=place.region,
        locale=place.locale,
        profile=known,
        content_ratings=rules.content_ratings,
        currency=rules.currency,
        min_price=None if rules.min_price is None else str(rules.min_price),
        max_price=None if rules.max_price is None else str(rules.max_price),
    )


def _place(shelved: Shelved, hot: HotProfile, features: FeatureSet, context: Mapping[str, Json]) -> tuple[Place, bool]:
    """Where she is and what she reads; whether any of it is known from her profile."""
    audience = shelved.catalogue.audience
    values = dict(zip(features.names, hot.features, strict=True)) if audience.region or audience.locale else {}
    found: dict[str, str | None] = {}
    known = False
    for name, feature in (("region", audience.region), ("locale", audience.locale)):
        told = context.get(name)
        if isinstance(told, str) and told:
            found[name] = told
        else:
            found[name] = features.word(feature, values)
            known = known or found[name] is not None
    about = context.get("category")
    return Place(found["region"], found["locale"], about if isinstance(about, str) else None), known
