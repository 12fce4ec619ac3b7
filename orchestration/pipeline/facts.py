"""What a step of the walk hands to whoever shows it: figures, never a person's words.

Enters: counts, digests, versions. Leaves: `Facts` of a step and `Found` of a check. No Dagster here: steps and checks are coroutines over the house.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
Fact = str | int | float | bool
Facts = Mapping[str, Fact]
PERSONALIZE = "marketing.personalize"
CHUNK = 5_000  # people at a time: bounded memory, few round trips
SAMPLE = 500  # people that a check looks at one by one; enough to see a fault that touches 1 in 100 with 99 %


@dataclass(frozen=True, slots=True)
class Found:
    """A check's answer with the figures behind it. `grave`: when it fails, what comes after must not be made."""

    passed: bool
    figures: Facts = field(default_factory=dict)
    grave: bool = True


def spread(things: Sequence[T], most: int = SAMPLE) -> list[T]:
    """At most `most` of the things, evenly spread over their order: the same sample for the same things."""
    if len(things) <= most:
        return list(things)
    return [things[place * len(things) // most] for place in range(most)]


def key(*parts: str) -> str:
    """A figure's name from words that may hold dots, dashes or spaces."""
    return "_".join(parts).replace(".", "_").replace("-", "_").replace(" ", "_")
