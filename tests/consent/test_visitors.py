"""A visitor's own word on a page: put on her anonymous id, a yes only with published words, a no at once (consent.C2, GDPR Art. 7)."""

import uuid
from datetime import timedelta

import pytest

from audit.tags import Tag
from consent.errors import NoticeChanged, NoticeUnknown, NotOfTheWeb, UnknownPurpose
from consent.visitors import Visitors, announce
from identity.visitor import visitor

pytestmark = pytest.mark.anyio

LISTED = ("marketing.web", "marketing.personalize", "analytics", "sharing")


@pytest.fixture
async def desk(house):
    async with house.kernel.db.transaction() as conn:
        await announce(
            conn, house.consent, house.audit, "May we?", version="b1", language="en", lists=LISTED, actor="staff:ann"
        )
    return Desk(house)


class Desk:
    def __init__(self, house) -> None:
        self.house = house
        self.visitor = visitor(str(uuid.uuid4()))

    async def say(self, notice="b1", gpc=False, **choices: bool) -> dict[str, str]:
        desk = Visitors(self.house.consent, self.house.identity, self.house.kernel.clock)
        self.house.kernel.clock.advance(timedelta(seconds=1))
        async with self.house.kernel.db.transaction() as conn:
            return await desk.say(conn, self.visitor, choices, notice=notice, gpc=gpc, actor="api_x")

    async def acts(self) -> list:
        async with self.house.kernel.db.reading() as conn:
            known = await self.house.identity.known_identifiers(conn, [self.visitor])
            return [one.act for one in await self.house.consent.history_of(conn, list(known.values()))]


async def test_a_yes_names_its_words_and_covers_the_web_alone(desk) -> None:
    answers = await desk.say(**{"marketing.web": True, "marketing.personalize": True, "analytics": True})
    assert set(answers.values()) == {"granted"}
    acts = {one.purpose: one for one in await desk.acts()}
    assert {one.channel for one in acts.values()} == {"web", None}
    assert acts["marketing.personalize"].channel == "web"  # what she said on a page is no yes to email
    assert acts["analytics"].channel is None
    assert {(one.notice.version, one.mechanism, one.actor, one.variant) for one in acts.values()} == {
        ("b1", "form", "api_x", "banner")
    }


async def test_what_is_said_again_is_not_recorded_again_and_a_change_of_mind_is(desk) -> None:
    for _ in range(3):
        await desk.say(**{"marketing.web": True})
    assert len(await desk.acts()) == 1
    for _ in range(3):
        assert await desk.say(**{"marketing.web": False}) == {"marketing.web": "denied"}
    assert len(await desk.acts()) == 2
    assert await desk.say(**{"marketing.web": True}) == {"marketing.web": "granted"}
    assert len(await desk.acts()) == 3


@pytest.mark.parametrize("notice", [None, "b2", ""])
async def test_a_yes_without_published_words_is_refused(desk, notice) -> None:
    with pytest.raises(NoticeUnknown):
        await desk.say(notice=notice, **{"marketing.web": True})
    assert await desk.acts() == []


async def test_words_that_do_not_name_the_purpose_permit_nothing(desk) -> None:
    with pytest.raises(NoticeUnknown):
        await desk.say(**{"marketing.web": True, "marketing": True})
    assert await desk.acts() == []


async def test_a_page_cannot_ask_for_other_channels(desk) -> None:
    with pytest.raises(NotOfTheWeb):
        await desk.say(**{"marketing.email": True})
    with pytest.raises(UnknownPurpose):
        await desk.say(anything=False)


async def test_a_no_needs_nothing_and_of_a_stranger_leaves_no_trace(desk) -> None:
    assert await desk.say(notice=None, **{"marketing.web": False}) == {"marketing.web": "undetermined"}
    async with desk.house.kernel.db.reading() as conn:
        assert await desk.house.identity.known_identifiers(conn, [desk.visitor]) == {}


async def test_the_browsers_signal_outranks_a_yes_to_sharing(desk) -> None:
    answers = await desk.say(gpc=True, **{"sharing": True, "marketing.web": True})
    assert answers == {"sharing": "denied", "marketing.web": "granted"}


async def test_a_published_notice_keeps_its_words(desk) -> None:
    house = desk.house
    async with house.kernel.db.transaction() as conn:
        same = await announce(
            conn, house.consent, house.audit, "May we?", version="b1", language="en", lists=LISTED, actor="staff:ann"
        )
        assert same.version == "b1"
        with pytest.raises(NoticeChanged):
            await announce(
                conn, house.consent, house.audit, "Other words", version="b1", language="en", lists=LISTED, actor="x"
            )
    published = [one for one in await house.audit.entries() if one.tag == Tag.NOTICE_PUBLISHED]
    assert len(published) == 1
