"""Templates of the console. Enters: a view (the same values that the `.json` twin answers). Leaves: HTML, every value escaped; an undefined name is an error."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kernel.canonical import Json
from orchestration.service.console import charts, drawing, trial_words, words

_HERE: Final = Path(__file__).parent
_PLACES_BELOW: Final = 100  # amounts of money above have two
STATIC: Final[Mapping[str, bytes]] = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir())}
VERSION: Final = hashlib.sha256(b"".join(STATIC.values())).hexdigest()[:12]
CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CSP,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def render(template: str, **values: object) -> str:
    """The page as HTML."""
    return _ENV.get_template(template).render(**values)


def moment(at: str | datetime) -> str:
    """A time as people read it, to the second, in UTC."""
    return _utc(at).strftime("%-d %b %Y, %H:%M:%S")


def day(at: str | datetime) -> str:
    """A day as people read it."""
    return _utc(at).strftime("%-d %b %Y")


def share(value: float | None, digits: int = 1) -> str:
    """A share as percent."""
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{value * 100:+.2f}".replace("-", "−")


def signed(value: float) -> str:
    """A number with its sign."""
    return f"{value:+.4f}".replace("-", "−")


def level(value: float) -> str:
    """A number without a sign before what is not below nought."""
    return f"{value:.4f}".replace("-", "−")


def number(value: float) -> str:
    """A count with thousands marks."""
    return f"{value:,}"


def short(name: str) -> str:
    """An id or digest, so short that people still tell it apart: the id's own title holds all of it."""
    if name.startswith("sha256:"):
        return f"{name[7:15]}…"
    prefix, _, rest = name.partition("_")
    return f"{prefix}_…{rest[-6:]}" if len(rest) == 26 else name


def figure(value: float) -> str:
    """A number as short as it can be said."""
    return (f"{value:,.6g}" if abs(value) < 10_000 else f"{value:,.0f}").replace("-", "−")


def aligned(value: float) -> str:
    """A number of a column that is compared line by line: as many places everywhere."""
    return (f"{value:.5f}" if abs(value) < _PLACES_BELOW else f"{value:,.2f}").replace("-", "−")


def real(value: str) -> float | None:
    """The number that a record writes to the last bit (hexadecimal); None where it is none."""
    try:
        return float.fromhex(value)
    except ValueError:
        return None


def written(value: Json) -> str:
    """A value of any kind, as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return figure(value)
    return value if isinstance(value, str) else "–" if value is None else json.dumps(value, ensure_ascii=False)


def spaced(code: str) -> str:
    """A code with spaces in it."""
    return code.replace("_", " ")


def capital(words_: str) -> str:
    """The first letter a capital, the others as they are."""
    return words_[:1].upper() + words_[1:]


def source(records: Sequence[Mapping[str, Json]], name: str) -> Json:
    """The source of one of these records."""
    return next((one["source"] for one in records if one["id"] == name), name)


def from_where(provenance: Sequence[Mapping[str, str]]) -> str:
    """What a feature was made of: each trait or kind of event with its source, once."""
    return ", ".join(dict.fromkeys(f"{one['trait']} of {one['source']}" for one in provenance))


def pretty(value: Json) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def with_query(path: str, **query: str | int | None) -> str:
    """A path with a query of what is not empty."""
    kept = {name: value for name, value in query.items() if value not in {None, ""}}
    return f"{path}?{urlencode(kept)}" if kept else path


def _utc(at: str | datetime) -> datetime:
    return (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)


def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    filters: dict[str, Any] = {
        "moment": moment, "day": day, "share": share, "points": points, "signed": signed, "level": level, "number": number,
        "short": short, "pretty": pretty, "figure": figure, "written": written, "spaced": spaced, "capital": capital,
        "source": source, "aligned": aligned, "real": real, "from_where": from_where,
    }  # fmt: skip
    env.filters.update(filters)
    env.globals.update(version=VERSION, query=with_query, say=words, trials=trial_words, draw=drawing, charts=charts)
    return env


_ENV: Final = _environment()
