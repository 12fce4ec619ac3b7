"""The log on real Postgres: one commit with what it records, no gap, no double, proofs that hold."""

import asyncio
import json

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import checkpoint, merkle, tiles
from audit.entries import REDACTED, NewEntry, Opening, encode, read_leaf
from audit.errors import EntryNotFound, EntryTooLarge, LogFork, SubjectKeyGone
from audit.service import Audit
from audit.tags import Tag
from kernel.canonical import canonical, digest
from kernel.errors import IntegrityError, InvalidInput

pytestmark = pytest.mark.anyio

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(values)
def test_the_short_way_writes_canonical_bytes(value):
    try:
        expected = canonical(value)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            encode(value)
    else:
        assert encode(value) == expected


async def test_an_entry_commits_with_its_transaction_and_goes_with_it(audit, kernel, act):
    with pytest.raises(RuntimeError):
        async with kernel.db.transaction() as conn:
            await audit.append(conn, [NewEntry(Tag.DECISION_MADE, {"decision": "dec_1"}, {})])
            raise RuntimeError
    assert await audit.sequence() is None
    (entry_id,) = await act(1)
    assert (await audit.sequence()).size == 1
    assert [one.entry_id for one in await audit.entries()] == [entry_id]
    assert len(await audit.lineage([("decision", "dec_1")])) == 0
    assert len(await audit.lineage([("decision", "dec_0")])) == 1


async def test_a_leaf_is_canonical_and_holds_no_word(audit, kernel, act):
    (key_id,) = await kernel.vault.create_keys(1)
    (entry_id,) = await act(
        NewEntry(Tag.CONSENT_RECORDED, {"act": "act_1"}, {"channel": "canary-words", "score": 0.25}, key_id, "stf_ada")
    )
    stored = await audit.entry(entry_id)
    leaf = json.loads(stored.leaf)
    assert stored.leaf == canonical(leaf)
    assert set(leaf) == {"v", "id", "tag", "at", "c"}
    assert set(leaf["c"]) == {"actor", "ref.act", "channel", "score"}
    for word in (b"canary", b"act_1", b"ada", b"0.25"):
        assert word not in stored.leaf + stored.sealed
    for name, opening in (await audit.openings(entry_id)).items():
        assert opening.opens(leaf["c"][name])
        assert not Opening(opening.salt, "else").opens(leaf["c"][name])
    assert await audit.open_entry(entry_id) == {
        "actor": "stf_ada", "ref.act": "act_1", "channel": "canary-words", "score": 0.25
    }  # fmt: skip


async def test_equal_facts_give_unequal_commitments(audit, act):
    one, two = await act(NewEntry(Tag.RECORD_ADDED, {}, {"n": 1}), NewEntry(Tag.RECORD_ADDED, {}, {"n": 1}))
    leaves = [read_leaf((await audit.entry(entry_id)).leaf).commitments["n"] for entry_id in (one, two)]
    assert leaves[0] != leaves[1]


async def test_a_reference_or_name_that_could_carry_words_is_refused_without_repeating_it(audit, kernel):
    for entry in (
        NewEntry(Tag.RECORD_ADDED, {"person": "ada@example.org"}, {}),
        NewEntry(Tag.RECORD_ADDED, {"person": "Ada Lovelace"}, {}),
        NewEntry(Tag.RECORD_ADDED, {}, {"Ada Lovelace": 1}),
        NewEntry(Tag.RECORD_ADDED, {}, {"actor": "me"}),
    ):
        async with kernel.db.transaction() as conn:
            with pytest.raises(InvalidInput) as caught:
                await audit.append(conn, [entry])
            assert "ada" not in str(caught.value).lower()


async def test_a_leaf_beyond_what_tiles_carry_is_refused(audit, kernel):
    async with kernel.db.transaction() as conn:
        with pytest.raises(EntryTooLarge):
            await audit.append(conn, [NewEntry(Tag.RECORD_ADDED, {}, {f"f{n}": n for n in range(1500)})])


async def test_an_entry_under_a_destroyed_key_is_refused(audit, kernel):
    (key_id,) = await kernel.vault.create_keys(1)
    await kernel.vault.destroy([key_id])
    async with kernel.db.transaction() as conn:
        with pytest.raises(SubjectKeyGone):
            await audit.append(conn, [NewEntry(Tag.RECORD_ADDED, {}, {}, key_id)])


