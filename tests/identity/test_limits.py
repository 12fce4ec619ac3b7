"""Limits of identifiers: Segment's documented answer, and nobody beyond a limit whatever the order (identity.I12)."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from identity.bounds import Bounds
from identity.clusters import guarded
from identity.facts import Evidence
from identity.limits import Limit, Limits, beyond, peak, too_many
from identity.people import Carried, Holders
from identity.queue import questions
from identity.settings import IdentitySettings
from identity.why_not import Cause
from orchestration.service.cli.identity_link import link
from tests.identity.test_clusters import edges

DAY = 86_400.0
SEGMENT = IdentitySettings(  # "Identity Resolution Onboarding", Priority
    exclusive_kinds=(),
    limits={"login_id": Limit(most=1), "email": Limit(most=5), "anonymous_id": Limit(most=5)},
    resolve_priority=("login_id", "email", "anonymous_id"),
)


def held(row: int, *kinds: str, at: float = 0.0) -> list[Carried]:
    """One row that carries `kind:value`, ..."""
    return [Carried(one, one.partition(":")[0], "app", b"%d" % row, at) for one in kinds]


def arrive(
    holders: Holders, person: str, row: int, *kinds: str, at: float = 0.0, policy: IdentitySettings = SEGMENT
) -> str:
    """Whom the row joins; `person` where it makes a new one."""
    items = held(row, *kinds, at=at)
    found = holders.choose(items, None, policy)[0] or person
    holders.learn(found, items, policy)
    return found


def test_the_worked_example_of_segment_has_its_documented_answer():
    holders = Holders()
    arrive(holders, "jane", 1, "login_id:abc123", "email:jane@example1.com")
    # One user_id is the limit; the mailbox ranks below it, is left out, and nobody has abc456.
    assert arrive(holders, "new", 2, "login_id:abc456", "email:jane@example1.com") == "new"
    assert [(who, item.id) for who, item in holders.refused] == [("jane", "email:jane@example1.com")]
    assert arrive(holders, "other", 3, "login_id:abc456") == "new"
    assert arrive(holders, "other", 4, "login_id:abc123", "anonymous_id:a") == "jane"


def test_a_more_important_identifier_outlives_a_limit_and_a_less_important_one_does_not():
    holders = Holders()
    for place in range(9):  # under one login all browsers are hers; those beyond the limit do not count
        assert arrive(holders, "ada", place, "login_id:ada", f"anonymous_id:{place}") == "ada"
    assert SEGMENT.limited.demoted({"anonymous_id": [(0.0, f"r{n}", f"{n}") for n in range(9)]}) == {
        (f"r{n}", f"{n}") for n in range(5, 9)
    }
    kiosk = [arrive(holders, f"p{n}", 100 + n, "anonymous_id:kiosk", f"email:{n}@x.org") for n in range(9)]
    assert kiosk == ["p0"] * 5 + ["p5", "p6", "p7", "p8"]  # from then on two people hold the browser: it names nobody
    both = ("email:1@x.org", "email:new@x.org")  # an address is no more important than an address
    assert arrive(holders, "new", 200, *both) == "new"
    assert arrive(holders, "new", 201, "email:2@x.org", "anonymous_id:of-p0") == "p0"


def test_a_window_slides():
    weekly = Limit(most=2, within="week")
    at = [(day * DAY, f"r{day}", f"v{day}") for day in (0, 1, 3, 7, 8, 10)]
    assert beyond(at, weekly) == [
        ("r3", "v3"),
        ("r10", "v10"),
    ]  # 7 comes exactly a week after 0; in the week of 10 are 7 and 8
    assert (
        beyond([(0.0, "a", "v"), (DAY, "b", "w"), (2 * DAY, "c", "v")], weekly) == []
    )  # the same value again is no other
    assert peak([(t, v) for t, _, v in at], 7 * DAY) == 3
    assert peak([(0.0, "a"), (7 * DAY, "b")], 7 * DAY) == 1
    assert not too_many([(0.0, "a"), (0.0, "b"), (0.0, "c")], [(0.0, "a")], weekly)  # no more than one side had alone


values = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from("rstuvw"), st.sampled_from("abcdefg")), max_size=14, unique=True
)


@settings(max_examples=150)
@given(values, st.integers(1, 3), st.sampled_from(["day", "week", "ever"]), st.randoms(use_true_random=False))
def test_what_counts_never_exceeds_a_limit_in_any_order(links, most, within, shuffled):
    limit = Limit(most=most, within=within)
    links = [(day * DAY / 2, record, value) for day, record, value in links]
    out = beyond(links, limit)
    counted = [(t, v) for t, r, v in links if (r, v) not in set(out)]
    naive = max((len({v for t, v in counted if end - limit.seconds < t <= end}) for end, _ in counted), default=0)
    assert peak(counted, limit.seconds) == naive <= most
    shuffled.shuffle(links)
    assert beyond(links, limit) == out
    if out:  # nothing is left out without need
        assert peak([(t, v) for t, _, v in links], limit.seconds) > most


arrivals = st.lists(
    st.tuples(
        st.sampled_from(["", "login_id:l", "login_id:m"]),
        st.sampled_from(["", *(f"email:{c}" for c in "abcdef")]),
        st.sampled_from(["", *(f"anonymous_id:{c}" for c in "abcdef")]),
        st.integers(0, 10),
    ),
    max_size=25,
)


@settings(max_examples=100)
@given(arrivals)
def test_nobody_exceeds_a_limit_by_joining_whatever_comes_in_whatever_order(batch):
    policy = IdentitySettings(
        exclusive_kinds=(),
        limits={"login_id": Limit(most=1), "email": Limit(most=2), "anonymous_id": Limit(most=2, within="week")},
    )
    holders = Holders()
    people: dict[str, dict[str, list[tuple[float, str, str]]]] = {}
    for row, (*kinds, day) in enumerate(batch):
        named = [one for one in kinds if one]
        person = arrive(holders, f"p{row:02}", row, *named, at=day * DAY, policy=policy)
        for one in named:
            people.setdefault(person, {}).setdefault(one.partition(":")[0], []).append((day * DAY, f"r{row}", one))
    for kinds in people.values():
        assert peak([(t, v) for t, _, v in kinds.get("login_id", [])], math.inf) <= 1
        out = policy.limited.demoted(kinds)
        for kind, limit in policy.limits.items():
            counted = [(t, v) for t, r, v in kinds.get(kind, []) if (r, v) not in out]
            assert peak(counted, limit.seconds) <= limit.most


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([2.0, 5.0, 60.0])), max_size=30),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abcd"), st.integers(0, 9)), max_size=14),
    st.lists(st.sampled_from(["", "u", "v"]), min_size=10, max_size=10),
)
def test_the_guard_joins_nobody_beyond_a_limit_by_anything_less_important(triples, mail, login):
    limits = Limits({"email": Limit(most=2, within="week"), "login_id": Limit(most=1)}, {"login_id": 0, "email": 1})
    links = [(row, "email", value, day * DAY) for row, value, day in mail]
    links += [(row, "login_id", value, 0.0) for row, value in enumerate(login) if value]
    weight = {(min(a, b), max(a, b)): w for a, b, w in triples if a != b}
    listed = edges(*((a, b, w) for (a, b), w in weight.items()))
    known = replace(Evidence(10), bounds=Bounds.of(limits, ["login_id"], links))
    person = guarded(listed, known).person.tolist()
    for label in set(person):
        mine = [(row, value, day) for row, kind, value, day in links if person[row] == label and kind == "email"]
        assert len({value for row, value in enumerate(login) if value and person[row] == label}) <= 1
        if not any(
            value for row, value in enumerate(login) if person[row] == label
        ):  # without a login likeness alone joined them
            rows = max((peak([(d, v) for r, v, d in mine if r == row], 7 * DAY) for row in range(10)), default=0)
            assert peak([(d, v) for _, v, d in mine], 7 * DAY) <= max(2, rows)


def test_the_guard_keeps_the_surplus_of_a_login_and_refuses_that_of_likeness():
    limits = Limits({"email": Limit(most=1)}, {"login_id": 0})
    links = [
        (0, "email", "a", 0.0),
        (1, "email", "b", 0.0),
        (0, "login_id", "u", 0.0),
        (1, "login_id", "u", 0.0),
        (2, "email", "c", 0.0),
    ]
    known = replace(Evidence(3), bounds=Bounds.of(limits, ["login_id"], links).placed(np.arange(3)))
    found = guarded(edges((0, 1, 60.0), (1, 2, 20.0)), known)
    assert found.person.tolist() == [0, 0, 2]
    assert [(r.left, r.right, r.cause) for r in found.ambiguous] == [(1, 2, "limit")]


@pytest.mark.anyio
async def test_in_the_store_a_kiosk_ends_at_its_limit_and_browsers_beyond_it_lead_to_nobody(kernel, identity, record):
    policy = IdentitySettings(limits={"email": Limit(most=2), "anonymous_id": Limit(most=2, within="week")})
    identity.settings = identity._collector._settings = policy
    seen = datetime(2026, 1, 10, tzinfo=UTC)

    async def add(*rows):
        async with kernel.db.transaction() as conn:
            return await identity.add_records(conn, list(rows))

    async def whose(*ids):
        async with kernel.db.reading() as conn:
            return [found.people[0] for found in (await identity.subjects(conn, ids)).values()]

    async def leads(kind, *held):
        from identity.identifiers import Identifier

        async with kernel.db.reading() as conn:
            asked = [[Identifier(kind, one)] for one in held]
            cold = [found.person for found in await identity.resolve(conn, asked)]
        assert [found.person for found in await identity.resolve_hot(asked)] == cold
        return cold

    kiosk = []
    for n in range(4):
        kiosk += await add(record(f"k{n}", ("email", f"{n}@example.org"), ("anonymous_id", "kiosk")))
    first, second, third, fourth = await whose(*kiosk)
    assert first == second
    assert len({first, third, fourth}) == 3
    async with kernel.db.reading() as conn:
        told = await identity.reasons.why_not(conn, kiosk[1], kiosk[2])
        assert told.cause is Cause.LIMIT
        assert third in (await identity.members(conn, [first]))[first].loose
        (asked,) = [one for one in await questions(conn) if one.question.cause == "limit"]
        assert {asked.question.a, asked.question.b} == {kiosk[1], kiosk[2]}
    rows = [record(f"b{n}", ("login_id", "ada"), ("anonymous_id", f"b{n}"), at=seen + timedelta(n)) for n in range(4)]
    await add(rows[1])
    made = await add(*rows[2:])
    (ada,) = set(await whose(*made))
    assert await leads("anonymous_id", "b1", "b2", "b3") == [ada, ada, None]
    await add(rows[0])  # earlier than all: the second of the others is beyond the limit now
    assert await leads("anonymous_id", "b0", "b1", "b2", "b3") == [ada, ada, None, None]
    async with kernel.db.reading() as conn:
        assert await identity.limiting.over(conn) == []
        assert "b3" in {
            one.value for one in (await identity.identifiers(conn, [ada]))[ada]
        }  # hers to see, and to be erased
        identity.settings = replace_limits(policy, most=1)
        assert await identity.limiting.over(conn) == sorted({first, ada})
        identity.settings = policy
    async with kernel.db.transaction() as conn:
        await identity.erase(conn, ada)
    async with kernel.db.reading() as conn:
        left = await (await conn.execute("SELECT count(*) AS n FROM identity.demoted")).fetchone()
    assert left["n"] == 0


def replace_limits(policy: IdentitySettings, most: int) -> IdentitySettings:
    return IdentitySettings(limits={kind: Limit(most=most) for kind in policy.limits})


def test_a_file_is_linked_within_limits_and_a_limit_that_is_none_is_refused(tmp_path):
    people = tmp_path / "people.csv"
    people.write_text(
        "first_name,surname,dob,street,email\nAnn,Ray,1980-01-02,1 Elm road,ann.ray@x.org\nAnn,Ray,1980-01-02,1 Elm road,a.ray@y.org\n"
        "Bob,Moe,1977-03-04,8 Oak lane,bob@x.org\n"
    )
    app = typer.Typer()
    app.command()(link)
    told = {}
    for limit in ([], ["--limit", "email=1"]):
        done = CliRunner().invoke(app, [str(people), "--out", str(tmp_path / "out.parquet"), "--json", *limit])
        told[bool(limit)] = json.loads(done.stdout)
    assert [told[on]["people"] for on in (False, True)] == [2, 3]
    assert told[True]["ambiguous"] == {"limit": 1}
    for wrong in ("email", "email=none", "email=0", "mailbox=3"):
        done = CliRunner().invoke(app, [str(people), "--out", str(tmp_path / "out.parquet"), "--limit", wrong])
        assert getattr(done.exception, "code", None) == "identity.bad_limit"
