"""Asking twice under one Idempotency-Key: one decision, one message, whatever happened to the first answer."""

import asyncio

import pytest

from audit.access.asking import Asked, KeyReused
from kernel.db import DatabaseUnavailable
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.errors import DecisionRedacted
from tests.orchestration.decision.test_endpoints import web  # noqa: F401 - a fixture

pytestmark = pytest.mark.anyio

ONE = Asked(b"k" * 32, b"p" * 32)


async def counted(shop) -> tuple[int, int]:
    (row,) = await shop.rows(
        "SELECT (SELECT count(*) FROM decision.decisions) AS decisions, (SELECT count(*) FROM channels.deliveries) AS deliveries"
    )
    return row["decisions"], row["deliveries"]


async def test_the_same_asking_is_answered_with_the_same_decision(shop):
    await shop.person("ada")
    first = await shop.decide("email:ada@example.org", send=True, asked=ONE)
    again = await shop.decide("email:ada@example.org", send=True, asked=ONE)
    assert (first.repeated, again.repeated) == (False, True)
    for part in ("decision_id", "person", "placement", "at", "expires_at", "choice", "variant", "channel", "propensity", "withheld", "entry_id", "delivery_id"):  # fmt: skip
        assert getattr(again, part) == getattr(first, part), part
    assert (await counted(shop))[0] == 1


async def test_of_many_who_ask_at_once_one_is_decided(shop):
    await shop.person("ada")
    made = await asyncio.gather(*[shop.decide("email:ada@example.org", send=True, asked=ONE) for _ in range(30)])
    assert len({one.decision_id for one in made}) == 1
    assert sum(not one.repeated for one in made) == 1
    decisions, deliveries = await counted(shop)
    assert (decisions, deliveries) == (1, int(made[0].choice != NOTHING))


async def test_without_a_key_every_asking_is_a_decision(shop):
    await shop.person("ada")
    await asyncio.gather(*[shop.decide("email:ada@example.org") for _ in range(3)])
    assert (await counted(shop))[0] == 3


async def test_a_commit_whose_answer_was_lost_is_found_by_asking_again(shop, monkeypatch):
    """Postgres committed and went away before it could say so: the caller hears 503 and asks again."""
    await shop.person("ada")
    transact = shop.decisions._committer._group._transact

    async def lose(items):
        await transact(items)
        raise DatabaseUnavailable("the connection was lost")

    monkeypatch.setattr(shop.decisions._committer._group, "_transact", lose)
    with pytest.raises(DatabaseUnavailable):
        await shop.decide("email:ada@example.org", send=True, asked=ONE)
    monkeypatch.undo()
    again = await shop.decide("email:ada@example.org", send=True, asked=ONE)
    assert again.repeated
    assert (await counted(shop))[0] == 1


async def test_a_decision_that_had_to_be_made_again_keeps_its_key(shop, monkeypatch):
    """Consent moved under the first attempt: what it claimed is free again, and the second attempt is the first decision."""
    await shop.person("ada")
    flush = shop.decisions._committer.flush
    turns = []

    async def moved(conn, items):
        turns.append(1)
        if len(turns) == 1:
            async with shop.kernel.db.transaction() as other:
                await shop.consent.touch(other, [shop.made["ada"]])
        return await flush(conn, items)

    monkeypatch.setattr(shop.decisions._committer._group, "_flush", moved)
    first = await shop.decide("email:ada@example.org", send=True, asked=ONE)
    assert (len(turns), first.repeated, first.attempts) == (2, False, 2)
    again = await shop.decide("email:ada@example.org", send=True, asked=ONE)
    assert (again.decision_id, again.repeated) == (first.decision_id, True)


async def test_contention_is_answered_once_too(shop, monkeypatch):
    await shop.person("ada")
    monkeypatch.setattr(shop.decisions, "settings", shop.decisions.settings.model_copy(update={"attempts": 0}))
    made = await asyncio.gather(*[shop.decide("email:ada@example.org", asked=ONE) for _ in range(5)])
    assert {one.withheld for one in made} == {"contention"}
    assert len({one.decision_id for one in made}) == 1
    assert (await counted(shop))[0] == 1


async def test_the_same_key_for_something_else_is_refused(shop):
    await shop.person("ada")
    await shop.decide("email:ada@example.org", asked=ONE)
    with pytest.raises(KeyReused):
        await shop.decide("email:ada@example.org", asked=Asked(ONE.key, b"q" * 32))
    assert (await counted(shop))[0] == 1


async def test_a_dry_run_takes_no_key(shop):
    await shop.person("ada")
    await shop.decide("email:ada@example.org", asked=ONE, dry_run=True)
    assert not (await shop.decide("email:ada@example.org", asked=ONE)).repeated


async def test_what_was_asked_about_somebody_erased_is_not_told_again(shop):
    ada = await shop.person("ada")
    await shop.decide("email:ada@example.org", asked=ONE)
    async with shop.kernel.db.transaction() as conn:
        await shop.decisions.erase(conn, ada)
    with pytest.raises(DecisionRedacted):
        await shop.decide("email:ada@example.org", asked=ONE)


async def test_over_http_a_send_is_repeated_by_its_header(shop, web):  # noqa: F811
    await shop.person("ada")
    body = {"person": "email:ada@example.org", "placement": "open", "trigger": "welcome"}
    headers = {"Idempotency-Key": '"welcome-ada"'}
    first = await web("POST", "/v1/sends", scope="send", json=body, headers=headers)
    again = await web("POST", "/v1/sends", scope="send", json=body, headers={"Idempotency-Key": "welcome-ada"})
    assert (first.status_code, again.status_code) == (200, 200)
    assert "idempotent-replay" not in first.headers
    assert again.headers["idempotent-replay"] == "true"
    volatile = {"why_url"}  # a link is signed anew each time it is shown
    assert {k: v for k, v in first.json().items() if k not in volatile} == {
        k: v for k, v in again.json().items() if k not in volatile
    }
    other = await web("POST", "/v1/sends", scope="send", json=body | {"trigger": "other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert (await counted(shop))[0] == 1
    long = await web("POST", "/v1/sends", scope="send", json=body, headers={"Idempotency-Key": "x" * 256})
    assert long.status_code == 422
    wordy = await web("POST", "/v1/sends", scope="send", json=body | {"trigger": "x" * 201})
    assert wordy.json()["errors"][0]["pointer"] == "/body/trigger"
    assert (await counted(shop))[0] == 1


async def test_over_http_placements_of_one_page_share_a_key(shop, web):  # noqa: F811
    await shop.person("ada")
    body = {"person": "email:ada@example.org", "placements": ["open", "home", "open"]}
    first, again = [
        await web("POST", "/v1/decisions", json=body, headers={"Idempotency-Key": "page-1"}) for _ in range(2)
    ]
    ids = [[one["decision_id"] for one in answer.json()["decisions"]] for answer in (first, again)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3  # a placement that is named twice is decided twice
    assert "idempotent-replay" not in first.headers
    shown = [one["variant"] for one in first.json()["decisions"] if one["variant"] is not None]
    assert len(set(shown)) == len(shown)
