"""The body of mail/send: one person in it, nothing of her where it is kept for ever, no limit exceeded."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.email.body import RESERVED, broken_limit, compose
from channels.email.errors import Unsendable
from channels.email.settings import SendGridSettings
from tests.support import messages
from tests.support.messages import AT

PLAIN = SendGridSettings()
NOW = AT.timestamp()


def made(seed: int = 1):
    return messages.message(random.Random(seed))[0]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_one_person_in_a_body_and_nothing_of_her_where_it_is_kept_for_ever(seed: int) -> None:
    chance = random.Random(seed)
    what, profile = messages.message(chance)
    how = messages.settings(chance)
    body = compose(what, how)
    (only,) = body["personalizations"]
    assert only["to"] == [{"email": what.to}]
    assert set(only) == {"to", "headers", "custom_args"}
    assert only["custom_args"] == {"delivery_id": what.delivery_id, "decision_id": what.decision_id}
    assert sorted(body.get("categories", [])) == sorted(how.categories)
    assert "custom_args" not in body
    kept = json.dumps([only["custom_args"], body.get("categories")], ensure_ascii=False)
    assert [word for word in profile.values() if len(word) > 3 and word in kept] == []
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    assert only["headers"] == dict(what.headers)
    assert only["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert body["tracking_settings"] == {
        "click_tracking": {"enable": how.track_clicks and what.tracked, "enable_text": False},
        "open_tracking": {"enable": how.track_opens and what.tracked},
        "subscription_tracking": {"enable": False},
    }
    assert body["mail_settings"] == {"sandbox_mode": {"enable": how.sandbox}}
    assert broken_limit(body, now=NOW) is None


@pytest.mark.parametrize("name", [*sorted(RESERVED), "X-SG-ID", "Content-Type", "CC", "Reply-To"])
def test_a_reserved_header_is_refused_before_sending(name: str) -> None:
    what = made()
    with pytest.raises(Unsendable) as refused:
        compose(replace(what, headers={**what.headers, name: "x"}), PLAIN)
    assert refused.value.reason == "reserved_header"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"to": "not an address"}, "bad_address"),
        ({"to": "ada@example.org, bob@example.org"}, "bad_address"),
        ({"to": "ada@example.org;bob@example.org"}, "bad_address"),
        ({"to": "Ada <ada@example.org>"}, "bad_address"),
        ({"to": "a..b@example.org"}, "bad_address"),
        ({"to": "ada@localhost"}, "bad_address"),
        ({"to": "ädä@example.org"}, "bad_address"),
        ({"to": "ada@example.org\r\nBcc: bob@example.org"}, "bad_address"),
        ({"to": f"{'a' * 65}@example.org"}, "bad_address"),
        ({"sender_address": "nobody"}, "bad_address"),
        ({"subject": "a\r\nBcc: bob@example.org"}, "bad_subject"),
        ({"subject": " "}, "bad_subject"),
        ({"subject": "x" * 999}, "bad_subject"),
        ({"sender_name": "Shop\nBcc: x"}, "bad_content"),
        ({"text": ""}, "bad_content"),
        ({"text": "half \ud83d a pair"}, "bad_content"),
        ({"text": "SG.abcdef.ghijkl is our key"}, "bad_content"),
        ({"html": "x" * (30 * 1024 * 1024)}, "body_too_large"),
        ({"headers": {"X-A": "one\r\ntwo"}}, "bad_header"),
        ({"headers": {"X-A": "ü"}}, "bad_header"),
        ({"headers": {"X A": "one"}}, "bad_header"),
        ({"headers": {"X-A": "one", "x-a": "two"}}, "bad_header"),
    ],
)
def test_what_cannot_be_sent_is_refused_here(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(Unsendable) as refused:
        compose(replace(made(), **changed), PLAIN)
    assert refused.value.reason == reason
    assert "example.org" not in str(refused.value)


def body(**more: object) -> dict[str, object]:
    return {**compose(made(), PLAIN), **more}


def crowd(people: int, *, each: int = 1, **more: object) -> list[dict[str, object]]:
    return [{"to": [{"email": f"p{n}.{k}@example.org"} for k in range(each)], **more} for n in range(people)]


@pytest.mark.parametrize(
    ("fits", "breaks", "reason"),
    [
        (body(personalizations=crowd(1000)), body(personalizations=crowd(1001)), "too_many_personalizations"),
        (
            body(personalizations=crowd(500, each=2)),
            body(personalizations=[*crowd(500, each=2)[:-1], *crowd(1, each=3)]),
            "too_many_recipients",
        ),
        (
            body(personalizations=crowd(1, each=999, cc=[{"email": "c@example.org"}])),
            body(personalizations=crowd(1, each=999, cc=[{"email": "c@example.org"}], bcc=[{"email": "b@example.org"}])),
            "too_many_recipients",
        ),
        (
            body(personalizations=[{"to": [{"email": "a@example.org", "name": "Ada"}]}]),
            body(personalizations=[{"to": [{"email": "a@example.org", "name": "Ada; Bob"}]}]),
            "bad_recipient_name",
        ),
        (body(categories=["c"] * 10), body(categories=["c"] * 11), "too_many_categories"),
        (body(categories=["c" * 255]), body(categories=["c" * 256]), "category_too_long"),
        (
            body(personalizations=crowd(1, custom_args={"k": "ü" * 4990})),
            body(personalizations=crowd(1, custom_args={"k": "ü" * 5000})),  # 10 000 bytes, not characters
            "custom_args_too_large",
        ),
        (
            body(asm={"group_id": 1, "groups_to_display": list(range(25))}),
            body(asm={"group_id": 1, "groups_to_display": list(range(26))}),
            "too_many_groups",
        ),
        (body(ip_pool_name="p" * 64), body(ip_pool_name="p" * 65), "ip_pool_too_long"),
        (body(send_at=int(NOW) + 259_200), body(send_at=int(NOW) + 259_201), "sent_too_late"),
    ],
)  # fmt: skip
def test_every_limit_of_the_provider_is_known(fits: dict, breaks: dict, reason: str) -> None:
    assert broken_limit(fits, now=NOW) is None
    assert broken_limit(breaks, now=NOW) == reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "http://api.sendgrid.example"},
        {"base_url": "ftp://127.0.0.1"},
        {"base_url": "https://key:secret@api.sendgrid.example"},
        {"categories": ["ada@example.org"]},
        {"categories": ["c"] * 11},
        {"ip_pool": "p"},
    ],
)
def test_settings_that_would_leak_or_fail_are_refused_when_they_are_read(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SendGridSettings.model_validate(wrong)


def test_the_key_never_shows() -> None:
    assert "SG.x" not in repr(SendGridSettings.model_validate({"api_key": "SG.x"}))


def test_no_tracker_is_led_to_the_links_that_are_keys() -> None:
    """SendGrid rewrites links when clicks are tracked; ours open doors, and are marked so that it leaves them alone."""
    what = made(3)
    for link in ("why", "preferences", "one_click"):
        assert f'<a clicktracking="off" href="https://c.example/{link}/' in what.html
