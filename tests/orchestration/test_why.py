"""Real decisions explained: what the engine recorded is what the page says, and the levers really flip."""

import asyncio
import math
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from audit.tags import Tag
from explain import endpoints
from explain.explanation import read, write
from explain.facts import NOTHING
from explain.levers import change_of
from explain.service import Explain
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.regrouping import By
from orchestration.service.cli import prove
from orchestration.service.cli.main import build
from tests.orchestration.learning.test_service import past

pytestmark = pytest.mark.anyio


CHANGES = (
    {"withdraw": "marketing.personalize"}, {"withdraw": "marketing.email"}, {"unused": "age"}, {"pause": "email"}, {"uncapped": True},
    {"declined": "welcome"},
)  # fmt: skip


@dataclass
class House:
    kernel: object
    audit: object
    consent: object
    explain: Explain
    decisions: object = None


@pytest.fixture
def explain(shop) -> Explain:
    made = Explain(shop.kernel, shop.audit, identity=shop.identity)
    made.register(shop.decisions, shop.learning, shop.decisions)
    return made


async def page(shop, explain, decision_id: str) -> str:
    app = FastAPI()
    app.state.house = House(shop.kernel, shop.audit, shop.consent, explain)
    app.include_router(endpoints.router)
    token = shop.kernel.tokens.issue("why", decision_id, timedelta(days=1))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        answer = await client.get(f"/why/{token}")
    assert answer.status_code == 200
    return answer.text


async def test_rules_say_that_everybody_gets_it(shop, explain) -> None:
    made = await shop.decide(await shop.person("ada"))
    found = await explain.explain(made.decision_id)
    assert found.content.procedure in {"rules", "exploration"}
    assert "ada" not in (await page(shop, explain, made.decision_id)).lower()


async def test_a_withdrawn_consent_is_what_the_page_names(shop, explain) -> None:
    person = await shop.person("ada")
    await shop.withdraw("ada")
    made = await shop.decide(person)
    text = await page(shop, explain, made.decision_id)
    assert 'data-procedure="consent"' in text
    assert "you have not agreed to it, or took it back" in text


async def test_a_group_is_named_where_a_segment_ruled(shop, explain) -> None:
    made = await shop.decide(await shop.person("ada", age=40), "adults")
    view = explain.person_view(await explain.explain(made.decision_id), "en")
    assert "group" in f"{view.headline} {view.rules}"
    young = await shop.decide(await shop.person("bob", age=4), "adults")
    assert (await explain.explain(young.decision_id)).content.procedure == "segment"


async def test_every_lever_shown_flips_when_it_is_pulled(shop, explain) -> None:
    for name in ("ada", "bob", "cy"):
        made = await shop.decide(await shop.person(name))
        content = (await explain.explain(made.decision_id)).content
        if made.outcome.choice == NOTHING:
            assert content.levers == ()
            continue
        assert [lever.kind for lever in content.levers] == ["decline", "withdraw"]
        for lever in content.levers:
            verdict = await shop.decisions.again(made.decision_id, change_of(lever))
            assert verdict.choice == lever.choice != made.outcome.choice


async def test_what_cannot_be_tried_any_more_since_rules_changed_is_said_to_be_untried(
    shop, explain, monkeypatch
) -> None:
    """The group is made of features that are declared otherwise by the time somebody asks why."""
    made = await shop.decide(await shop.person("ada", age=40), "adults", seed="a")
    then = await explain.anew(made.decision_id)
    assert (then.content.outdated, "withdraw" in {one.kind for one in then.content.levers}) == (False, True)
    monkeypatch.setattr(shop.decisions._pulling, "_segments", lambda _: None)
    now = await explain.explain(made.decision_id)
    assert "marketing.personalize" not in {one.subject for one in now.content.levers}
    shown = await page(shop, explain, made.decision_id)
    assert "Our rules have changed since then" in shown
    assert "Our rules" not in str(explain.person_view(then).as_json())
    assert read(write(now.content)[0]).outdated


async def test_a_model_s_choice_adds_up_and_its_strongest_reason_is_the_one_told(shop, explain, tmp_path) -> None:
    await past(shop, tmp_path, count=450)
    assert (await shop.learning.train("open")).promoted
    ruled = 0
    for place in range(12):
        made = await shop.decide(await shop.person(f"new{place}", age=20 + 5 * place))
        found = await explain.explain(made.decision_id)
        content, view = found.content, explain.person_view(found, "en")
        assert content.facts.policy.ranked_by == "ranker"
        if content.base is None:  # the draw explored and sent nothing: no row was scored for it
            assert made.outcome.choice == NOTHING
            continue
        assert abs(content.base + sum(content.contributions) - content.facts.score) <= 1e-9
        for other in content.facts.candidates:
            parted = await explain.contrast(made.decision_id, None, other.candidate_id)
            assert math.fsum(one.difference for one in parted.differences) == parted.gap
            assert math.fsum(one.difference for one in parted.features) == (parted.score_gap or 0.0)
            assert (parted.b.stage is None) == (other.candidate_id == content.facts.choice)
        if content.procedure != "model":
            assert view.main_parameters == ()
            continue
        ruled += 1
        strongest = max(content.concepts, key=lambda one: abs(one.contribution))
        assert view.main_parameters[0].key == strongest.key
        assert "age" not in {one.name for one in view.main_parameters}
        for lever in content.levers:
            assert (
                (await shop.decisions.again(made.decision_id, change_of(lever))).choice
                == lever.choice
                != made.outcome.choice
            )
        for change, verdict in zip(CHANGES, await shop.decisions.again_each(made.decision_id, CHANGES), strict=True):
            assert verdict == await shop.decisions.again(made.decision_id, change)
    assert ruled


