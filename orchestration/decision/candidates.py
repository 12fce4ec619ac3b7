"""Which arms a placement has: its variants and the items its sources bring forward, times the channels both allow.

Enters: catalogue, placement, what is published, what is left in stock, picks. Leaves: arms in declared order, items behind. Nothing is judged here.
"""

from collections.abc import Collection, Mapping, Sequence

from orchestration.decision.catalogue import Catalogue, Placement
from orchestration.decision.inputs import Arm
from orchestration.decision.items import variant_id
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.sources import Pick, Tastes
from orchestration.decision.variants import Variant

_NO_TASTES = Tastes()


def arms(
    catalogue: Catalogue,
    placement: Placement,
    *,
    settings: DecisionSettings,
    published: Collection[str],
    items: Collection[str] = frozenset(),
    stock: Mapping[str, int] | None = None,
    channels: Collection[str] | None = None,
    picks: Sequence[Pick] = (),
    hers: Tastes = _NO_TASTES,
) -> tuple[Arm, ...]:
    """Every variant, permutation and pick on every channel that variant, placement and request allow; `channels=None` means no wish. `items`: published contents of picks."""
    found: list[Arm] = []

    def add(declared: Variant, **more: object) -> None:
        for channel in placement.channels:
            if channel not in declared.channels or (channels is not None and channel not in channels):
                continue
            common: dict[str, object] = {
                "channel": channel,
                "purpose": placement.purpose_on(channel),
                "order": len(found),
                "epsilon": placement.epsilon.get(channel, settings.epsilon(channel)),
                "value": declared.value,
                "cost": declared.cost,
                "personal": declared.personal,
                "tags": declared.tags,
                "locale": declared.locale,
            }
            found.append(Arm(**(common | more)))  # type: ignore[arg-type]

    left = stock or {}
    for variant in catalogue.offered(placement):
        category, family = catalogue.content_of(variant.id).category, catalogue.family(variant.id)
        add(
            variant,
            variant=variant.id,
            published=variant.id in published,
            stock=left.get(variant.id, variant.stock),
            category=category,
            family=family if family != variant.id else None,
            taste=hers.of(category, None, variant.id),
            regions=variant.regions,
        )
    for pick in picks:
        template, item = catalogue.variant(pick.rule.template), pick.item
        name = variant_id(template.id, item)
        add(
            template,
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
        )
    return tuple(found)
