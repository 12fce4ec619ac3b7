"""What SendGrid says, in our words: `data/sendgrid.yaml` read and checked once.

Enters: the shipped file. Leaves: `TABLE`. A status, an event or a reason for a drop is never judged anywhere else (spec channels.A13).
"""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from channels.connector import Answer
from channels.ledger import Receipt
from kernel.yaml_text import read_yaml

SHIPPED: Final = Path(__file__).parent / "data" / "sendgrid.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Strict):
    """What one status means."""

    answer: Answer
    reason: str | None = None
    pause: float = 0.0
    sandbox: bool = False
    alarm: bool = False


class Drop(_Strict):
    """Why SendGrid did not even try, and what follows here."""

    code: str
    suppress: Receipt | None = None
    withdraw: bool = False


class Table(_Strict):
    """The whole file."""

    version: str
    answers: dict[int, Row]
    families: dict[int, Row] = Field(min_length=5)
    events: dict[str, Receipt]
    ignored: frozenset[str]
    lists: dict[str, Receipt | None]
    drops: dict[str, Drop]

    def row(self, status: int, *, sandbox: bool) -> Row:
        """The meaning of a status; a listed one that belongs to the sandbox counts only there."""
        found = self.answers.get(status)
        if found is None or (found.sandbox and not sandbox):
            return self.families[status // 100]
        return found

    def drop(self, reason: str) -> Drop:
        """The meaning of a drop; an unknown reason has no consequence."""
        return self.drops.get(reason.strip().lower(), _OTHER)


_OTHER: Final = Drop(code="other")
TABLE: Final = Table.model_validate(read_yaml(SHIPPED.read_text(encoding="utf-8")))
