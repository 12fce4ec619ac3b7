"""Random histories of consent, merges and splits on a whole house: nothing is read, learned, decided, exported or sent without a permission.

Enters: how many people, how many rounds, a seed. Leaves: ``Histories``. Each of the people is three records that rounds put together and take apart, with
doubts between the parts; each round says random things about them (yes, no, unsubscribed, restricted, run out, told late, imported without evidence), publishes another graph, moves the
clock and then goes through the doors: hot profiles, feature files, exports, decisions, training sets, and a dispatcher on a connector that notes what leaves. What may be
is judged by ``consent_reference``, never by the gate.
"""

import math
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from channels.connector import Answer, Message, Outcome
from channels.service import Channels
from channels.settings import ChannelsSettings
from consent.acts import NewAct, Notice
from identity.clusters import Clusters, Refusal
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.clock import FrozenClock
from kernel.ids import DeliveryId, IdentifierId, PersonId, RecordId
from orchestration.decision.request import DecisionRequest
from orchestration.service.bench import harness
from orchestration.service.bench.consent_reference import EVERYTHING, WIDER, Said, permits
from orchestration.wiring import House, open_house

EMAIL: Final = "marketing.email"
PERSONAL: Final = "marketing.personalize"
ROOMS: Final = ("features", "training rows", "decisions", "exports", "sends")
_PARTS: Final = 3  # records of each of the people
_AT_ONCE: Final = 40  # people whose decisions are made together
_BEGIN: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
_PLACEMENT: Final = "open"
_FEATURES: Final = """
version: "bench"
features:
  - {name: age, trait: age, take: numeric}
segments:
  - {name: grown_up, all: [{feature: age, at_least: 18}]}
"""
_CATALOGUE: Final = """
controller: Bench
contents:
  - id: hello
    category: reminder
    variants:
      - {id: plain, label: Plain, channels: [email], subject: Spring, body: "Spring is here."}
      - {id: offer, label: Offer, channels: [email], subject: Offer, body: "Ten percent off."}
placements:
  - {name: open, purpose: marketing.email, channels: [email], variants: [plain, offer], reward: bought}
rewards: {bought: 1.0}
"""


@dataclass(frozen=True, slots=True)
class Histories:
    """``asked``: what went through each door; ``given``: of it with words, an arm or a message; ``forbidden``: of that against a no. ``strict``: hot profiles that
    said no where the reference says yes.
    """

    people: int
    rounds: int
    words: int
    merges: int
    splits: int
    asked: Mapping[str, int]
    given: Mapping[str, int]
    forbidden: Mapping[str, int]
    strict: int


@dataclass
class _Post:
    """Takes every message and notes to whom."""

    left: list[str] = field(default_factory=list)
    name: str = "bench"
    channel: str = "email"

    async def send(self, message: Message, delivery_id: DeliveryId, deadline: datetime) -> Outcome:  # noqa: ARG002
        """Leave."""
        self.left.append(message.to)
        return Outcome(answer=Answer.ACCEPTED, provider_id=delivery_id)

    async def forget(self, delivery_id: DeliveryId, reserved_at: datetime) -> bool:  # noqa: ARG002
        """It keeps no copy."""
        return False


@dataclass
class _World:
    """Who is whom by now, and all that was said."""

    records: list[RecordId]
    contacts: list[IdentifierId]
    group: list[int] = field(default_factory=list)  # of each record: the smallest place of its person
    doubts: list[tuple[int, int]] = field(default_factory=list)
    said: dict[int, list[Said]] = field(default_factory=dict)  # by history

    def may(self, place: int, purpose: str, now: datetime) -> bool:
        """Whether the person who has this record permits it."""
        first = place - place % _PARTS
        near = {
            self.group[b if self.group[a] == self.group[place] else a]
            for a, b in self.doubts
            if self.group[place] in {self.group[a], self.group[b]}
        } - {self.group[place]}
        own = self._subjects(one for one in range(first, first + _PARTS) if self.group[one] == self.group[place])
        others = self._subjects(one for one in range(first, first + _PARTS) if self.group[one] in near)
        return permits(self.said.get(first, ()), own, others, purpose, now)

    def _subjects(self, places: Iterable[int]) -> set[str]:
        return {subject for one in places for subject in (self.records[one], self.contacts[one])}