async def test_erasure_leaves_every_proof_valid_and_the_content_unopenable(audit, kernel, act):
    (key_id,) = await kernel.vault.create_keys(1)
    (entry_id,) = await act(NewEntry(Tag.CONSENT_RECORDED, {"act": "act_1"}, {"channel": "email"}, key_id))
    await audit.sequence()
    await kernel.vault.destroy([key_id])
    async with kernel.db.transaction() as conn:
        assert await audit.forget(conn, [("act", "act_1")]) == 1
    assert set((await audit.open_entry(entry_id)).values()) == {REDACTED}
    assert await audit.lineage([("act", "act_1")]) == []
    proven = await audit.inclusion(entry_id)
    leaf = merkle.leaf_hash(proven.leaf)
    merkle.verify_inclusion(proven.leaf_index, proven.checkpoint.size, leaf, proven.proof, proven.checkpoint.root)
    report = await audit.verify_log()
    assert (report.ok, report.redacted) == (True, 1), report.lines


@pytest.mark.parametrize("steps", [[1], [3, 4], [255, 1, 1], [256, 300], [700, 2]])
async def test_every_leaf_is_proven_and_every_checkpoint_extends_the_one_before(audit, act, steps):
    checkpoints, ids = [], []
    for step in steps:
        ids += await act(step)
        checkpoints.append(await audit.sequence())
    keys = await audit.verifier_keys()
    last = checkpoints[-1]
    assert last.size == sum(steps)
    for signed in checkpoints:
        assert checkpoint.verify_checkpoint(signed.note, keys, "example.org/test-log").root == signed.root
        size2, proof = await audit.consistency(signed.size)
        merkle.verify_consistency(signed.size, size2, proof, signed.root, last.root)
    for entry_id in ids[:: max(1, len(ids) // 20)]:
        proven = await audit.inclusion(entry_id)
        leaf = merkle.leaf_hash(proven.leaf)
        merkle.verify_inclusion(proven.leaf_index, last.size, leaf, proven.proof, last.root)
    report = await audit.verify_log()
    assert report.ok, report.lines
    assert report.root == last.root
    assert report.opened == sum(steps)


async def test_the_published_files_alone_give_the_tree(audit, act):
    await act(600)
    signed = await audit.sequence()
    held = {(name.level, name.index): audit.published.read(name) for name in tiles.tiles_of(signed.size)}
    assert merkle.range_hash(0, signed.size, tiles.lookup_in(held)) == signed.root
    leaves = []
    for name in tiles.bundles_between(0, signed.size):
        leaves += tiles.unbundle(audit.published.read(name))
    assert merkle.root(leaves) == signed.root
    assert (audit.published.folder / "tile/0/000").stat().st_size == 8192
    assert (audit.published.folder / "tile/0/002.p/88").exists()


async def test_an_unsequenced_entry_has_no_proof_yet(audit, act):
    (entry_id,) = await act(1)
    with pytest.raises(EntryNotFound):
        await audit.checkpoint()
    await audit.sequence()
    (late,) = await act(1)
    with pytest.raises(EntryNotFound):
        await audit.inclusion(late)
    assert (await audit.inclusion(entry_id)).leaf_index == 0


async def test_concurrent_appends_and_two_sequencers_leave_no_gap_and_no_double(audit, kernel, settings, act):
    rival = Audit(kernel, settings)
    done = asyncio.Event()

    async def writer(number):
        for _ in range(10):
            async with kernel.db.transaction() as conn:
                await audit.append(conn, [NewEntry(Tag.DECISION_MADE, {"decision": f"dec_{number}"}, {})] * 3)
                if number % 3 == 0:
                    await conn.rollback()

    async def sequencer(which):
        while not done.is_set():
            await which.sequence()
            await asyncio.sleep(0)

    runs = [asyncio.create_task(sequencer(which)) for which in (audit, rival)]
    for group in range(3):  # the pool of the test's kernel is small
        await asyncio.gather(*(writer(group * 2 + n) for n in range(2)))
    done.set()
    await asyncio.gather(*runs)
    signed = await audit.sequence()
    assert signed.size == 4 * 30
    report = await audit.verify_log()
    assert report.ok, report.lines
    assert (report.size, report.waiting) == (120, 0)


async def test_an_entry_that_commits_late_still_gets_a_place(audit, kernel, act):
    async with kernel.db.transaction() as conn:
        (early,) = await audit.append(conn, [NewEntry(Tag.DECISION_MADE, {}, {})])
        await act(2)
        assert (await audit.sequence()).size == 2
    assert (await audit.sequence()).size == 3
    assert (await audit.inclusion(early)).leaf_index == 2


async def test_sequencing_nothing_new_keeps_the_checkpoint(audit, act):
    await act(2)
    signed = await audit.sequence()
    assert await audit.sequence() == signed
    assert await audit.sequence() == signed


async def test_batches_are_taken_until_none_waits(audit, act, kernel, settings):
    small = Audit(kernel, settings.model_copy(update={"batch": 7}))
    await act(50)
    assert (await small.sequence()).size == 50
    assert (await small.verify_log()).checkpoints == 8


async def test_the_app_role_can_neither_change_nor_remove(audit, act, kernel):
    await act(1)
    await audit.sequence()
    for table in ("entries", "leaves", "checkpoints", "openings"):
        for statement in (f"DELETE FROM audit.{table}", f"TRUNCATE audit.{table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with kernel.db.transaction() as conn:
                    await conn.execute(statement)


async def test_the_owner_too_is_refused_by_trigger(act, addresses, audit):
    await act(1)
    await audit.sequence()
    with psycopg.connect(addresses.owner, autocommit=True) as owner:
        for statement in (
            "UPDATE audit.entries SET tag = 'log.heartbeat'", "DELETE FROM audit.entries", "TRUNCATE audit.entries",
            "UPDATE audit.leaves SET leaf_index = 5", "DELETE FROM audit.checkpoints",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                owner.execute(statement)


async def test_a_rotated_key_signs_on_and_the_old_one_still_verifies(audit, act):
    await act(1)
    old = await audit.sequence()
    key = await audit.rotate_key("stf_ada")
    new = await audit.sequence()
    keys = await audit.verifier_keys()
    assert len(keys) == 2
    checkpoint.verify_checkpoint(new.note, [key])
    with pytest.raises(IntegrityError):
        checkpoint.verify_checkpoint(old.note, [key])
    assert (await audit.verify_log()).ok
    files = list((audit.published.folder.parent / "keys").glob("log-*.skey"))
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


async def test_a_log_does_not_change_its_name(audit, act, kernel, settings):
    await act(1)
    await audit.sequence()
    await act(1)
    renamed = Audit(kernel, settings.model_copy(update={"origin": "example.org/other"}))
    with pytest.raises(LogFork) as caught:
        await renamed.sequence()
    assert caught.value.code == "origin_changed"


async def test_the_background_sequencer_beats_and_stops(audit, act, kernel, settings):
    lively = Audit(kernel, settings.model_copy(update={"interval_seconds": 0.01, "heartbeat_seconds": 0.05}))
    stop = asyncio.Event()
    running = asyncio.create_task(lively.run_sequencer(stop))
    for _ in range(500):
        await asyncio.sleep(0.01)
        if len(await audit.entries(tag=Tag.LOG_HEARTBEAT)) >= 2:
            break
    stop.set()
    await asyncio.wait_for(running, 5)
    assert len(await audit.entries(tag=Tag.LOG_HEARTBEAT)) >= 2
    assert (await audit.checkpoint()).size >= 2


async def test_lineage_walks_both_ways_and_not_through_hubs(audit, act):
    await act(
        NewEntry(Tag.RECORD_ADDED, {"record": "rec_1", "person": "per_1"}, {}),
        NewEntry(Tag.DECISION_MADE, {"decision": "dec_1", "person": "per_1", "record": ["rec_1", "rec_2"]}, {}),
        NewEntry(Tag.DELIVERY_ACCEPTED, {"delivery": "dlv_1", "decision": "dec_1"}, {"reason": digest("x")}),
        NewEntry(Tag.DECISION_MADE, {"decision": "dec_9", "person": "per_1"}, {}),
    )
    back = await audit.lineage([("delivery", "dlv_1")], depth=3)
    assert [one.tag for one in back] == ["record.added", "decision.made", "delivery.accepted"]
    assert back[1].refs["record"] == ("rec_1", "rec_2")
    onward = await audit.lineage([("record", "rec_2")], depth=2)
    assert [one.tag for one in onward] == ["record.added", "decision.made", "delivery.accepted"]
    assert len(await audit.lineage([("person", "per_1")], depth=1)) == 3
    assert len(await audit.lineage([("record", "rec_1")], depth=9, through={"person", "decision"})) == 4


async def test_a_large_append_is_one_with_its_transaction(audit, kernel):
    entries = [NewEntry(Tag.RECORD_ADDED, {"record": f"rec_{n}"}, {"n": n}) for n in range(2500)]
    async with kernel.db.transaction() as conn:
        ids = await audit.append(conn, entries)
    assert ids == sorted(set(ids))
    assert [(await audit.open_entry(ids[n]))["n"] for n in (0, 999, 1000, 2499)] == [0, 999, 1000, 2499]
    assert (await audit.sequence()).size == 2500
    with pytest.raises(InvalidInput):
        async with kernel.db.transaction() as conn:
            await audit.append(
                conn, [*entries[:1500], NewEntry(Tag.RECORD_ADDED, {"record": "no good"}, {}), *entries[1500:]]
            )
    assert await audit.pending() == 0
    assert (await audit.verify_log()).size == 2500
