"""Write, audit, publish: a graph that breaks the policy is taken back whole, says why, and may be let through once by somebody who is named."""

from dataclasses import replace

import pytest

from audit.tags import Tag
from identity import parameters_store
from identity.because import Because
from identity.errors import RunNotHeld
from identity.run_card import Card, Hands, drift, objections, stability
from identity.service import Identity
from identity.settings import IdentitySettings
from tests.identity.running import run, shop, take


async def test_a_graph_that_the_gate_holds_back_is_not_live_and_can_be_let_through_once(kernel, identity) -> None:
    await take(kernel, identity, shop(15))
    strict = Identity(kernel, identity._audit, IdentitySettings(gate_largest=2))
    async with kernel.db.reading() as conn:
        before, version = await strict.people(conn), await strict.graph_version(conn)
    held = await run(kernel, strict)
    assert (held.verdict, held.reasons, held.graph_version) == ("held", ("giant_person",), None)
    assert held.card.largest > 2
    async with kernel.db.reading() as conn:
        assert await strict.people(conn) == before
        assert await strict.graph_version(conn) == version
        assert await strict.runs.live(conn) is None
        assert (await strict.runs.get(conn, held.run_id)).card == held.card
    async with kernel.db.transaction() as conn:
        await strict.runs.allow(conn, held.run_id, actor="stf_ada", because=Because.LOOKED)
        with pytest.raises(RunNotHeld):
            await strict.runs.allow(conn, held.run_id, actor="stf_ada", because=Because.LOOKED)
    through = await run(kernel, strict)
    assert (through.verdict, through.reasons) == ("allowed", ("giant_person",))
    assert (await run(kernel, strict)).verdict == "held"  # the permission served one run
    async with kernel.db.reading() as conn:
        live = await strict.runs.live(conn)
        assert live is not None
        assert live.run_id == through.run_id
        assert await strict.graph_version(conn) == through.graph_version
        cursor = await conn.execute(
            "SELECT tag FROM audit.entries WHERE tag = ANY(%s) ORDER BY entry_id",
            ([t.value for t in (Tag.GRAPH_HELD, Tag.GRAPH_ALLOWED, Tag.RUN_PUBLISHED)],),
        )
        told = [row["tag"] async for row in cursor]
    assert told == [Tag.GRAPH_HELD, Tag.GRAPH_ALLOWED, Tag.RUN_PUBLISHED, Tag.GRAPH_HELD]


def card(**more: object) -> Card:
    return replace(
        Card("m", "2026-01-01T00:00:00+00:00", 2000, 1000, 5, 9, {}, 0.1, [], {}, {}, [5, 900, 95], [700, 250, 50], {}),
        **more,
    )


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ()),
        ({"hands": Hands(two_fold=1)}, ("two_unique",)),
        ({"largest": 201}, ("giant_person",)),
        ({"hands": Hands(before=2000, elsewhere=26)}, ("changed_hands",)),
        ({"hands": Hands(before=2000, elsewhere=20)}, ()),
        ({"weights": [500, 400, 100]}, ("drift",)),
        ({"weights": [500, 400, 100], "records": 900}, ()),
    ],
)
def test_the_gate_objects_to_what_policy_does_not_allow(change: dict[str, object], reasons: tuple[str, ...]) -> None:
    last, now = card(), card(**change)
    assert objections(replace(now, drift=drift(now, last)), last, IdentitySettings()) == reasons


def test_drift_is_nothing_between_equals_and_grows_with_the_difference() -> None:
    assert stability([10, 20], [100, 200]) == 0
    assert stability([10, 20], [20, 10]) == pytest.approx(0.462, abs=1e-3)
    assert 0 < stability([10, 20], [11, 19]) < stability([10, 20], [15, 15])


async def test_what_a_run_kept_of_somebody_goes_with_her_unless_others_bear_it_too(kernel, identity, record) -> None:
    rows = shop(12)
    mine = record("1", ("email", "both@example.org"), first_name="Zenobia", last_name="Quark", birth_date="1911-11-11")
    other = record("2", ("email", "both@example.org"), first_name="Zenobia", last_name="Quark", birth_date="1911-11-12")
    third = record("3", first_name="Zenobia", last_name="Else", birth_date="1977-01-01")
    fourth = record("4", first_name="Zenobia", last_name="Ning", birth_date="1988-02-02")
    await take(kernel, identity, [*rows, mine, other, third, fourth])
    made = await run(kernel, identity)

    async def kept(field: str, value: str) -> bool:
        async with kernel.db.reading() as conn:
            key = field, identity.runs.hashed(field, value)
            return key in await parameters_store.bearers(conn, made.card.model, [key])

    assert await kept("email", "both@example.org")
    assert await kept("last", "quark")
    assert await kept("first", "zenobia")
    async with kernel.db.transaction() as conn:
        her = await identity.lookup(conn, "email:both@example.org")
        assert len((await identity.members(conn, [her]))[her].records) == 2
        await identity.erase(conn, her)
    assert not await kept("email", "both@example.org")
    assert not await kept("last", "quark")
    assert await kept("first", "zenobia")
