"""The front door of the profiles room: unified profiles, features, hot profiles.

Enters: people, a purpose, a moment. Leaves: what that purpose may see of them; their features, in bulk or hot. What it never
does: hand out a raw value that the consent filter has not let through, put a word into the cache or a file, or compute a
feature in two ways.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from consent.service import Consent
from events.service import Events
from identity.names import names
from identity.people import Contact
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn, after_commit
from kernel.ids import IdentifierId, PersonId, RecordId
from kernel.kernel import Kernel
from kernel.together import Together
from profiles import interests, segments, store, survivorship
from profiles.consent_filter import see
from profiles.errors import NOBODY, NobodyThere
from profiles.exporting import exported
from profiles.features import FeatureSet
from profiles.forgetting import without
from profiles.hot import HotProfile, pack, still_good, unpack
from profiles.interests import Kind
from profiles.keeping import Keeping
from profiles.making import Maker
from profiles.profile import UnifiedProfile
from profiles.raw import RawProfile, RawRecord
from profiles.segments import Membership
from profiles.settings import ProfilesSettings
from profiles.store import FeatureTable, HotStore

if TYPE_CHECKING:
    import pyarrow as pa

_REBUILT: Final = timedelta(minutes=15)  # as long as a hot profile lives
_CODE_BYTES: Final = 8  # a hash of a thing in the hot store; two of one shop's things share one once in many lifetimes
_CHUNK: Final = 2_000  # people at a time: bounded memory, few round trips
_TOGETHER: Final = 16  # cold profiles made at once: statements are shared, and whoever is warm waits for few
Unreachable = Callable[
    [Conn, Mapping[PersonId, Sequence[Contact]]], Awaitable[Mapping[PersonId, frozenset[IdentifierId]]]
]
Declined = Callable[[Conn, Sequence[PersonId]], Awaitable[Mapping[PersonId, frozenset[str]]]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Features of many people at one moment: ``rows[i]`` belongs to ``people[i]``; ``odd`` counts what was unreadable."""

    people: list[PersonId]
    rows: NDArray[np.float64]
    odd: Mapping[str, int]
    at: datetime


