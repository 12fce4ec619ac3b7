"""Templates of the token pages. Enters: values and a language's words. Leaves: HTML, every value escaped; an undefined name is an error.

``templates/base.html`` and ``static/candor.css`` are the look of all public pages; other rooms may link the stylesheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from consent.acts import Status
from consent.purposes import PAUSE, PurposeTree
from consent.views import HistoryLine
from consent.wording import LANGUAGES, Words, words

_HERE: Final = Path(__file__).parent
STYLESHEET: Final = (_HERE / "static" / "candor.css").read_bytes()
_ENV: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_STATUS: Final = {Status.GRANTED.value: "yes", Status.DENIED.value: "no", Status.UNREADABLE.value: "status.unreadable"}


@dataclass(frozen=True, slots=True)
class Other:
    """Another language that a page can be read in."""

    language: str
    name: str


class Pages:
    """Renders by template name, in one language."""

    def __init__(self, purposes: PurposeTree, controller: str, say: Words) -> None:
        self._purposes = purposes
        self._controller = controller
        self.say = say

    def render(self, template: str, *, elsewhere: bool = True, **values: object) -> str:
        """The page as HTML. ``elsewhere``: it offers the other languages."""
        return _ENV.get_template(template).render(
            controller=self._controller,
            say=self.say,
            said=self._said,
            named=self._named,
            others=self._others() if elsewhere else (),
            **values,
        )

    def message(self, what: str, *, link: str = "", link_words: str = "") -> str:
        """A calm page with one thing to say: a key of ``message`` in the wording; perhaps with a way on."""
        title, text = self.say(f"message.{what}"), self.say(f"message.{what}_text")
        return self.render("message.html", elsewhere=False, title=title, words=text, link=link, link_words=link_words)

    def _named(self, purpose: str) -> str:
        """The title of a purpose in this language."""
        return self.say.purpose(self._purposes, purpose)[0]

    def _others(self) -> Sequence[Other]:
        return [Other(one, words(one)("name")) for one in LANGUAGES if one != self.say.language]

    def _said(self, line: HistoryLine) -> str:
        known = self._purposes.get(line.act.purpose)
        subject, _ = self.say.purpose(self._purposes, line.act.purpose)
        told = line.act.purpose == PAUSE or (known is not None and len(known.channels) > 1)
        channel = line.act.channel if told else None
        on = f" ({self.say.of('channel', channel)})" if channel else ""
        return f"{self.say(_STATUS[line.act.status])} — {subject}{on}"
