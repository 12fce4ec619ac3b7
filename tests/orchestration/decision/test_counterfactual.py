"""What would have been decided at another moment of the day: levers with conditions are judged anew, by the catalogue of then."""

import pytest

from orchestration.decision.counterfactual import Change
from tests.orchestration.conftest import CATALOGUE

pytestmark = pytest.mark.anyio
LEVERS = """
arbitration:
  levers:
    - {name: always, factor: 1.5, variants: [plain]}
    - {name: evening, factor: 9.0, variants: [offer], when: {daypart: [evening]}}
"""


async def test_another_context_pulls_the_levers_that_hold_under_it(shop):
    await shop.publish(CATALOGUE + LEVERS)
    ada = await shop.person("ada", age=40)
    ask = shop.decisions.counterfactual.ask
    chances = {}
    for asked, other in (("morning", "evening"), ("evening", "morning")):
        made = await shop.decide(ada, context={"daypart": asked})
        await shop.publish(CATALOGUE)  # what is declared since says nothing of then
        found = await ask(made.decision_id, Change(context={"daypart": other}))
        chances[asked, "was"], chances[asked, "now"] = (
            {one.id: one.propensity for one in each.judged} for each in (found.was, found.now)
        )
        assert found.differs
        assert not (await ask(made.decision_id, Change(context={"daypart": asked}))).differs
        assert (await shop.decisions.replay(made.decision_id)).status == "identical"
        await shop.publish(CATALOGUE + LEVERS)
    assert chances["morning", "now"] == chances["evening", "was"]
    assert chances["evening", "now"] == chances["morning", "was"]
    assert max(chances["evening", "was"], key=chances["evening", "was"].get) == "offer@email"
