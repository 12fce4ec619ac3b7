"""The small shapes that a catalogue file is written in: names, durations, one word or a list of them."""

import difflib
import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(value: object) -> object:
    """`30m`, `12h`, `7d`, `2w` as whole seconds; a number is seconds already."""
    if isinstance(value, str) and value != "day":
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            msg = "expected a duration such as 30m, 12h, 7d or 2w"
            raise ValueError(msg)
        return int(match[1]) * _SECONDS[match[2]]
    return value


def listed(value: object) -> object:
    """One word stands for a list of it."""
    return [value] if isinstance(value, str) else value


_CENTURY: Final = 3_155_760_000
Seconds = Annotated[int, BeforeValidator(_seconds), Field(gt=0, le=_CENTURY)]
_MOST: Final = 1e12
"""More than anything is worth, and little enough that products with every lever stay finite."""
Amount = Annotated[float, Field(ge=-_MOST, le=_MOST)]
Cost = Annotated[float, Field(ge=0, le=_MOST)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
Channel = Literal["web", "email", "push"]
Names = Annotated[tuple[Name, ...], BeforeValidator(listed)]
Words = Annotated[tuple[str, ...], BeforeValidator(listed)]


class Part(BaseModel):
    """A frozen part of the file that knows its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


def nearest(name: str, known: Sequence[str]) -> str:
    """What was probably meant, or what there is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known[:12])}"
