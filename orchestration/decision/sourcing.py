"""Where a placement's candidates come from besides its own variants: sources of items, and the rules an item must meet.

Enters: parts of a catalogue file. Leaves: frozen declarations (decision.D47). What a source lists is worked out in `tallies`; whom it suits is in
`sources`.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from orchestration.decision.parts import Name, Part, Words, listed

Source = Literal["category", "popular", "trending", "bundles", "similar"]
ItemId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class SourceRule(Part):
    """Up to `limit` items of one source, each said by the `template`. `label` titles their section instead of the shipped wording."""

    source: Source
    template: Name
    limit: int = Field(default=10, ge=1, le=50)
    label: str | None = Field(default=None, max_length=120)


class ItemRules(Part):
    """What an item must be to be shown at a placement. `content_ratings`: those allowed; an item without one is then refused."""

    content_ratings: Words = ()
    currency: Currency | None = None
    min_price: Decimal | None = Field(default=None, ge=0)
    max_price: Decimal | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _of_one_currency(self) -> "ItemRules":
        if (self.min_price is not None or self.max_price is not None) and self.currency is None:
            msg = "expected the currency of min_price and max_price"
            raise ValueError(msg)
        return self


class Audience(Part):
    """Which category features say where a person is and what she reads; a request's context of the same name wins (`region`, `locale`)."""

    region: str | None = None
    locale: str | None = None


class BundleRule(Part):
    """Items that are sold together, for less: shown to who looks at the `primary` one. `score` places it before bundles found in orders."""

    id: ItemId
    primary: ItemId
    items: Annotated[tuple[ItemId, ...], BeforeValidator(listed), Field(min_length=1, max_length=8)]
    discount: float = Field(default=0.0, ge=0, lt=1)
    score: float = Field(default=1.0, gt=0)
    title: str | None = Field(default=None, max_length=200)

    @model_validator(mode="after")
    def _of_several(self) -> "BundleRule":
        if self.primary in self.items or len(set(self.items)) != len(self.items):
            msg = f"expected every item of bundle '{self.id}' once"
            raise ValueError(msg)
        return self