class Profiles:
    """Who somebody is to one purpose. One per process and event loop."""

    name = "profiles"

    def __init__(
        self,
        kernel: Kernel,
        identity: Identity,
        consent: Consent,
        events: Events,
        settings: ProfilesSettings | None = None,
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._events = events
        self.settings = settings or ProfilesSettings()
        self.features = FeatureSet.open(self.settings.features_file, fade=self.settings.event_weight)
        self.survivorship = survivorship.load(self.settings.survivorship_file)
        self.interest_rules = interests.rules()
        self._hot = HotStore(kernel.cache)
        self._folder = kernel.settings.data_dir / "features"
        self.keeping = Keeping(self._folder)
        self._rebuilt: dict[str, tuple[Batch, dict[PersonId, int]]] = {}
        self._maker = Maker(self.features, self.settings, self.interest_rules, self.interest_code)
        self._made_for: dict[str, Together[PersonId, HotProfile]] = {}
        # What people said they do not care for; the room that keeps it is higher up, so wiring hooks it in.
        self.declined: Declined | None = None
        # Contacts that no channel can use any more (a push subscription that ended); hooked in by wiring likewise.
        self.unreachable: Unreachable | None = None

    # profiles

    async def raw(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, RawProfile]:
        """Everything the records and events of each person say, opened; an unknown person is absent. Only for the filter."""
        standing = await self._identity.standing(conn, people)
        records = await self._identity.records(conn, people, identifiers=False)
        events = await self._events.of_people(conn, people)
        return {
            person: RawProfile(
                person=person,
                records=tuple(RawRecord.of(r) for r in records.get(person, ())),
                events=tuple(events.get(person, ())),
                sure=standing[person].sure,
                graph_version=standing[person].graph_version,
                survivorship=self.survivorship,
                sensitive=frozenset(self.settings.sensitive_traits),
            )
            for person in people
            if person in standing
        }

    async def unified(
        self, conn: Conn, people: Sequence[PersonId], purpose: str, at: datetime, *, known_at: datetime | None = None
    ) -> Mapping[PersonId, UnifiedProfile]:
        """What a purpose may see of each person as of ``at``; with ``known_at``, from what was recorded by then."""
        states = await self._consent.states(conn, people)
        raw = await self.raw(conn, people)
        return {
            person: see(raw[person], states[person], purpose, at, known_at=known_at)
            for person in people
            if person in raw
        }

    # features

    async def batch(
        self, conn: Conn, people: Sequence[PersonId], purpose: str, at: datetime, *, known_at: datetime | None = None
    ) -> Batch:
        """Features of many people at one moment, by the same code as a hot profile's; unknown people are left out."""
        ids: list[PersonId] = []
        rows: list[NDArray[np.float64]] = []
        odd: Counter[str] = Counter()
        for start in range(0, len(people), _CHUNK):
            seen = await self.unified(conn, people[start : start + _CHUNK], purpose, at, known_at=known_at)
            for person, profile in seen.items():
                found = self.features.evaluate(profile, at)
                ids.append(person)
                rows.append(found.row)
                odd.update(found.odd)
            await asyncio.sleep(0)  # requests of the same process get their turn
        return Batch(ids, np.array(rows, dtype=np.float64).reshape(len(ids), len(self.features)), odd, at)

    async def memberships(self, conn: Conn, person: PersonId, purpose: str) -> tuple[Membership, ...]:
        """Every declared segment: whether she is in it now, and what each of its conditions says.

        Raises:
            NobodyThere: no live person by that id.
        """
        now = self._kernel.clock.now()
        found = (await self.unified(conn, [person], purpose, now)).get(person)
        if found is None:
            raise NobodyThere(NOBODY)
        return segments.why(self.features, self.features.evaluate(found, now))

    async def feature_table(self, conn: Conn, people: Sequence[PersonId], purpose: str, at: datetime) -> "pa.Table":
        """The same as an Arrow table: ``person_id`` and one float64 column a feature."""
        found = await self.batch(conn, people, purpose, at)
        return store.arrow_table(found.people, self.features.names, found.rows)

    async def write_features(self, conn: Conn, purpose: str, at: datetime) -> FeatureTable:
        """Everybody's features as a Parquet file in the data folder, noted so that an erasure finds it.

        Rows that a rebuild of the hot store made just before are written as they are, with their moment: they are the same bits.
        """
        found = await self._just_rebuilt(conn, purpose, at)
        if found is None:
            found = await self.batch(conn, await self._identity.people(conn), purpose, at)
        at = found.at
        file = f"{purpose}-{at:%Y%m%dT%H%M%S%f}-{self.features.digest[7:15]}.parquet"
        table = store.arrow_table(found.people, self.features.names, found.rows)
        await asyncio.to_thread(store.write_parquet, self._folder / file, table)
        written = FeatureTable(
            file=file,
            digest=store.rows_digest(found.people, self.features.names, found.rows),
            purpose=purpose,
            feature_set=self.features.digest,
            at=at,
            rows=len(found.people),
            odd=found.odd,
        )
        await store.keep_table(conn, written, self._kernel.clock.now())
        return written

    def read_features(self, table: FeatureTable) -> tuple[list[PersonId], list[str], NDArray[np.float64]]:
        """People, columns and rows of a table that was written: a plain function over a file."""
        return store.read_table(self._folder / table.file)

    async def feature_tables(self, conn: Conn) -> list[FeatureTable]:
        """Every feature table that was written."""
        return await store.tables(conn)

    # hot

    async def hot(self, person: PersonId, purpose: str, *, fresh: bool = False) -> HotProfile:
        """What a decision needs: from the cache, else from Postgres. ``fresh`` after a fence conflict: from Postgres.

        Raises:
            NobodyThere: no live person by that id.
        """
        found = None if fresh else (await self.warm([person], purpose)).get(person)
        if found is None:  # whoever else is cold now is made together with her
            found = await self._making(purpose).ask(person)
        if found is None:
            raise NobodyThere(NOBODY)
        return found

    async def hot_many(
        self, people: Sequence[PersonId], purpose: str, *, fresh: bool = False
    ) -> Mapping[PersonId, HotProfile]:
        """The same for many, one round trip while they are warm; an unknown person is absent."""
        found = {} if fresh else dict(await self.warm(people, purpose))
        cold = [person for person in people if person not in found]
        for start in range(0, len(cold), _CHUNK):
            found |= await self._warm(cold[start : start + _CHUNK], purpose)
        return found

    async def warm(self, people: Sequence[PersonId], purpose: str) -> Mapping[PersonId, HotProfile]:
        """Those of which the cache has a good profile; Postgres is not asked."""
        now = self._kernel.clock.now()
        found: dict[PersonId, HotProfile] = {}
        for person, words in zip(people, await self._hot.read(people, purpose), strict=True):
            held = unpack(words) if words is not None else None
            if held is not None and held.good(now, self.features.digest, self._consent.rules.digest):
                found[person] = held
        return found

    async def warm_with(
        self, person: PersonId, purpose: str, keys: Sequence[str]
    ) -> tuple[HotProfile | None, bool, list[bytes | None]]:
        """Her good profile, if the cache has one; whether it has one that does not hold now; and in the same round trip what it has under these keys, which are the caller's."""
        now = self._kernel.clock.now()
        words, *values = await self._hot.read_with(person, purpose, keys)
        held = unpack(words) if words is not None else None
        good = held is not None and held.good(now, self.features.digest, self._consent.rules.digest)
        return held if good else None, words is not None and not good, values

    async def keep_warm(self, people: Sequence[PersonId], purpose: str) -> int:
        """Make those hot profiles anew that are not there or not of now; how many are there afterwards. Cheaper than reading them."""
        now = self._kernel.clock.now()
        cold: list[PersonId] = []
        for start in range(0, len(people), _CHUNK):
            part = people[start : start + _CHUNK]
            for person, words in zip(part, await self._hot.read(part, purpose), strict=True):
                if words is None or not still_good(words, now, self.features.digest, self._consent.rules.digest):
                    cold.append(person)
            await asyncio.sleep(0)
        made = 0
        for start in range(0, len(cold), _CHUNK):
            made += len(await self._warm(cold[start : start + _CHUNK], purpose))
        return len(people) - len(cold) + made

    async def refresh(self, people: Sequence[PersonId]) -> None:
        """Make the hot profiles of these people anew, for the purposes that are kept hot; the others are dropped."""
        for start in range(0, len(people), _CHUNK):
            part = people[start : start + _CHUNK]
            await self._hot.forget(part)
            for purpose in self.settings.hot_purposes:
                await self._warm(part, purpose)

    async def rebuild_cache(self) -> int:
        """Forget every hot profile and make all of them anew from Postgres; the number of people."""
        await self._hot.clear()
        async with self._kernel.db.reading() as conn:
            at = self._kernel.clock.now()  # first: whoever comes after it may be missing, nobody from before is
            people = await self._identity.people(conn)
        for purpose in self.settings.hot_purposes:
            ids: list[PersonId] = []
            rows: list[tuple[float, ...]] = []
            versions: dict[PersonId, int] = {}
            odd: Counter[str] = Counter()
            for start in range(0, len(people), _CHUNK):
                for person, hot in (await self._warm(people[start : start + _CHUNK], purpose, at=at, odd=odd)).items():
                    ids.append(person)
                    rows.append(hot.features)
                    versions[person] = hot.consent_version
                await asyncio.sleep(0)
            made = np.array(rows, dtype=np.float64).reshape(len(ids), len(self.features))
            self._rebuilt[purpose] = Batch(ids, made, odd, at), versions
        return len(people)

    async def _just_rebuilt(self, conn: Conn, purpose: str, at: datetime) -> Batch | None:
        """The rows of a rebuild that this process just made, if nobody's records or consents moved since; handed out once."""
        batch, versions = self._rebuilt.pop(purpose, (None, {}))
        if batch is None or at - batch.at > _REBUILT or await self._consent.fence(conn, versions):
            return None
        return batch

    async def records_changed(self, conn: Conn, records: Sequence[RecordId], people: Sequence[PersonId] | None = None) -> None:  # fmt: skip
        """These records got new events: the hot profiles of their people are dropped after the commit. ``people``: whose they are, where that is known."""
        if people is None:
            people = sorted({p for one in (await self._identity.subjects(conn, records)).values() for p in one.people})
        if people:
            self.forget(conn, people)

    def forget(self, conn: Conn, people: Sequence[PersonId]) -> None:
        """Drop hot profiles once the transaction has committed: new events or records make them stale."""
        after_commit(conn, partial(self._hot.forget, list(people)), together=True)

    # holder of personal data

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """What was derived of the person: features and segments for each purpose that may see her, with their origins."""
        now = self._kernel.clock.now()
        derived: dict[str, Json] = {}
        for purpose in self.settings.hot_purposes:
            for profile in (await self.unified(conn, [person], purpose, now)).values():
                derived[purpose] = exported(self.features, profile, now)
        return {"derived": derived}

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Drop the hot profile and take the person's rows out of every feature table, under every id she ever had, also those that live on."""
        known = (await names(conn, [person]))[person].every
        self.forget(conn, known)
        ever = (await self._identity.past.names(conn, [person]))[person]
        return await without(conn, self._folder, person, known, ever, self._kernel.clock.now())

    # within

    def _making(self, purpose: str) -> Together[PersonId, HotProfile]:
        making = self._made_for.get(purpose)
        if making is None:
            making = self._made_for[purpose] = Together(partial(self._warm, purpose=purpose), most=_TOGETHER)
        return making

    async def _warm(
        self, people: Sequence[PersonId], purpose: str, *, at: datetime | None = None, odd: Counter[str] | None = None
    ) -> dict[PersonId, HotProfile]:
        """Make hot profiles from Postgres, as of now or ``at``, and keep them; ``odd`` counts what was unreadable."""
        now = at or self._kernel.clock.now()
        since = await self._hot.moment()
        async with self._kernel.db.reading() as conn:
            # Versions first: whatever changes while we read is caught by the fence.
            states = await self._consent.states(conn, people)
            raw = await self.raw(conn, people)
            contacts = await self._contacts(conn, list(raw))
            declined = await self.declined(conn, list(raw)) if self.declined is not None and raw else {}
        made: dict[PersonId, HotProfile] = {}
        for person, profile in raw.items():
            state, held = states[person], contacts.get(person, ())
            seen = see(profile, state, purpose, now)
            made[person] = self._maker.made(seen, state, held, now, declined=declined.get(person, frozenset()), odd=odd)
            await asyncio.sleep(0)  # each is a millisecond: requests of the same process get their turn
        ttl = timedelta(seconds=self.settings.hot_seconds)
        await self._hot.write(purpose, {person: pack(hot) for person, hot in made.items()}, ttl, since=since)
        return made

    async def _contacts(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, Sequence[Contact]]:
        """Where each may be reached, without what is gone."""
        held = await self._identity.contacts(conn, people)
        if self.unreachable is None:
            return held
        gone = await self.unreachable(conn, held)
        return {person: [one for one in rows if one.id not in gone.get(person, ())] for person, rows in held.items()}

    def interest_code(self, kind: Kind, name: str) -> str:
        """The keyed hash under which a hot profile knows a category, an item or a content."""
        return self._kernel.vault.pepper(f"interest/{kind}", name)[:_CODE_BYTES].hex()
