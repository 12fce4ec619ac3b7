"""What signals mean, as data: ``data/signals.yaml`` read and checked.

Enters: the shipped file. Leaves: a ``SignalTable``, with a digest that names it in evidence.
"""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from consent.errors import PurposesInvalid
from kernel.canonical import digest
from kernel.yaml_text import read_yaml

SHIPPED: Final = Path(__file__).parents[1] / "data" / "signals.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TcfTable(_Strict):
    """Rules for TC strings."""

    source: str
    purposes: dict[str, tuple[int, ...]]
    policies: frozenset[int]
    days_valid: int
    service_specific_from: date
    disclosed_vendors_from: date
    disclosed_vendors_policy: int
    no_interest: dict[int, frozenset[int]]
    jurisdictions: tuple[str, ...]

    def without_interest(self, policy: int) -> frozenset[int]:
        """Purposes that may not rest on legitimate interest under this policy version."""
        return self.no_interest[max(since for since in self.no_interest if since <= policy)]


class GppTable(_Strict):
    """Rules for the US sections of GPP strings."""

    source: str
    opt_outs: tuple[str, ...]
    consents: tuple[str, ...]
    directive: str
    versions: dict[str, frozenset[int]]
    usp_opt_out: dict[str, str]


class SignalTable(_Strict):
    """The whole table."""

    version: str
    tcf: TcfTable
    gpp: GppTable

    @property
    def digest(self) -> str:
        """Names this table in evidence."""
        return digest({"signals": self.model_dump_json()})


@cache
def load() -> SignalTable:
    """The shipped table.

    Raises:
        PurposesInvalid: it does not hold together.
    """
    try:
        table = SignalTable.model_validate(read_yaml(SHIPPED.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as fault:
        raise PurposesInvalid(f"expected a table of signals in {SHIPPED.name}, got {fault}") from None
    if 0 not in table.tcf.no_interest or not table.tcf.jurisdictions or not all(table.tcf.purposes.values()):
        raise PurposesInvalid("expected no_interest from 0, a jurisdiction, and purposes that need something, got less")
    return table
