"""The families of accidents. A "no" is a value with a reason; only an accident is one of these.

Every error carries a stable ``code``, a message of the form "expected …, got …" and a ``remedy`` that tells the reader
what to do next. Subclasses live beside the code that raises them and set ``code`` and ``remedy`` as class attributes.
A message never holds personal data: name the field, the kind, the id, the length; never the value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One faulty place of an input: a JSON pointer (or column) and what is wrong with it."""

    pointer: str
    reason: str


class CandorError(Exception):
    """Base of all. ``code`` and ``remedy`` default to those of the class; give them where one class serves several."""

    code: str = "error"
    remedy: str = "Look at the log around this request id."
    title: ClassVar[str] = "Something went wrong"

    def __init__(
        self, message: str, *, remedy: str | None = None, code: str | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        if remedy is not None:
            self.remedy = remedy
        if code is not None:
            self.code = code
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return f"{self.message} [{self.code}] {self.remedy}"


class InvalidInput(CandorError):
    """What was handed in cannot be used, and sending it again will not help."""

    code = "invalid_input"
    remedy = "Correct the input and try again."
    title = "The input is not valid"


class NotFound(CandorError):
    """The thing named does not exist, or no longer does."""

    code = "not_found"
    remedy = "Check the id; it may have been erased or may belong to another installation."
    title = "Not found"


class Conflict(CandorError):
    """The state moved, or is not the one this act needs."""

    code = "conflict"
    remedy = "Read the current state and decide again."
    title = "The current state does not allow this"


class NotPermitted(CandorError):
    """The caller may not do this: wrong key, wrong scope, wrong role."""

    code = "not_permitted"
    remedy = "Use a key with the scope that this act needs."
    title = "Not permitted"


class Unavailable(CandorError):
    """Something we depend on does not answer now; the same call may succeed later."""

    code = "unavailable"
    remedy = "Try again shortly; `candor doctor` tells which part is down."
    title = "Temporarily unavailable"


class IntegrityError(CandorError):
    """Evidence does not add up: altered, moved or truncated. Never swallowed, never retried."""

    code = "integrity"
    remedy = "Stop, keep the evidence as it is, and run `candor audit verify`."
    title = "Integrity check failed"