async def test_the_worker_explains_every_decision_of_the_log(shop, explain) -> None:
    made = [await shop.decide(await shop.person(name)) for name in ("ada", "bob")]
    await shop.audit.sequence()
    assert await explain.explain_pending(10) == 2
    rows = await shop.rows("SELECT decision_id FROM explain.explanations")
    assert {row["decision_id"] for row in rows} == {one.decision_id for one in made}


async def test_after_an_erasure_the_page_is_calm_and_empty(shop, explain) -> None:
    person = await shop.person("ada")
    made = await shop.decide(person)
    await explain.explain(made.decision_id)
    other = await shop.decide(person)
    async with shop.kernel.db.transaction() as conn:
        keys = (await shop.identity.members(conn, [person]))[person].key_ids
        assert await explain.erase(conn, person) == 1
        await shop.decisions.erase(conn, person)
    await shop.kernel.vault.destroy(keys)
    for one in (made, other):
        assert "has been erased" in await page(shop, explain, one.decision_id)
    assert (await explain.explain(made.decision_id)).redacted


async def test_an_explanation_is_equal_whenever_it_is_made(shop, explain, tmp_path) -> None:
    """By the worker, on demand, by somebody who has just started, and after another model rules: the same bytes."""
    await past(shop, tmp_path, count=450)
    assert (await shop.learning.train("open")).promoted
    made = [(await shop.decide(await shop.person(f"new{place}", age=30 + 9 * place))).decision_id for place in range(4)]
    asked = {one: (await explain.explain(one)).digest for one in made[:2]}
    await shop.audit.sequence()
    await explain.explain_pending(10)
    kept = {one: (await explain.explain(one)).digest for one in made}
    assert kept.items() >= asked.items()
    async with shop.kernel.db.reading() as conn:
        ruling = (await shop.learning.ruling(conn))["open"]
    assert await shop.learning.rollback("open", actor="staff:ann")
    async with shop.kernel.db.reading() as conn:
        assert (await shop.learning.ruling(conn))["open"] != ruling
    started = Explain(shop.kernel, shop.audit, identity=shop.identity)
    started.register(shop.decisions, shop.learning, shop.decisions)
    started.patient = False  # as in a server
    assert {one: (await started.anew(one)).digest for one in made} == kept


async def test_reading_the_numbers_at_a_terminal_is_an_entry_as_over_the_api(shop, explain, monkeypatch) -> None:
    loop, house = asyncio.get_running_loop(), House(shop.kernel, shop.audit, shop.consent, explain, shop.decisions)
    monkeypatch.setattr(prove, "in_house", lambda work: asyncio.run_coroutine_threadsafe(work(house), loop).result(30))
    monkeypatch.setenv("CANDOR_ACTOR", "cli:ann")
    made = await shop.decide(await shop.person("ada"))

    async def read(*words: str) -> int:
        done = await asyncio.to_thread(CliRunner().invoke, build(), ["why", made.decision_id, "--json", *words])
        assert done.exit_code == 0, done.output
        return len(await shop.audit.entries(tag=Tag.READ_PERSONAL))

    assert await read() == 0
    assert await read("--view", "auditor") == 1
    assert await read("--against", NOTHING) == 2
    done = await asyncio.to_thread(CliRunner().invoke, build(), ["replay", made.decision_id])
    assert done.exit_code == 0, done.output
    (replayed,) = await shop.audit.entries(tag=Tag.DECISION_REPLAYED)
    assert (await shop.audit.open_entry(replayed.entry_id))["actor"] == "cli:ann"  # every act names who did it


async def test_whoever_was_taken_for_two_is_told_nothing_of_that_time_whatever_ruled(shop, explain) -> None:
    """Rules, a group, and what rests on an older record of somebody else: no page of the time when they were one tells any of it, those of before and after do."""
    ada, by = await shop.person("ada", age=40), By("staff:ann")
    older = NewRecord(
        source="crm", source_key="b", identifiers=(Identifier("email", "bob@example.org"),), traits={"age": 41}, kinds={},
        observed_at=shop.clock.now() - timedelta(days=90), purpose="service", basis="contract", also_for=("marketing.personalize",),
    )  # fmt: skip
    made = {"before": await shop.decide(ada, "adults")}
    async with shop.kernel.db.transaction() as conn:
        (his,) = await shop.identity.add_records(conn, [older])
        (bob,) = (await shop.identity.subjects(conn, [his]))[his].people
        shop.clock.advance(timedelta(minutes=1))
        assert (await shop.identity.judging.merge(conn, ada, bob, by)).refused is None
        both = (await shop.identity.current(conn, [ada]))[ada]
    for place in ("open", "adults"):
        shop.clock.advance(timedelta(minutes=1))
        made[place] = await shop.decide(both, place)
        assert not (await explain.hers(await explain.explain(made[place].decision_id))).mixed
    shop.clock.advance(timedelta(minutes=1))
    async with shop.kernel.db.transaction() as conn:
        assert (await shop.identity.judging.split(conn, both, [his], by)).refused is None
    shop.clock.advance(timedelta(minutes=1))
    made["after"] = await shop.decide(ada, "adults")
    told = {
        name: explain.person_view(await explain.hers(await explain.explain(one.decision_id)), "en")
        for name, one in made.items()
    }
    assert {name: "for one person" in one.headline for name, one in told.items()} == {
        "before": False,
        "open": True,
        "adults": True,
        "after": False,
    }
    for one in (told["open"], told["adults"]):
        assert "group" not in f"{one.headline} {one.rules} {one.levers}"
        assert (one.permission, one.main_parameters) == ("", ())
