"""The catalogue that rules, kept in memory for a moment, and its publication.

Enters: catalogue text from staff. Leaves: `Shelved` (catalogue, digest, published variants). Postgres is the authority: a process looks again after
`catalogue_seconds`, and the commit of a decision refuses one that was made on a catalogue which rules no more.
"""

import time
from dataclasses import dataclass

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from kernel.canonical import Json, digest
from kernel.db import Conn, after_commit
from kernel.kernel import Kernel
from orchestration.decision import store
from orchestration.decision.catalogue import Catalogue, parse
from orchestration.decision.errors import ContentChanged, NoCatalogue
from orchestration.decision.settings import DecisionSettings


@dataclass(frozen=True, slots=True)
class Shelved:
    """A catalogue as published."""

    catalogue: Catalogue
    digest: str
    published: frozenset[str]


@dataclass(frozen=True, slots=True)
class Publication:
    """What an import did. `changed` is false when the same document ruled already."""

    digest: str
    variants: int
    placements: int
    changed: bool


class Shelf:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel, audit: Audit, settings: DecisionSettings) -> None:
        self._kernel = kernel
        self._audit = audit
        self._settings = settings
        self._held: Shelved | None = None
        self._read_at = 0.0
        self._old: dict[str, Catalogue] = {}

    async def current(self) -> Shelved:
        """What rules now, at most `catalogue_seconds` old.

        Raises:
            NoCatalogue: nothing was ever imported.
        """
        held = self._held
        if held is not None and time.monotonic() - self._read_at < self._settings.catalogue_seconds:
            return held
        async with self._kernel.db.reading() as conn:
            ruling = await store.ruling(conn)
            if ruling is None:
                raise NoCatalogue("expected a catalogue, got none imported")
            published = await store.published(conn)
            catalogue = held.catalogue if held is not None and held.digest == ruling else await self._read(conn, ruling)
        self._held = Shelved(catalogue, ruling, published)
        self._read_at = time.monotonic()
        return self._held

    def forget(self) -> None:
        """Look again at the next decision."""
        self._read_at = 0.0

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

    async def publish(self, conn: Conn, text: str, *, actor: str) -> Publication:
        """Check and publish a catalogue in the caller's transaction.

        Raises:
            CatalogueInvalid: as `catalogue.parse`.
            ContentChanged: a published variant has other words now.
        """
        catalogue = parse(text)
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
