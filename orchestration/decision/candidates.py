"""Which arms a placement has: its variants times the channels both allow.

Enters: catalogue, placement, what is published, what is left in stock. Leaves: arms in declared order. Nothing is judged here.
"""

from collections.abc import Collection, Mapping

from orchestration.decision.catalogue import Catalogue, Placement
from orchestration.decision.inputs import Arm
from orchestration.decision.settings import DecisionSettings


def arms(
    catalogue: Catalogue,
    placement: Placement,
    *,
    settings: DecisionSettings,
    published: Collection[str],
    stock: Mapping[str, int] | None = None,
    channels: Collection[str] | None = None,
) -> tuple[Arm, ...]:
    """Every variant on every channel that variant, placement and request allow; `channels=None` means no wish."""
    left = stock or {}
    found: list[Arm] = []
    for name in placement.variants:
        variant = catalogue.variant(name)
        for channel in placement.channels:
            if channel not in variant.channels or (channels is not None and channel not in channels):
                continue
            found.append(
                Arm(
                    variant=name,
                    channel=channel,
                    purpose=placement.purpose_on(channel),
                    order=len(found),
                    epsilon=placement.epsilon.get(channel, settings.epsilon(channel)),
                    value=variant.value,
                    cost=variant.cost,
                    personal=variant.personal,
                    published=name in published,
                    stock=left.get(name, variant.stock),
                    category=catalogue.content_of(name).category,
                    tags=variant.tags,
                )
            )
    return tuple(found)
