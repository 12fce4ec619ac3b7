"""The document of a push: complete or refused, and never too large (spec channels.A21, A38)."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import forms
from channels.connector import Message
from channels.content import Action, Content
from channels.errors import Unrenderable
from channels.links import MessageLinks
from channels.push.encryption import TEXT_BYTES
from channels.push.form import TITLE_CHARS, wording
from channels.rendering import Envelope, Sender
from kernel.ids import DecisionId, DeliveryId

AT = datetime(2026, 3, 5, 12, tzinfo=UTC)
SENDER = Sender(name="Blue Shop", address="hello@shop.example", postal="1 Example Street", list_domain="shop.example")
LINKS = MessageLinks(
    why="https://candor.example/why/v1." + "w" * 200, preferences="https://candor.example/preferences/v1." + "p" * 200,
    one_click="https://candor.example/u/v1.u", report="https://candor.example/webhooks/push", report_token="v1." + "r" * 200,
)  # fmt: skip
ENVELOPE = Envelope(
    delivery_id=DeliveryId("dlv_1"), decision_id=DecisionId("dec_1"), channel="push", purpose="marketing.push", to="",
    reserved_at=AT, at=AT, expires_at=AT + timedelta(days=1), tracked=True,
)  # fmt: skip
CONTENT = Content(
    content_id="garden", subject="Hello {{ name }}", heading="Garden", paragraphs=("Come, {{ name }}.", "It is open."),
    action=Action(label="Look", url="https://shop.example/garden"), slots={"name": "Ada"}, on_behalf_of="Blue Shop",
)  # fmt: skip


def made(content: Content = CONTENT, links: MessageLinks = LINKS, locale: str = "en") -> tuple[Message, dict]:
    found = forms.render(content, ENVELOPE, links, SENDER, default_locale=locale)
    return found, json.loads(found.text)


def test_every_part_is_there() -> None:
    message, said = made()
    assert message.subject == said["title"] == "Hello Ada"
    assert said["body"] == "Come, Ada.\nIt is open.\nAdvertisement"
    assert (said["url"], said["why_url"], said["preferences_url"]) == (
        "https://shop.example/garden",
        LINKS.why,
        LINKS.preferences,
    )
    assert (said["report"], said["token"], said["decision_id"]) == (LINKS.report, LINKS.report_token, "dec_1")
    assert (said["why"], said["preferences"], said["lang"]) == ("Why this?", "Settings", "en")
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", said["tag"])
    assert message.html == ""
    assert message.expires_at == ENVELOPE.expires_at


def test_the_tag_is_the_deliverys_alone() -> None:
    other = forms.render(
        CONTENT, replace(ENVELOPE, delivery_id=DeliveryId("dlv_2")), LINKS, SENDER, default_locale="en"
    )
    assert json.loads(other.text)["tag"] != made()[1]["tag"]
    assert "dlv_" not in made()[1]["tag"]


def test_words_around_it_follow_the_locale_and_every_locale_has_all() -> None:
    assert made(locale="de-AT")[1]["why"] == "Warum das?"
    assert made(replace(CONTENT, on_behalf_of="Verlag"), locale="de")[1]["body"].endswith(
        "Werbung im Auftrag von Verlag"
    )
    assert len({frozenset(words) for words in wording().values()}) == 1


def test_what_is_no_advertising_does_not_say_so() -> None:
    assert made(replace(CONTENT, advertisement=False))[1]["body"] == "Come, Ada.\nIt is open."


@pytest.mark.parametrize("link", ["why", "preferences", "report", "report_token"])
def test_without_a_link_nothing_is_rendered(link: str) -> None:
    with pytest.raises(Unrenderable) as refused:
        made(links=replace(LINKS, **{link: ""}))
    assert refused.value.reason == "no_links"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"slots": {}}, "missing_variable"),
        ({"slots": {"name": "a\nb"}}, "unsafe_value"),
        ({"slots": {"name": "see https://evil.example"}}, "unsafe_value"),
        ({"subject": "", "heading": ""}, "bad_title"),
        ({"subject": "x" * (TITLE_CHARS + 1)}, "bad_title"),
        ({"subject": "two\nlines"}, "bad_title"),
        ({"subject": "{{ name.__class__ }}"}, "broken_template"),
        ({"paragraphs": ()}, "empty_content"),
        ({"paragraphs": ("  ",)}, "empty_content"),
        ({"action": Action(label="Look", url="http://shop.example")}, "bad_action_url"),
        ({"action": Action(label="Look", url="javascript:alert(1)")}, "bad_action_url"),
        ({"action": Action(label="Look", url="https://shop.example/" + "u" * 1500)}, "bad_action_url"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_there_is_a_recipient(change: dict, reason: str) -> None:
    with pytest.raises(Unrenderable) as refused:
        forms.check(replace(CONTENT, **change), "push")
    assert refused.value.reason == reason


def test_email_keeps_its_own_form() -> None:
    forms.check(replace(CONTENT, subject="x" * 500), "email")
    with pytest.raises(Unrenderable):
        forms.check(replace(CONTENT, subject="x" * 500), "push")


@given(words=st.text(max_size=3000), url=st.integers(0, 1400))
def test_no_words_make_it_too_large_and_none_cost_a_link(words: str, url: int) -> None:
    action = Action(label="Look", url="https://shop.example/" + "u" * url)
    content = replace(CONTENT, paragraphs=(words.replace("{", "("), "End."), action=action)
    message, said = made(content)
    assert len(message.text.encode()) <= TEXT_BYTES
    assert (said["url"], said["why_url"], said["token"]) == (action.url, LINKS.why, LINKS.report_token)
    assert said["body"].endswith("\nAdvertisement")


def test_links_that_leave_no_room_are_refused() -> None:
    with pytest.raises(Unrenderable) as refused:
        made(links=replace(LINKS, why="https://candor.example/why/" + "w" * 3500))
    assert refused.value.reason == "too_large"
