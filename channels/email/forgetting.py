"""Erasing at SendGrid: its Recipients' Data Erasure call, for people whose mail it carried.

Enters: a person, later her addresses. Leaves: the id of SendGrid's job, or a code of what went wrong; an address is in a request's body only, never in a URL or a log. Follows Twilio's OpenAPI document of
``/v3/recipients/erasejob``: 202 with a job id. The key needs the right to it; an account from before July 2023 has to ask for it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import httpx
import orjson

from channels import store
from channels.email.settings import SendGridSettings
from consent.rights.providers import Taken
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId

PATH: Final = "/v3/recipients/erasejob"
_MOST: Final = 5_000  # addresses of a call; nobody has as many
_SECONDS: Final = 10.0
_LONGEST: Final = 100  # letters of a job's id


class SendGridErasure:
    """A ``Provider`` of consent's."""

    name: Final = "sendgrid"

    def __init__(self, settings: SendGridSettings) -> None:
        self._settings = settings

    @property
    def url(self) -> str:
        """Where the call goes."""
        return f"{self._settings.base_url.rstrip('/')}{PATH}"

    async def holds(self, conn: Conn, people: Sequence[PersonId]) -> bool:
        """Whether it carried a message for the person."""
        return await store.carried(conn, people, self.name)

    async def erase(self, subjects: Sequence[Json]) -> Taken:
        """One call for all her addresses; without any there is nothing to ask."""
        mails = [str(one["value"]) for one in subjects if isinstance(one, Mapping) and one.get("kind") == "email"]
        if not mails:
            return Taken(receipt="no_address")
        if self._settings.api_key is None:
            return Taken("no_api_key")
        body = orjson.dumps({"email_addresses": mails[:_MOST]})
        headers = {
            "Authorization": f"Bearer {self._settings.api_key.get_secret_value()}", "Content-Type": "application/json",
            "Accept": "application/json",
        }  # fmt: skip
        timeout = httpx.Timeout(_SECONDS, connect=self._settings.connect_seconds)
        try:
            async with httpx.AsyncClient(
                timeout=timeout, trust_env=not self._settings.local, follow_redirects=False
            ) as client:
                answer = await client.post(self.url, content=body, headers=headers)
        except httpx.HTTPError as fault:
            return Taken(type(fault).__name__)
        if answer.status_code != httpx.codes.ACCEPTED:
            return Taken(f"status_{answer.status_code}")
        return _job(answer.content)


def _job(content: bytes) -> Taken:
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError:
        said = None
    job = said.get("job_id") if isinstance(said, dict) else None
    if not isinstance(job, str) or not 0 < len(job) <= _LONGEST or "@" in job:
        return Taken("no_job")
    return Taken(receipt=job)
