"""What a person took back is not learned from again."""

from datetime import timedelta

import pytest

pytestmark = pytest.mark.anyio


async def test_decisions_of_people_who_took_personalisation_back_are_not_examples(shop) -> None:
    for name in ("ada", "bob"):
        await shop.decide(await shop.person(name, age=30))
    shop.clock.advance(timedelta(days=30))
    assert len((await shop.learning.training_set("open")).people) == 2
    await shop.withdraw("ada", "marketing.personalize")
    made = await shop.learning.training_set("open")
    assert [shop.made["bob"]] == list(made.people)
