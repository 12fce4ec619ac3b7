"""From content to a message: an HTML part and always a text part, with every link, or a refusal.

Enters: `Content` (words and filled slots), `MessageLinks`, `Sender`. Leaves: a `Message`, or `Unrenderable` with a reason code.
Words are Jinja in a sandbox with strict variables; they are rendered to plain text once and escaped as a whole in the HTML part, so that a
value can never become markup. Follows spec channels.A35, A38, RFC 5322 (headers), RFC 2919 and 8058 (list headers), DSA 26(1)(a).
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from channels.connector import Message
from channels.content import Content, missing_variable
from channels.errors import Unrenderable
from channels.links import MessageLinks
from kernel.ids import DecisionId, DeliveryId
from kernel.yaml_text import read_yaml

CLIP_BYTES: Final = 102 * 1024  # Gmail cuts a message off here, and with it the footer that the law asks for (A35)
VALUE_CHARS: Final = 200  # a slot is a name or a thing; anything longer is an attack or an accident
_UNSAFE: Final = re.compile(
    r"[\u202a-\u202e\u2066-\u2069]|://|www\.", re.IGNORECASE
)  # bidi overrides; mail clients make links of bare hosts
_WORDS: Final = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)

# A slot and nothing else: no loops, calls or attributes, so no words can compute or look around.
_ALLOWED: Final = (nodes.Output, nodes.TemplateData, nodes.Name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who speaks. Every field is printed in the message or its headers."""

    name: str
    address: str
    postal: str
    list_domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What is known of one delivery when it is rendered. `to` is clear text, in memory only."""

    delivery_id: DeliveryId
    decision_id: DecisionId
    channel: str
    purpose: str
    to: str
    reserved_at: datetime
    at: datetime
    expires_at: datetime | None = None
    tracked: bool = False


@cache
def _pages(*, html: bool) -> Environment:
    # Autoescape by part: markup is escaped, plain text is not.
    return ImmutableSandboxedEnvironment(
        loader=PackageLoader("channels", "templates/email"),
        undefined=StrictUndefined,
        autoescape=html,
        trim_blocks=not html,
        keep_trailing_newline=True,
    )


@cache
def wording() -> Mapping[str, Mapping[str, str]]:
    """The words around a message, per locale."""
    parsed: Mapping[str, Mapping[str, str]] = read_yaml(
        files("channels").joinpath("templates/email/wording.yaml").read_text(encoding="utf-8")
    )
    return parsed


def words_of(text: str, slots: Mapping[str, str]) -> str:
    """One authored text with its slots filled. Raises Unrenderable: missing variable, broken template, unsafe value."""
    for name, value in slots.items():
        if len(value) > VALUE_CHARS or _UNSAFE.search(value) or has_control(value):
            raise Unrenderable(
                "unsafe_value",
                f"expected words without line breaks or links, at most {VALUE_CHARS} characters, for the slot {name!r}, got {len(value)} characters that are not",
                "Correct the trait at its source; it may be an injection.",
            )
    names, template = _compiled(text)
    for name in names:
        if name not in slots:
            raise missing_variable(name)
    return template.render(slots).strip()


@lru_cache(maxsize=2048)  # what the catalogue says, asked for each candidate of each decision; slots are filled outside
def _compiled(text: str) -> tuple[tuple[str, ...], Template]:
    """The slots of an authored text in their order, and its template. Raises Unrenderable, which is not kept."""
    try:
        syntax = _WORDS.parse(text)
    except TemplateError as broken:
        raise _broken(type(broken).__name__) from None
    found: list[str] = []
    for node in syntax.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            raise _broken(type(node).__name__)
        if isinstance(node, nodes.Name):
            found.append(node.name)
    return tuple(found), _WORDS.from_string(text)


def _broken(what: str) -> Unrenderable:
    return Unrenderable(
        "broken_template",
        f"expected words with slots such as {{{{ first_name }}}} and nothing else, got {what}",
        "Correct the words in the catalogue.",
    )


def check(content: Content) -> None:
    """Everything about a content that can be refused before there is a recipient. Raises Unrenderable."""
    subject = words_of(content.subject, content.slots)
    if not subject or has_control(subject) or len(subject) > 998:  # RFC 5322 2.1.1: no line longer than 998
        raise Unrenderable(
            "bad_subject",
            "expected one line of 1 to 998 characters as the subject, got something else",
            "Correct the subject in the catalogue.",
        )
    if not words_of(content.heading, content.slots) or not content.paragraphs:
        raise Unrenderable(
            "empty_content", "expected a heading and a paragraph, got none", "Write the variant in the catalogue."
        )
    for text in (content.preheader, *content.paragraphs):
        words_of(text, content.slots)
    check_action(content)


def check_action(content: Content) -> None:
    """The one button leads to an https address. Raises Unrenderable."""
    if content.action is not None:
        words_of(content.action.label, content.slots)
        parts = urlsplit(content.action.url)
        local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}
        if not (parts.scheme == "https" or local) or not parts.hostname or has_control(content.action.url):
            raise Unrenderable(
                "bad_action_url",
                f"expected an https address, got the scheme {parts.scheme!r}",
                "Correct the action's url.",
            )


def render(
    content: Content, envelope: Envelope, links: MessageLinks, sender: Sender, *, default_locale: str
) -> Message:
    """The message. Raises Unrenderable when a variable, a link, the sender or the postal address is missing, or it is too large."""
    check(content)
    if not all(part.strip() for part in (sender.name, sender.address, sender.postal, sender.list_domain)):
        raise Unrenderable(
            "no_sender",
            "expected the sender's name, address and postal address, got an empty one",
            "Set CANDOR_CHANNELS__SENDER_*.",
        )
    if not all((links.why, links.preferences, links.one_click)):
        raise Unrenderable(
            "no_links",
            "expected a why, a preferences and a one-click link, got an empty one",
            "Report this: links are always made.",
        )
    slots = content.slots
    subject = words_of(content.subject, slots)
    page: dict[str, object] = {
        "subject": subject,
        "heading": words_of(content.heading, slots),
        "preheader": words_of(content.preheader, slots),
        "paragraphs": [words_of(text, slots) for text in content.paragraphs],
        "action": content.action and {"label": words_of(content.action.label, slots), "url": content.action.url},
        "key": bool(content.confirms),
        "links": links,
        "sender_name": sender.name,
        "words": _footer(content, sender, content.locale or default_locale),
    }
    text = _pages(html=False).get_template("message.txt.j2").render(page)
    html = _pages(html=True).get_template("message.html.j2").render(page)
    _complete(text, html, links, sender)
    return Message(
        delivery_id=envelope.delivery_id,
        decision_id=envelope.decision_id,
        channel=envelope.channel,
        to=envelope.to,
        sender_name=sender.name,
        sender_address=sender.address,
        subject=subject,
        text=text,
        html=html,
        reserved_at=envelope.reserved_at,
        at=envelope.at,
        headers=_headers(envelope, links, sender),
        tracked=envelope.tracked,
    )


def _headers(envelope: Envelope, links: MessageLinks, sender: Sender) -> dict[str, str]:
    topic = re.sub(r"[^a-z0-9.-]", "-", envelope.purpose.lower())
    return {
        "Message-ID": f"<{envelope.delivery_id}@{sender.list_domain}>",
        "List-ID": f"<{topic}.{sender.list_domain}>",
        "List-Unsubscribe": f"<{links.one_click}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "X-Candor-Decision": envelope.decision_id,
        "Auto-Submitted": "auto-generated",  # RFC 3834: keeps out-of-office replies from answering
    }


def _worded(locale: str) -> dict[str, str]:
    known = wording()
    return dict(known.get(locale) or known.get(locale.split("-", maxsplit=1)[0]) or known["en"])


def advertisement(content: Content, sender: Sender, locale: str) -> str:
    """What marks a message as advertising, and on whose behalf (DSA 26(1)); empty for one that is none."""
    if not content.advertisement:
        return ""
    words = _worded(locale)
    other = content.on_behalf_of and content.on_behalf_of != sender.name
    whom = words["on_behalf_of"].format(who=content.on_behalf_of) if other else ""
    return f"{words['advertisement']} {whom}".strip()


def _footer(content: Content, sender: Sender, locale: str) -> dict[str, str]:
    words = _worded(locale)
    words["advertisement_line"] = advertisement(content, sender, locale)
    words["sender_line"] = words["sender"].format(name=sender.name, postal=sender.postal)
    return words


def _complete(text: str, html: str, links: MessageLinks, sender: Sender) -> None:
    """The last look: a template that lost a link or the address sends nothing (A38)."""
    needed = {"why link": links.why, "preferences link": links.preferences, "one-click link": links.one_click}
    needed |= {"sender": sender.name, "postal address": sender.postal}
    for what, words in needed.items():
        if words not in text or escape(words) not in html.replace("&#34;", "&quot;").replace("&#39;", "&#x27;"):
            raise Unrenderable(
                "incomplete",
                f"expected the {what} in both parts of the message, got a part without it",
                "Correct channels/templates.",
            )
    if len(html.encode()) > CLIP_BYTES:
        raise Unrenderable(
            "too_large",
            f"expected at most {CLIP_BYTES} bytes of HTML, got {len(html.encode())}",
            "Shorten the content.",
        )


def has_control(text: str) -> bool:
    """Whether a text holds a line break or another control character."""
    return any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text)
