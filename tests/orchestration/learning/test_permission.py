"""What a person took back is not learned from again."""

from datetime import timedelta

import numpy as np
import pytest

from identity.clusters import Clusters
from tests.orchestration.learning.test_service import past

pytestmark = pytest.mark.anyio


async def test_decisions_of_people_who_took_personalisation_back_are_not_examples(shop) -> None:
    for name in ("ada", "bob"):
        await shop.decide(await shop.person(name, age=30))
    shop.clock.advance(timedelta(days=30))
    assert len((await shop.learning.training_set("open")).people) == 2
    await shop.withdraw("ada", "marketing.personalize")
    made = await shop.learning.training_set("open")
    assert [shop.made["bob"]] == list(made.people)


async def test_imported_decisions_about_people_who_do_not_permit_it_are_no_examples(shop, tmp_path) -> None:
    await past(shop, tmp_path, count=12)
    assert len((await shop.learning.training_set("open")).people) == 12
    for name in ("p3", "p7"):
        await shop.withdraw(name, "marketing.personalize")
    made = await shop.learning.training_set("open")
    assert set(made.people) == {person for name, person in shop.made.items() if name not in {"p3", "p7"}}
    assert made.left_out["not_permitted"] == 2


async def test_what_was_decided_before_a_merge_is_asked_of_who_she_is_now(shop) -> None:
    live, gone = sorted([await shop.person("ada", age=30), await shop.person("bea", age=30)])
    await shop.decide(gone)
    shop.clock.advance(timedelta(days=30))
    records = [row["record_id"] for row in await shop.rows("SELECT record_id FROM identity.records ORDER BY 1")]
    async with shop.kernel.db.transaction() as conn:
        await shop.identity.publish(conn, Clusters(np.zeros(len(records), dtype=np.int64), ()), records)
    assert (await shop.learning.training_set("open")).people == (live,)
    await shop.withdraw("ada", "marketing.personalize")
    made = await shop.learning.training_set("open")
    assert (made.people, made.left_out["not_permitted"]) == ((), 1)
