"""The switch `significant_decision`, on and off: notice before use, the way out, a person's look, the answer (explain.E8)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from audit.access.principal import Principal, Scope
from audit.tags import Tag
from explain import endpoints, significant_endpoints
from explain.facts import NOTHING
from explain.service import Explain
from kernel.errors import CandorError, NotFound
from orchestration.decision.facts import MARK, OPTED_OUT
from orchestration.decision.feedback import acting
from tests.orchestration.conftest import CATALOGUE
from tests.orchestration.learning.test_service import past

pytestmark = pytest.mark.anyio
ON = CATALOGUE.replace("variants: [plain, offer], reward: bought}", "variants: [plain, offer], reward: bought, significant_decision: true}")  # fmt: skip


@dataclass
class House:
    kernel: object
    audit: object
    consent: object
    explain: Explain
    access: object


class Anybody:
    async def authenticate(self, secret: str) -> Principal:
        return Principal("staff:ann", frozenset({Scope.AUDITOR}))


@pytest.fixture
def explain(shop) -> Explain:
    made = Explain(shop.kernel, shop.audit, identity=shop.identity)
    made.register(shop.decisions, shop.learning, shop.decisions)
    made.significant.register(shop.decisions.significance)
    made.on_feedback.append(acting(shop.identity, shop.consent, shop.clock))
    return made


@pytest.fixture
async def client(shop, explain):
    app = FastAPI()
    app.state.house = House(shop.kernel, shop.audit, shop.consent, explain, Anybody())
    app.include_router(endpoints.router)
    app.include_router(significant_endpoints.router)

    async def problem(_: Any, error: Any) -> JSONResponse:
        return JSONResponse({"code": error.code}, status_code=404 if isinstance(error, NotFound) else 422)

    app.add_exception_handler(CandorError, problem)
    base = shop.kernel.settings.base_url
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url=base, headers={"Origin": base}
    ) as found:
        yield found


async def link(shop, decision_id: str) -> str:
    return f"/why/{shop.kernel.tokens.issue('why', decision_id, timedelta(days=1))}"


@pytest.mark.parametrize("on", [True, False])
async def test_on_there_is_all_of_it_and_off_nothing(shop, explain, client, on) -> None:
    await shop.publish(ON if on else CATALOGUE)
    ada = await shop.person("ada", age=40)
    made = await shop.decide(ada, "open")
    assert made.choice != NOTHING, "whoever lets the machine choose is decided about either way"
    at = await link(shop, made.decision_id)

    seen = {
        "notice": (await client.get("/notice/open")).status_code, "page": "/answer" in (await client.get(at)).text,
        "answer": (await client.get(f"{at}/answer")).status_code,
        "json": (await client.get(f"/v1/decisions/{made.decision_id}/answer", headers={"Authorization": "Bearer x"})).status_code,
        "review": (await client.post(f"{at}/review")).status_code,
        "reviews": len(await explain.significant.reviews()),
        "no_machine": (await client.post(f"{at}/no-machine")).status_code,
    }  # fmt: skip
    assert seen == (
        {"notice": 200, "page": True, "answer": 200, "json": 200, "review": 200, "reviews": 1, "no_machine": 200}
        if on
        else {"notice": 404, "page": False, "answer": 404, "json": 404, "review": 404, "reviews": 0, "no_machine": 404}
    )
    assert (await client.get("/notice/home")).status_code == 404, "another placement of the same catalogue"
    await shop.withdraw("ada", "marketing.personalize")
    after = await shop.decide(ada, "open")
    if on:
        assert (after.choice, after.withheld) == (NOTHING, f"consent:{OPTED_OUT}")
        assert (await explain.explain(after.decision_id)).content.procedure == "consent"
    else:
        assert after.choice != NOTHING, "rules choose without what is known of her"
    assert (await shop.decisions.replay(made.decision_id)).identical
    assert (await shop.decisions.replay(after.decision_id)).identical


async def test_the_way_out_holds_at_once_and_a_review_is_asked_once_closed_by_somebody_and_erased(shop, explain, client) -> None:  # fmt: skip
    await shop.publish(ON)
    ada = await shop.person("ada", age=40)
    made = await shop.decide(ada, "open", context={MARK: False})
    at = await link(shop, made.decision_id)
    assert (await client.post(f"{at}/review", headers={"Origin": "https://other.example"})).status_code == 403
    for _ in range(2):
        assert "A person will look at it" in (await client.post(f"{at}/review")).text
    (asked,) = await explain.significant.reviews()
    assert asked.decision_id == made.decision_id
    assert len(await shop.audit.entries(tag=Tag.HUMAN_REVIEW_ASKED, before=None, limit=5)) == 1
    assert await explain.significant.close(made.decision_id, "decided_anew", actor="staff:ann")
    assert not await explain.significant.close(made.decision_id, "stands", actor="staff:ann")
    (closed,) = await explain.significant.reviews(closed=True)
    assert (closed.outcome, closed.closed_by) == ("decided_anew", "staff:ann")
    for _ in range(3):  # a link may be passed on: each word is an entry once a page
        assert "No machine will choose for you" in (await client.post(f"{at}/no-machine")).text
    assert len(await shop.audit.entries(tag=Tag.FEEDBACK_GIVEN, before=None, limit=5)) == 1
    assert (await shop.decide(ada, "open")).withheld == f"consent:{OPTED_OUT}"
    async with shop.kernel.db.transaction() as conn:
        told = await explain.export(conn, ada)
        assert {"decision": made.decision_id, "human_review": closed.as_json()} in told
        await explain.erase(conn, ada)
    assert await explain.significant.reviews(closed=True) == []
    assert (await client.get(f"{at}/answer")).status_code == 404


async def test_what_would_be_without_the_machine_is_nothing_where_it_matters(shop, explain) -> None:
    await shop.publish(ON)
    made = await shop.decide(await shop.person("ada", age=40), "open")
    verdict = await shop.decisions.again(made.decision_id, {"withdraw": "marketing.personalize"})
    assert verdict.choice == NOTHING


async def test_the_answer_names_what_counted_and_only_that(shop, explain, client, tmp_path) -> None:
    await shop.publish(ON)
    await past(shop, tmp_path, count=450)
    assert (await shop.learning.train("open")).promoted
    made = await shop.decide(await shop.person("cy", age=60), "open")
    page = (await client.get(f"{await link(shop, made.decision_id)}/answer")).text
    assert "A machine made this choice" in page
    assert "other things we know about you" in page
    assert "No person on our staff changed it" in page
    assert "0." not in page.split("<main", 1)[1], "no score, no value"
