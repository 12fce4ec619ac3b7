"""Words open where they were sealed, and nowhere else; a destroyed key opens nothing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import keys_store
from kernel.ids import KeyId, new_id
from kernel.kernel import open_at
from kernel.keys import FileKeys, KeyFileRefused, WrappedKeyAltered
from kernel.vault import KeyDestroyed, SealedWordsAltered, SubjectKey, Vault

pytestmark = pytest.mark.anyio


def key() -> SubjectKey:
    return SubjectKey(new_id("key"), bytes(range(32)))


PLACE = ("identity.records", "words", "rec_1")


def test_words_open_in_their_place():
    k = key()
    sealed = k.seal(*PLACE, b"Ada Lovelace")
    assert b"Ada" not in sealed
    assert k.open(*PLACE, sealed) == b"Ada Lovelace"


@pytest.mark.parametrize(
    "elsewhere",
    [
        ("identity.identifiers", "words", "rec_1"),
        ("identity.records", "traits", "rec_1"),
        ("identity.records", "words", "rec_2"),
        ("identity.records", "wordsrec", "_1"),
        ("identity.recordswords", "", "rec_1"),
    ],
)
def test_words_copied_to_another_place_do_not_open(elsewhere):
    k = key()
    sealed = k.seal(*PLACE, b"Ada Lovelace")
    with pytest.raises(SealedWordsAltered):
        k.open(*elsewhere, sealed)


def test_words_under_another_key_id_do_not_open_even_with_the_same_bytes():
    one, other = key(), key()
    with pytest.raises(SealedWordsAltered):
        other.open(*PLACE, one.seal(*PLACE, b"Ada"))


@given(st.binary(max_size=64), st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_any_altered_byte_is_noticed(words, place, change):
    k = key()
    sealed = bytearray(k.seal(*PLACE, words))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(SealedWordsAltered):
        k.open(*PLACE, bytes(sealed))


@given(st.binary(max_size=40))
def test_any_truncation_is_noticed(words):
    k = key()
    sealed = k.seal(*PLACE, words)
    for end in (0, 5, 12, len(sealed) - 1):
        with pytest.raises(SealedWordsAltered):
            k.open(*PLACE, sealed[:end])


def test_the_same_words_never_look_the_same_twice():
    k = key()
    assert len({k.seal(*PLACE, b"x") for _ in range(200)}) == 200


async def test_keys_come_back_from_the_database(kernel, addresses):
    ids = await kernel.vault.create_keys(5)
    sealed = (await kernel.vault.unwrap(ids))[ids[0]].seal(*PLACE, b"Ada")
    async with open_at(kernel.settings, addresses) as other:
        found = await other.vault.unwrap(ids)
        assert set(found) == set(ids)
        assert found[ids[0]].open(*PLACE, sealed) == b"Ada"


async def test_a_destroyed_key_is_absent_and_its_holders_are_cut_off(kernel):
    ids = await kernel.vault.create_keys(2)
    held = (await kernel.vault.unwrap(ids))[ids[0]]
    sealed = held.seal(*PLACE, b"Ada")
    assert await kernel.vault.destroy([ids[0], ids[0], KeyId("key_00000000000000000000000000")]) == 1
    assert set(await kernel.vault.unwrap(ids)) == {ids[1]}
    with pytest.raises(KeyDestroyed):
        held.open(*PLACE, sealed)
    with pytest.raises(KeyDestroyed):
        held.seal(*PLACE, b"more")
    assert await kernel.vault.destroy([ids[0]]) == 0


async def test_another_process_refuses_a_destroyed_key_once_its_memory_is_stale(kernel, addresses):
    ids = await kernel.vault.create_keys(1)
    hasty = kernel.settings.model_copy(update={"key_cache_seconds": 0.0})
    async with open_at(hasty, addresses) as other:
        held = (await other.vault.unwrap(ids))[ids[0]]
        await kernel.vault.destroy(ids)
        assert await other.vault.unwrap(ids) == {}
        with pytest.raises(KeyDestroyed):
            held.seal(*PLACE, b"x")


async def test_while_no_key_is_destroyed_anywhere_cached_ones_are_not_read_again(kernel, addresses, monkeypatch):
    kept, lost = await kernel.vault.create_keys(2)
    read: list[object] = []

    async def counted(conn, ids):
        read.extend(ids)
        return await wrapped(conn, ids)

    wrapped = keys_store.wrapped
    monkeypatch.setattr(keys_store, "wrapped", counted)
    hasty = kernel.settings.model_copy(update={"key_cache_seconds": 0.0})
    async with open_at(hasty, addresses) as other:
        assert set(await other.vault.unwrap([kept, lost])) == {kept, lost}
        await other.vault.unwrap([kept])
        await other.vault.unwrap([kept, lost])
        assert read == [kept, lost]  # once each
        async with kernel.keys_db.transaction() as conn:  # by hand, past every door
            await conn.execute("DELETE FROM keys.subject_keys WHERE key_id = %s", (lost,))
        assert set(await other.vault.unwrap([kept, lost])) == {kept}


async def test_a_look_up_that_races_a_destruction_asks_again(kernel):
    (key_id,) = await kernel.vault.create_keys(1)
    kernel.vault.forget_all()

    class Slow:
        """Unwraps only after the key has been destroyed meanwhile."""

        current = kernel.secrets.current

        async def unwrap(self, keys):
            if keys:
                await kernel.vault.destroy([key_id])
            return await kernel.secrets.unwrap(keys)

    kernel.vault._keks = Slow()
    assert await kernel.vault.unwrap([key_id]) == {}


async def test_the_memory_of_keys_is_bounded(kernel, addresses):
    small = kernel.settings.model_copy(update={"key_cache_size": 3})
    async with open_at(small, addresses) as other:
        ids = await other.vault.create_keys(10)
        assert len(await other.vault.unwrap(ids)) == 10
        assert len(other.vault._cache) == 3


async def test_wrapped_keys_swapped_between_rows_are_refused(kernel, engines, addresses):
    one, two = await kernel.vault.create_keys(2)
    kernel.vault.forget_all()
    async with kernel.keys_db.transaction() as conn:
        await conn.execute(
            "UPDATE keys.subject_keys a SET wrapped = b.wrapped FROM keys.subject_keys b "
            "WHERE a.key_id = ANY(%s) AND b.key_id = ANY(%s) AND a.key_id <> b.key_id",
            ([one, two], [one, two]),
        )
    with pytest.raises(WrappedKeyAltered, match=one):
        await kernel.vault.unwrap([one])


async def test_a_lost_key_file_is_not_replaced_while_keys_hang_on_it(kernel, addresses, tmp_path):
    await kernel.vault.create_keys(1)
    lost = kernel.settings.model_copy(update={"kek_file": tmp_path / "none" / "keys.json"})
    with pytest.raises(KeyFileRefused):
        async with open_at(lost, addresses):
            pass
    assert not lost.secrets_file.exists()


def test_the_key_file_is_private_and_made_once(tmp_path):
    path = tmp_path / "secrets" / "keys.json"
    first = FileKeys.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert FileKeys.create(path).derive("x") == first.derive("x")
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]
    path.chmod(0o640)
    with pytest.raises(KeyFileRefused, match="640"):
        FileKeys.load(path)


def test_a_faulty_key_file_is_refused_without_showing_it(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text('{"version": 1, "current": "kek-1", "keys": {"kek-1": "c2VjcmV0"}}')
    path.chmod(0o600)
    with pytest.raises(KeyFileRefused) as caught:
        FileKeys.load(path)
    assert "c2VjcmV0" not in str(caught.value)


async def test_hashes_are_stable_keyed_and_apart_by_purpose(kernel, addresses, tmp_path):
    vault = kernel.vault
    assert vault.blind_index("email", "ada@example.org") == vault.blind_index("email", "ada@example.org")
    assert len(vault.blind_index("email", "x")) == 32
    seen = {
        vault.blind_index("email", "x"),
        vault.blind_index("phone", "x"),
        vault.blind_index("emailx", ""),
        vault.pepper("email", "x"),
        vault.pepper("suppression", "x"),
    }
    assert len(seen) == 5
    other = FileKeys.create(tmp_path / "k" / "keys.json")
    assert Vault(kernel.keys_db, other, other).blind_index("email", "x") not in seen


async def test_many_keys_are_made_and_opened_in_bulk(kernel):
    started = time.monotonic()
    ids = await kernel.vault.create_keys(20_000)
    made = time.monotonic() - started
    assert len(set(ids)) == 20_000
    assert ids == sorted(ids)
    kernel.vault.forget_all()
    assert len(await kernel.vault.unwrap(ids)) == 20_000
    assert made < 10, "a hundred thousand keys are made in seconds, on a busy machine too"


async def test_keys_for_fresh_rows_are_durable_before_they_seal_and_die_like_others(kernel):
    keys = [key for _ in range(3) for key in await kernel.vault.fresh_keys(2)]
    async with kernel.keys_db.reading() as conn:
        stored = {key_id for key_id, _, _ in await keys_store.wrapped(conn, [key.id for key in keys])}
    assert stored == {key.id for key in keys}
    assert len(stored) == 6
    sealed = keys[0].seal("t", "c", "row", b"words")
    assert (await kernel.vault.unwrap([keys[0].id]))[keys[0].id].open("t", "c", "row", sealed) == b"words"
    assert await kernel.vault.destroy([keys[0].id]) == 1
    with pytest.raises(KeyDestroyed):
        keys[0].open("t", "c", "row", sealed)


async def test_keys_made_ahead_that_a_restored_database_lost_are_not_used(kernel):
    (first,) = await kernel.vault.fresh_keys(1)
    async with kernel.keys_db.transaction() as conn:
        await conn.execute("DELETE FROM keys.subject_keys WHERE key_id <> %s", (first.id,))
    kernel.vault.forget_all()
    (second,) = await kernel.vault.fresh_keys(1)
    assert await kernel.vault.unwrap([second.id])
