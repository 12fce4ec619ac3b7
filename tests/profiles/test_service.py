"""Profiles on a real Postgres and Valkey: filtered, hot, rebuilt, erased."""

from datetime import timedelta

import pytest

from consent import precedence
from consent.gate import Answer
from consent.service import Consent
from consent.settings import ConsentSettings
from events.log import CollectContext
from kernel.cache import Cache
from profiles.errors import NobodyThere
from profiles.hot import pack, unpack
from profiles.service import Profiles
from tests.profiles.conftest import NOW

pytestmark = pytest.mark.anyio
PURPOSE = "marketing.personalize"


async def shopper(world, key="u1", email="ada@example.org"):
    person = await world.person(key, ("login_id", key), ("email", email), also_for=(PURPOSE,), first_name="Adalbertine")
    await world.say(person, PURPOSE, "granted")
    return person


async def ordered(world, login, days_ago, revenue):
    at = NOW - timedelta(days=days_ago)
    call = {
        "type": "track", "event": "Order Completed", "userId": login, "messageId": f"{login}-{days_ago}",
        "timestamp": at.isoformat(), "properties": {"revenue": revenue},
    }  # fmt: skip
    (answer,) = await world.events.collect([call], CollectContext("web"))
    assert answer.status == "accepted", answer


def value(world, hot, name):
    return hot.features[world.profiles.features.names.index(name)]


async def test_a_purpose_sees_what_it_may_and_a_withdrawal_takes_it_away(world):
    person = await shopper(world)
    await ordered(world, "u1", 3, 20.5)
    seen = await world.unified(person, PURPOSE)
    assert {t.name: t.value for t in seen.traits.values()} == {"first_name": "Adalbertine"}
    assert [e.name for e in seen.events] == ["Order Completed"]
    assert (await world.unified(person, "analytics")).traits == {}
    await world.say(person, PURPOSE, "denied", days_ago=0)
    gone = await world.unified(person, PURPOSE)
    assert (gone.traits, gone.events, gone.permission.answer) == ({}, (), Answer.DENIED)
    assert gone.consent_version > seen.consent_version


async def test_batch_and_hot_are_equal_in_bits_and_a_rebuilt_cache_is_equal(world):
    people = [await shopper(world, f"u{n}", f"p{n}@example.org") for n in range(3)]
    for n in range(3):
        await ordered(world, f"u{n}", 1.1 + n, 19.99)
        await ordered(world, f"u{n}", 40.3, 0.1)
    hot = await world.profiles.hot_many(people, PURPOSE)
    async with world.kernel.db.reading() as conn:
        batch = await world.profiles.batch(conn, people, PURPOSE, NOW)
        table = await world.profiles.feature_table(conn, people, PURPOSE, NOW)
    for place, person in enumerate(batch.people):
        assert [v.hex() for v in hot[person].features] == [v.hex() for v in batch.rows[place].tolist()]
    assert table.column_names == ["person_id", *world.profiles.features.names]
    warm = {p: await world.profiles._hot.read([p], PURPOSE) for p in people}
    assert all(words == [pack(hot[p])] for p, words in warm.items())
    assert await world.profiles.rebuild_cache() == 3
    assert {p: await world.profiles._hot.read([p], PURPOSE) for p in people} == warm


async def test_a_hot_profile_holds_permissions_and_reach_but_no_word(world):
    person = await shopper(world)
    await world.say(person, "marketing.email", "granted")
    await ordered(world, "u1", 3, 20.5)
    hot = await world.profiles.hot(person, PURPOSE)
    assert hot.permitted
    assert hot.permissions["marketing.email|email"].answer is Answer.GRANTED
    assert hot.permissions["marketing.push|push"].answer is Answer.UNDETERMINED
    assert set(hot.reach) == {"email", "web"}
    assert value(world, hot, "spend_180d") == 20.5
    assert "buyers" in hot.segments
    origin = next(o for o in hot.origins if o.feature == "spend_180d")
    assert (origin.trait, origin.purpose, origin.act) == (
        "Order Completed",
        PURPOSE,
        hot.permissions[f"{PURPOSE}|"].act,
    )
    (words,) = await world.profiles._hot.read([person], PURPOSE)
    for word in (b"ada@example.org", b"Adalbertine", b"u1", b"wrapped"):
        assert word not in words
    assert pack(await world.profiles.hot(person, PURPOSE)) == pack(hot)


async def test_a_withdrawal_empties_the_hot_profile_and_moves_its_version(world):
    person = await shopper(world)
    await ordered(world, "u1", 3, 20.5)
    before = await world.profiles.hot(person, PURPOSE)
    await world.say(person, PURPOSE, "denied", days_ago=0)
    after = await world.profiles.hot(person, PURPOSE)
    assert not after.permitted
    assert after.consent_version > before.consent_version
    assert value(world, after, "spend_180d") == 0.0
    async with world.kernel.db.transaction() as conn:
        assert await world.consent.fence(conn, {person: before.consent_version}) == {person}


