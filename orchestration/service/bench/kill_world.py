"""What is said while the server dies: the demo world's people, their consents, what they did, choices and messages for them.

Enters: an open house, a number of people, a seed. Leaves: chains of `Job`s, one a person, in the order in which a shop would say them. Records, suppressions and the
catalogue are there before the first kill; consents, events, decisions and sends come over HTTP, under fire.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import yaml

from audit.access.principal import Scope
from events import mapping
from events.log import Source
from kernel.yaml_text import read_yaml
from orchestration.demo import behaviour
from orchestration.demo import world as demo
from orchestration.demo.behaviour import Happening
from orchestration.pipeline.run import NAMES, walk
from orchestration.service.bench.kill_client import Job
from orchestration.wiring import House

NEWS: Final = "shop_news"
NEWS_CAP: Final = 3
SOURCES: Final = ("shop", "till")
_SENDS: Final = 4  # to each person: one more than the cap lets through
_PART: Final = 6  # events of a batch
_ACTOR: Final = "system:bench"
_NOTICE: Final = "May we send you offers and news, and choose them by what you do in our shop?"


@dataclass(frozen=True, slots=True)
class Script:
    """Everything that will be said. `officer` is the actor that records consents; `sender` may report what became of a message;
    `enough`: who says no to everything in the end, by the key of that no.
    """

    chains: Sequence[Sequence[Job]]
    officer: str
    sender: str
    people: int
    enough: Mapping[str, str]

    @property
    def jobs(self) -> int:
        """Requests, each counted once."""
        return sum(map(len, self.chains))


async def prepare(house: House, *, people: int, seed: int, linked: bool) -> Script:
    """Import the world, link it when asked, and write the script."""
    world = await asyncio.to_thread(demo.make, people, seed, house.kernel.clock.now())
    folder = house.kernel.settings.data_dir / "input"
    files = await asyncio.to_thread(demo.write, world, folder)
    async with house.kernel.db.transaction() as conn:
        text = await asyncio.to_thread((folder / "catalogue.yaml").read_text, encoding="utf-8")
        await house.decisions.publish_catalogue(conn, _with_news(text), actor=_ACTOR)
        await house.events.register_source(conn, Source("shop", "marketing.personalize", "consent"))
        await house.events.register_source(conn, Source("till", "service", "contract", ("marketing.personalize",)))
    for what, file, plan in files:
        if what in {"people", "suppressions"}:
            await house.importer.run(file, mapping.load(plan))
    await house.events.analyse()
    if linked:
        (await walk(house, NAMES[: NAMES.index("raw_profiles")])).ensure()
    await house.identity.analyse()
    return await _script(house, world)


async def _script(house: House, world: demo.World) -> Script:
    async def key(*scopes: Scope, source: str | None = None) -> tuple[str, str]:
        made = await house.access.create_key(list(scopes), actor=_ACTOR, name="kill", source=source)
        return made.secret, made.key.api_key_id

    (shop, _), (till, _) = [await key(Scope.COLLECT, source=one) for one in SOURCES]
    (officer, actor), (decider, _), (sender, _) = (
        await key(Scope.OFFICER),
        await key(Scope.DECIDE),
        await key(Scope.SEND),
    )
    past = defaultdict[int, list[Happening]](list)
    for one in behaviour.history(dict(world.natures), world.seed, world.now):
        past[one.person].append(one)
    carts = defaultdict[int, list[Happening]](list)
    for one in world.carts:
        carts[one.person].append(one)
    logins = {row.cells["login_id"] for row in world.rows}
    chains: list[list[Job]] = []
    enough: dict[str, str] = {}
    for number in sorted(world.natures):
        someone = world.people[number]
        chain = [
            _consent(f"c-{number}-{place}", someone.email, said.purpose, said.granted, said.at.isoformat(), officer)
            for place, said in enumerate(one for one in world.said if one.person == number and one.how == "form")
        ]
        login = str(someone.login)
        about = {"person": f"login_id:{login}" if login in logins else f"email:{someone.email}"}
        chain.append(_choice("decision", f"d-{number}", {**about, "placement": "cart_rescue"}, decider))
        happened = [_events(login, past[number][at : at + _PART], shop) for at in range(0, len(past[number]), _PART)]
        happened += [_events(login, [cart], till) for cart in carts[number]]
        sends = [_choice("send", f"s-{number}-{turn}", {**about, "placement": NEWS}, sender) for turn in range(_SENDS)]
        # In turns, so that what was known of her is overtaken again and again.
        chain += [job for pair in zip_longest(happened, sends) for job in pair if job is not None]
        if number % 3 == 0:  # has had enough; a message that was asked for just before may still be queued
            no = f"n-{number}"
            enough[no] = someone.email
            chain.append(_consent(no, someone.email, "marketing.email", False, world.now.isoformat(), officer))
            chain.append(_choice("send", f"s-{number}-late", {**about, "placement": NEWS}, sender))
        chains.append(chain)
    random.Random(f"order:{world.seed}").shuffle(chains)  # noqa: S311  # a seeded simulation
    return Script(chains, actor, sender, len(chains), enough)


def receipt(delivery_id: str, at: str, secret: str) -> Job:
    """The provider's later word that a message arrived."""
    event = f"e{delivery_id}"
    body = {"event_id": event, "type": "delivered", "at": at}
    return Job("receipt", (event,), f"/v1/deliveries/{delivery_id}/events", body, secret)


def _consent(key: str, email: str, purpose: str, granted: bool, at: str, secret: str) -> Job:  # noqa: FBT001
    body = {
        "subject": f"email:{email}", "purpose": purpose, "status": "granted" if granted else "denied", "mechanism": "form",
        "notice_text": _NOTICE, "notice_version": demo.NOTICE, "jurisdiction": "gdpr", "given_at": at, "raw": key,
        "notice_lists": ["marketing.email", "marketing.personalize"],
    }  # fmt: skip
    return Job("consent", (key,), "/v1/consents", body, secret)


def _events(login: str, happened: Sequence[Happening], secret: str) -> Job:
    calls = [
        {
            "type": "track", "userId": login, "event": one.name, "timestamp": one.at.isoformat(), "properties": one.properties,
            "messageId": f"{one.name}-{one.person}-{one.at.timestamp():.6f}",
        }
        for one in happened
    ]  # fmt: skip
    return Job("event", tuple(str(one["messageId"]) for one in calls), "/v1/batch", {"batch": calls}, secret)


def _choice(kind: str, key: str, body: Mapping[str, Any], secret: str) -> Job:
    """The trigger names what was asked, so that the proof finds it without asking what is being proved."""
    path = "/v1/sends" if kind == "send" else "/v1/decisions"
    return Job(kind, (key,), path, {**body, "trigger": key}, secret)


def _with_news(text: str) -> str:
    """The demo's catalogue with one placement more: a letter to everybody, twice a week at most, no holdout."""
    catalogue = read_yaml(text)
    catalogue["placements"].append(
        {
            "name": NEWS, "purpose": "marketing.email", "personalize_under": "marketing.personalize", "channels": ["email"],
            "variants": ["reminder", "discount", "bestsellers"], "time_to_live": "1d",
            "caps": [{"limit": NEWS_CAP, "window": "7d", "scope": "placement"}],
        }
    )  # fmt: skip
    return str(yaml.safe_dump(catalogue, sort_keys=False, allow_unicode=True))
