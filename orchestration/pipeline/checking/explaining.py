"""Checks of explanations: reasons that were shown are tried to be proven wrong every day, and it is told when other things are weighed than before.

Enters: what explain keeps. Leaves: `Found`. A reason that does not hold is a lie to a person, so it is grave; that reasons move is news.
"""

from typing import TYPE_CHECKING

from orchestration.pipeline.facts import Fact, Found, key

if TYPE_CHECKING:
    from orchestration.wiring import House


async def reasons_hold(house: "House") -> Found:
    """A sample of the last day's reasons made unknown moves the score the way that was told, and every lever flips its choice again."""
    made = await house.explain.falsifier.run(actor="pipeline")
    return Found(made.holds, {**made.counts()})


async def reasons_steady(house: "House") -> Found:
    """The first reasons of the newest days are those of the days before, but for what chance makes of it."""
    figures: dict[str, Fact] = {"alarm": house.explain.settings.drift_alarm}
    warned = 0
    for one in await house.explain.tallies.over(house.kernel.clock.now()):
        if one.psi is None or one.variation is None:
            continue
        figures |= {
            key(one.placement, "stability_index"): round(one.psi, 4), key(one.placement, "of_chance"): round(one.noise, 4),
            key(one.placement, "other_first_reasons"): round(one.variation, 4),
        }  # fmt: skip
        warned += one.warned
    return Found(warned == 0, {"moved": warned, **figures}, grave=False)
