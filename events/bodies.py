"""Request bodies as browsers, servers and phones send them: JSON, sometimes gzip, whatever the content type says.

What enters: raw bytes. What leaves: the decoded object, its calls and the batch's own ``sentAt``. Decompression stops at the
limit, so a small body that unpacks to gigabytes costs no more than an honest one.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

import orjson

from events.calls import instant
from events.errors import BadBody, BodyTooLarge
from kernel.canonical import Json
from kernel.errors import Problem

_GZIPPED: Final = frozenset({"gzip", "x-gzip"})
_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib's word for "a gzip header is expected"


@dataclass(frozen=True, slots=True)
class Batch:
    """The calls of one request."""

    calls: tuple[Json, ...]
    sent_at: datetime | None


def decode(raw: bytes, encoding: str | None, limit: int) -> Mapping[str, Json]:
    """The JSON object of a body.

    Raises:
        BodyTooLarge: longer than ``limit`` bytes after decompression.
        BadBody: not gzip although announced, not JSON, or not an object.
    """
    named = (encoding or "identity").strip().lower()  # RFC 9110: names of codings have no case
    plain = _inflated(raw, limit) if named in _GZIPPED else raw
    if named not in {"identity", *_GZIPPED}:
        raise BadBody("expected Content-Encoding gzip or none, got another", remedy="Send plain JSON or gzip.")
    if len(plain) > limit:
        raise BodyTooLarge(f"expected at most {limit} bytes, got more")
    try:
        value = orjson.loads(plain)
    except orjson.JSONDecodeError:
        raise BadBody("expected a JSON object in UTF-8, got bytes that are no JSON") from None
    if not isinstance(value, dict):
        raise BadBody(f"expected a JSON object, got {type(value).__name__}")
    return cast("Mapping[str, Json]", value)


def batch_of(body: Mapping[str, Json], most: int) -> Batch:
    """The calls of ``/v1/batch``; a ``context`` or ``integrations`` around them holds for each, its own words first.

    Raises:
        BadBody: no list of calls, too many of them, or an unreadable ``sentAt``.
    """
    calls = body.get("batch")
    if not isinstance(calls, list):
        raise BadBody("expected batch to be a list of calls", problems=[Problem("/batch", "expected a list")])
    if len(calls) > most:
        raise BadBody(f"expected at most {most} calls in a batch, got {len(calls)}", remedy="Split the batch.")
    around = {key: value for key in ("context", "integrations") if isinstance(value := body.get(key), dict)}
    if around:
        calls = [_within(call, around) for call in calls]
    return Batch(tuple(calls), _sent_at(body))


def _within(call: Json, around: Mapping[str, Mapping[str, Json]]) -> Json:
    if not isinstance(call, dict):
        return call
    merged = dict(call)
    for key, shared in around.items():
        own = call.get(key)
        if own is None or isinstance(own, dict):
            merged[key] = {**shared, **(own or {})}
    return merged


def _sent_at(body: Mapping[str, Json]) -> datetime | None:
    value = body.get("sentAt")
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return instant(value)
    except (ValueError, OverflowError):
        pass
    raise BadBody("expected sentAt to be an ISO 8601 time", problems=[Problem("/sentAt", "expected an ISO 8601 time")])


def _inflated(raw: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(_GZIP)
    try:
        plain = stream.decompress(raw, limit + 1)
    except zlib.error:
        raise BadBody("expected a gzip body, got bytes that are none") from None
    if len(plain) <= limit and not stream.eof:
        raise BadBody("expected a whole gzip body, got a truncated one")
    return plain
