"""SendGrid's suppression lists over HTTP: read to the end, written in pages.

Enters: names of lists. Leaves: addresses, in memory only; they are never part of a URL here. Follows Twilio's OpenAPI document of the
suppressions API. Nothing is tried again: the caller runs the whole exchange again, which starts from what both sides hold.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import httpx
import orjson

from channels.email.errors import ListsUnreachable, NoApiKey
from channels.email.settings import SendGridSettings
from kernel.canonical import Json

PAGE: Final = 500  # the most that the API gives, and takes here, at once
_FIRST: Final = 1_000_000_000  # seconds, in 2001: there was no such provider
_LAST: Final = 2**40  # what comes after is no second
_SECONDS: Final = 30.0
_LONGEST: Final = 20_000  # pages; a list that goes on for ever is not a list


@dataclass(frozen=True, slots=True)
class Listed:
    """An address on a list, and since when; None where the list does not tell."""

    address: str
    since: datetime | None = None


class Lists:
    """The lists of one account. An async context manager: it holds connections."""

    def __init__(self, settings: SendGridSettings) -> None:
        """Raises NoApiKey."""
        if settings.api_key is None:
            raise NoApiKey
        self._client = httpx.AsyncClient(
            base_url=settings.base_url,
            headers={"Authorization": f"Bearer {settings.api_key.get_secret_value()}", "Accept": "application/json"},
            timeout=httpx.Timeout(_SECONDS, connect=settings.connect_seconds),
            follow_redirects=False,
            trust_env=not settings.local,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def read(self, name: str) -> AsyncIterator[list[Listed]]:
        """The addresses on a list (bounces, blocks, invalid_emails, spam_reports, unsubscribes), page by page."""
        before: list[Listed] | None = None
        for page in range(_LONGEST):
            rows = await self._get(f"/v3/suppression/{name}", limit=PAGE, offset=page * PAGE)
            found = list(_listed(rows, "created"))
            if found == before:  # a server that ignores the offset would be read for ever
                return
            yield found
            if len(rows) < PAGE:
                return
            before = found

    async def group(self, group_id: int) -> list[Listed]:
        """The addresses that left an unsubscribe group. Asked of all groups together: the list of one does not tell since when."""
        rows = await self._get("/v3/asm/suppressions")
        return list(
            _listed([one for one in rows if isinstance(one, dict) and one.get("group_id") == group_id], "created_at")
        )

    async def add(self, addresses: Sequence[str]) -> None:
        """Nothing is to be sent to these any more, whatever it is."""
        await self._post("/v3/asm/suppressions/global", addresses)

    async def leave(self, group_id: int, addresses: Sequence[str]) -> None:
        """These left the group."""
        await self._post(f"/v3/asm/groups/{group_id}/suppressions", addresses)

    async def _get(self, path: str, **query: int) -> list[Json]:
        answer = await self._ask("GET", path, params=query)
        try:
            rows = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            rows = None
        if not isinstance(rows, list):
            raise ListsUnreachable(f"expected a JSON array from {path}, got something else")
        return rows

    async def _post(self, path: str, addresses: Sequence[str]) -> None:
        for start in range(0, len(addresses), PAGE):
            body = orjson.dumps({"recipient_emails": list(addresses[start : start + PAGE])})
            await self._ask("POST", path, content=body, headers={"Content-Type": "application/json"})

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, int] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, params=params, content=content, headers=headers)
        except httpx.TransportError as fault:
            raise ListsUnreachable(f"expected {path} to answer, got {type(fault).__name__}") from None
        if not answer.is_success:
            raise ListsUnreachable(f"expected {path} to answer with success, got the status {answer.status_code}")
        return answer


def _listed(rows: Sequence[Json], when: str) -> Iterator[Listed]:
    """Entries that name an address; a time that cannot be is none."""
    for one in rows:
        if isinstance(one, dict) and isinstance(address := one.get("email"), str):
            at = one.get(when)
            known = isinstance(at, int) and _FIRST <= at < _LAST
            yield Listed(address, datetime.fromtimestamp(at, UTC) if known and isinstance(at, int) else None)
