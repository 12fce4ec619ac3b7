"""From content to the document that a browser's service worker is given, with every link, or a refusal. Pure.

Enters: `Content`, `Envelope`, `MessageLinks`, `Sender`. Leaves: a `Message` whose text is JSON of at most the bytes that one push may carry:
title, body, url, why_url, preferences_url, decision_id, tag, and, where she lets us see it, where the browser reports what became of it. The body is cut to fit, the
links never are. Follows spec channels.A21, A38 and DSA 26(1)(a): what is advertising says so.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import orjson

from channels import rendering
from channels.connector import Message
from channels.content import Content
from channels.errors import Unrenderable
from channels.links import MessageLinks
from channels.push.encryption import TEXT_BYTES, topic
from channels.rendering import Envelope, Sender, words_of
from kernel.yaml_text import read_yaml

TITLE_CHARS: Final = 120  # systems show about fifty
URL_CHARS: Final = 1500  # with our own links it leaves room for words
_BODY_CHARS: Final = 1000  # systems show four lines at most
_LEAST_BODY: Final = 40  # characters; with less room than this the message says nothing


@cache
def wording() -> Mapping[str, Mapping[str, str]]:
    """The words around a message, per locale."""
    parsed: Mapping[str, Mapping[str, str]] = read_yaml(
        files("channels").joinpath("push/wording.yaml").read_text(encoding="utf-8")
    )
    return parsed


def check(content: Content) -> None:
    """Everything about a content that can be refused before there is a recipient. Raises Unrenderable."""
    title = _title(content)
    if not title or len(title) > TITLE_CHARS or rendering.has_control(title):
        raise Unrenderable(
            "bad_title",
            f"expected one line of 1 to {TITLE_CHARS} characters as the title, got {len(title)}",
            "Give the variant a subject or heading that is short enough for a notification.",
        )
    if not any(words_of(text, content.slots) for text in content.paragraphs):
        raise Unrenderable("empty_content", "expected a paragraph, got none", "Write the variant in the catalogue.")
    rendering.check_action(content)
    if content.action is not None and len(content.action.url) > URL_CHARS:
        raise Unrenderable(
            "bad_action_url",
            f"expected an address of at most {URL_CHARS} characters, got {len(content.action.url)}",
            "Shorten the action's url: it travels inside the notification.",
        )


def render(
    content: Content, envelope: Envelope, links: MessageLinks, sender: Sender, *, default_locale: str
) -> Message:
    """The message. Raises Unrenderable when a variable or a link is missing, or the links leave no room for words."""
    check(content)
    if not all((links.why, links.preferences, *((links.report, links.report_token) if envelope.tracked else ()))):
        raise Unrenderable(
            "no_links",
            "expected a why and a preferences link and a way to report, got an empty one",
            "Report this: links are always made.",
        )
    locale = content.locale or default_locale
    words = wording().get(locale) or wording().get(locale.split("-", maxsplit=1)[0]) or wording()["en"]
    title = _title(content)
    document: dict[str, str] = {
        "title": title,
        "body": "",
        "url": content.action.url if content.action else "",
        "why_url": links.why,
        "preferences_url": links.preferences,
        "why": words["why"],
        "preferences": words["preferences"],
        "decision_id": envelope.decision_id,
        "tag": topic(envelope.delivery_id),
        "lang": locale,
        "report": links.report if envelope.tracked else "",  # the worker tells nobody anything then
        "token": links.report_token if envelope.tracked else "",
    }
    mark = rendering.advertisement(content, sender, locale)
    said = "\n".join(text for one in content.paragraphs if (text := words_of(one, content.slots)))
    return Message(
        delivery_id=envelope.delivery_id,
        decision_id=envelope.decision_id,
        channel=envelope.channel,
        to=envelope.to,
        sender_name=sender.name,
        sender_address=sender.address,
        subject=title,
        text=_fitted(document, said, mark).decode(),
        html="",
        reserved_at=envelope.reserved_at,
        at=envelope.at,
        expires_at=envelope.expires_at,
    )


def _title(content: Content) -> str:
    return words_of(content.subject, content.slots) or words_of(content.heading, content.slots)


def _fitted(document: Mapping[str, str], said: str, mark: str) -> bytes:
    """The document with as much of the body as there is room for; its mark as advertising is never cut."""

    def made(length: int) -> bytes:
        body = said if length >= len(said) else f"{said[:length].rstrip()}…"
        return orjson.dumps({**document, "body": f"{body}\n{mark}" if mark else body})

    low, high = 0, min(len(said), _BODY_CHARS)
    if len(whole := made(high)) <= TEXT_BYTES:
        return whole
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(made(middle)) <= TEXT_BYTES else (low, middle - 1)
    if low < min(len(said), _LEAST_BODY):
        raise Unrenderable(
            "too_large",
            f"expected links that leave room for words in {TEXT_BYTES} bytes, got longer ones",
            "Shorten the action's url.",
        )
    return made(low)
