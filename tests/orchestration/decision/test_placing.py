"""What a visitor's page shows: it stands until it expires or its ground moves, warm or cold, and no variant twice (DESIGN 5.11, decision.D48)."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from channels.web.visitor import Visitor
from events.log import Source
from identity.visitor import NotAVisitor
from identity.visitor import visitor as named
from kernel.errors import InvalidInput, NotFound
from orchestration.decision.placing import FIRST_SEEN, Placing

pytestmark = pytest.mark.anyio

PAGE = """
controller: Blue Shop
contents:
  - id: banners
    variants:
      - {id: one, label: One, channels: [web], body: "First."}
      - {id: two, label: Two, channels: [web], body: "Second."}
      - {id: three, label: Three, channels: [web], body: "Third.", value: 0.5}
      - {id: named, label: Named, channels: [web], body: "Hello {{ first_name }}", slots: {first_name: {trait: first_name}}, value: 9.0}
      - {id: letter, label: Letter, channels: [email], subject: Hello, body: "A letter."}
placements:
  - {name: hero, purpose: marketing.web, channels: [web], variants: [one, two, three], time_to_live: 1h}
  - {name: side, purpose: marketing.web, channels: [web], variants: [one, two, three], time_to_live: 1h}
  - {name: foot, purpose: marketing.web, channels: [web], variants: [one, two, three]}
  - {name: last, purpose: marketing.web, channels: [web], variants: [one, two, three]}
  - {name: greeting, purpose: marketing.web, channels: [web], variants: [named, one]}
  - {name: notice, purpose: service, channels: [web], variants: [two]}
  - {name: mail, purpose: marketing.email, channels: [email], variants: [letter]}
"""


@pytest.fixture
async def page(shop):
    await shop.publish(PAGE)
    async with shop.kernel.db.transaction() as conn:
        await shop.events.register_source(conn, Source("site", "marketing.web", "consent"))
        await shop.events.register_source(conn, Source("app", "service", "contract"))
    return Page(shop)


class Page:
    """A shop's page and its visitors."""

    def __init__(self, shop) -> None:
        self.shop = shop
        self.placing = self.another()

    def another(self) -> Placing:
        """As another process would have it."""
        one = self.shop
        return Placing(
            one.kernel, one.identity, one.consent, one.events, one.profiles, one.channels.pages, one.decisions
        )

    def visitor(self, source="site", **more) -> Visitor:
        return Visitor(identifier=named(str(uuid.uuid4())), source=source, actor="api_x", **more)

    async def agreed(self, *purposes: str) -> Visitor:
        visitor = self.visitor()
        for purpose in purposes or ("marketing.web", "marketing.personalize"):
            await self.say(visitor, purpose, "granted")
        return visitor

    async def say(self, visitor: Visitor, purpose: str, status: str) -> None:
        async with self.shop.kernel.db.transaction() as conn:
            (subject,) = await self.shop.identity.register_identifiers(conn, [visitor.identifier])
            await self.shop.say(conn, subject, purpose, status)

    async def withdraw(self, visitor: Visitor, purpose: str = "marketing.web") -> None:
        async with self.shop.kernel.db.transaction() as conn:
            (subject,) = await self.shop.identity.register_identifiers(conn, [visitor.identifier])
            await self.shop.consent.withdraw(conn, subject, purpose, None, mechanism="form", actor="person")

    async def ask(self, visitor: Visitor, *names: str, placing: Placing | None = None):
        return await (placing or self.placing).place(visitor, names)

    async def one(self, visitor: Visitor, name: str = "hero"):
        return (await self.ask(visitor, name))[0]

    async def decisions(self) -> int:
        return (await self.shop.rows("SELECT count(*) AS n FROM decision.decisions"))[0]["n"]


async def test_a_choice_stands_until_it_expires(page) -> None:
    visitor = await page.agreed()
    first = await page.one(visitor)
    assert first.standing.variant in {"one", "two", "three", None}
    assert not first.sticky
    for _ in range(5):
        page.shop.clock.advance(timedelta(minutes=11))
        again = await page.one(visitor)
        assert again.sticky
        assert again.standing.decision_id == first.standing.decision_id
    page.shop.clock.advance(timedelta(minutes=6))
    fresh = await page.one(visitor)
    assert fresh.standing.decision_id != first.standing.decision_id
    assert await page.decisions() == 2


async def test_a_cold_hot_store_answers_as_a_warm_one(page) -> None:
    visitor = await page.agreed()
    warm = [await page.one(visitor), await page.one(visitor)][1]
    await page.shop.kernel.cache.delete_matching("*")
    cold = await page.one(visitor)
    assert cold == warm
    keys = await page.shop.kernel.cache.run(lambda redis: redis.keys("decisions:*"))
    person = cold.standing.person
    assert sorted(keys) == [f"decisions:{person}".encode(), f"decisions:{person}:hero".encode()]


