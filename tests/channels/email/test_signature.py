"""Only what SendGrid signed, byte for byte and just now, is read at all."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook

from channels.email.errors import BadWebhookKey
from channels.email.settings import SendGridSettings
from channels.email.signature import Signatures, read_key
from tests.channels.email.conftest import KEY, public, sign
from tests.support.shared import shared_path

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
RAW = b'[{"event":"delivered"}]\r\n'
OURS = Signatures([public(KEY)], 300)


def genuine(raw: bytes = RAW, signature: str | None = None, timestamp: str = STAMP, at: datetime = NOW) -> bool:
    sealed = sign(KEY, timestamp, raw) if signature is None else signature
    return OURS.genuine(raw, signature=sealed, timestamp=timestamp, now=at)


def test_the_published_vectors() -> None:
    cases = json.loads(shared_path("cases/sendgrid_webhook.json").read_text())["cases"]
    assert cases
    for case in cases:
        asked = Signatures([case["public_key"]], 300)
        at = datetime.fromtimestamp(int(case["timestamp"]), UTC)
        raw = case["payload"].encode()
        found = asked.genuine(raw, signature=case["signature"], timestamp=case["timestamp"], now=at)
        assert found is case["valid"], case["desc"]
        late = at + timedelta(seconds=301)
        assert not asked.genuine(raw, signature=case["signature"], timestamp=case["timestamp"], now=late)


@given(st.text(max_size=60), st.integers(0, 255), st.integers(0, 200), st.booleans())
def test_it_agrees_with_the_providers_own_library(words: str, byte: int, place: int, spoilt: bool) -> None:
    raw = words.encode("utf-8", "replace") + b"\r\n"
    sealed = bytearray(KEY.sign(STAMP.encode() + raw, ECDSA(SHA256())))
    if spoilt:
        sealed[place % len(sealed)] = byte
    text = b64encode(bytes(sealed)).decode()
    theirs = EventWebhook(public(KEY)).verify_signature(raw.decode(), text, STAMP)
    assert genuine(raw, text) is theirs


@pytest.mark.parametrize("seconds", [-301, -300, 0, 300, 301])
def test_a_post_is_taken_for_five_minutes_either_way(seconds: int) -> None:
    assert genuine(at=NOW + timedelta(seconds=seconds)) is (abs(seconds) <= 300)


@pytest.mark.parametrize(
    ("raw", "timestamp", "signature"),
    [
        (RAW.rstrip(), STAMP, None),
        (RAW, STAMP, ""),
        (RAW, STAMP, "not base64!"),
        (RAW, STAMP, b64encode(b"no DER").decode()),
        (RAW, "", None),
        (RAW, "١٢٣", None),
        (RAW, "-5", None),
        (RAW, "1e9", None),
        (RAW, "9" * 13, None),
        (RAW, STAMP, "A" * 400),
    ],
)
def test_nothing_else_is_genuine(raw: bytes, timestamp: str, signature: str | None) -> None:
    sealed = sign(KEY, STAMP, RAW) if signature is None else signature
    assert not genuine(raw, sealed, timestamp)


def test_two_keys_are_live_while_one_replaces_the_other() -> None:
    new = generate_private_key(SECP256R1())
    both = Signatures([public(KEY), public(new)], 300)
    for key in (KEY, new):
        assert both.genuine(RAW, signature=sign(key, STAMP, RAW), timestamp=STAMP, now=NOW)
    only = Signatures([public(new)], 300)
    assert not only.genuine(RAW, signature=sign(KEY, STAMP, RAW), timestamp=STAMP, now=NOW)


def test_without_a_key_nothing_is_genuine() -> None:
    assert not Signatures([], 300).genuine(RAW, signature=sign(KEY, STAMP, RAW), timestamp=STAMP, now=NOW)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "TUZr", b64encode(b"\x30\x00").decode(), public(generate_private_key(SECP384R1()))]
)
def test_a_key_of_another_kind_is_refused_when_the_settings_are_read(text: str) -> None:
    with pytest.raises(BadWebhookKey):
        read_key(text)
    with pytest.raises(ValueError, match="P-256"):
        SendGridSettings(webhook_public_keys=(text,))


def test_a_key_may_be_pasted_with_line_breaks() -> None:
    text = public(KEY)
    assert read_key(f"{text[:40]}\n{text[40:]}\n").public_numbers() == KEY.public_key().public_numbers()
