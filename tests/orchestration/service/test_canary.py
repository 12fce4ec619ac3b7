"""Planted personal words go through every door, right and wrong ones; no log line, figure, error or cached value holds one (consent.K7)."""

import io
import logging
from contextlib import contextmanager, redirect_stderr

import httpx
import pytest

from events.log import Source
from kernel import log
from orchestration.demo import traces
from orchestration.service.app import create_app
from tests.orchestration.service.support import BASE, key

pytestmark = pytest.mark.anyio

MAIL, NAME, STREET, PHONE = "canary.finch@example.org", "Philomena Canarybird", "17 Serinus Lane", "+49 170 5550917"
WORDS = [MAIL, NAME, "Philomena", "Canarybird", STREET, PHONE, PHONE.replace(" ", "")]

GOOD = [
    ("POST", "/v1/identify", {"userId": "canary-1", "traits": {"email": MAIL, "first_name": "Philomena", "last_name": "Canarybird", "street": STREET, "phone": PHONE}}),
    ("POST", "/v1/track", {"userId": "canary-1", "event": "Product Added", "messageId": "c1", "properties": {"name": NAME, "note": STREET}}),
    ("POST", "/v1/people/resolve", {"subjects": [[{"kind": "email", "value": MAIL}]]}),
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
    ("POST", "/v1/people/resolve", {"subjects": [[{"kind": NAME, "value": MAIL}]]}),
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
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
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
