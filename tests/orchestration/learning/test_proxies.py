"""Sensitive attributes are never parameters: what is one is refused by its name, what tells one by what it tells, until an officer accepts it (explain.E7)."""

from datetime import timedelta

import numpy as np
import pytest

from audit.tags import Tag
from consent.acts import NewAct
from identity.identifiers import Identifier
from identity.records import NewRecord
from orchestration.learning.errors import LeakFound, NothingToAccept, ProxyFound, SensitiveInvalid
from orchestration.learning.proxies import EVERYTHING, FEWEST, held_back, inferred
from orchestration.learning.sensitive import load
from orchestration.learning.training import Example, arrange
from profiles.declarations import Declared
from tests.orchestration.conftest import NOTICE, NOW

NAMES = ("visits_30d", "views_30d", "orders_180d", "spend_180d")


def people(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An attribute, and features that know nothing of it."""
    rng = np.random.default_rng(seed)
    return rng.random(count) < 0.4, rng.normal(size=(count, len(NAMES)))


def flagged(values, features, names=NAMES, **more) -> set[tuple[str, str]]:
    found = inferred("religion", list(values), features, names, area=0.65, **more)
    return {(one.kind, one.subject) for one in found if one.flagged}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_knows_nothing_of_it_is_not_flagged(seed) -> None:
    told, features = people(300, seed)
    assert flagged(told, features, seed=seed) == set()


@pytest.mark.parametrize("how", ["more", "middling", "absent"])
def test_a_feature_that_tells_it_by_whatever_way_is_flagged_with_its_kind_of_information(how) -> None:
    told, features = people(300)
    if how == "more":
        features[:, 1] += 2.0 * told
    elif how == "middling":
        features[:, 1] = np.where(told, features[:, 1] * 0.1, np.sign(features[:, 1]) * (1 + np.abs(features[:, 1])))
    else:
        features[told & (np.arange(300) % 5 > 0), 1] = np.nan
    assert {("feature", "views_30d"), ("concept", "visits"), ("all", EVERYTHING)} == flagged(told, features)


def test_a_number_is_told_by_its_spread_and_a_word_by_its_value() -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(240, 4))
    age = 40 + 10 * features[:, 3] + rng.normal(size=240)
    (first, *_) = inferred("age", age.tolist(), features, NAMES, area=0.65)
    assert (first.measure, first.flagged, first.figure > 0.8) == ("spread", True, True)
    words = np.where(features[:, 0] > 0.5, "b", np.where(features[:, 0] < -0.5, "c", "a"))
    assert ("feature", "visits_30d") in flagged(words, features)


def test_a_few_people_say_nothing() -> None:
    told, features = people(300)
    assert inferred("religion", [True] * (FEWEST - 1) + [None] * 281, features, NAMES, area=0.65) == []
    assert inferred("religion", [None] * 300, features, NAMES, area=0.65) == []
    assert inferred("religion", [bool(one) for one in told] * 0, features[:0], NAMES, area=0.65) == []


def test_what_an_officer_accepted_is_not_held_back_and_kinds_are_told_only() -> None:
    told, features = people(300)
    features[:, 1] += 2.0 * told
    found = inferred("religion", list(told), features, NAMES, area=0.65)
    assert [one.subject for one in held_back(found, {})] == ["views_30d"]
    assert held_back(found, {("religion", "views_30d"): "looked at"}) == []


def test_an_attribute_is_known_by_its_name_wherever_it_stands(tmp_path) -> None:
    shipped = load(None)
    declared = Declared.model_validate({
        "version": "1",
        "features": [
            {"name": "faith_group", "trait": "religion", "take": "category", "values": ["a", "b"]},
            {"name": "kind_of_day", "event": "*", "take": "latest", "property": "context.health_state", "values": ["x"]},
            {"name": "diagnosis", "trait": "code", "take": "numeric"},
            {"name": "interest", "event": "Product Viewed", "take": "count"},
        ],
    })  # fmt: skip
    assert shipped.features(declared) == {"faith_group": "religion", "kind_of_day": "health", "diagnosis": "health"}
    assert shipped.traits(["first_name", "ethnicity", "trade_union_no"]) == {"ethnicity": "ethnic_origin", "trade_union_no": "trade_union"}  # fmt: skip
    (tmp_path / "odd.yaml").write_text("version: 'one'\nattributes: [{name: x}]")
    with pytest.raises(SensitiveInvalid, match="attributes/0"):
        load(tmp_path / "odd.yaml")


async def believers(shop, count: int) -> list:
    """People with a religion that only the audit may see: half of them let it."""
    async with shop.kernel.db.transaction() as conn:
        contacts = [Identifier("email", f"b{place}@example.org") for place in range(count)]
        await shop.identity.add_records(conn, [
            NewRecord(
                source="survey", source_key=str(place), identifiers=(contact,), traits={"religion": "a" if place % 4 < 2 else "b"}, kinds={},
                observed_at=NOW - timedelta(days=30), purpose="analytics", basis="consent",
            )
            for place, contact in enumerate(contacts)
        ])  # fmt: skip
        ids = await shop.identity.register_identifiers(conn, contacts)
        acts = [
            NewAct(
                subject=subject, purpose="analytics", status="granted" if place % 8 else "denied", channel=None, basis="consent", jurisdiction="gdpr",
                notice=NOTICE, mechanism="form", actor="web", given_at=NOW - timedelta(days=20),
            )
            for place, subject in enumerate(ids)
        ]  # fmt: skip
        await shop.consent.record(conn, acts)
        return [one.person for one in await shop.identity.resolve(conn, [[one] for one in contacts])]


@pytest.mark.anyio
async def test_a_model_of_a_proxy_is_refused_until_an_officer_accepts_it(shop) -> None:
    who = await believers(shop, 96)
    proxies = shop.learning.proxies
    rng = np.random.default_rng(0)
    examples = [
        Example(person, NOW, "plain", 0.5, float(rng.random() < 0.3), (float(place % 4 < 2) + rng.normal() * 0.2, rng.normal(), rng.normal()))
        for place, person in enumerate(who)
    ]  # fmt: skip
    made = arrange("open", "sha256:f", ("age", "orders", "days_since_order"), examples)
    with pytest.raises(ProxyFound, match="age tells religion") as caught:
        await proxies.refuse(made)
    assert isinstance(caught.value, LeakFound)
    assert not any(person in caught.value.message for person in who)
    (run,) = await proxies.newest()
    assert (run.placement, run.people) == ("open", 96)
    assert {one["people"] for one in run.findings} == {84}, "who did not permit the audit is not looked at"
    assert "health" in run.untried
    with pytest.raises(NothingToAccept):
        await proxies.accept("religion", "orders", actor="staff:ann", reason="why not")
    assert await proxies.accept("religion", "age", actor="staff:ann", reason="age is needed, looked at by counsel")
    assert not await proxies.accept("religion", "age", actor="staff:ann", reason="again")
    await proxies.refuse(made)
    entry = (await shop.audit.entries(tag=Tag.PROXY_ACCEPTED, before=None, limit=1))[0]
    opened = await shop.audit.open_entry(entry.entry_id)
    assert (opened["feature"], opened["attribute"], opened["actor"]) == ("age", "religion", "staff:ann")
    with pytest.raises(ProxyFound, match="religion is religion"):
        await refused_by_name(proxies, made)


async def refused_by_name(proxies, made) -> None:
    """The same set with a column that is declared to be an attribute."""
    declared = Declared.model_validate({"version": "1", "features": [{"name": "religion", "trait": "religion", "take": "numeric"}]})  # fmt: skip
    held = proxies._profiles.features.declared
    proxies._profiles.features.declared = declared
    try:
        columns = ("religion", "orders", "days_since_order")
        await proxies.refuse(arrange("open", "sha256:f", columns, [Example(p, NOW, "plain", 0.5, 0.0, (0.0, 0.0, 0.0)) for p in made.people]))  # fmt: skip
    finally:
        proxies._profiles.features.declared = held
