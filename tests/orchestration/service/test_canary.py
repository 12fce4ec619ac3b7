"""Planted personal words go through every door, right and wrong ones; no log line, figure, error or cached value holds one (consent.K7)."""

import base64
import hashlib
import html
import io
import json
import logging
import quopri
import unicodedata
from contextlib import contextmanager, redirect_stderr
from urllib.parse import quote, quote_plus

import httpx
import pytest

from events.log import Source
from kernel import log
from orchestration.demo import traces
from orchestration.service.app import create_app
from tests.orchestration.service.support import BASE, key

pytestmark = pytest.mark.anyio

MAIL, NAME, STREET, PHONE = "canary.finch@example.org", "Philomena Canarybird", "17 Serinus Lane", "+49 170 5550917"
ODD, ODD_MAIL = "Zoë Šťastná-Grünfink", "grünfink@bücher.example"  # letters that every encoding writes in its own way


def written(word: str) -> set[str]:
    """A word as it may stand in a log: plain, escaped for JSON and Python, in an address, a header, a mail, base64, a domain name, case and form folded."""
    raw = word.encode()
    ways = {
        word, json.dumps(word)[1:-1], ascii(word)[1:-1], repr(raw)[2:-1], quote(word), quote_plus(word), base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="), quopri.encodestring(raw).decode().strip(), raw.decode("latin-1"), raw.hex(),
        word.casefold(), unicodedata.normalize("NFD", word), html.escape(word), word.encode("ascii", "xmlcharrefreplace").decode(),
        hashlib.sha256(raw).hexdigest(), hashlib.md5(raw).hexdigest(),
    }  # fmt: skip
    return {way.lower() for way in ways}


PLAIN = [
    MAIL,
    NAME,
    "Philomena",
    "Canarybird",
    STREET,
    PHONE,
    PHONE.replace(" ", ""),
    ODD,
    "Šťastná",
    "Grünfink",
    ODD_MAIL,
]
WORDS = sorted({way for word in PLAIN for way in written(word)})

GOOD = [
    ("POST", "/v1/identify", {"userId": "canary-1", "traits": {"email": MAIL, "first_name": "Philomena", "last_name": "Canarybird", "street": STREET, "phone": PHONE}}),
    ("POST", "/v1/track", {"userId": "canary-1", "event": "Product Added", "messageId": "c1", "properties": {"name": NAME, "note": STREET}}),
    ("POST", "/v1/people/resolve", {"subjects": [[{"kind": "email", "value": MAIL}]]}),
    ("POST", "/v1/identify", {"userId": "canary-2", "traits": {"email": "odd@example.org", "first_name": "Zoë", "last_name": ODD, "street": ODD}}),
    ("POST", "/v1/track", {"userId": "canary-2", "event": "Product Added", "messageId": "c2", "properties": {"name": ODD, "note": ODD_MAIL}}),
    ("POST", "/v1/subject-requests", {"person": "login_id:canary-2", "right": "rectification", "correct": {"last_name": ODD}}),
]  # fmt: skip
FAULTY = [
    ("POST", "/v1/track", {"userId": "canary-1", "event": {NAME: STREET}, "email": MAIL}),
    ("POST", "/v1/track", {NAME: MAIL}),
    ("POST", "/v1/track", f'{{"userId": "{MAIL}", "event": '),
    ("POST", "/v1/identify", {"userId": [MAIL], "traits": NAME}),
    ("POST", "/v1/batch", {"batch": [{"type": NAME, "userId": MAIL}, MAIL]}),
    ("POST", "/v1/decisions", {"person": f"email:{MAIL}", "placement": NAME, "context": {STREET: PHONE}}),
    ("POST", "/v1/decisions", {"person": MAIL, "placement": [NAME], STREET: PHONE}),
    ("POST", "/v1/consents", {"subject": f"email:{MAIL}", "purpose": NAME, "status": STREET}),
    ("POST", "/v1/sends", {"person": f"email:{MAIL}", "placement": NAME, "trigger": STREET}),
    ("POST", "/v1/subject-requests", {"person": f"email:{MAIL}", "right": NAME}),
    ("POST", "/v1/subject-requests", {"person": f"email:{ODD_MAIL}", "right": "access"}),
    ("POST", "/v1/subject-requests", {"person": "login_id:canary-2", "right": "rectification", "correct": {ODD: [ODD]}}),
    ("POST", "/v1/data-rights-request", base64.b64encode(bytes(64) + json.dumps({"email": MAIL, "name": ODD}).encode()).decode()),
    ("DELETE", f"/v1/data-rights-request/{quote(ODD)}", MAIL),
    ("POST", f"/packages/{quote(ODD)}", f"code={quote_plus(ODD)}"),
    ("POST", "/v1/people/resolve", {"subjects": [[{"kind": NAME, "value": MAIL}]]}),
    ("POST", "/v1/people/resolve", {"subjects": [[{"kind": "email", "value": ODD_MAIL}]]}),
    ("GET", f"/v1/people/email:{quote(ODD_MAIL)}", None),
    ("GET", f"/why/{quote(ODD)}?q={quote_plus(ODD)}", None),
    ("POST", "/v1/people/resolve", {"subjects": [[{"kind": "phone", "value": NAME}]]}),
    ("GET", f"/v1/people/email:{MAIL}", None),
    ("GET", f"/v1/people/{NAME}/consents", None),
    ("GET", f"/v1/placements/{NAME}?q={STREET}", None),
    ("GET", f"/why/{MAIL}?q={NAME}", None),
    ("GET", f"/preferences/{NAME}", None),
    ("POST", f"/u/{MAIL}", None),
    ("GET", f"/nothing/{NAME}/{MAIL}", None),
    ("PUT", f"/v1/track?who={MAIL}", None),
]  # fmt: skip


@contextmanager
def logged():
    """Everything that is logged, at its most talkative."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    with redirect_stderr(io.StringIO()) as kept:
        log.configure("debug")
        yield kept
    root.handlers[:] = before
    root.setLevel(level)


async def test_planted_words_are_found_in_no_log_figure_error_or_cache(house):
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("shop", "service", "contract"))
    headers = await key(house, "collect", "officer", "operate", "decide", "send", source="shop")
    answers = []
    transport = httpx.ASGITransport(app=create_app(house), raise_app_exceptions=False)
    with logged() as sink:
        async with httpx.AsyncClient(
            transport=transport, base_url=BASE, headers=headers | {"Idempotency-Key": MAIL}
        ) as client:
            for method, path, body in [*GOOD, *FAULTY]:
                sent = {"content": body} if isinstance(body, str) else {} if body is None else {"json": body}
                answers.append((f"{method} {path}", await client.request(method, path, **sent)))
            answers.append(("metrics", await client.get("/metrics")))
    assert all(answer.status_code < 300 for _, answer in answers[: len(GOOD)]), [a.text for _, a in answers[:3]]
    assert not [where for where, answer in answers if answer.status_code >= 500]
    lowered = [word.lower() for word in WORDS]
    leaks = [
        f"{where}: {answer.text}" for where, answer in answers if any(word in answer.text.lower() for word in lowered)
    ]
    assert not leaks, "\n".join(leaks)
    assert sink.getvalue().count('"request"') > len(FAULTY), "the log is written, and was looked at"
    assert [line for line in sink.getvalue().lower().splitlines() if any(word in line for word in lowered)] == []
    assert (await traces.search_cache(house.kernel.cache, WORDS)).hits == {}
