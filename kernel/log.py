"""Structured log lines without personal data.

What enters: an event name (a constant) and named values. What leaves: one JSON object a line on stderr. Three sieves:
keys that name a person or a secret are withheld; text under a key that is not on the allow-list is withheld unless it is
one of our ids or digests; what remains is searched for e-mail addresses, phone numbers and secrets. Of a foreign
exception only its type and place are kept, because libraries quote values (Postgres does) in their messages.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final, TextIO, cast

import structlog

from kernel.errors import CandorError
from kernel.ids import is_id

WITHHELD: Final = "[withheld]"

# Text under these keys is written (after the search for patterns). Everything else must be a number, an id or a digest.
_ALLOWED: Final = {
    "event", "level", "logger", "timestamp", "code", "remedy", "reason", "stage", "room", "table", "column", "kind", "tag",
    "channel", "purpose", "placement", "source", "scope", "method", "route", "status", "engine", "version", "state",
    "action", "what", "name", "part", "model", "policy", "phase", "step", "asset", "job", "connector", "unit", "outcome",
    "error_type", "stack", "error_message",
}  # fmt: skip
_OF_CODE: Final = frozenset({"event", "level", "logger", "method", "route"})
_REFUSED: Final = re.compile(
    r"(^|_)(email|e_mail|mail|phone|msisdn|name_of|first_name|last_name|full_name|address|street|postcode|birth\w*|ip|"
    r"password|passwd|secret|token|authorization|cookie|api_key|apikey|credential|dsn|url|body|words|value|traits)($|_)",
    re.IGNORECASE,
)
_DIGEST: Final = re.compile(r"(sha256:)?[0-9a-f]{8,64}")
_PATTERNS: Final = (
    # A value that a message quotes and that is no plain name: our own names are lower-case words without spaces.
    (re.compile(r"(?<=got )('(?![a-z0-9_.:*/{}-]*')[^']*'|\"[^\"]*\")"), "'[words]'"),
    # An address: anything@anything. Wide on purpose, a false hit costs a word of a log line.
    (re.compile(r"[^\s@<>\"'(),;:=]+@[^\s@<>\"'(),;:=]+"), "[email]"),
    # Secrets in URLs and headers, and our own keys and tokens.
    (re.compile(r"://[^\s/@]*:[^\s/@]*@"), "://[secret]@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 [secret]"),
    (re.compile(r"\b(cnd|candor|sk|pk|whsec|whsk|SG)[_.][A-Za-z0-9_.-]{12,}"), "[secret]"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?"), "[secret]"),
    # A phone number: + or 0, then at least seven digits with the usual separators.
    (re.compile(r"(?<![\w.:-])(\+|00|0)\d(?:[\s().\-/]?\d){6,14}(?![\w-])"), "[phone]"),
)


def allow(*keys: str) -> None:
    """Let text under these keys be written. A room calls this once, for keys that hold only its own constants."""
    for key in keys:
        if _REFUSED.search(key):
            msg = f"expected a key that names no person and no secret, got '{key}'"
            raise ValueError(msg)
    _ALLOWED.update(keys)


def redact(text: str) -> str:
    """``text`` with e-mail addresses, phone numbers and secrets replaced by their kind in brackets."""
    for pattern, word in _PATTERNS:
        text = pattern.sub(word, text)
    return text


@lru_cache(maxsize=1024)
def _known(text: str) -> str:
    """`redact` for what only our code says, and says again and again."""
    return redact(text)


@lru_cache(maxsize=1024)
def _refused(key: str) -> bool:
    return _REFUSED.search(key) is not None


def _sieve(key: str, value: object) -> object:
    if _refused(key):
        return WITHHELD
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(inner): _sieve(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_sieve(key, item) for item in value]
    text = str(value)
    if key in _OF_CODE:
        return _known(text)
    if is_id(text) or _DIGEST.fullmatch(text):
        return text
    return redact(text) if key in _ALLOWED else WITHHELD


def _redacting(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor: exceptions first, then every value through the sieve."""
    fault = line.pop("exc_info", None)
    if fault is True:
        fault = sys.exc_info()[1]
    elif isinstance(fault, tuple):
        fault = fault[1]
    if isinstance(fault, BaseException):
        line.update(_fault(fault))
    at = line.pop("timestamp", None)  # ours, written by the processor before
    return (
        {key: _sieve(key, value) for key, value in line.items() if not key.startswith("_")}
        | {key: value for key, value in line.items() if key.startswith("_")}
        | ({"timestamp": at} if at is not None else {})
    )


def _fault(fault: BaseException) -> dict[str, object]:
    frames = traceback.extract_tb(fault.__traceback__)[-12:]
    said: dict[str, object] = {
        "error_type": type(fault).__name__,
        "stack": " < ".join(
            f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
        ),
    }
    if isinstance(fault, CandorError):
        said |= {"code": fault.code, "error_message": fault.message, "remedy": fault.remedy}
    if fault.__cause__ is not None:
        said["error_type"] = f"{said['error_type']} from {type(fault.__cause__).__name__}"
    return said


def _foreign(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A line of another library's logger: its text is kept only through ``redact``, its arguments are folded in."""
    line["event"] = redact(str(line.get("event", "")))
    return line


def _wrapped(logger: Any, method: str, line: MutableMapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Hand the sieved line to ``logging``, without the exception, which any other handler would print in full."""
    words, named = structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, method, line)
    return words, {**named, "exc_info": None}


_SHARED: Final[tuple[structlog.typing.Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.PositionalArgumentsFormatter(),
)
# At import already: without it structlog would print lines, unsieved, to stdout, where commands write their answer.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_SHARED,
        _redacting,
        _wrapped,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=False,
)


class _Stderr(logging.StreamHandler[TextIO]):
    """Our one handler. Asks for stderr at every line, because it may be redirected after we were configured."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Where lines go now."""
        return sys.stderr


def configure(level: str = "info", *, json: bool = True) -> None:
    """Send our lines and those of the standard ``logging`` module to stderr, redacted. May be called again."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(sort_keys=False) if json else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, _foreign, _redacting],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if not isinstance(other, _Stderr)), handler]
    root.setLevel(level.upper())
    # These two tell every step at INFO; their steps are not our acts.
    for chatty in ("alembic", "httpx"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a room: ``get_logger("consent")``; give the event name first, then named values."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))
