"""Every check of the graph and of profiles says no once its asset is broken, and what was wrong; whole, it says yes. Each is broken where it looks."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from identity.linkage import Edges
from kernel.clock import FrozenClock
from kernel.ids import PersonId, RecordId
from orchestration.pipeline.checking import graph, keeping, profiles
from orchestration.pipeline.facts import PERSONALIZE
from orchestration.pipeline.steps import linkage
from orchestration.pipeline.steps import profiles as made
from tests.orchestration.pipeline.conftest import NOW, YES, settle

pytestmark = pytest.mark.anyio
NAMES = {"ada": YES, "bob": YES, "cyd": ("marketing.email",), "dan": YES}


@pytest.fixture
def clock():
    return FrozenClock(NOW)


@pytest.fixture
async def people(house):
    return await settle(house, NAMES)


async def record_of(house, person: str) -> RecordId:
    async with house.kernel.db.reading() as conn:
        (found,) = (await house.identity.members(conn, [PersonId(person)]))[PersonId(person)].records
    return found


async def holds(check, house, **wrong) -> bool:
    """Whether a check passes; when it does not, these of its figures are what is wrong."""
    found = await check(house)
    assert found.figures | wrong == found.figures
    return found.passed


# who is who


@pytest.mark.parametrize("check", [graph.records_have_people, graph.nobody_lost])
async def test_rows_are_counted_into_the_graph(house, people, broken, check) -> None:
    assert await holds(check, house, records_in=4, records_in_graph=4, people=4)
    lost = await record_of(house, people["ada"])
    broken("DELETE FROM identity.members WHERE record_id = %s", lost)
    assert not await holds(check, house, without_a_person=1, people_without_records=1, records_in=4, records_in_graph=3)


async def test_a_record_of_somebody_who_is_gone_is_seen(house, people, broken) -> None:
    broken(
        "UPDATE identity.people SET retired_at = now(), redirect_to = %s WHERE person_id = %s",
        people["bob"],
        people["ada"],
    )
    assert not await holds(graph.nobody_lost, house, of_a_retired_person=1)


async def test_two_unique_ids_of_one_person_are_seen(house, people, broken) -> None:
    assert await holds(graph.one_unique_id, house, people=4, with_two=0)
    broken(
        "UPDATE identity.members SET person_id = %s WHERE record_id = %s",
        people["ada"],
        await record_of(house, people["bob"]),
    )
    assert not await holds(graph.one_unique_id, house, with_two=1)


async def test_ids_that_lead_to_somebody_else_are_told(house, people, broken) -> None:
    async with house.kernel.db.reading() as conn:
        version = int(await house.identity.graph_version(conn))
    assert await holds(graph.ids_last, house, led_elsewhere=0)
    broken(
        "INSERT INTO identity.past_members (record_id, person_id, valid_from, valid_to) VALUES (%s, %s, %s, %s)",
        await record_of(house, people["bob"]), people["ada"], version - 1, version,
    )  # fmt: skip
    found = await graph.ids_last(house)
    assert (found.passed, found.grave, found.figures["led_elsewhere"]) == (False, False, 1)


async def test_a_graph_that_the_gate_holds_back_is_told(house, people, broken) -> None:
    assert await holds(graph.graph_published, house, run="none")
    for step in (linkage.linkage_model, linkage.edges, linkage.identity_graph):
        await step(house)
    assert await holds(graph.graph_published, house, verdict="published", objections="none", led_elsewhere=0)
    broken("UPDATE identity.runs SET verdict = 'held', reasons = '{giant_person}', graph_version = NULL")
    found = await graph.graph_published(house)
    assert (found.passed, found.grave, found.figures["objections"]) == (False, False, "giant_person")


async def test_a_model_for_which_agreement_speaks_against_is_refused(house, people) -> None:
    await linkage.linkage_model(house)
    assert await holds(graph.agreement_speaks_for, house, upside_down=0, not_a_number=0)
    file = house.identity.linkage.folder / "model.json"
    held = json.loads(file.read_text())
    levels = [one for one in held["settings"]["comparisons"][0]["comparison_levels"] if not one.get("is_null_level")]
    levels[0]["m_probability"], levels[0]["u_probability"] = 1e-6, 0.9
    file.write_text(json.dumps(held))
    assert not await holds(graph.agreement_speaks_for, house, upside_down=1)


async def test_edges_to_nobody_and_weights_that_are_none_are_refused(house, people) -> None:
    ids = [RecordId(await record_of(house, people[name])) for name in ("ada", "bob")]

    def keep(others: list[RecordId], weight: float) -> None:
        ends = np.array([0]), np.array([1])
        house.identity.linkage.write_edges(Edges(*ends, np.array([weight])), others)

    keep(ids, 12.0)
    assert await holds(graph.edges_join_the_living, house, edges=1, of_nobody=0)
    keep([ids[0], RecordId("rec_nobody")], 12.0)
    assert not await holds(graph.edges_join_the_living, house, of_nobody=1)
    keep(ids, float("nan"))
    assert not await holds(graph.edges_join_the_living, house, not_a_number=1)


# what may be known


async def test_consent_is_asked_for_as_many_people_as_there_are(house, people, broken) -> None:
    assert await holds(profiles.everybody_counted, house, people=4, with_a_state=4)
    broken("DELETE FROM identity.members WHERE person_id = %s", people["dan"])
    assert not await holds(profiles.everybody_counted, house, people=4, with_a_state=3)


async def test_a_record_or_event_that_a_profile_lacks_is_missed(house, people, monkeypatch) -> None:
    assert await holds(profiles.nothing_lost_on_the_way, house, records_seen=4, events_seen=4)
    whole = house.profiles.raw

    async def short(conn, asked):
        return {one: replace(raw, events=raw.events[1:]) for one, raw in (await whole(conn, asked)).items()}

    monkeypatch.setattr(house.profiles, "raw", short)
    assert not await holds(profiles.nothing_lost_on_the_way, house, events_stored=4, events_seen=0, records_seen=4)


async def test_a_trait_that_a_purpose_may_not_see_is_seen_by_the_check(house, people, monkeypatch) -> None:
    """A filter that hands out what another purpose may see: what nothing but a fault of the filter could do."""
    assert await holds(profiles.nothing_unpermitted, house, people=4, forbidden=0)
    whole = house.profiles.unified

    async def leaky(conn, asked, purpose, at):
        seen = await whole(conn, asked, PERSONALIZE, at)
        for one in seen.values():
            object.__setattr__(one, "purpose", purpose)
        return seen

    monkeypatch.setattr(house.profiles, "unified", leaky)
    found = await profiles.nothing_unpermitted(house)
    assert not found.passed
    assert found.figures["forbidden"] > 3


async def tampered(house, change) -> None:
    """Write the newest feature table otherwise."""
    async with house.kernel.db.reading() as conn:
        table = (await house.profiles.feature_tables(conn))[-1]
    file = house.profiles._folder / table.file
    pq.write_table(change(pq.read_table(file)), file)


def cell(table: pa.Table, row: int, name: str, value: float) -> pa.Table:
    column = table.column(name).to_pylist()
    column[row] = value
    return table.set_column(table.column_names.index(name), name, pa.array(column))


async def test_a_row_that_is_missing_or_of_nobody_is_missed(house, people) -> None:
    assert not await holds(profiles.rows_complete, house, tables=0)
    house.kernel.clock.advance(timedelta(hours=1))
    await made.features(house)
    assert await holds(profiles.rows_complete, house, rows=4, missing=0)
    await tampered(house, lambda table: table.slice(1))
    assert not await holds(profiles.rows_complete, house, rows=3, missing=1)
    house.kernel.clock.advance(timedelta(minutes=1))
    await made.features(house)
    await tampered(house, lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    assert not await holds(profiles.rows_complete, house, rows=5, missing=0)


async def test_a_column_nobody_declared_and_a_figure_of_one_who_did_not_agree_are_seen(house, people) -> None:
    await made.features(house)
    check = profiles.nothing_unpermitted_in_features
    assert await holds(check, house, without_permission=1, forbidden=0, undeclared_columns=0)
    await tampered(house, lambda table: table.append_column("shoe_size", pa.array([42.0] * len(table))))
    assert not await holds(check, house, undeclared_columns=1)
    assert not await holds(profiles.same_bits, house, columns=len(house.profiles.features) + 1)
    house.kernel.clock.advance(timedelta(minutes=1))
    await made.features(house)
    name = house.profiles.features.names[0]

    def known(table: pa.Table) -> pa.Table:
        return cell(table, table.column("person_id").to_pylist().index(people["cyd"]), name, 7.0)

    await tampered(house, known)
    assert not await holds(check, house, forbidden=1, undeclared_columns=0)


async def test_one_bit_of_one_cell_is_seen(house, people) -> None:
    await made.unified_profiles(house)
    await made.features(house)
    assert await holds(profiles.same_bits, house, served=4, recomputed=4, cells_that_differ=0)
    name = house.profiles.features.names[0]

    def nudged(table: pa.Table) -> pa.Table:
        return cell(table, 0, name, float(np.nextafter(table.column(name)[0].as_py() or 0.0, 1.0)))

    await tampered(house, nudged)
    assert not await holds(profiles.same_bits, house, cells_that_differ=1)


async def test_a_hot_profile_that_missed_a_consent_is_seen(house, people) -> None:
    await made.unified_profiles(house)
    assert await holds(profiles.hot_equals_postgres, house, hot=4, that_differ=0)
    words = await house.profiles._hot.read([people["ada"]], PERSONALIZE)
    async with house.kernel.db.transaction() as conn:
        (subject,) = await house.identity.register_identifiers(conn, [contact("ada")])
        await house.consent.withdraw(conn, subject, PERSONALIZE, None, mechanism="form", actor="person")
    assert await holds(profiles.hot_equals_postgres, house, that_differ=0)
    await house.profiles._hot.write(
        PERSONALIZE, {people["ada"]: words[0]}, timedelta(hours=1), since=await house.profiles._hot.moment()
    )  # an invalidation that got lost
    assert not await holds(profiles.hot_equals_postgres, house, that_differ=1)


def contact(name: str):
    from identity.identifiers import Identifier

    return Identifier("email", f"{name}@example.org")


# what is kept


async def test_a_log_that_somebody_edited_is_seen(house, people, superuser) -> None:
    await house.audit.sequence()
    assert await holds(keeping.chain_verifies, house, findings=0)
    superuser.execute("ALTER TABLE audit.entries DISABLE TRIGGER USER")
    superuser.execute(
        "UPDATE audit.entries SET at = at - interval '1 day' WHERE entry_id = (SELECT min(entry_id) FROM audit.entries)"
    )
    found = await keeping.chain_verifies(house)
    assert (found.passed, found.grave, found.figures["finding_0"]) == (False, True, "entry_altered")


async def test_what_is_past_its_time_and_what_no_rule_speaks_of_is_seen(house, people) -> None:
    assert await holds(keeping.nothing_overdue, house, overdue=0, kinds_without_a_rule=0)
    house.kernel.clock.advance(timedelta(days=4000))
    found = await keeping.nothing_overdue(house)
    assert not found.passed
    assert found.figures["overdue"] > 0
