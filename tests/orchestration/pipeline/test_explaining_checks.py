"""The checks of explanations say no when a lie was planted, and when other things are weighed than before; whole, they say yes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from explain import tally_store
from explain.explanation import write
from explain.levers import Lever
from explain.service import _TABLE
from explain.tallies import ALL
from explain.tally_store import Tally
from kernel.clock import FrozenClock
from orchestration.decision.request import DecisionRequest
from orchestration.pipeline.checking import explaining as checks
from orchestration.pipeline.steps import explaining as steps
from orchestration.service.checks import reasons
from tests.orchestration.pipeline.conftest import NOW, YES, settle
from tests.orchestration.pipeline.test_learning_checks import CATALOGUE

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


async def test_reasons_hold_until_somebody_plants_a_lie_and_the_doctor_says_so(house, broken) -> None:
    assert (await checks.reasons_hold(house)).passed, "nothing was shown, so nothing is false"
    assert "nothing was explained" not in (await reasons(house)).state
    people = await settle(house, {"ada": YES})
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE)
    made = await house.decisions.decide(DecisionRequest(person=people["ada"], placement="open"))
    content = (await house.explain.explain(made.decision_id)).content
    shown = len(content.levers)
    assert (await steps.explanations(house))["levers_pulled_again"] == shown > 0
    assert (await checks.reasons_hold(house)).figures["looked"] == 1
    assert (await reasons(house)).ok
    told = await house.explain.honesty()
    assert (told.shown, told.replayed, told.flipped) == (shown, shown, shown)

    lever = Lever(kind="withdraw", subject="sharing", choice="elsewhere@web", channel="web")
    lie, digest = write(replace(content, levers=(lever,)))
    key = content.facts.key_id
    body = (await house.kernel.vault.unwrap([key]))[key].seal(_TABLE, "body", made.decision_id, lie)
    broken("UPDATE explain.explanations SET body = %s, digest = %s", body, digest)
    found = await checks.reasons_hold(house)
    assert (found.passed, found.grave, found.figures["levers"], found.figures["flat"]) == (False, True, 1, 1)
    said = await reasons(house)
    assert not said.ok
    assert "1 flip nothing" in said.state

    broken("UPDATE explain.explanations SET digest = 'sha256:other'")
    assert (await checks.reasons_hold(house)).figures["scores"] == 1


async def test_reasons_steady_warns_when_other_things_are_weighed(house) -> None:
    def rows(days: int, **firsts: int) -> list[Tally]:
        day, total = (NOW - timedelta(days=days)).date(), sum(firsts.values())
        every = Tally(day=day, placement="open", concept=ALL, told=total, first=total, contribution=0.0)
        return [every, *(Tally(day=day, placement="open", concept=name, told=n, first=n, contribution=1.0) for name, n in firsts.items())]  # fmt: skip

    async with house.kernel.db.transaction() as conn:
        for days in (30, 20, 2):
            await tally_store.add(conn, rows(days, visits=90, cart=30))
    assert (await checks.reasons_steady(house)).passed
    assert (await steps.explanations(house))["made"] == 360
    async with house.kernel.db.transaction() as conn:
        await tally_store.add(conn, rows(1, cart=400))
    found = await checks.reasons_steady(house)
    assert (found.passed, found.grave, found.figures["moved"]) == (False, False, 1)
