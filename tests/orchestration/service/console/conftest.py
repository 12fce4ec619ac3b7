"""A house with staff and a small story in it, and clerks: people of staff with a browser that runs no script."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
import numpy as np
import pytest
from argon2 import PasswordHasher

from audit.access.principal import Scope
from events.log import CollectContext, Source
from identity import parameters_store, run_store
from identity.batch import Prepared, prepare
from identity.clusters import Clusters, Refusal
from identity.identifiers import Identifier
from identity.kinds import Overrides, infer
from identity.linkage import Edges
from identity.parameters import Parameters, parameters
from identity.records import NewRecord
from identity.run_card import Hands
from identity.run_store import Run
from kernel.clock import FrozenClock
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId
from kernel.kernel import Kernel
from orchestration.decision.settings import DecisionSettings
from orchestration.learning.settings import LearningSettings
from orchestration.service.app import create_app
from orchestration.service.console.words import STAFF
from orchestration.settings import Settings
from orchestration.wiring import House, build
from profiles.settings import ProfilesSettings
from tests.identity.linkage_world import world
from tests.orchestration.conftest import FEATURES, NOW, Shop
from tests.orchestration.service.support import BASE
from tests.support.sure import SURE

PASSWORD = "correct horse battery staple"
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@pytest.fixture
async def house(kernel: Kernel, tmp_path) -> AsyncIterator[House]:
    features = tmp_path / "features.yaml"
    features.write_text(FEATURES)
    made = build(
        Settings(
            kernel=kernel.settings,
            decision=DecisionSettings(**SURE),
            profiles=ProfilesSettings(features_file=features),
            learning=LearningSettings(trees=40, least_rows=100, repeats=2),
        ),
        kernel,
    )
    made.access._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # as sound as tests need
    yield made
    await made.events.close()
    await made.decisions.close()


@pytest.fixture
async def shop(house: House, clock: FrozenClock) -> Shop:
    """The same house, with the helpers that fill it."""
    h = house
    found = Shop(
        h.kernel, clock, h.audit, h.identity, h.consent, h.events, h.profiles, h.channels, h.learning, h.decisions
    )
    await found.publish()
    return found


@dataclass
class Clerk:
    """Somebody of staff at a browser: cookies, forms with their tokens, pages."""

    client: httpx.AsyncClient
    name: str
    staff_id: str = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={"Accept": "text/html", **headers})

    async def json(self, path: str) -> Any:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def token(self) -> str:
        return TOKEN.findall((await self.get("/console/find")).text)[0]

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """A form of a page that was just opened."""
        return await self.post(path, form_token=await self.token(), **fields)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        return await self.client.post(path, data=fields, headers={"Accept": "text/html"})

    async def login(self, password: str = PASSWORD, **more: str) -> httpx.Response:
        page = await self.get("/console/login")
        token = TOKEN.findall(page.text)[0]
        return await self.post("/console/login", form_token=token, name=self.name, password=password, **more)

    def cookie(self, name: str = "candor-session") -> str:
        return self.client.cookies.get(name, "")


Comes = Callable[..., Awaitable[Clerk]]


@pytest.fixture
async def comes(house: House) -> AsyncIterator[Comes]:
    """`await comes("ann", Scope.OFFICER)`: a member of staff, logged in; without scopes all of them; `inside=False` at the door."""
    app = create_app(house)
    known: dict[str, str] = {}
    async with AsyncExitStack() as stack:

        async def come(name: str = "ann", *scopes: Scope, inside: bool = True) -> Clerk:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=BASE))
            if name not in known:
                staff = await house.access.add_staff(name, PASSWORD, scopes or STAFF, actor="test")
                known[name] = staff.staff_id
            clerk = Clerk(client, name, known[name])
            if inside:
                assert (await clerk.login()).status_code == 303
            return clerk

        yield come


@dataclass
class Story:
    """What stands in the house."""

    person: PersonId
    other: PersonId
    former: PersonId
    chosen: str
    withheld: str
    delivery: str
    request: str
    entry: str
    records: list[RecordId]
    doubtful: RecordId
    run: str

    @property
    def pages(self) -> dict[str, str]:
        """Every page that somebody with all scopes can open, by a short name."""
        her = f"/console/people/{self.person}"
        return {
            "overview": "/console", "find": "/console/find", "person": her, "consents": f"{her}/consents",
            "profile": f"{her}/profile", "timeline": f"{her}/timeline", "looks": f"{her}/looks",
            "decisions": "/console/decisions", "decision": f"/console/decisions/{self.chosen}",
            "withheld": f"/console/decisions/{self.withheld}", "numbers": f"/console/decisions/{self.chosen}/why",
            "numbers_against": f"/console/decisions/{self.chosen}/why?against=offer@email",
            "numbers_withheld": f"/console/decisions/{self.withheld}/why",
            "whatif": f"/console/decisions/{self.chosen}/whatif?withdraw=marketing.email", "models": "/console/models", "looks_at": "/console/looks", "reasons": "/console/reasons", "deliveries": "/console/deliveries",
            "delivery": f"/console/deliveries/{self.delivery}", "requests": "/console/requests", "processors": "/console/processors",
            "request": f"/console/requests/{self.request}", "preview": f"/console/requests/{self.request}/preview",
            "review": "/console/review", "question": f"/console/review/{self.records[1]}/{self.doubtful}",
            "split": f"{her}/act?act=split&record={self.records[1]}",
            "pin": f"{her}/act?act=pin&record={self.records[1]}",
            "log": "/console/log", "entry": f"/console/log/{self.entry}", "staff": "/console/staff",
            "rules": "/console/rules", "runs": "/console/runs", "run": f"/console/runs/{self.run}", "how": f"{her}/how",
            "why": f"/console/records/{self.records[0]}/why/{self.records[1]}",
            "why_not": f"/console/records/{self.records[1]}/why/{self.doubtful}",
        }  # fmt: skip


@cache
def a_run() -> tuple[Prepared, Parameters, Edges, Clusters]:
    """A run over other people: what agreement is worth there."""
    table = world(30)
    kinds = infer(table, Overrides(record_id="rec", ignore=["who"]))
    prepared = prepare(table, kinds)
    model = prepared.train(1)
    edges = prepared.edges(model)
    return prepared, parameters(prepared.cleaned, kinds, model), edges, prepared.cluster(edges, model)


async def left_by_a_run(house: House, conn: Conn, version: GraphVersion) -> str:
    """The card and the parameters of a run that made this version, which the gate held back and somebody let through."""
    prepared, told, edges, clusters = a_run()
    written = house.identity.runs.write(prepared, told, edges, clusters, NOW)
    await parameters_store.keep(conn, told.digest, told.as_json(), written.bearers, NOW)
    card = written.card.completed(Hands(before=90, elsewhere=2, merged=3), written.card)
    await run_store.add(conn, Run("run_01M7YSG5WEAZYPTE754KBKC3RZ", NOW, "allowed", ("changed_hands",), version, card))
    held = "run_01M7YSG5WEAZYPTE754KBKC3S0"
    await run_store.add(conn, Run(held, NOW, "held", ("giant_person", "drift"), None, card))
    return held


@pytest.fixture
async def story(shop: Shop, house: House) -> Story:
    """Ada agreed, Bob never did: decisions for both, a mail for Ada, an order of hers, an open erasure of Bob's.

    Ada is one person out of two records, by a weighed link; a link to Bob was refused.
    """
    ada = await shop.person("ada", age=41, note="<script>alert(1)</script>")
    bob = await shop.person("bob", agree=(), age=20)
    crm = NewRecord(
        source="crm", source_key="7", identifiers=(Identifier("email", "ada.l@example.org"),),
        traits={"first_name": "Ada"}, kinds={}, observed_at=NOW - timedelta(days=9), purpose="service", basis="contract",
    )  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        (added,) = await house.identity.add_records(conn, [crm])
        owned = await house.identity.owned(conn, [ada, bob])
        former = next(one for one in await house.identity.people(conn) if one not in {ada, bob})
        rows = [owned[ada][0], added, owned[bob][0]]
        groups = Clusters(np.array([0, 0, 2]), (Refusal(1, 2, 4.0, "first_name"),))
        links = Edges(np.array([0, 1]), np.array([1, 2]), np.array([8.5, 4.0]))
        version = await house.identity.publish(conn, groups, rows, links)
        run = await left_by_a_run(house, conn, version)
        await house.events.register_source(conn, Source("till", "service", "contract"))
    call = {
        "type": "track", "event": "Order Completed", "userId": "ada", "properties": {"revenue": 20.0}, "messageId": "m1",
    }  # fmt: skip
    (taken,) = await house.events.collect([call], CollectContext(source="till"))
    assert taken.status == "accepted"
    chosen, withheld = await shop.decide(ada, "open", send=True), await shop.decide(bob, "open", send=True)
    await house.channels.dispatch()
    await house.audit.sequence()
    request = await house.rights.open("erasure", bob, actor="staff:test")
    assert chosen.delivery_id is not None
    return Story(
        ada, bob, former, chosen.decision_id, withheld.decision_id, chosen.delivery_id, request.id, chosen.entry_id or "",
        rows[:2], rows[2], run,
    )  # fmt: skip
