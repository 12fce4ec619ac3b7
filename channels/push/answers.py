"""From a push service's answer to an `Outcome`, by the table in `data/answers.yaml`. Pure.

Enters: status, headers, the time. Leaves: an outcome; `alarm` says that the service refuses our signature, not this receiver.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.resources import files
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, TypeAdapter

from channels.connector import Answer, Outcome
from kernel.yaml_text import read_yaml

VAPID_REFUSED: Final = "vapid_refused"
_LONGEST_WAIT: Final = (
    86_400.0  # a service that asks for more is asked again tomorrow; the message's own expiry ends it
)
_ID_CHARS: Final = 200


class Line(BaseModel):
    """One line of the table: statuses from `status[0]` to `status[1]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    status: tuple[int, int]
    answer: Literal["accepted", "rejected", "deferred"]
    reason: str | None = None
    gone: bool = False
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer means."""

    outcome: Outcome
    alarm: bool = False


@cache
def table() -> tuple[Line, ...]:
    """The lines in order."""
    text = files("channels").joinpath("push/data/answers.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Line, ...]).validate_python(read_yaml(text))


def judge(status: int, headers: Mapping[str, str], now: datetime, *, otherwise: str) -> Judged:
    """The outcome. `otherwise` names an accepted message whose service gave it no name of its own."""
    line = next((one for one in table() if one.status[0] <= status <= one.status[1]), None)
    if line is None:  # 1xx or no status at all: nobody can say what became of the message
        return Judged(Outcome(answer=Answer.UNCERTAIN, reason="strange_answer"))
    answer = Answer(line.answer)
    return Judged(
        Outcome(
            answer=answer,
            provider_id=_name(headers.get("location", "")) or otherwise if answer is Answer.ACCEPTED else None,
            reason=line.reason,
            retry_after=wait(headers.get("retry-after"), now) if answer is Answer.DEFERRED else None,
            gone=line.gone,
        ),
        alarm=line.alarm,
    )


def wait(said: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for, as a number or an HTTP-date (RFC 9110 10.2.3); None for anything else."""
    if said is None:
        return None
    words = said.strip()
    if words.isascii() and words.isdigit():
        return min(float(words[:9]), _LONGEST_WAIT)
    try:
        then = parsedate_to_datetime(words)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(max(0.0, (then - now).total_seconds()), _LONGEST_WAIT)


def _name(location: str) -> str:
    """The last part of the message's address: the service's own name for it."""
    try:
        last = urlsplit(location).path.rstrip("/").rpartition("/")[2]
    except ValueError:
        return ""
    return "".join(char for char in last if char.isascii() and char.isprintable() and char != " ")[:_ID_CHARS]
