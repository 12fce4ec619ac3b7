"""Records in, people out, on a real Postgres and Valkey."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from identity.errors import AmbiguousContact, PersonNotFound
from identity.identifiers import Identifier

pytestmark = pytest.mark.anyio
SEEN = datetime(2026, 1, 1, tzinfo=UTC)


async def add(kernel, identity, *records):
    async with kernel.db.transaction() as conn:
        return await identity.add_records(conn, list(records))


async def person_of(kernel, identity, *ids):
    async with kernel.db.reading() as conn:
        (found,) = await identity.resolve(conn, [[Identifier(*i) for i in ids]])
    return found


async def test_the_same_row_again_is_the_record_that_is_there(kernel, identity, record):
    row = record("1", ("email", "Ada@Example.org"), first_name="Ada")
    (first,) = await add(kernel, identity, row)
    assert await add(kernel, identity, row, row) == [first, first]
    async with kernel.db.reading() as conn:
        assert (await (await conn.execute("SELECT count(*) AS n FROM identity.records")).fetchone())["n"] == 1


async def test_other_words_of_a_row_are_a_new_version_and_the_old_one_stays(kernel, identity, record):
    (first,) = await add(kernel, identity, record("1", ("login_id", "u1"), city="London"))
    (second,) = await add(kernel, identity, record("1", ("login_id", "u1"), city="Paris", at=SEEN + timedelta(1)))
    async with kernel.db.reading() as conn:
        (person,) = await identity.people(conn)
        held = (await identity.records(conn, [person]))[person]
    assert [(r.id, r.version, r.current, r.traits["city"]) for r in held] == [
        (first, 1, False, "London"),
        (second, 2, True, "Paris"),
    ]


async def test_a_late_row_does_not_become_current_and_a_taken_back_change_does(kernel, identity, record):
    london, paris = (lambda day, c=c: record("1", city=c, at=SEEN + timedelta(day)) for c in ("London", "Paris"))
    await add(kernel, identity, london(5))
    await add(kernel, identity, paris(3))  # observed earlier, came later

    async def current():
        async with kernel.db.reading() as conn:
            (person,) = await identity.people(conn)
            return [r.traits["city"] for r in (await identity.records(conn, [person]))[person] if r.current]

    assert await current() == ["London"]
    await add(kernel, identity, paris(3))
    assert await current() == ["London"]
    await add(kernel, identity, paris(8))
    assert await current() == ["Paris"]
    await add(kernel, identity, london(9))
    assert await current() == ["London"]


async def test_words_lie_sealed_and_no_table_holds_them_in_clear(kernel, identity, record):
    await add(kernel, identity, record("key-of-ada", ("email", "ada@example.org"), first_name="Adalbertine"))
    async with kernel.db.reading() as conn:
        for table in ("records", "identifiers", "record_identifiers", "people", "members"):
            rows = await (await conn.execute(f"SELECT t::text AS row FROM identity.{table} t")).fetchall()
            for word in ("ada@example.org", "Adalbertine", "key-of-ada"):
                assert not any(word in r["row"] or word.encode().hex() in r["row"] for r in rows), (table, word)


async def test_a_login_joins_and_a_second_login_never_does(kernel, identity, record):
    await add(
        kernel,
        identity,
        record("1", ("login_id", "u1"), ("email", "home@example.org")),
        record("2", ("login_id", "u1"), source="crm"),
        record("3", ("login_id", "u2"), ("email", "home@example.org")),
        record("4", ("email", "home@example.org")),  # two people hold it now: it names nobody
    )
    async with kernel.db.reading() as conn:
        assert len(await identity.people(conn)) == 3
    one = await person_of(kernel, identity, ("login_id", "u1"))
    two = await person_of(kernel, identity, ("login_id", "u2"))
    assert one.person != two.person
    shared = await person_of(kernel, identity, ("email", "home@example.org"))
    assert shared.person is None
    assert {one.person, two.person} < set(shared.candidates)
    strong = await person_of(kernel, identity, ("email", "home@example.org"), ("login_id", "u2"))
    assert strong.person == two.person
    assert strong.candidates[0] == two.person


async def test_an_email_of_one_person_joins_and_tells_how_sure(kernel, identity, record):
    await add(kernel, identity, record("1", ("login_id", "u1"), ("email", "a@example.org")))
    await add(kernel, identity, record("9", ("email", "A@EXAMPLE.org"), source="crm"))
    found = await person_of(kernel, identity, ("email", "a@example.org"))
    async with kernel.db.reading() as conn:
        held = (await identity.members(conn, [found.person]))[found.person]
    assert len(held.records) == 2
    assert held.sure == identity.settings.contact_surety


async def test_two_batches_at_once_make_one_person_of_one_login(kernel, identity, record):
    await asyncio.gather(*(add(kernel, identity, record(str(n), ("login_id", "u1"), source=f"s{n}")) for n in range(4)))
    async with kernel.db.reading() as conn:
        assert len(await identity.people(conn)) == 1


async def test_the_same_row_in_parallel_is_one_record(kernel, identity, record):
    ids = await asyncio.gather(*(add(kernel, identity, record("1", city="London")) for _ in range(4)))
    assert len({i for (i,) in ids}) == 1


async def test_people_who_share_an_identifier_may_be_the_same(kernel, identity, record):
    await add(
        kernel,
        identity,
        record("1", ("login_id", "u1"), ("phone", "+49301234567")),
        record("2", ("login_id", "u2"), ("phone", "+49 30 1234567")),
    )
    one, two = [(await person_of(kernel, identity, ("login_id", u))).person for u in ("u1", "u2")]
    async with kernel.db.reading() as conn:
        held = await identity.members(conn, [one, two])
        ids = await identity.identifiers(conn, [one])
    assert held[one].loose == (two,)
    assert held[two].loose == (one,)
    # A shared identifier's key is nobody's alone: erasing one must not close the other's words.
    assert len(held[one].key_ids) == 2
    assert {(i.kind, i.value) for i in ids[one]} == {("login_id", "u1"), ("phone", "+49301234567")}


async def test_an_identifier_of_a_crowd_makes_nobody_the_same(kernel, identity, record):
    many = identity.settings.loose_limit + 1
    await add(kernel, identity, *(record(str(n), ("login_id", f"u{n}"), ("device_id", "kiosk")) for n in range(many)))
    async with kernel.db.reading() as conn:
        people = await identity.people(conn)
        held = await identity.members(conn, people)
    assert len(people) == many
    assert all(m.loose == () for m in held.values())


async def test_listeners_hear_of_people_who_were_there_before(kernel, identity, record):
    heard = []

    async def listen(_conn, people):
        heard.append(list(people))

    identity.on_people_changed.append(listen)
    await add(kernel, identity, record("1", ("login_id", "u1")))
    assert heard == []
    await add(kernel, identity, record("2", ("login_id", "u1"), source="crm"))
    assert heard == [[(await person_of(kernel, identity, ("login_id", "u1"))).person]]


async def test_lookup_names_one_person_or_says_why_not(kernel, identity, record):
    await add(
        kernel,
        identity,
        record("1", ("login_id", "u1"), ("phone", "1234567")),
        record("2", ("login_id", "u2"), ("phone", "1234567")),
    )
    async with kernel.db.reading() as conn:
        person = await identity.lookup(conn, "login_id:u1")
        assert await identity.lookup(conn, person) == person
        with pytest.raises(AmbiguousContact):
            await identity.lookup(conn, "phone:1234567")
        with pytest.raises(PersonNotFound):
            await identity.lookup(conn, "email:nobody@example.org")


async def test_a_registered_contact_has_a_key_but_no_person_until_a_record_comes(kernel, identity, record):
    contact = Identifier("email", "new@example.org")
    async with kernel.db.transaction() as conn:
        (one, again) = await identity.register_identifiers(conn, [contact, contact])
        assert one == again
        subject = (await identity.subjects(conn, [one, "idn_unknown"]))[one]
        assert subject.people == ()
    await add(kernel, identity, record("1", ("email", "new@example.org")))
    async with kernel.db.reading() as conn:
        subject = (await identity.subjects(conn, [one]))[one]
        assert subject.people == tuple(await identity.people(conn))


async def test_the_hot_index_answers_like_postgres_and_follows_changes(kernel, identity, record):
    email = [[Identifier("email", "a@example.org")]]
    assert (await identity.resolve_hot(email))[0].person is None
    await add(kernel, identity, record("1", ("email", "a@example.org")))
    (cold,) = await identity.resolve_hot(email)
    assert [k async for k in kernel.cache._client.scan_iter("idx:email:*")] != []
    (hot,) = await identity.resolve_hot(email)
    assert cold == hot == await person_of(kernel, identity, ("email", "a@example.org"))
    await add(kernel, identity, record("2", ("email", "a@example.org"), ("login_id", "u2"), source="crm"))
    assert (await identity.resolve_hot(email))[0] == await person_of(kernel, identity, ("email", "a@example.org"))


async def test_resolution_works_without_a_cache(kernel, identity, record):
    await add(kernel, identity, record("1", ("email", "a@example.org")))
    await kernel.cache.close()
    (found,) = await identity.resolve_hot([[Identifier("email", "a@example.org")]])
    assert found.person is not None


async def test_the_linkage_table_has_one_row_a_current_record_and_one_column_a_kind(kernel, identity, record):
    from identity.records import linkage_kinds

    await add(kernel, identity, record("1", ("email", "a@example.org"), first_name="Ada"))
    await add(kernel, identity, record("1", ("email", "b@example.org"), first_name="Ada", at=SEEN + timedelta(1)))
    await add(kernel, identity, record("2", ("anonymous_id", "x"), occupation="cook"))
    async with kernel.db.reading() as conn:
        table = await identity.linkage_table(conn)
    assert table.num_rows == 2
    assert table.column("email").to_pylist() == ["b@example.org", None]
    assert linkage_kinds(table) == {
        "first_name": "first_name",
        "email": "email",
        "anonymous_id": "device_id",
        "occupation": "occupation",
    }


async def test_erasure_leaves_tombstones_and_no_way_to_find_her(kernel, identity, record):
    await add(
        kernel,
        identity,
        record("1", ("login_id", "u1"), ("phone", "1234567")),
        record("2", ("login_id", "u2"), ("phone", "1234567")),
    )
    her = (await person_of(kernel, identity, ("login_id", "u1"))).person
    him = (await person_of(kernel, identity, ("login_id", "u2"))).person
    await identity.resolve_hot([[Identifier("login_id", "u1")]])
    async with kernel.db.transaction() as conn:
        keys = (await identity.members(conn, [her]))[her].key_ids
        exported = await identity.export(conn, her)
        assert exported["records"][0]["source_key"] == "1"
        assert await identity.erase(conn, her) == 2  # the record and her login; the phone is his too
    await kernel.vault.destroy(keys)
    async with kernel.db.transaction() as conn:
        assert await identity.erase(conn, her) == 0
        assert await identity.people(conn) == [him]
        assert await identity.records(conn, [her]) == {}
        assert {i.value for i in (await identity.identifiers(conn, [him]))[him]} == {"u2", "1234567"}
        with pytest.raises(PersonNotFound):
            await identity.lookup(conn, her)
        with pytest.raises(PersonNotFound):
            await identity.lookup(conn, "login_id:u1")
        assert (await identity.members(conn, [him]))[him].loose == ()
    assert (await identity.resolve_hot([[Identifier("login_id", "u1")]]))[0].person is None
    # A tombstone's row may be collected again: it is a new record of a new person.
    await add(kernel, identity, record("1", ("login_id", "u1")))
    assert (await person_of(kernel, identity, ("login_id", "u1"))).person not in {her, him, None}


@pytest.mark.parametrize("pipelined", [False, True])
async def test_identifiers_that_the_caller_knows_join_as_others_and_one_erased_since_is_found_anew(
    kernel, identity, record, pipelined
):
    login = ("login_id", "u1")
    await add(kernel, identity, record("1", login))
    her = (await person_of(kernel, identity, login)).person
    async with kernel.db.reading() as conn:
        seen = await identity.surroundings.of(conn, [Identifier(*login)])
    assert [*seen.people.values()] == [(her,)]

    async def again(key):
        async with kernel.db.transaction(pipelined=pipelined) as conn:
            await identity.add_records(conn, [record(key, login, source=f"s{key}")], seen.ids)

    await asyncio.gather(*(again(str(n)) for n in range(4)))
    async with kernel.db.transaction() as conn:
        assert await identity.people(conn) == [her]
        await identity.erase(conn, her)
    await asyncio.gather(*(again(str(n)) for n in range(4, 8)))
    found = await person_of(kernel, identity, login)
    async with kernel.db.reading() as conn:
        assert await identity.people(conn) == [found.person] != [her]
        now = await identity.surroundings.of(conn, [Identifier(*login)])
        assert set(now.ids.values()).isdisjoint(seen.ids.values())
        assert len((await identity.members(conn, [found.person]))[found.person].records) == 4


async def test_people_can_be_listed_by_the_source_that_knows_them(kernel, identity, record):
    await add(kernel, identity, record("1", ("login_id", "u1")), record("2", ("login_id", "u2"), source="crm"))
    async with kernel.db.reading() as conn:
        assert len(await identity.people(conn)) == 2
        assert await identity.people(conn, source="crm") == [
            (await person_of(kernel, identity, ("login_id", "u2"))).person
        ]
        assert await identity.people(conn, source="none") == []