async def test_a_grant_that_runs_out_is_not_kept_hot_beyond_its_end(world):
    person = await shopper(world)
    await world.say(person, "marketing.email", "granted", expires=NOW + timedelta(seconds=90))
    assert (await world.profiles.hot(person, PURPOSE)).permissions["marketing.email|email"].granted
    world.clock.advance(timedelta(seconds=91))
    hot = await world.profiles.hot(person, PURPOSE)
    assert not hot.permissions["marketing.email|email"].granted
    assert hot.at == NOW + timedelta(seconds=91)


async def test_without_a_cache_postgres_answers_the_same(world, monkeypatch):
    person = await shopper(world)
    await ordered(world, "u1", 3, 20.5)
    warm = await world.profiles.hot(person, PURPOSE)
    monkeypatch.setattr(Cache, "available", property(lambda _self: False))
    assert pack(await world.profiles.hot(person, PURPOSE)) == pack(warm)
    await world.profiles.refresh([person])
    assert pack(await world.profiles.hot(person, PURPOSE, fresh=True)) == pack(warm)


async def test_a_new_event_shows_in_the_next_hot_profile(world):
    world.events.on_events_stored.append(world.profiles.records_changed)
    person = await shopper(world)
    assert value(world, await world.profiles.hot(person, PURPOSE), "orders_180d") == 0.0
    await ordered(world, "u1", 3, 20.5)
    assert value(world, await world.profiles.hot(person, PURPOSE), "orders_180d") == 1.0


async def test_what_happens_while_a_profile_is_made_is_not_lost_to_the_older_one(world, monkeypatch):
    """Making one reads first and writes last; whoever is told of something in between must not find the old one kept."""
    world.events.on_events_stored.append(world.profiles.records_changed)
    person = await shopper(world)
    whole = world.profiles.raw

    async def slow(conn, people):
        found = await whole(conn, people)
        monkeypatch.setattr(world.profiles, "raw", whole)
        await ordered(world, "u1", 1, 20.0)
        return found

    monkeypatch.setattr(world.profiles, "raw", slow)
    assert value(world, await world.profiles.hot(person, PURPOSE), "orders_180d") == 0
    assert value(world, await world.profiles.hot(person, PURPOSE), "orders_180d") == 1
    monkeypatch.setattr(world.profiles, "raw", None)
    assert value(world, await world.profiles.hot(person, PURPOSE), "orders_180d") == 1, "and now it is kept"


async def test_nobody_has_no_hot_profile(world):
    with pytest.raises(NobodyThere):
        await world.profiles.hot("per_01ARZ3NDEKTSV4RRFFQ69G5FAV", PURPOSE)


async def test_a_feature_table_is_repeatable_carries_ids_only_and_forgets_the_erased(world):
    one, two = [await shopper(world, f"u{n}", f"p{n}@example.org") for n in range(2)]
    await ordered(world, "u0", 3, 20.5)
    async with world.kernel.db.transaction() as conn:
        first = await world.profiles.write_features(conn, PURPOSE, NOW)
        again = await world.profiles.write_features(conn, PURPOSE, NOW)
        assert first == again
        assert first.rows == 2
    folder = world.kernel.settings.data_dir / "features"
    words = (folder / first.file).read_bytes()
    assert not any(word in words for word in (b"p0@example.org", b"Adalbertine"))
    exported = None
    async with world.kernel.db.transaction() as conn:
        exported = await world.profiles.export(conn, one)
        assert await world.profiles.erase(conn, one) == 1
        assert await world.profiles.erase(conn, one) == 0
        (table,) = await world.profiles.feature_tables(conn)
    features = {one["feature"]: one for one in exported["derived"][PURPOSE]["features"]}
    assert features["spend_180d"]["value"] == 20.5
    assert features["spend_180d"]["rests_on"]
    assert (table.rows, table.digest != first.digest) == (1, True)
    assert one.encode() not in (folder / first.file).read_bytes()
    assert await world.profiles._hot.read([one], PURPOSE) == [None]
    assert two.encode() in (folder / first.file).read_bytes()


async def test_a_hot_profile_does_not_outlive_the_rules_it_was_made_under(world, tmp_path):
    person = await world.person("1", ("email", "ada@example.org"))
    await world.say(person, "marketing.email", "granted")
    assert (await world.profiles.hot(person, PURPOSE)).permissions["marketing.email|email"].answer is Answer.GRANTED
    pack_ = (precedence.PACKS / "gdpr.yaml").read_text(encoding="utf-8")
    (tmp_path / "gdpr.yaml").write_text(pack_.replace("European Union", "The European Union"), encoding="utf-8")
    consent = Consent(world.kernel, world.consent._audit, world.identity, ConsentSettings(packs_dir=tmp_path))
    other = Profiles(world.kernel, world.identity, consent, world.events)
    (words,) = await world.profiles._hot.read([person], PURPOSE)
    assert unpack(words).rules == world.consent.rules.digest != consent.rules.digest
    assert (await other.hot(person, PURPOSE)).rules == consent.rules.digest
    await world.profiles.hot(person, PURPOSE)
    assert await other.keep_warm([person], PURPOSE) == 1
    (words,) = await world.profiles._hot.read([person], PURPOSE)
    assert unpack(words).rules == consent.rules.digest