async def run(*, people: int, rounds: int, seed: int = 1, told: Callable[[str], None] = lambda _: None) -> Histories:
    """Live through the rounds on engines of its own."""
    draw = random.Random(seed)  # noqa: S311 - a measurement, repeatable
    clock = FrozenClock(_BEGIN)
    with tempfile.TemporaryDirectory(prefix="candor-histories-") as folder:
        features = Path(folder) / "features.yaml"
        features.write_text(_FEATURES, encoding="utf-8")
        async with (
            harness.rig(
                profiles={"features_file": features, "hot_purposes": [PERSONAL]}, consent={"jurisdiction": "gdpr"}
            ) as rig,
            open_house(rig.settings, clock=clock, engines=rig.engines) as house,
        ):
            async with house.kernel.db.transaction() as conn:
                await house.decisions.publish_catalogue(conn, _CATALOGUE, actor="system:bench")
            life = _Life(house, clock, draw, await _crowd(house, clock, people))
            for number in range(rounds):
                told(f"round {number + 1} of {rounds}")
                await life.round()
            return life.found(people, rounds)


class _Life:
    """Goes round after round and counts."""

    def __init__(self, house: House, clock: FrozenClock, draw: random.Random, world: _World) -> None:
        self._house = house
        self._clock = clock
        self._draw = draw
        self._world = world
        self._asked: Counter[str] = Counter()
        self._given: Counter[str] = Counter()
        self._forbidden: Counter[str] = Counter()
        self._words = self._strict = self._merges = self._splits = 0
        self._live: dict[PersonId, int] = {}

    def found(self, people: int, rounds: int) -> Histories:
        """All figures."""
        asked, given, forbidden = (
            {room: counter[room] for room in ROOMS} for counter in (self._asked, self._given, self._forbidden)
        )
        return Histories(people, rounds, self._words, self._merges, self._splits, asked, given, forbidden, self._strict)

    async def round(self) -> None:
        """Say, merge and split, read; say more, send; learn."""
        await self._say(0.7)
        await self._publish()
        self._clock.advance(timedelta(hours=self._draw.randrange(1, 60)))
        await self._features()
        await self._exports()
        await self._decide()
        await self._say(0.4)
        self._clock.advance(timedelta(minutes=5))
        await self._features()
        await self._send()
        self._clock.advance(timedelta(days=8))  # every window of a decision is over, some consents have run out
        await self._learn()

    # what is said, and who is who

    async def _say(self, share: float) -> None:
        acts: list[NewAct] = []
        for first in range(0, len(self._world.records), _PARTS):
            while self._draw.random() < share:
                self._clock.advance(timedelta(seconds=1))
                acts.append(self._word(first))
        for start in range(0, len(acts), 500):
            async with self._house.kernel.db.transaction() as conn:
                await self._house.consent.record(conn, acts[start : start + 500])
        self._words += len(acts)

    def _word(self, first: int) -> NewAct:
        """One random word, written down for the reference too."""
        draw, now = self._draw, self._clock.now()
        place = first + draw.randrange(_PARTS)
        subject = draw.choice((self._world.records[place], self._world.contacts[place]))
        how = draw.choices(
            ("yes", "no", "one_click", "restriction", "restriction_lifted", "bare"), (10, 2, 1, 1, 2, 1)
        )[0]
        purpose = draw.choice((EMAIL, PERSONAL, PERSONAL, WIDER))
        purpose = {"one_click": EMAIL, "restriction": EVERYTHING, "restriction_lifted": EVERYTHING}.get(how, purpose)
        yes = how in {"yes", "restriction_lifted", "bare"}
        listed = draw.random() < 0.5
        word = Said(
            subject=subject, purpose=purpose, yes=yes, how={"yes": "form", "no": "form", "bare": "import"}.get(how, how),
            at=now - timedelta(hours=draw.randrange(200)) if draw.random() < 0.2 else now,
            until=now + timedelta(hours=draw.randrange(1, 400)) if how == "yes" and draw.random() < 0.4 else None,
            sound=how != "bare", listed=listed,
        )  # fmt: skip
        self._world.said.setdefault(first, []).append(word)
        notice = Notice.of("May we?", version="v1", language="en", listed=[EMAIL, PERSONAL] if listed else [purpose])
        return NewAct(
            subject=IdentifierId(subject) if subject.startswith("idn") else RecordId(subject), purpose=purpose,
            status="granted" if yes else "denied", channel="email" if how == "one_click" else None, basis="consent",
            jurisdiction="gdpr", notice=notice if yes and word.sound else None, mechanism=word.how, actor="system:bench",
            given_at=word.at, expires_at=word.until, verified=word.sound,
        )  # fmt: skip

    async def _publish(self) -> None:
        """Another graph: each history's records in random parts, some with doubts between them."""
        world, draw = self._world, self._draw
        group, doubts = list(range(len(world.records))), list[tuple[int, int]]()
        for first in range(0, len(group), _PARTS):
            for place in range(first, first + _PARTS):
                group[place] = group[draw.randrange(first, place + 1)]
            doubts += [
                (a, b)
                for a in range(first, first + _PARTS)
                for b in range(a + 1, first + _PARTS)
                if group[a] != group[b] and draw.random() < 0.2
            ]
        refused = tuple(Refusal(a, b, 3.0, "cohesion") for a, b in doubts)
        async with self._house.kernel.db.transaction() as conn:
            await self._house.identity.publish(conn, Clusters(np.array(group, dtype=np.int64), refused), world.records)
            changes = await self._house.identity.changes(conn, 0, 1_000_000)
            held = await self._house.identity.subjects(conn, world.records)
        world.group, world.doubts = group, doubts
        self._merges = sum(change.kind == "merged" for _, _, change in changes)
        self._splits = sum(change.kind in {"split", "moved"} for _, _, change in changes)
        self._live = {held[record].people[0]: place for place, record in enumerate(world.records)}

    # the doors

    def _count(self, room: str, person: PersonId, purpose: str, *, given: bool) -> None:
        self._asked[room] += 1
        self._given[room] += given
        if given and not self._world.may(self._live[person], purpose, self._clock.now()):
            self._forbidden[room] += 1

    async def _features(self) -> None:
        found = await self._house.profiles.hot_many(list(self._live), PERSONAL)
        for person, hot in found.items():
            self._count("features", person, PERSONAL, given=hot.permitted or _spoken(hot.features))
            self._strict += not hot.permitted and self._world.may(self._live[person], PERSONAL, self._clock.now())

    async def _exports(self) -> None:
        """The file of everybody's features, and what each of some is given of what was derived of her."""
        profiles, now = self._house.profiles, self._clock.now()
        async with self._house.kernel.db.transaction() as conn:
            table = await profiles.write_features(conn, PERSONAL, now)
        people, _, rows = profiles.read_features(table)
        for person, row in zip(people, rows.tolist(), strict=True):
            self._count("exports", person, PERSONAL, given=_spoken(row))
        async with self._house.kernel.db.reading() as conn:
            for person in self._draw.sample(list(self._live), min(5, len(self._live))):
                told = await profiles.export(conn, person)
                assert isinstance(told, Mapping)
                self._count("exports", person, PERSONAL, given='"age"' in str(told).replace("'", '"'))

    async def _decide(self) -> None:
        people = list(self._live)
        decisions = self._house.decisions
        for start in range(0, len(people), _AT_ONCE):
            part = [
                DecisionRequest(person=one, placement=_PLACEMENT, send=True) for one in people[start : start + _AT_ONCE]
            ]
            for made in await decisions.decide_many(part):
                if isinstance(made, Exception):
                    raise made
                self._count("decisions", made.person, EMAIL, given=made.variant is not None)
                opened = await decisions._sealer.open(made.decision_id)  # noqa: SLF001 - what the decision rested on, as it is kept
                self._count("decisions", made.person, PERSONAL, given=_spoken(opened.inputs.features))

    async def _send(self) -> None:
        house, post = self._house, _Post()
        worker = Channels(
            house.kernel,
            house.audit,
            house.identity,
            house.consent,
            house.events,
            house.profiles,
            ChannelsSettings(),
            [post],
        )
        try:
            while (await worker.dispatch(500)).total:
                pass
        finally:
            await worker.close()
        place_of = {_address(place): place for place in range(len(self._world.records))}
        person_of = {self._world.group[place]: person for person, place in self._live.items()}
        for to in post.left:
            self._count("sends", person_of[self._world.group[place_of[to]]], EMAIL, given=True)

    async def _learn(self) -> None:
        made = await self._house.learning.training_set(_PLACEMENT)
        self._asked["training rows"] += sum(made.left_out.values())
        for person in made.people:
            self._count("training rows", person, PERSONAL, given=True)


def _spoken(features: Sequence[float]) -> bool:
    """Whether anything of her stands in a row."""
    return any(not math.isnan(value) for value in features)


def _address(place: int) -> str:
    return f"part{place}@example.org"


async def _crowd(house: House, clock: FrozenClock, people: int) -> _World:
    """Records with an address and an age each; every one is somebody of her own at first."""
    contacts = [Identifier("email", _address(place)) for place in range(people * _PARTS)]
    rows = [
        NewRecord(
            source="bench", source_key=str(place), identifiers=(contact,), traits={"age": 20 + place % 60}, kinds={},
            observed_at=clock.now() - timedelta(days=30), purpose="service", basis="contract", also_for=(PERSONAL,),
        )
        for place, contact in enumerate(contacts)
    ]  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        records = await house.identity.add_records(conn, rows)
        ids = await house.identity.register_identifiers(conn, contacts)
    return _World(list(records), list(ids), list(range(len(records))))
