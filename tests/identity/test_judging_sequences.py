"""Judgements in any order: a partition obeys them, and whoever is unmerged in the end was never merged."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clusters import guarded
from identity.facts import Evidence
from identity.judgements import Rulings
from identity.people import Edge
from identity.settling import settle, two_fold
from tests.identity.test_clusters import edges
from tests.identity.test_judging import Graph

RECORDS = st.integers(0, 11)
SIDES = st.lists(RECORDS, min_size=1, max_size=3, unique=True)


@st.composite
def worlds(draw):
    """A partition of twelve records, edges, logins of some, and what staff decided of them."""
    groups = {one: draw(st.integers(0, 4)) for one in range(12)}
    links = [
        Edge(a, b, w)
        for a, b, w in draw(st.lists(st.tuples(RECORDS, RECORDS, st.sampled_from([0.5, 3.0, 9.0])), max_size=20))
        if a < b
    ]
    logins = draw(st.dictionaries(RECORDS, st.sampled_from("uvw"), max_size=6))
    claims = {one: frozenset({("login_id", login)}) for one, login in logins.items()}
    together = draw(st.lists(SIDES, max_size=3))
    apart = [
        (left, [r for r in right if r not in left])
        for left, right in draw(st.lists(st.tuples(SIDES, SIDES), max_size=3))
    ]
    return groups, links, claims, Rulings(tuple(map(tuple, together)), tuple((tuple(a), tuple(b)) for a, b in apart)).through(lambda one: one)  # fmt: skip


@given(worlds(), st.randoms(use_true_random=False))
def test_a_settled_partition_obeys_and_is_the_same_in_any_order(world, shuffled) -> None:
    groups, links, claims, rulings = world
    found = settle(groups, rulings, links, claims)
    after = {one: found.get(one, f"untouched {group}") for one, group in groups.items()}
    for left, right in rulings.apart:
        assert {after[one] for one in left}.isdisjoint(after[one] for one in right)
    for root in set(found.values()):
        assert not two_fold(claims[one] for one in found if found[one] == root and one in claims)
    apart = {frozenset((a, b)) for left, right in rulings.apart for a in left for b in right}
    for group in rulings.together:
        parts = sorted({after[one] for one in group})
        for a, b in ((a, b) for a in parts for b in parts if a < b):  # two parts only where a rule stands between them
            one, other = ({r for r in after if after[r] == part} for part in (a, b))
            stopped = any(frozenset((x, y)) in apart for x in one for y in other)
            assert stopped or two_fold(claims[r] for r in one | other if r in claims)
    rows = list(groups)
    shuffled.shuffle(rows)
    shuffled.shuffle(links)
    assert settle({one: groups[one] for one in rows}, rulings, links, claims) == found


@given(worlds())
def test_the_guard_obeys_too_and_never_joins_two_logins(world) -> None:
    _, links, claims, rulings = world
    login = ["uvw".index(next(iter(claims[one]))[1]) if one in claims else -1 for one in range(12)]
    unique = {(e.a, e.b): e.weight for e in links}
    person = guarded(
        edges(*((a, b, w) for (a, b), w in unique.items())), Evidence(12, (_codes(login),)), rulings=rulings
    ).person.tolist()  # fmt: skip
    for left, right in rulings.apart:
        assert {person[one] for one in left}.isdisjoint(person[one] for one in right)
    for label in set(person):
        assert len({login[one] for one in range(12) if person[one] == label} - {-1}) <= 1


def _codes(values):
    import numpy as np

    return np.array(values, np.int32)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "seed", [8, 13, 30]
)  # a person restored under another; a record that came while several were one
async def test_who_is_unmerged_in_the_end_was_never_merged(kernel, identity, record, seed) -> None:
    """People are merged at random, over and under each other, records and runs come between; then every merge is taken back in another order."""
    chance, graph = random.Random(seed), Graph(kernel, identity, record)
    keys = "abcdefgh"
    await graph.add(*keys, **{key: [("email", f"{key}@example.org")] for key in keys})
    home = {key: key for key in keys}  # whose each record is by the evidence
    await graph.publish("ab c d e f g h", [("ab", 7.0)])
    home["b"] = "a"
    before, names = await graph.snapshot(), {key: await graph.person(key) for key in "acdefgh"}
    late = iter("ijklmnop")
    for _ in range(7):
        if chance.random() < 0.65:
            await graph.merge(*chance.sample(keys, 2))
        elif (key := next(late)) and chance.random() < 0.6:
            at = chance.choice(keys)
            await graph.add(key, **{key: [("email", f"{at}@example.org")]})
            home[key] = home[at]
        else:
            alone = [one for one in home if one not in "ab"]
            links = [("ab", 7.0)] + [(home[one] + one, 30.0) for one in alone if one not in keys]
            groups = {one: "".join(k for k in home if home[k] == one) for one in set(home.values())}
            await graph.publish(" ".join(groups.values()), [("".join(sorted(pair)), w) for pair, w in links])
    retired = [one for one in names.values() if one not in {await graph.person(key) for key in keys}]
    while retired:
        done = await graph.do("unmerge", chance.choice(retired))
        assert done.refused is None
        async with kernel.db.reading() as conn:
            retired = [one for one in names.values() if (await identity.current(conn, [one]))[one] != one]
    expected = {"".join(sorted(k for k in home if home[k] == one)) for one in set(home.values())}
    assert set((await graph.groups()).split()) == expected
    assert {key: await graph.person(key) for key in names} == names
    if len(home) == len(keys):
        assert await graph.snapshot() == before
    async with kernel.db.reading() as conn:
        assert await identity.counts.twofold(conn) == []
        census = await identity.counts.census(conn)
        assert (census.homeless, census.orphaned, census.empty) == (0, 0, 0)
