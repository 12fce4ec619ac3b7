"""Where one feature of a decision came from, as its inputs keep it."""

from typing import NamedTuple


class Origin(NamedTuple):  # a decision has one a feature
    """Where one feature came from: ids and times, never the value."""

    feature: str
    trait: str
    source: str
    observed_at: str
    purpose: str
    record_id: str | None = None
    act: str | None = None
    also: tuple[str, ...] = ()
    """Further records that had a part in it."""
