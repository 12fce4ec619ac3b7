"""Templates of the why page. Enters: a view. Leaves: HTML, every value escaped; an undefined name is an error.

The look is `/static/candor.css`, which consent serves. Words come from `wording/`, so that a page is in one language throughout.
"""

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from consent.wording import preferred
from explain.offers import Offer
from explain.reasons import PersonView
from explain.significant import Answer, Use
from explain.wording import LOCALES, words

_ENV: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


def why(view: PersonView, *, path: str, sender: str, significant: bool = False) -> str:
    """The page behind a why link. `path` is its own address, for its forms. `significant`: the choice matters a lot, and has more controls."""
    page = _ENV.get_template("redacted.html" if view.redacted else "why.html")
    return page.render(view=view, path=path, sender=sender, say=words(view.locale), significant=significant)


def notice(use: Use, *, locale: str, sender: str) -> str:
    """What is told before a significant placement is used."""
    return _ENV.get_template("notice.html").render(use=use, sender=sender, say=words(locale))


def answer(told: Answer, *, path: str, sender: str) -> str:
    """The answer about a significant decision; `path` is the why page's address."""
    return _ENV.get_template("answer.html").render(told=told, path=path, sender=sender, say=words(told.locale))


def message(title: str, text: str, *, locale: str, sender: str, back: str = "", **slots: str) -> str:
    """A calm page with one thing to say: keys of the wording, never a value of a record. `slots`: words of ours that fill the text."""
    say = words(locale)
    page = _ENV.get_template("message.html")
    return page.render(title=say(title), text=say(text, **slots), back=back, sender=sender, say=say)


def ask(offer: Offer, *, path: str, locale: str, sender: str, longest: int = 0) -> str:
    """A page that asks before it acts; with `longest`, for words of her own of that length."""
    return _ENV.get_template("ask.html").render(
        kind=str(offer.kind), subject=offer.subject, about=offer.hint, action=f"{path}/{offer.path}", back=path, longest=longest,
        sender=sender, say=words(locale),
    )  # fmt: skip


def language(accepted: str) -> str:
    """The best language of an Accept-Language header that we have words in; English otherwise."""
    return preferred(accepted, LOCALES) or "en"
