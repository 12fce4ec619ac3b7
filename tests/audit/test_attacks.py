"""Attacks on the log by someone who owns the database, the disk, or both: each is found (audit.A11)."""

import asyncio
import shutil

import pytest

from audit import checkpoint, merkle, tiles
from audit.checkpoint import Checkpoint
from audit.errors import LogFork
from kernel.errors import IntegrityError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(audit, act):
    """600 entries under two checkpoints, everything in order."""
    await act(300)
    await audit.sequence()
    await act(300)
    await audit.sequence()
    report = await audit.verify_log()
    assert report.ok, report.lines
    return audit


def forcing(superuser, *statements):
    """Run statements with every trigger off, as a superuser can."""
    for table in ("entries", "leaves", "checkpoints"):
        superuser.execute(f"ALTER TABLE audit.{table} DISABLE TRIGGER USER")
    for statement in statements:
        assert superuser.execute(statement).rowcount != 0, statement


async def codes(audit):
    report = await audit.verify_log()
    assert not report.ok
    return {finding.code for finding in report.findings}


EDIT_LEAF = """UPDATE audit.entries SET leaf = replace(leaf::text, '6d616465', '6d616466')::bytea
WHERE entry_id = (SELECT entry_id FROM audit.leaves WHERE leaf_index = 17)"""


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (EDIT_LEAF, "leaf_altered"),
        ("UPDATE audit.entries SET at = at - interval '1 day' WHERE entry_id = (SELECT min(entry_id) FROM audit.entries)",
         "entry_altered"),
        ("UPDATE audit.entries SET tag = 'consent.recorded' WHERE entry_id = (SELECT min(entry_id) FROM audit.entries)",
         "entry_altered"),
        ("DELETE FROM audit.entries WHERE entry_id = (SELECT max(entry_id) FROM audit.entries)", "entry_missing"),
        ("DELETE FROM audit.leaves WHERE leaf_index = 5", "leaf_missing"),
        ("DELETE FROM audit.openings WHERE entry_id = (SELECT min(entry_id) FROM audit.entries)", "opening_missing"),
        ("UPDATE audit.tiles SET hashes = overlay(hashes PLACING '\\x00' FROM 40) WHERE level = 0 AND index = 1",
         "tile_altered"),
        ("DELETE FROM audit.tiles WHERE level = 1", "tile_altered"),
        ("INSERT INTO audit.tiles SELECT 3, 9, hashes FROM audit.tiles WHERE level = 1", "tile_extra"),
        ("UPDATE audit.checkpoints SET note = replace(note, E'\\n300\\n', E'\\n301\\n') WHERE size = 300", "invalid_note"),
        ("UPDATE audit.refs SET ref = 'dec_other' WHERE ref = 'dec_5'", "ref_altered"),
    ],
)  # fmt: skip
async def test_a_row_changed_or_dropped_by_a_superuser_is_found(log, superuser, statement, code):
    forcing(superuser, statement)
    assert code in await codes(log)


async def test_two_rows_swapped_are_found(log, superuser):
    forcing(
        superuser,
        "UPDATE audit.leaves SET leaf_index = leaf_index + 100000 WHERE leaf_index IN (3, 4)",
        "UPDATE audit.leaves SET leaf_index = CASE leaf_index WHEN 100003 THEN 4 ELSE 3 END WHERE leaf_index >= 100000",
    )
    assert {"tile_altered", "log_fork"} <= await codes(log)


async def test_swapped_salts_are_found(log, superuser):
    forcing(
        superuser,
        "UPDATE audit.openings o SET sealed = p.sealed FROM audit.openings p WHERE o.entry_id <> p.entry_id "
        "AND o.entry_id = (SELECT min(entry_id) FROM audit.entries) AND p.entry_id = (SELECT max(entry_id) FROM audit.entries)",
    )
    assert "sealed_words_altered" in await codes(log)


async def test_salts_swapped_by_someone_who_holds_the_keys_are_found(log, superuser, kernel):
    first = (await log.entries(limit=1))[0]
    key = (await kernel.vault.unwrap([first.key_id]))[first.key_id]
    words = key.open("audit.openings", "sealed", first.entry_id, first.sealed)
    forged = key.seal("audit.openings", "sealed", first.entry_id, words.replace(b'"key_1"', b'"key_2"'))
    assert words != words.replace(b'"key_1"', b'"key_2"')
    superuser.execute("UPDATE audit.openings SET sealed = %s WHERE entry_id = %s", (forged, first.entry_id))
    assert "opening_altered" in await codes(log)


TRUNCATE = (
    "DELETE FROM audit.entries WHERE entry_id IN (SELECT entry_id FROM audit.leaves WHERE leaf_index >= 300)",
    "DELETE FROM audit.leaves WHERE leaf_index >= 300",
    "DELETE FROM audit.checkpoints WHERE size > 300",
    "DELETE FROM audit.tiles WHERE (level, index) IN ((0, 2))",
    "UPDATE audit.tiles SET hashes = substr(hashes, 1, 44 * 32) WHERE (level, index) = (0, 1)",
    "UPDATE audit.tiles SET hashes = substr(hashes, 1, 32) WHERE level = 1",
)