async def test_nothing_is_shown_after_a_withdrawal_was_acknowledged(page) -> None:
    visitor = await page.agreed()
    while (await page.one(visitor)).standing.variant is None:  # nothing may be drawn, too
        visitor = await page.agreed()
    await page.withdraw(visitor)
    after = await page.one(visitor)
    assert after.standing.variant is None
    assert after.withheld == "consent.withdrawn"
    # Whatever the hot store still says: a copy that was written late does not count.
    await page.say(visitor, "marketing.web", "granted")
    shown = await page.one(visitor)
    await page.withdraw(visitor)
    await page.shop.channels.pages.remember([shown.standing])
    assert (await page.one(visitor)).withheld is not None


async def test_withdrawals_and_answers_in_any_order_never_show_after_the_acknowledgement(page) -> None:
    """Requests run while the consent is taken back; those that begin after the acknowledgement show nothing."""
    for _ in range(6):
        visitor = await page.agreed()
        gone = asyncio.Event()
        late = []

        async def browse(visitor=visitor, gone=gone, late=late):
            for _ in range(8):
                begun_after = gone.is_set()
                (placed,) = await page.ask(visitor, "hero", placing=page.another())
                if begun_after:
                    late.append(placed)

        async def stop(visitor=visitor, gone=gone):
            await asyncio.sleep(0.01)
            await page.withdraw(visitor)
            gone.set()

        await asyncio.gather(browse(), browse(), stop())
        assert late
        assert {one.standing.variant for one in late if one.standing} <= {None}
        assert all(one.withheld for one in late)


async def test_taking_back_personalisation_ends_a_choice_that_used_it(page) -> None:
    visitor = await page.agreed()
    first = await page.one(visitor)
    assert first.standing.personal
    await page.withdraw(visitor, "marketing.personalize")
    second = await page.one(visitor)
    assert second.standing.decision_id != first.standing.decision_id
    assert not second.standing.personal


async def test_a_word_on_something_else_does_not_end_it(page) -> None:
    visitor = await page.agreed()
    first = await page.one(visitor)
    await page.say(visitor, "analytics", "granted")
    assert (await page.one(visitor)).standing.decision_id == first.standing.decision_id


async def test_no_variant_stands_twice_on_a_page_and_the_second_draw_knows_it(page) -> None:
    for _ in range(6):
        visitor = await page.agreed()
        placed = await page.ask(visitor, "hero", "side", "foot", "last")
        shown = [one.standing.variant for one in placed if one.standing.variant]
        assert len(shown) == len(set(shown))
        seen: set[str] = set()
        for one in placed:
            record = await page.shop.decisions.show(one.standing.decision_id)
            barred = {c["id"] for c in record["candidates"] if c["stage"] == "diversity"}
            assert barred == {f"{variant}@web" for variant in seen}
            assert {c["reason"] for c in record["candidates"] if c["stage"] == "diversity"} <= {"shown_on_page"}
            assert all(float.fromhex(c["propensity"]) == 0 for c in record["candidates"] if c["id"] in barred)
            assert sum(float.fromhex(c["propensity"]) for c in record["candidates"]) == pytest.approx(1, abs=1e-12)
            assert (await page.shop.decisions.replay(one.standing.decision_id)).identical
            seen |= {one.standing.variant} - {None}


async def test_what_stands_keeps_its_place_and_bars_its_variant_from_new_placements(page) -> None:
    visitor = await page.agreed()
    side = await page.one(visitor, "side")
    hero, again = await page.ask(visitor, "hero", "side")
    assert again.standing.decision_id == side.standing.decision_id
    assert hero.standing.variant is None or hero.standing.variant != side.standing.variant


async def test_two_that_stand_with_one_variant_do_not_meet_on_one_page(page) -> None:
    for _ in range(30):
        visitor = await page.agreed()
        hero, side = await page.one(visitor, "hero"), await page.one(visitor, "side")
        if hero.standing.variant and hero.standing.variant == side.standing.variant:
            break
    else:
        pytest.fail("expected the same variant at two placements in one of 30 visits")
    both = await page.ask(visitor, "hero", "side")
    assert both[0].standing.decision_id == hero.standing.decision_id
    assert both[1].standing.variant != hero.standing.variant


async def test_many_requests_at_once_make_one_decision(page) -> None:
    for visits in range(1, 13):
        visitor = await page.agreed()
        found = await asyncio.gather(*(page.ask(visitor, "hero", placing=page.another()) for _ in range(8)))
        assert len({one.standing.decision_id for (one,) in found}) == 1
        assert await page.decisions() == visits


async def test_a_stranger_without_permission_gets_the_page_s_own_words_and_leaves_no_trace(page) -> None:
    visitor = page.visitor()
    before = [
        await page.shop.rows(f"SELECT count(*) AS n FROM {t}") for t in ("identity.records", "identity.identifiers")
    ]
    placed = await page.ask(visitor, "hero", "notice")
    # The one needs her yes; the other would be permitted, but she may not be known by this page.
    assert [(one.withheld, one.standing) for one in placed] == [("consent.missing", None), ("unknown_visitor", None)]
    after = [
        await page.shop.rows(f"SELECT count(*) AS n FROM {t}") for t in ("identity.records", "identity.identifiers")
    ]
    assert before == after
    assert await page.decisions() == 0


