"""The pages of experiments, people held out and learners: what a look says beside its picture, steps with their evidence, acts behind the guard; in a browser at three looks."""

import re
from datetime import timedelta

import pytest

from audit.access.principal import Scope
from events.log import CollectContext, Source
from orchestration.learning import experiments as experiments_module
from orchestration.learning.experiment import parse
from orchestration.learning.rewards_store import begin_week, move_week
from orchestration.service.app import create_app
from tests.orchestration.conftest import CATALOGUE
from tests.orchestration.learning.test_judging import DECLARED, look, people
from tests.orchestration.learning.test_rollout import ROLLOUT
from tests.support.pages import LOOKS, chromium, judge, keep, served

pytestmark = pytest.mark.anyio
LEARNS = CATALOGUE.replace("{name: open,", "{name: open, policy: {name: thompson},")
GATE = {"model": "sha256:" + "a" * 64, "rows": 600, "threshold": 0.0, "gate": {"vs_current": {"diff": 0.05, "low": 0.02, "high": 0.08}}}  # fmt: skip
SHADOW = {
    "decisions": 40,
    "disagreed": 6,
    "share": 0.15,
    "milliseconds": 0.4,
    "gain": None,
    "reason": "no counted reward",
}


@pytest.fixture
async def trials(shop, house, monkeypatch):
    """A rollout that took a step and a look that says much, people held out who bought, a learner with lessons."""
    await shop.publish(LEARNS)
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("web", "marketing.personalize", "consent"))
    await shop.people({f"p{n}": 20.0 + n for n in range(6)})
    for name, person in shop.made.items():
        await shop.decide(person, "open", seed=name)
        await shop.decide(person, "tested", seed=name)
    call = {"type": "track", "event": "bought", "userId": "p1", "timestamp": (shop.clock.now() + timedelta(seconds=5)).isoformat()}  # fmt: skip
    shop.clock.advance(timedelta(hours=1))
    await house.events.collect([call], CollectContext(source="web"))
    while await house.learning.learners.learn():
        pass
    said = look(*people(2_000, 2_000, rates=(0.13, 0.1)), DECLARED)
    monkeypatch.setattr(experiments_module, "judge", lambda *_, **__: said)
    await house.learning.experiments.start(parse(ROLLOUT), actor="staff:ann", facts={**GATE, "shadow": SHADOW})
    await house.learning.experiments.ramp("model", actor="system:rollout")
    async with house.kernel.db.transaction() as conn:
        at = shop.clock.now()
        await begin_week(conn, "open", "2026-W10", at)
        await move_week(conn, "open", "2026-W10", stage="done", at=at, outcome="ramp", facts={"shadow": SHADOW, "rollout": "model"})  # fmt: skip
    return {
        "experiments": "/console/experiments", "experiment": "/console/experiments/model",
        "holdout": "/console/holdouts/tested", "learners": "/console/learners",
    }  # fmt: skip


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


async def test_a_rollout_tells_its_look_and_every_step_and_is_stopped_by_who_may(comes, house, trials) -> None:
    ann, ben = await comes("ann"), await comes("ben", Scope.AUDITOR)
    told = await ann.json(f"{trials['experiment']}.json")
    assert told["report"] == (await house.learning.experiments.status("model")).to_json()["report"]
    page = (await ann.get(trials["experiment"])).text
    said = words(page)
    for one in ("5 % of people are under the new policy", "The next step is 20 %", "Divided as declared?", "vs current at least +0.0200", "6 of 40 decisions differed"):  # fmt: skip
        assert one in said
    assert re.search(r"conversion: z \+\d\.\d\d against \d\.\d\d, 2,000 and 2,000 people", said)
    assert page.count('class="interval"') == sum(one["low"] is not None for one in told["report"]["metrics"])
    assert "danger" not in (await ben.get(trials["experiment"])).text
    assert (await ben.send("/console/experiments/model/stop", reason="x")).status_code == 403
    assert (await ann.send("/console/experiments/model/stop")).status_code == 422
    assert (await ann.send("/console/experiments/model/ramp")).status_code == 303
    assert (await ann.send("/console/experiments/model/stop", reason="looks odd")).status_code == 303
    last = (await house.learning.experiments.status("model", look=False)).last
    assert (last.state, last.reason, last.actor) == ("stopped", "looks odd", f"staff:{ann.staff_id}" if last.actor.startswith("staff:") else last.actor)  # fmt: skip
    assert "looks odd" in words((await ann.get(trials["experiments"])).text).lower()

    assert "cannot show less than" in words((await ann.get(trials["holdout"])).text)
    learned = (await ann.json("/console/learners.json"))["learners"][0]
    assert (learned["placement"], learned["lessons"], learned["states"] > 0) == ("open", 6, True)
    shown = words((await ann.get(trials["learners"])).text)
    for one in ("open: thompson", "A rollout began", "6 of 40 decisions would differ"):
        assert one in shown


@pytest.mark.browser
async def test_they_are_free_of_violations_at_three_looks(comes, house, trials) -> None:
    ann = await comes("ann")
    wrong: list[str] = []
    async with served(create_app(house)) as at, chromium() as browser:
        for look_, about in LOOKS.items():
            context = await browser.new_context(**about)
            await context.add_cookies([{"name": "candor-session", "value": ann.cookie(), "url": at}])
            page = await context.new_page()
            for name, path in trials.items():
                assert (await page.goto(at + path)).status == 200
                wrong += [f"{look_} {name} {one}" for one in await judge(page)]
                await keep(page, f"{name}-{look_}")
            if look_ == "desktop":  # by keyboard alone: the table scrolls, the form is reached and sent
                await page.goto(at + trials["experiment"])
                await page.locator("#reason").focus()
                await page.keyboard.type("looks odd")
                await page.keyboard.press("Enter")
                await page.wait_for_selector("h1 .chip:has-text('Stopped')")
            await context.close()
    assert wrong == []
