"""Templates of the token pages. Enters: values. Leaves: HTML, every value escaped; an undefined name is an error.

``templates/base.html`` and ``static/candor.css`` are the look of all public pages; other rooms may link the stylesheet.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from consent.acts import Status
from consent.purposes import EVERYTHING, SALE_SHARE, PurposeTree
from consent.views import HistoryLine

_HERE: Final = Path(__file__).parent
STYLESHEET: Final = (_HERE / "static" / "candor.css").read_bytes()
_WAYS: Final = {
    "preference_page": "on this page",
    "one_click": "by the unsubscribe link of a message",
    "gpc": "by your browser’s privacy signal",
    "import": "brought over from another system of ours",
    "form": "in a form",
    "api": "in one of our services",
    "officer": "recorded by our staff",
    "spam_complaint": "by marking a message as spam",
    "push_gone": "your device no longer takes our notifications",
    "restriction": "at your request",
    "opt_out_request": "at your request",
    "suppression": "kept from an earlier request",
}
_WORDS: Final = {
    Status.GRANTED.value: "Yes",
    Status.DENIED.value: "No",
    Status.UNREADABLE.value: "A choice that could not be read, taken as no",
}


class Pages:
    """Renders by template name."""

    def __init__(self, purposes: PurposeTree, controller: str) -> None:
        self._purposes = purposes
        self._env = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._env.globals["controller"] = controller
        self._env.filters["moment"] = moment
        self._env.filters["way"] = lambda mechanism: _WAYS.get(mechanism, mechanism.replace("_", " "))
        self._env.filters["said"] = self._said

    def render(self, template: str, **values: object) -> str:
        """The page as HTML."""
        return self._env.get_template(template).render(**values)

    def _said(self, line: HistoryLine) -> str:
        known = self._purposes.get(line.act.purpose)
        special = {EVERYTHING: "any use of your data", SALE_SHARE: "selling or sharing your data"}
        subject = known.title if known else special.get(line.act.purpose, line.act.purpose)
        on = f" ({line.act.channel})" if line.act.channel and known and len(known.channels) > 1 else ""
        return f"{_WORDS.get(line.act.status, line.act.status)} — {subject}{on}"


def moment(at: datetime) -> str:
    """A time as people read it."""
    return at.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC")
