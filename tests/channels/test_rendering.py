"""A message carries every link, escapes every value, and is refused when it cannot be whole."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import rendering
from channels.connector import Message
from channels.content import Action, Content, Slot, fill, pack, unpack
from channels.errors import Unrenderable
from channels.links import MessageLinks
from channels.outbox.connector import build
from channels.rendering import Envelope, Sender, check, render, wording
from kernel.ids import new_id

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
LINKS = MessageLinks(
    why="https://c.example/why/" + "w" * 300,
    preferences="https://c.example/preferences/p?a=1&b=2",
    one_click="https://c.example/u/" + "o" * 300,
)
SENDER = Sender(
    name="Ben & Jörg's",
    address="hello@shop.example",
    postal="Main Street 1 & 2, 10115 Berlin",
    list_domain="shop.example",
)
CONTENT = Content(
    content_id="cart-1",
    subject="{{ first_name }}, your cart waits",
    heading="Still thinking, {{ first_name }}?",
    paragraphs=("We kept what you chose.", "It is {{ item }}."),
    preheader="Your cart",
    action=Action(label="Back to the cart", url="https://shop.example/cart?x=1&y=2"),
    on_behalf_of="Acme",
    slots={"first_name": "Ada", "item": "a teapot"},
)


def envelope() -> Envelope:
    return Envelope(
        delivery_id=new_id("dlv"),
        decision_id=new_id("dec"),
        channel="email",
        purpose="marketing.email",
        to="ada@example.org",
        reserved_at=AT,
        at=AT,
    )


def rendered(content: Content = CONTENT, sender: Sender = SENDER, links: MessageLinks = LINKS) -> Message:
    return render(content, envelope(), links, sender, default_locale="en")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data):
        self.text += data


def page(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    return tags


def test_both_parts_and_the_headers_carry_every_link() -> None:
    message = rendered()
    mail = message_from_bytes(build(message), policy=SMTP)
    text = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    for link in (LINKS.why, LINKS.preferences, LINKS.one_click):
        assert link in text
        assert link in page(html).links
    for words in ("Ben & Jörg's", "Main Street 1 & 2, 10115 Berlin", "Advertisement on behalf of Acme"):
        assert words in text
        assert words in page(html).text
    assert mail["List-Unsubscribe"] == f"<{LINKS.one_click}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["List-ID"] == "<marketing.email.shop.example>"
    assert mail["Message-ID"] == f"<{message.delivery_id}@shop.example>"
    assert mail["X-Candor-Decision"] == message.decision_id
    assert mail["From"].addresses[0].display_name == "Ben & Jörg's"
    assert mail["Date"].datetime == AT
    assert mail.get_content_type() == "multipart/alternative"


def test_every_line_keeps_within_rfc_5322() -> None:
    assert max(len(line) for line in build(rendered()).split(b"\r\n")) <= 998


@given(st.text(max_size=60))
def test_a_hostile_value_never_becomes_markup_or_a_header(value: str) -> None:
    """Whatever a profile holds, the tags of the page and the headers of the mail are those of the template."""
    content = replace(CONTENT, slots={"first_name": value, "item": value})
    try:
        message = rendered(content)
    except Unrenderable as refusal:
        known = refusal.reason in {"unsafe_value", "bad_subject"}
        if not known:
            raise
        return
    assert page(message.html).tags == page(rendered().html).tags
    mail = message_from_bytes(build(message), policy=SMTP)
    assert set(mail.keys()) == set(message_from_bytes(build(rendered()), policy=SMTP).keys())


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        "{{ 7*7 }}",
        "{% raw %}",
        "\"'><img src=x onerror=1>",
        "&lt;b&gt;",
        "{{ ''.__class__.__mro__ }}",
    ],
)
def test_markup_and_templates_in_values_are_words(value: str) -> None:
    message = rendered(replace(CONTENT, slots={"first_name": value, "item": "x"}))
    assert value in message.subject
    assert value in page(message.html).text
    assert "<script>" not in message.html
    assert "49" not in message.subject


@pytest.mark.parametrize(
    "value",
    [
        "Ada\r\nBcc: other@example.org",
        "Ada\nX: y",
        "Ada\x00",
        "a\u2028b",
        "see http://evil.example",
        "www.evil.example",
        "a\u202eb",
        "x" * 201,
    ],
)
def test_line_breaks_links_and_overlong_values_are_refused(value: str) -> None:
    with pytest.raises(Unrenderable) as refusal:
        rendered(replace(CONTENT, slots={"first_name": value, "item": "x"}))
    assert refusal.value.reason == "unsafe_value"
    assert value not in str(refusal.value)


def test_a_missing_variable_is_a_refusal_that_names_it() -> None:
    with pytest.raises(Unrenderable) as refusal:
        check(replace(CONTENT, slots={"first_name": "Ada"}))
    assert refusal.value.reason == "missing_variable"
    assert "'item'" in str(refusal.value)


def test_slots_come_from_the_profile_or_its_neutral_words() -> None:
    slots = (Slot(name="first_name", trait="first_name", fallback="there"), Slot(name="item", trait="last_item"))
    assert fill(slots, {"last_item": "teapot"}) == {"first_name": "there", "item": "teapot"}
    with pytest.raises(Unrenderable):
        fill(slots, {"first_name": "Ada", "last_item": "  "})


@pytest.mark.parametrize(
    ("sender", "links"),
    [
        (replace(SENDER, postal=" "), LINKS),
        (replace(SENDER, name=""), LINKS),
        (SENDER, replace(LINKS, why="")),
        (SENDER, replace(LINKS, preferences="")),
        (SENDER, replace(LINKS, one_click="")),
    ],
)
def test_no_message_without_sender_address_and_links(sender: Sender, links: MessageLinks) -> None:
    with pytest.raises(Unrenderable):
        rendered(sender=sender, links=links)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "http://shop.example/", "data:text/html,x", "https://", "//shop.example"]
)
def test_only_https_buttons(url: str) -> None:
    with pytest.raises(Unrenderable):
        check(replace(CONTENT, action=Action(label="Go", url=url)))


@pytest.mark.parametrize("text", ["{{ x.__class__ }}", "{% for i in range(10**9) %}{% endfor %}", "{{ unclosed"])
def test_authored_words_run_in_a_sandbox(text: str) -> None:
    with pytest.raises(Unrenderable):
        check(replace(CONTENT, heading=text))


def test_a_message_that_gmail_would_clip_is_refused() -> None:
    with pytest.raises(Unrenderable) as refusal:
        rendered(replace(CONTENT, paragraphs=("word " * 25_000,)))
    assert refusal.value.reason == "too_large"


def test_every_locale_has_every_word() -> None:
    keys = {locale: set(words) for locale, words in wording().items()}
    assert set(keys) >= {"en", "de"}
    assert len({frozenset(k) for k in keys.values()}) == 1
    german = rendered(replace(CONTENT, locale="de-AT"))
    assert 'lang="de"' in german.html
    assert "Werbung im Auftrag von Acme" in german.text


def test_the_page_reads_without_images_scripts_or_remote_parts() -> None:
    html = rendered().html
    assert not re.search(r"<(img|script|link|iframe)\b", html)
    assert 'name="color-scheme"' in html
    assert "prefers-color-scheme: dark" in html
    assert html.count("<h1") == 1


def test_content_survives_its_sealing() -> None:
    import json

    assert unpack(json.loads(pack(CONTENT))) == CONTENT


def test_the_template_loses_a_link_and_nothing_is_sent(monkeypatch) -> None:
    """Break the template on purpose: the last look must refuse."""
    from jinja2 import DictLoader
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    broken = ImmutableSandboxedEnvironment(
        loader=DictLoader({"message.txt.j2": "no links", "message.html.j2": "<p>none</p>"})
    )
    monkeypatch.setattr(rendering, "_pages", lambda *, html: broken)
    with pytest.raises(Unrenderable) as refusal:
        rendered()
    assert refusal.value.reason == "incomplete"
