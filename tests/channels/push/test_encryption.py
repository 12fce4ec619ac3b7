"""RFC 8291 and 8292 to the letter, and what every push keeps to whatever it says."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_vapid import Vapid02

from channels.push.encryption import BODY_BYTES, TEXT_BYTES, TooLong, encrypt, padded, topic
from channels.push.subscription import checked, decode
from channels.push.vapid import answers_nobody, private_key, public_of, secret_of
from tests.support.push_receiver import Receiver
from tests.support.shared import shared_path

BROWSER = Receiver("https://updates.push.services.mozilla.com/wpush/v2/abc")


@pytest.fixture(scope="module")
def vectors() -> dict:
    return json.loads(Path(shared_path("cases/webpush.json")).read_text())


def test_the_appendix_of_rfc_8291_comes_out_byte_by_byte(vectors: dict) -> None:
    given_ = vectors["rfc8291_appendix_a"]
    ephemeral = private_key(decode(given_["as_private"]))
    assert public_of(ephemeral) == given_["as_public"]
    body = encrypt(
        given_["plaintext"].encode(), given_["ua_public"], given_["auth_secret"], salt=decode(given_["salt"]), ephemeral=ephemeral
    )  # fmt: skip
    assert body == decode(given_["body"])


def test_the_token_of_rfc_8292_is_a_token(vectors: dict) -> None:
    given_ = vectors["rfc8292_vapid"]
    assert Vapid02.verify(f"vapid t={given_['jwt']},k={given_['k']}")
    head, claims, signature = given_["jwt"].split(".")
    other = claims[:-1] + ("A" if claims[-1] != "A" else "B")
    assert not Vapid02.verify(f"vapid t={head}.{other}.{signature},k={given_['k']}")


@given(words=st.binary(max_size=TEXT_BYTES))
def test_a_body_is_never_too_large_and_opens_for_its_browser_alone(words: bytes) -> None:
    found = BROWSER.subscription
    body = encrypt(padded(words), found.p256dh, found.auth)
    assert len(body) <= BODY_BYTES
    assert BROWSER.read(body).rstrip() == words.rstrip()
    assert len(BROWSER.read(body)) in {512, 1024, 1536, 2048, 2560, 3072, 3584, TEXT_BYTES}


def test_one_byte_more_is_refused() -> None:
    found = BROWSER.subscription
    for too_long in (padded, lambda words: encrypt(words, found.p256dh, found.auth)):
        with pytest.raises(TooLong):
            too_long(b"x" * (TEXT_BYTES + 1))
    assert len(encrypt(b"x" * TEXT_BYTES, found.p256dh, found.auth)) == BODY_BYTES


@given(one=st.text(max_size=80), other=st.text(max_size=80))
def test_a_topic_is_a_name_that_says_nothing(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", topic(one))
    assert (topic(one) == topic(other)) == (one == other)


def test_two_messages_never_share_salt_or_key() -> None:
    found = BROWSER.subscription
    bodies = [encrypt(b"same", found.p256dh, found.auth) for _ in range(50)]
    assert len({body[:16] for body in bodies}) == len({body[21:86] for body in bodies}) == 50


@pytest.mark.parametrize("key", [bytes(31) + b"\x01", b"\x7f" * 32])
def test_a_key_survives_its_own_number(key: bytes) -> None:
    assert secret_of(private_key(key)) == key
    assert checked("https://a.example/x", public_of(private_key(key)), "AAAAAAAAAAAAAAAAAAAAAA")


@pytest.mark.parametrize(
    ("subject", "nobody"),
    [
        ("mailto:push@shop.example.org", False),
        ("https://shop.org/contact", False),
        ("mailto:push@localhost", True),
        ("mailto:push@candor.invalid", True),
        ("mailto:push@printer.local", True),
        ("https://localhost/contact", True),
        ("https://intranet", True),
    ],
)
def test_a_subject_that_nobody_reads_is_found_out(subject: str, *, nobody: bool) -> None:
    assert answers_nobody(subject) is nobody
