"""Where a decision is made: what is known of the person's place and language, and what the placement takes of items.

Enters: nothing; this is the shape. It is a part of a decision's inputs.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Where the person is and what she reads, as far as it is known, and what the placement asks of items.

    `profile`: region and locale come from her profile, not from the request. Prices are decimal texts.
    """

    region: str | None = None
    locale: str | None = None
    profile: bool = False
    content_ratings: tuple[str, ...] = ()
    currency: str | None = None
    min_price: str | None = None
    max_price: str | None = None
