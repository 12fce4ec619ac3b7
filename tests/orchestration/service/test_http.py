"""The HTTP contract that holds for every route: problems (RFC 9457), ids, headers, readiness, the privacy signal, OpenAPI."""

import json
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import BaseModel

from kernel.errors import (
    CandorError,
    Conflict,
    IntegrityError,
    InvalidInput,
    NotFound,
    NotPermitted,
    Problem,
    Unavailable,
)
from orchestration.service.app import create_app
from orchestration.service.middleware import MAX_BODY
from orchestration.service.problems import status_of
from tests.orchestration.service.support import BASE, is_problem, key, shop

pytestmark = pytest.mark.anyio
VARYING = {"x-request-id": "", "server-timing": ""}


class Body(BaseModel):
    number: int


@pytest.fixture
async def odd(house) -> AsyncIterator[httpx.AsyncClient]:
    """The application with routes that go wrong."""
    app = create_app(house)

    @app.get("/odd/breaks")
    async def breaks() -> None:
        raise RuntimeError("ada@example.org is in this message")

    @app.get("/odd/refuses")
    async def refuses() -> None:
        raise Conflict("expected a, got b", remedy="Do c.", code="odd_state", problems=[Problem("/x", "is b")])

    @app.post("/odd/reads")
    async def reads(body: Body) -> int:
        return body.number

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as found:
        yield found


async def test_an_unknown_path_and_a_wrong_method_are_problems(client: httpx.AsyncClient) -> None:
    assert "/openapi.json" in is_problem(await client.get("/nowhere"), 404, "http_404")["detail"]
    wrong = await client.delete("/healthz")
    is_problem(wrong, 405, "http_405")
    assert wrong.headers["allow"] == "GET, HEAD"
    for path in (
        "/healthz",
        "/why/nonsense",
        "/audit/checkpoint",
    ):  # who looks before following a link: RFC 9110, 9.3.2
        whole, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert {**head.headers, **VARYING} == {**whole.headers, **VARYING}
    assert (await client.head("/v1/decisions")).status_code == 405
    for path in ("/v1/stream", "/v1/placements?names=home", "/v1/placements/home"):  # never ends; decide
        refused = await client.head(path)
        assert (refused.status_code, "HEAD" in refused.headers["allow"]) == (405, False)


async def test_a_body_of_the_wrong_shape_names_the_place_and_not_the_value(odd: httpx.AsyncClient) -> None:
    answer = await odd.post("/odd/reads", json={"number": "ada@example.org"})
    assert is_problem(answer, 422, "invalid_request")["errors"][0]["pointer"] == "/body/number"
    assert "ada@" not in answer.text
    kind = {"content-type": "application/json"}
    broken = is_problem(await odd.post("/odd/reads", content=b'{"number": ', headers=kind), 422)["errors"][0]
    assert broken["pointer"] == "/body"
    assert "not JSON" in broken["reason"]
    is_problem(await odd.post("/odd/reads", content=b'{"number": "\x80"}', headers=kind), 400, "http_400")


async def test_an_error_of_ours_keeps_its_code_words_remedy_and_places(odd: httpx.AsyncClient) -> None:
    body = is_problem(await odd.get("/odd/refuses"), 409, "odd_state")
    assert body["detail"] == "expected a, got b. Do c."
    assert body["errors"] == [{"pointer": "/x", "reason": "is b"}]


async def test_an_exception_nobody_expected_tells_nothing_of_its_cause(odd: httpx.AsyncClient) -> None:
    answer = await odd.get("/odd/breaks")
    is_problem(answer, 500, "unexpected")
    assert "ada@" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_body_over_the_limit_is_413_with_or_without_its_length(odd: httpx.AsyncClient) -> None:
    large = json.dumps({"number": 1, "words": "x" * MAX_BODY}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    kind = {"content-type": "application/json"}
    is_problem(await odd.post("/odd/reads", content=large, headers=kind), 413, "too_large")
    is_problem(await odd.post("/odd/reads", content=chunks(), headers=kind), 413, "too_large")
    assert (await odd.post("/odd/reads", json={"number": 3})).json() == 3


def test_each_family_has_one_status() -> None:
    families = {InvalidInput: 422, NotFound: 404, Conflict: 409, NotPermitted: 403, Unavailable: 503}
    families |= {IntegrityError: 500, CandorError: 500}
    assert {family: status_of(family("x")) for family in families} == families


def every_error(root: type[CandorError] = CandorError) -> Iterator[type[CandorError]]:
    for found in root.__subclasses__():
        yield found
        yield from every_error(found)


def test_every_error_has_a_code_of_its_form_and_a_remedy_in_words() -> None:
    ours = [error for error in every_error() if not error.__module__.startswith("tests.")]
    assert len(ours) > 40
    odd = [e.__qualname__ for e in ours if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)?", e.code)]
    mute = [e.__qualname__ for e in ours if len(e.remedy) < 15 or not re.search(r"[.`)]$", e.remedy)]
    assert (odd, mute) == ([], [])


async def test_every_answer_has_an_id_of_its_own_and_safe_headers(client: httpx.AsyncClient) -> None:
    seen = set()
    for path in ("/healthz", "/nowhere", "/u/nonsense", "/preferences/nonsense", "/why/nonsense", "/audit/checkpoint"):
        answer = await client.get(path, headers={"X-Request-Id": "theirs"})
        seen.add(answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] in {"no-referrer", "same-origin"}
        assert "server" not in answer.headers
        if answer.headers["content-type"].startswith("text/html"):
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
            assert "<script" not in answer.text
    assert len(seen) == 6
    assert "theirs" not in seen


async def test_a_browser_that_objects_is_heard_when_it_collects(
    house,
    client: httpx.AsyncClient,
    rows,
) -> None:
    headers = {**await shop(house), "Sec-GPC": "1"}
    call = {"userId": "u1", "traits": {"email": "ada@example.org"}, "messageId": "m1"}
    assert (await client.post("/v1/identify", json=call, headers=headers)).status_code == 200
    assert await rows("consent.acts") > 0
    async with house.kernel.db.reading() as conn:
        person = await house.identity.lookup(conn, "email:ada@example.org")
    answer = await client.get(f"/v1/people/{person}/consents", headers=await key(house, "officer"))
    assert answer.status_code == 200
    assert "gpc" in answer.text.lower()
    assert (await client.get("/.well-known/gpc.json")).json()["gpc"] is True


async def test_the_description_generates_and_names_every_operation_once(client: httpx.AsyncClient) -> None:
    found = (await client.get("/openapi.json")).json()
    assert found["openapi"].startswith("3.1")
    operations = [op for path in found["paths"].values() for op in path.values()]
    ids = [op["operationId"] for op in operations]
    assert len(ids) == len(set(ids))
    assert [op["operationId"] for op in operations if not (op.get("summary") and op.get("tags"))] == []
    assert [op["operationId"] for op in operations if not op.get("description")] == []
