"""The catalogue that rules, kept in memory for a moment, and its publication.

Enters: catalogue text from staff. Leaves: `Shelved` (catalogue, digest, published variants). Postgres is the authority: a process looks again after
`catalogue_seconds`, and the commit of a decision refuses one that was made on a catalogue which rules no more.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from kernel.canonical import Json, digest
from kernel.db import Conn, after_commit
from kernel.kernel import Kernel
from kernel.looking import Looking
from orchestration.decision import item_store, stocking, store
from orchestration.decision.assortment import Assortment
from orchestration.decision.candidates import declared
from orchestration.decision.catalogue import Catalogue, Placement, parse, refuse_unknown_features
from orchestration.decision.errors import ContentChanged, NoCatalogue
from orchestration.decision.inputs import Arm
from orchestration.decision.items import variant_id, worded
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.variants import name_parts
from profiles.interests import Coder, Kind


@dataclass(frozen=True)  # without slots: what follows from it is worked out once
class Shelved:
    """A catalogue as published."""

    catalogue: Catalogue
    digest: str
    published: Mapping[str, datetime]
    assortment: Assortment = field(default_factory=Assortment)
    _made: dict[tuple[str, tuple[str, ...]], tuple[Arm, ...]] = field(default_factory=dict, compare=False, repr=False)

    def declared(
        self, placement: Placement, settings: DecisionSettings, channels: Collection[str] | None
    ) -> tuple[Arm, ...]:
        """The arms that a placement declares, on the channels that are wished for; made once."""
        wished = tuple(one for one in placement.channels if channels is None or one in channels)
        key = (placement.name, wished)
        if key not in self._made:
            self._made[key] = declared(
                self.catalogue, placement, settings=settings, published=self.published, channels=wished
            )
        return self._made[key]

    def offers(self, placement: Placement, variant: str) -> bool:
        """Whether a placement could show this variant today: it is one of its own or what a template makes of a listed item, and published."""
        _, name = name_parts(variant)
        if name is None:
            return variant in self.published and any(one.id == variant for one in self.catalogue.offered(placement))
        item = self.assortment.items.get(name)
        templates = {rule.template for rule in placement.sources}
        return item is not None and any(
            variant == variant_id(template, item) and variant in self.assortment.published for template in templates
        )

    def lives(self, variant: str) -> bool:
        """Whether what this variant says is still true: published, not sold out, and of an item the words of today (its price, for one)."""
        family, name = name_parts(variant)
        if name is None:
            return variant in self.published and self.catalogue.variant(variant).stock != 0
        item = self.assortment.items.get(name)
        return item is not None and item.stock != 0 and variant == variant_id(family, item)

    @cached_property
    def since(self) -> Mapping[str, datetime]:
        """When each variant, or the item in it, was published first."""
        return {**self.published, **self.assortment.published}

    def kind(self, variant: str) -> tuple[str | None, str | None]:
        """Category and brand of a variant, or of the item in it."""
        family, name = name_parts(variant)
        if name is None:
            return self.catalogue.content_of(family).category, None
        item = self.assortment.items.get(name)
        return (None, None) if item is None else (item.category, item.brand)

    def words(self, variant: str) -> Json:
        """What is published of it; None when its item is no more."""
        family, name = name_parts(variant)
        made = self.catalogue.variant(family)
        if name is None:
            return made.words()
        item = self.assortment.items.get(name)
        return None if item is None else worded(made, item, self.catalogue.categories)

    def stock(self, variant: str) -> int | None:
        """What is left of it; None where nobody counts."""
        _, name = name_parts(variant)
        if name is None:
            return self.catalogue.variant(variant).stock
        return self.assortment.items[name].stock if name in self.assortment.items else 0


@dataclass(frozen=True, slots=True)
class Publication:
    """What an import did. `changed` is false when the same document ruled already."""

    digest: str
    variants: int
    placements: int
    changed: bool


class Shelf:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel, audit: Audit, settings: DecisionSettings, code: Coder) -> None:
        """`code`: how hot profiles name things."""
        self._kernel = kernel
        self._code = code
        self._codes: dict[tuple[Kind, str], str] = {}
        self._audit = audit
        self._settings = settings
        self._held: Shelved | None = None
        self._looking = Looking(settings.catalogue_seconds)
        self._old: dict[str, Catalogue] = {}

    async def current(self) -> Shelved:
        """What rules now: looked for again after `catalogue_seconds`; while one request looks, others go on with what it was.

        Raises:
            NoCatalogue: nothing was ever imported.
        """
        held = self._held
        if held is not None and not self._looking.due:
            return held
        with self._looking.look():
            async with self._kernel.db.reading() as conn:
                ruling = await store.ruling(conn)
                if ruling is None:
                    raise NoCatalogue("expected a catalogue, got none imported")
                published = await store.published(conn)
                same = held is not None and held.digest == ruling
                catalogue = held.catalogue if held is not None and same else await self._read(conn, ruling)
                offered = await self._offered(conn, catalogue, held.assortment if held is not None and same else None)
            if held is None or not same or offered is not held.assortment or published != held.published:
                held = Shelved(catalogue, ruling, published, offered)
            self._held = held
        return held

    async def known(self) -> Shelved:
        """What ruled when it was last looked for, without looking again: for the words of what was just chosen. Raises as `current` does."""
        return self._held or await self.current()

    async def ruling(self, conn: Conn) -> Catalogue:
        """The catalogue that rules in this transaction. `NoCatalogue`."""
        name = await store.ruling(conn)
        if name is None:
            raise NoCatalogue("expected a catalogue, got none imported")
        return await self._read(conn, name)

    async def _offered(self, conn: Conn, catalogue: Catalogue, held: Assortment | None) -> Assortment:
        if held is not None and (not stocking.sourced(catalogue) or held.version == await item_store.version(conn)):
            return held
        return await stocking.load(conn, catalogue, self._code, self._codes)

    def forget(self) -> None:
        """Look again at the next decision."""
        self._looking.forget()

    async def by_digest(self, wanted: str) -> Catalogue:
        """A catalogue that ruled once."""
        found = self._old.get(wanted)
        if found is None:
            async with self._kernel.db.reading() as conn:
                found = await self._read(conn, wanted)
            if len(self._old) >= _MOST_OLD:
                self._old.clear()
            self._old[wanted] = found
        return found

    async def publish(self, conn: Conn, text: str, *, actor: str, features: Sequence[str]) -> Publication:
        """Check and publish a catalogue in the caller's transaction. `features`: that are declared.

        Raises:
            CatalogueInvalid: as `catalogue.parse`; or it names a feature that is not declared.
            ContentChanged: a published variant has other words now.
        """
        catalogue = parse(text)
        refuse_unknown_features(catalogue, features)
        document, name = catalogue.document(), catalogue.digest
        variants = list(catalogue.variants())
        answer = Publication(name, len(variants), len(catalogue.placements), changed=True)
        await store.lock_catalogue(conn)
        now = self._kernel.clock.now()
        words: list[tuple[str, str, Json]] = [(one.id, digest(one.words()), one.words()) for one in variants]
        if other := await store.put_variants(conn, words, now):
            raise ContentChanged(f"expected the published words of {', '.join(sorted(other)[:5])}, got others")
        after_commit(conn, self._forgetting)
        if await store.ruling(conn) == name:
            return Publication(name, answer.variants, answer.placements, changed=False)
        await store.publish(conn, name, document, actor=actor, at=now)
        await stocking.declare(conn, catalogue, now)
        facts: dict[str, Json] = {"variants": answer.variants, "placements": answer.placements}
        await self._audit.append(conn, [NewEntry(Tag.CATALOGUE_PUBLISHED, {"catalogue": name}, facts, actor=actor)])
        return answer

    async def _forgetting(self) -> None:
        self.forget()

    @staticmethod
    async def _read(conn: Conn, wanted: str) -> Catalogue:
        document = await store.document(conn, wanted)
        if document is None:
            raise NoCatalogue("expected the catalogue of this digest, got none")
        return Catalogue.model_validate(document)


_MOST_OLD = 16  # catalogues kept for replays and facts
