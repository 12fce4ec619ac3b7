"""Which arms a placement has: its variants and the items its sources bring forward, times the channels both allow.

Enters: catalogue, placement, what is published, what is left in stock, picks. Leaves: arms in declared order, items behind. Nothing is judged here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from orchestration.decision.catalogue import Catalogue, Placement
from orchestration.decision.inputs import Arm
from orchestration.decision.items import variant_id
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.sources import Pick, Tastes
from orchestration.decision.variants import Variant

_NO_TASTES = Tastes()


def declared(
    catalogue: Catalogue,
    placement: Placement,
    *,
    settings: DecisionSettings,
    published: Collection[str],
    stock: Mapping[str, int] | None = None,
    channels: Collection[str] | None = None,
) -> tuple[Arm, ...]:
    """Every variant and permutation on every channel that variant, placement and request allow; `channels=None` means no wish. The same for everybody."""
    found: list[Arm] = []
    left = stock or {}
    for variant in catalogue.offered(placement):
        family = catalogue.family(variant.id)
        _add(
            found,
            placement,
            variant,
            settings,
            channels,
            variant=variant.id,
            published=variant.id in published,
            stock=left.get(variant.id, variant.stock),
            category=catalogue.content_of(variant.id).category,
            family=family if family != variant.id else None,
            regions=variant.regions,
        )
    return tuple(found)


def arms(
    catalogue: Catalogue,
    placement: Placement,
    *,
    settings: DecisionSettings,
    common: Sequence[Arm],
    items: Collection[str] = frozenset(),
    channels: Collection[str] | None = None,
    picks: Sequence[Pick] = (),
    hers: Tastes = _NO_TASTES,
) -> tuple[Arm, ...]:
    """What is declared (`common`) with her taste, then every pick on every channel. `items`: published contents of picks."""
    found = [_tasted(arm, hers) for arm in common] if hers.weights else list(common)
    for pick in picks:
        template, item = catalogue.variant(pick.rule.template), pick.item
        name = variant_id(template.id, item)
        _add(
            found,
            placement,
            template,
            settings,
            channels,
            variant=name,
            published=name in items,
            stock=min((one for one in (template.stock, item.stock) if one is not None), default=None),
            category=item.category,
            family=template.id,
            item=item.item_id,
            title=item.title,
            source=pick.rule.source,
            section=pick.section,
            personal_source=pick.personal,
            taste=hers.of(item.category, item.item_id, None),
            regions=item.regions or template.regions,
            locale=item.locale or template.locale,
            content_rating=item.content_rating,
            price=None if item.price is None else str(item.price),
            currency=item.currency,
            brand=item.brand,
        )
    return tuple(found)


def _add(
    found: list[Arm], placement: Placement, words: Variant, settings: DecisionSettings,
    channels: Collection[str] | None, **more: object,
) -> None:  # fmt: skip
    for channel in placement.channels:
        if channel not in words.channels or (channels is not None and channel not in channels):
            continue
        common: dict[str, object] = {
            "channel": channel,
            "purpose": placement.purpose_on(channel),
            "order": len(found),
            "epsilon": placement.epsilon.get(channel, settings.epsilon(channel)),
            "value": words.value,
            "cost": words.cost,
            "personal": words.personal,
            "tags": words.tags,
            "locale": words.locale,
        }
        found.append(Arm(**(common | more)))  # type: ignore[arg-type]


def _tasted(arm: Arm, hers: Tastes) -> Arm:
    taste = hers.of(arm.category, None, arm.variant)
    return replace(arm, taste=taste) if taste else arm