async def test_a_stranger_who_may_be_known_becomes_known_by_an_event(page) -> None:
    visitor = page.visitor(source="app")  # collected because it is part of the service
    hero, notice = await page.ask(visitor, "hero", "notice")
    assert hero.withheld == "consent.missing"
    assert notice.standing.personal is False
    person = notice.standing.person
    async with page.shop.kernel.db.reading() as conn:
        events = (await page.shop.events.of_people(conn, [person]))[person]
    assert [one.name for one in events] == [FIRST_SEEN]


async def test_the_why_of_an_anonymous_visitor_is_explained(page, kernel) -> None:
    visitor = await page.agreed()
    placed = await page.one(visitor)
    facts = await page.shop.decisions.facts(placed.standing.decision_id)
    assert facts.placement == "hero"
    assert facts.person == placed.standing.person


async def test_words_that_need_a_name_are_never_put_on_a_public_page(page) -> None:
    visitor = await page.agreed()
    placed = await page.one(visitor, "greeting")
    record = await page.shop.decisions.show(placed.standing.decision_id)
    (named,) = [one for one in record["candidates"] if one["id"] == "named@web"]
    assert (named["stage"], named["reason"]) == ("publication", "missing_variable")


async def test_a_placement_of_another_channel_and_an_unknown_one_are_told_apart(page) -> None:
    visitor = await page.agreed()
    assert (await page.one(visitor, "mail")).withheld == "not_on_web"
    with pytest.raises(NotFound):
        await page.ask(visitor, "nowhere")
    with pytest.raises(InvalidInput):
        await page.ask(visitor)
    with pytest.raises(InvalidInput):
        await page.ask(visitor, *(f"p{n}" for n in range(21)))


@pytest.mark.parametrize(
    "given", [None, "", "1", "ada@example.org-and-more", "per_01", "short-id", "x" * 129, "a b" * 10]
)
def test_only_an_id_that_nobody_can_guess_names_a_visitor(given) -> None:
    with pytest.raises(NotAVisitor):
        named(given)


async def test_the_browsers_signal_is_heard_before_anything_is_read(page) -> None:
    visitor = await page.agreed("sharing", "marketing.web")
    signalled = Visitor(identifier=visitor.identifier, source="site", actor="api_x", gpc=True)
    placed = await page.one(signalled)
    async with page.shop.kernel.db.reading() as conn:
        found = await page.shop.consent.check(conn, placed.standing.person, "sharing", None)
    assert (found.permission.answer, found.permission.reason) == ("denied", "directive.gpc")


async def test_erasure_takes_what_stands(page) -> None:
    visitor = await page.agreed()
    placed = await page.one(visitor)
    async with page.shop.kernel.db.transaction() as conn:
        await page.shop.channels.erase(conn, placed.standing.person)
    assert await page.shop.rows("SELECT 1 FROM channels.standing") == []
    assert await page.shop.rows("SELECT 1 FROM channels.page_changes") == []


async def test_a_variant_taken_back_stands_no_more(page) -> None:
    visitor = await page.agreed()
    while (first := await page.one(visitor)).standing.variant is None:
        visitor = await page.agreed()
    left = [one for one in ("one", "two", "three") if one != first.standing.variant]
    await page.shop.publish(PAGE.replace("{name: hero, purpose: marketing.web, channels: [web], variants: [one, two, three]",
                                         f"{{name: hero, purpose: marketing.web, channels: [web], variants: [{', '.join(left)}]"))  # fmt: skip
    assert (await page.one(visitor)).standing.variant in {*left, None}


async def test_the_web_id_of_somebody_known_is_hers(page) -> None:
    """A visitor who signed up elsewhere is the same person on the page."""
    visitor = await page.agreed()
    placed = await page.one(visitor)
    async with page.shop.kernel.db.reading() as conn:
        found = await page.shop.identity.resolve(conn, [[visitor.identifier]])
    assert found[0].person == placed.standing.person


async def test_what_does_not_interest_her_leaves_the_page(page) -> None:
    """Her word on the why page moves her consent version; what stands is looked at again."""
    visitor = await page.agreed()
    while (first := await page.one(visitor)).standing.variant is None:
        visitor = await page.agreed()
    page.shop.profiles.declined = lambda conn, people: refused(people, first.standing.variant)
    async with page.shop.kernel.db.transaction() as conn:
        await page.shop.consent.touch(conn, [first.standing.person])
    again = await page.one(visitor)
    assert again.standing.variant != first.standing.variant
    assert again.standing.decision_id != first.standing.decision_id


async def refused(people, variant):
    return {person: frozenset({variant}) for person in people}
