"""Counting: what people engage with, as far as it may be seen, becomes what sources list.

Enters: people (through the consent filter), items, the ruling catalogue. Leaves: lists, bundles and published contents, in one transaction with a
new version of the assortment. The rules of counting are in `tallies`.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from identity.service import Identity
from kernel.db import Conn, after_commit
from kernel.kernel import Kernel
from orchestration.decision import item_store, store
from orchestration.decision.catalogue import Catalogue
from orchestration.decision.errors import NoCatalogue
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.shelf import Shelf
from orchestration.decision.stocking import relist, restock, sourced
from orchestration.decision.tallies import Lists, Tally, bundles, lists
from profiles.interests import deeds, weigh
from profiles.service import Profiles

_CHUNK = 1000  # people at a time


@dataclass(frozen=True, slots=True)
class Restocked:
    """What a refresh did. `published`: contents that are new. `unsaid`: listed items that a template cannot say for want of a field."""

    version: int
    people: int = 0
    items: int = 0
    lists: int = 0
    bundles: int = 0
    published: int = 0
    unsaid: int = 0


class Stocker:
    """Counts anew. One per process and event loop."""

    def __init__(
        self, kernel: Kernel, identity: Identity, profiles: Profiles, shelf: Shelf, settings: DecisionSettings
    ) -> None:
        self._kernel = kernel
        self._shelf = shelf
        self._identity = identity
        self._profiles = profiles
        self._settings = settings

    async def refresh(self, conn: Conn, at: datetime) -> Restocked:
        """Count over everybody and publish what is listed, in the caller's transaction. Without sources or items there is nothing to do."""
        try:
            catalogue = await self._shelf.ruling(conn)
        except NoCatalogue:
            return Restocked(0)
        after_commit(conn, self._look_again)
        if not sourced(catalogue) or not await item_store.counted(conn):
            return Restocked(await item_store.version(conn))
        tally, people = await self._tally(conn, catalogue, at)
        settings = self._settings
        rated = await item_store.best_rated(conn, settings.list_length)
        wanted = tally.items | {name for names in rated.values() for name in names}
        items = await item_store.items(conn, sorted(wanted))
        made = await asyncio.to_thread(
            lists, tally, items, rated, length=settings.list_length, least_people=settings.least_people
        )
        made = self._bounded(made, tally)
        found = bundles(tally, items, most=settings.list_length, least_people=settings.least_people)
        await store.lock_catalogue(conn)
        await item_store.replace_lists(conn, made)
        await item_store.replace_bundles(conn, found[: settings.most_seeds], declared=False)
        published, unsaid = await restock(conn, catalogue, at)
        return Restocked(
            await item_store.bump(conn, "refreshed", at), people, len(items), len(made), len(found), published, unsaid
        )

    async def relist(self, conn: Conn, ids: frozenset[str]) -> None:
        """Listed items changed: see `stocking.relist`."""
        after_commit(conn, self._look_again)
        await relist(conn, await self._shelf.ruling(conn), ids, self._kernel.clock.now())

    async def _look_again(self) -> None:
        self._shelf.forget()

    def _bounded(self, made: Lists, tally: Tally) -> Lists:
        """Lists of similar items for the items of most people only: memory is bounded, whatever the feed."""
        seeds = sorted(
            (key for source, key in made if source == "similar"), key=lambda key: (-tally.people["", key], key)
        )
        kept = set(seeds[: self._settings.most_seeds])
        return {(source, key): ranked for (source, key), ranked in made.items() if source != "similar" or key in kept}

    async def _tally(self, conn: Conn, catalogue: Catalogue, at: datetime) -> tuple[Tally, int]:
        tally, counted = Tally(), 0
        declared = self._profiles.interest_rules
        people = await self._identity.people(conn)
        for start in range(0, len(people), _CHUNK):
            seen = await self._profiles.unified(
                conn, people[start : start + _CHUNK], self._settings.sources_purpose, at
            )
            for profile in seen.values():
                did = deeds(profile, declared)
                if not did:
                    continue
                counted += 1
                row = dict(
                    zip(self._profiles.features.names, self._profiles.features.row(profile, at).tolist(), strict=True)
                )
                trend = weigh(did, declared, at, half_life_days=self._settings.trending_half_life_days)
                tally.add(self._profiles.features.word(catalogue.audience.region, row), did, trend)
            await asyncio.sleep(0)
        return tally, counted
