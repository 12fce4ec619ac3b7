"""Key-encryption keys rotate while work goes on; a retired one opens nothing, in any copy."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from kernel.clock import FrozenClock
from kernel.keys import FileKeys, KekMissing, KeyInUse
from kernel.tokens import Fault, Token, Tokens
from kernel.vault import Vault

pytestmark = pytest.mark.anyio
PLACE = ("identity.records", "words", "rec_1")


@pytest.fixture
def keys(tmp_path):
    return FileKeys.create(tmp_path / "own" / "keys.json")


@pytest.fixture
def vault(kernel, keys):
    return Vault(kernel.keys_db, keys, keys, cache_seconds=0)


async def stored(kernel):
    async with kernel.keys_db.reading() as conn:
        found = await (await conn.execute("SELECT key_id, kek_id, wrapped FROM keys.subject_keys")).fetchall()
    return {row["key_id"]: (row["kek_id"], bytes(row["wrapped"])) for row in found}


async def test_rotation_wraps_anew_and_leaves_the_words(kernel, keys, vault):
    ids = await vault.create_keys(5)
    sealed = (await vault.unwrap(ids))[ids[0]].seal(*PLACE, b"Ada")
    before = await stored(kernel)
    assert await vault.rotate_kek() == "kek-2"
    assert (await vault.unwrap(ids))[ids[0]].open(*PLACE, sealed) == b"Ada"
    assert await vault.keks() == {"kek-1": 5}
    assert [await vault.rewrap(2) for _ in range(4)] == [2, 2, 1, 0], "goes on where it stopped"
    after = await stored(kernel)
    assert {kek for kek, _ in after.values()} == {"kek-2"}
    assert {wrapped for _, wrapped in before.values()}.isdisjoint(wrapped for _, wrapped in after.values())
    vault.forget_all()
    assert (await vault.unwrap(ids))[ids[0]].open(*PLACE, sealed) == b"Ada"


async def test_a_retired_key_opens_nothing_in_any_copy(kernel, keys, vault):
    (key_id,) = await vault.create_keys(1)
    copy = await stored(kernel)
    await vault.rotate_kek()
    with pytest.raises(KeyInUse, match="1 keys under it"):
        await vault.retire_kek("kek-1")
    with pytest.raises(KeyInUse, match="current"):
        await vault.retire_kek("kek-2")
    while await vault.rewrap():
        continue
    old_file = keys.path.open("rb")
    await vault.retire_kek("kek-1")
    await vault.retire_kek("kek-1")
    with old_file:
        assert old_file.read().strip(b"\0") == b"", "the file as it was is overwritten"
    with pytest.raises(KekMissing, match="kek-1"):
        await FileKeys.load(keys.path).unwrap([(key_id, *copy[key_id])])
    assert keys.names == ("kek-2",)
    assert await vault.rotate_kek() == "kek-3", "no name comes twice"
    assert await vault.unwrap([key_id])


async def test_another_process_follows_a_rotation_without_a_restart(kernel, keys, vault):
    elsewhere = Vault(kernel.keys_db, *[FileKeys.load(keys.path)] * 2, cache_seconds=0)
    (old,) = await elsewhere.create_keys(1)
    await vault.rotate_kek()
    (new,) = await elsewhere.create_keys(1)
    assert (await stored(kernel))[new][0] == "kek-2"
    while await vault.rewrap():
        continue
    await vault.retire_kek("kek-1")
    assert set(await elsewhere.unwrap([old, new])) == {old, new}


async def test_a_key_wrapped_just_before_the_retirement_is_wrapped_again(kernel, keys, vault):
    class Late(FileKeys):
        """The key-encryption key is retired between wrapping and storing, once."""

        done = False

        def wrap_now(self, clear):
            wrapped = super().wrap_now(clear)
            if not self.done:
                self.done = True
                keys.add("kek")
                asyncio.run(retire())
            return wrapped

    async def retire():
        with kernel_sync() as conn:
            conn.execute("INSERT INTO keys.retired_keks (kek_id) VALUES ('kek-1')")
        keys.remove("kek-1")

    import psycopg

    def kernel_sync():
        return psycopg.connect(kernel.keys_db._url)

    late = Late.load(keys.path)
    (key_id,) = await Vault(kernel.keys_db, late, late).create_keys(1)
    assert (await stored(kernel))[key_id][0] == "kek-2"
    assert await vault.unwrap([key_id])


async def test_work_goes_on_while_keys_are_rewrapped(kernel, keys, vault):
    ids = await vault.create_keys(300)
    made, gone = [], []

    async def work():
        for place in range(20):
            made.extend(await vault.create_keys(2))
            assert await vault.destroy([ids[place]]) == 1
            gone.append(ids[place])
            assert set(await vault.unwrap(ids[100:120])) == set(ids[100:120])

    async def rotate():
        name = await vault.rotate_kek()
        while await vault.rewrap(20):
            await asyncio.sleep(0)
        return name

    _, name = await asyncio.gather(work(), rotate())
    while await vault.rewrap():
        continue
    await vault.retire_kek("kek-1")
    assert {kek for kek, _ in (await stored(kernel)).values()} == {name}
    assert set(await vault.unwrap([*ids, *made])) == {*ids, *made} - set(gone)


async def test_token_keys_overlap_and_end(keys):
    clock = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))
    tokens = Tokens(clock, *keys.token_secrets(), renew=keys.token_secrets)
    old = tokens.issue("why", "dec_1", timedelta(days=1))
    keys.add("tok")
    new = tokens.issue("why", "dec_1", timedelta(days=1))
    assert (old.split(".")[1], new.split(".")[1]) == ("tok-1", "tok-2")
    assert isinstance(tokens.inspect(old, "why"), Token)
    keys.remove("tok-1")
    assert tokens.inspect(old, "why") is Fault.UNKNOWN_KEY
    assert isinstance(tokens.inspect(new, "why"), Token)
    with pytest.raises(KeyInUse):
        keys.remove("tok-2")


async def test_index_secrets_overlap(keys, vault):
    (old,) = vault.blind_indexes("email", "ada@example.org")
    assert keys.add("idx") == "idx-2"
    new, still = vault.blind_indexes("email", "ada@example.org")
    assert still == old != new == vault.blind_index("email", "ada@example.org")
    keys.remove("idx-1")
    assert vault.blind_indexes("email", "ada@example.org") == (new,)
