"""A frequency cap of one under sixty-four askers at once: how many messages too many are queued (decision.D9).

Enters: engines of its own. Leaves: rows. Two houses over the same engines, as two processes are, each ask for half; every asker wants a message for the same person at the same moment. Postgres
holds the cap, so the hot store of neither helps. Whole decisions at a hundred people; what takes the place under the cap, each in a transaction of its own, at a hundred thousand askings.
"""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Final

from channels.caps import CapRule
from channels.content import Content
from channels.deliveries import NewDelivery, Withheld
from identity.identifiers import Identifier
from kernel.errors import Unavailable
from kernel.ids import IdentifierId, PersonId, new_id
from orchestration.decision.request import Decision, DecisionRequest
from orchestration.service.bench.harness import BenchFailed, rig
from orchestration.service.bench.learning_rows import Progress, Row, Section
from orchestration.service.bench.seeding import people
from orchestration.wiring import House, open_house

ASKERS: Final = 64
PEOPLE: Final = 1_600  # 102,400 askings for a place
DECIDED: Final = 100  # 6,400 decisions
_TRIES: Final = 60
_REST: Final = 0.2
_RULE: Final = CapRule(name="once", limit=1)
_CATALOGUE: Final = """
controller: Bench
contents:
  - id: words
    variants: [{id: capped, label: Capped, channels: [email], subject: Once, body: Once a day.}]
placements:
  - {name: capped, purpose: marketing.email, channels: [email], variants: [capped], caps: [{limit: 1, window: day, scope: channel}]}
"""


def caps(full: bool, progress: Progress) -> list[Row]:
    """D9: askings, messages too many, people without any."""
    return [
        asyncio.run(_decided(DECIDED if full else 3, progress)),
        asyncio.run(_placed(PEOPLE if full else 12, progress)),
    ]


async def _placed(count: int, progress: Progress) -> Row:
    """Places under the cap, taken one by one."""
    words = Content(content_id="capped", subject="Once", heading="Once", paragraphs=("Once a day.",))
    async with rig() as made, made.house() as house, open_house(house.settings) as other:
        ids, emails = await people(house, count)
        async with house.kernel.db.transaction() as conn:
            contacts = await house.identity.register_identifiers(conn, [Identifier("email", one) for one in emails])
        until = house.kernel.clock.now() + timedelta(days=1)

        async def ask(where: House, person: PersonId, contact: IdentifierId) -> bool:
            new = NewDelivery(
                decision_id=new_id("dec"), person=person, identifier_id=contact, channel="email", purpose="marketing.email",
                content=words, expires_at=until, cap_rules=(_RULE,),
            )  # fmt: skip
            for _ in range(_TRIES):
                try:
                    async with where.kernel.db.transaction() as conn:
                        (answer,) = await where.channels.reserve(conn, [new])
                    return not isinstance(answer, Withheld)
                except Unavailable:  # no connection was free: a busy machine is asked again, as a connector does
                    await asyncio.sleep(_REST)
            raise BenchFailed("expected a place to be answered for, got no free connection time after time")

        taken: Counter[str] = Counter()
        for place, (person, contact) in enumerate(zip(ids, contacts, strict=True)):
            houses = [house, other] * (ASKERS // 2)
            taken[person] = sum(await asyncio.gather(*(ask(one, person, contact) for one in houses)))
            if place % 100 == 99:
                progress(f"  {place + 1} of {count} people")
        in_ledger = sum((await house.channels.counts()).values())
    over, without = sum(max(0, n - 1) for n in taken.values()), sum(n == 0 for n in taken.values())
    told = f"{over} too many, {without} without, {in_ledger:,} in the ledger"
    good = over == without == 0 and in_ledger == count
    return Row("decision.D9", f"{count * ASKERS:,} askings for a place under a cap of one, {ASKERS} at once for one person", "nobody two, everybody one", told, good)  # fmt: skip


async def _decided(count: int, progress: Progress) -> Row:
    async with rig() as made, made.house() as house, open_house(house.settings) as other:
        ids, _ = await people(house, count)
        async with house.kernel.db.transaction() as conn:
            await house.decisions.publish_catalogue(conn, _CATALOGUE, actor="system:bench")
        queued: Counter[str] = Counter()
        faults = 0
        for place, person in enumerate(ids):
            answers = [
                one for part in await asyncio.gather(*(_decisions(each, person) for each in (house, other))) for one in part
            ]  # fmt: skip
            faults += sum(not isinstance(one, Decision) for one in answers)
            queued[person] = sum(isinstance(one, Decision) and one.delivery_id is not None for one in answers)
            if place % 100 == 99:
                progress(f"  {place + 1} of {count} people")
        in_ledger = sum((await house.channels.counts()).values())
    over = sum(max(0, n - 1) for n in queued.values())
    without = sum(queued[person] == 0 for person in ids)
    told = f"{over} too many, {without} without, {in_ledger:,} in the ledger, {faults} errors"
    good = over == without == faults == 0 and in_ledger == count
    return Row("decision.D9", f"{count * ASKERS:,} decisions, {ASKERS} at once for one person, at a cap of one a day", "nobody two, everybody one", told, good)  # fmt: skip


async def _decisions(house: House, person: PersonId) -> list[Decision | Exception]:
    """Half of the askers through one house. Who was told to come again, since no connection was free, comes again."""
    found: list[Decision | Exception] = []
    count = ASKERS // 2
    for _ in range(_TRIES):
        request = DecisionRequest(person=person, placement="capped", send=True)
        answers = await house.decisions.decide_many([request] * count, at_once=ASKERS)
        found += [one for one in answers if not isinstance(one, Unavailable)]
        if not (count := sum(isinstance(one, Unavailable) for one in answers)):
            break
        await asyncio.sleep(_REST)
    return found + [BenchFailed("expected an answer, got none time after time")] * count


SECTIONS: Final = (Section("caps", "a cap of one under sixty-four askers", run=caps, alone=True),)