async def test_a_tail_cut_off_cleanly_is_found_and_nothing_more_is_signed(log, superuser, act):
    forcing(superuser, *TRUNCATE)
    assert "database_behind" in await codes(log)
    await act(400)
    with pytest.raises(LogFork) as caught:
        await log.sequence()
    assert caught.value.code == "database_behind"
    assert (await log.checkpoint()).size == 600


async def test_a_tail_cut_off_with_the_old_checkpoint_put_back_is_found_by_its_tiles(log, superuser):
    old = superuser.execute("SELECT note FROM audit.checkpoints WHERE size = 300").fetchone()[0]
    forcing(superuser, *TRUNCATE)
    (log.published.folder / "checkpoint").write_text(old)
    assert "file_altered" in await codes(log)


async def test_an_old_checkpoint_put_back_is_found(log, superuser):
    old = superuser.execute("SELECT note FROM audit.checkpoints WHERE size = 300").fetchone()[0]
    (log.published.folder / "checkpoint").write_text(old)
    assert "checkpoint_replayed" in await codes(log)
    assert (await log.sequence()).size == 600
    assert (await log.verify_log()).ok


async def test_a_fork_made_with_the_database_alone_is_found_and_not_signed(log, superuser, act):
    """Everything in Postgres is rewritten consistently from leaf 0 on; the published files remember."""
    rows = superuser.execute("SELECT leaf_hash FROM audit.leaves ORDER BY leaf_index").fetchall()
    hashes = [bytes(row[0]) for row in rows]
    hashes[0] = merkle.leaf_hash(b"another history")
    forcing(
        superuser,
        "UPDATE audit.leaves SET leaf_hash = sha256('\\x00'::bytea || 'another history') WHERE leaf_index = 0",
    )
    for (level, index), data in tiles.grow(0, {}, hashes).items():
        superuser.execute("UPDATE audit.tiles SET hashes = %s WHERE level = %s AND index = %s", (data, level, index))
    superuser.execute("DELETE FROM audit.checkpoints")
    assert "log_fork" in await codes(log)
    await act(1)
    with pytest.raises(LogFork):
        await log.sequence()


async def test_a_fork_with_a_checkpoint_forged_under_the_real_key_is_found(log):
    """A second view of the same size, properly signed, shown instead of the first."""
    signer = log._keyring.signer()
    forged = checkpoint.sign(Checkpoint("example.org/test-log", 600, b"\x01" * 32), signer)
    (log.published.folder / "checkpoint").write_text(forged.note)
    assert "log_fork" in await codes(log)
    with pytest.raises(LogFork):
        await log.sequence()


async def test_a_checkpoint_by_a_stranger_is_found(log):
    stranger = checkpoint.SignerKey.generate("example.org/test-log")
    forged = checkpoint.sign(checkpoint.parse((await log.checkpoint()).note), stranger)
    (log.published.folder / "checkpoint").write_text(forged.note)
    assert "invalid_note" in await codes(log)
    with pytest.raises(IntegrityError):
        await log.sequence()


async def test_an_entry_hidden_from_the_sequencer_is_found(log, superuser, act):
    (hidden,) = await act(1)
    superuser.execute("DELETE FROM audit.pending")
    report = await log.verify_log()
    assert [(one.code, one.where) for one in report.findings] == [("entry_outside", hidden)]


async def test_an_entry_queued_twice_gets_one_place(log, superuser, act):
    superuser.execute("INSERT INTO audit.pending SELECT entry_id FROM audit.entries LIMIT 5")
    await act(1)
    assert (await log.sequence()).size == 601
    assert (await log.verify_log()).ok


@pytest.mark.parametrize(
    "what", ["tile/0/000", "tile/0/001.p/44", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"]
)
async def test_a_changed_or_removed_published_file_is_found(log, what):
    file = log.published.folder / what
    if what == "tile/0/001.p/44":  # filled since, so it was dropped: put a false one there
        file.parent.mkdir()
        file.write_bytes(b"\x00" * 44 * 32)
        assert "file_altered" in await codes(log)
        return
    good = file.read_bytes()
    file.write_bytes(good[:50] + bytes([good[50] ^ 1]) + good[51:])
    assert "file_altered" in await codes(log)
    file.unlink()
    assert "file_missing" in await codes(log)


async def test_a_lost_folder_stops_the_signing_until_a_person_publishes_anew(log, act):
    shutil.rmtree(log.published.folder)
    await act(1)
    with pytest.raises(LogFork) as caught:
        await log.sequence()
    assert caught.value.code == "published_missing"
    assert "--republish" in caught.value.remedy
    assert (await log.republish()).size == 600
    assert (await log.sequence()).size == 601
    assert (await log.verify_log()).ok


async def test_the_background_sequencer_goes_on_refusing(log, superuser, act):
    forcing(superuser, *TRUNCATE)
    await act(1)
    stop = asyncio.Event()
    running = asyncio.create_task(log.run_sequencer(stop))
    await asyncio.sleep(0.3)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 5)
    assert (await log.checkpoint()).size == 600


async def test_publishing_anew_never_covers_up_a_file_that_says_otherwise(log):
    (log.published.folder / "checkpoint").unlink()
    tile = log.published.folder / "tile/0/000"
    good = tile.read_bytes()
    tile.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(LogFork):
        await log.republish()
    assert await asyncio.to_thread(log.published.checkpoint) is None
    tile.write_bytes(good)
    assert (await log.republish()).size == 600
