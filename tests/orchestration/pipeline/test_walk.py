"""The whole walk over a small company: everything is made, every check answers, no word of anybody gets out."""

import json
from datetime import UTC, datetime

import pytest

from events import mapping
from identity.errors import LinkageNotReady
from kernel.clock import FrozenClock
from orchestration.demo.world import make, write
from orchestration.pipeline.resource import HouseResource, StepBroken, lend
from orchestration.pipeline.run import NAMES, CheckFailed, walk
from orchestration.service.cli.output import plain

# Dagster reads pydantic's models the old way.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")]


@pytest.fixture
def clock():
    return FrozenClock(datetime(2026, 3, 5, 12, tzinfo=UTC))


async def company(house, people: int):
    """A small company's files, imported."""
    folder = house.kernel.settings.data_dir / "input"
    world = make(people, 3, house.kernel.clock.now())
    files = write(world, folder)
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, (folder / "catalogue.yaml").read_text(), actor="test")
    for what, file, plan in files:
        if what != "suppressions":
            await house.importer.run(file, mapping.load(plan))
    return world


async def test_the_whole_walk(house):
    world = await company(house, 80)
    told: list[str] = []
    done = await walk(house, told=told.append)
    assert [one.asset for one in done.assets] == list(NAMES)
    assert sorted(told) == sorted(NAMES)
    assert done.stopped == ()
    assert [(c.asset, c.check, c.figures) for c in done.checks if c.grave and not c.passed] == []
    assert {c.asset for c in done.checks} == set(NAMES), "every asset has a check, and all were asked"
    done.ensure()
    facts = {one.asset: one.facts for one in done.assets}
    checks = {f"{one.asset}.{one.check}": one.figures for one in done.checks}
    assert facts["source_records"]["records"] == facts["identity_graph"]["records"] >= len(world.rows)
    assert facts["unified_profiles"]["profiles"] == facts["features"]["rows"] == facts["identity_graph"]["people"]
    assert facts["decision_store"]["warm_marketing_personalize"] == facts["features"]["rows"]
    assert checks["unified_profiles.nothing_unpermitted"]["columns_asked"] > 50
    assert checks["features.nothing_unpermitted_in_features"]["without_permission"] > 10
    assert checks["features.same_bits"]["served"] == checks["features.same_bits"]["recomputed"] > 60
    assert checks["ranker.additive"]["cart_rescue_newest_rows"] >= 50
    assert "cart_rescue_vs_uniform" in facts["evaluation"]
    assert "cart_rescue_vs_best_fixed" in checks["ranker.beats_the_others"]

    pictures = [path for one in done.assets for path in one.reports]
    assert {path.rsplit("/", 1)[1] for path in pictures} == {
        "level_weights.png", "match_weights.png", "cluster_sizes.png", "importance-cart_rescue.png", "calibration-cart_rescue.png",
        "evaluation-cart_rescue.png",
    }  # fmt: skip
    for path in pictures:
        with open(path, "rb") as file:  # noqa: PTH123
            assert file.read(8) == b"\x89PNG\r\n\x1a\n"

    shown = json.dumps(plain(done)).lower()
    words = {str(row.cells[column]).lower() for row in world.rows for column in ("email", "phone", "street", "login_id") if row.cells.get(column)}  # fmt: skip
    assert len(words) > 60
    assert [word for word in words if len(word) > 5 and word in shown] == []
    assert "per_" not in shown
    assert "rec_" not in shown

    again = await walk(house, ["source_records", "identity_graph", "features"])
    assert [one.asset for one in again.assets] == ["source_records", "identity_graph", "features"]
    stable = next(c for c in again.checks if c.check == "ids_last")
    assert stable.figures["led_elsewhere"] == 0, "the same edges make the same people"


async def test_a_grave_check_stops_what_comes_after(house, broken):
    await company(house, 12)
    broken("DELETE FROM identity.members WHERE record_id = (SELECT min(record_id) FROM identity.members)")
    done = await walk(house, ["source_records", "linkage_model", "edges"])
    assert [one.asset for one in done.assets] == ["source_records"]
    assert done.stopped == ("linkage_model", "edges")
    assert [(c.check, c.figures["without_a_person"]) for c in done.failed] == [("records_have_people", 1)]
    with pytest.raises(CheckFailed) as caught:
        done.ensure()
    assert "source_records.records_have_people" in caught.value.message


async def test_a_step_that_lacks_an_earlier_one_says_so_itself(house):
    await company(house, 12)
    with pytest.raises(LinkageNotReady):
        await walk(house, ["edges"])


async def test_an_accidents_words_stay_out_of_dagster(house):
    """The message of somebody else's exception may quote values; kind and place are all that is told."""
    import asyncio

    async def step(_):
        raise ValueError("ada@example.org")

    def run():
        with pytest.raises(StepBroken) as caught:
            HouseResource().run(step, quiet=True)
        return caught.value

    with lend(house, asyncio.get_running_loop(), lambda _: None):
        fault = await asyncio.to_thread(run)
    assert "ada" not in str(fault)
    assert "ValueError at test_walk.py:" in fault.message
    assert fault.__cause__ is None
    assert fault.__suppress_context__


async def test_a_house_without_a_catalogue_walks_too(house):
    done = await walk(house, ["training_set", "ranker", "evaluation", "decision_store"])
    assert done.failed == ()
    assert next(one for one in done.assets if one.asset == "decision_store").facts == {"placements": 0}
