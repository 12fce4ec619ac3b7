"""Reads what a person gets: a message from the outbox, a page behind a link. Enters: bytes or HTML. Leaves: its words and links."""

from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

_BLOCKS: Final = frozenset({"p", "li"})


@dataclass(frozen=True, slots=True)
class Letter:
    """An .eml file, read as a mail client would."""

    subject: str
    to: str
    unsubscribe: str
    unsubscribe_post: str
    text: str

    @property
    def links(self) -> dict[str, str]:
        """The links by the first part of their path: why, preferences, u."""
        found = [word for word in self.text.split() if word.startswith(("http://", "https://"))]
        return {link.split("/")[3]: link for link in found if link.count("/") >= 4}


def read(path: Path) -> Letter:
    """One message; its List-Unsubscribe address without the angle brackets."""
    mail = message_from_bytes(path.read_bytes(), policy=default)
    body = mail.get_body(("plain",))
    assert body is not None, "every message has a text part"
    return Letter(
        subject=str(mail["Subject"]),
        to=str(mail["To"]),
        unsubscribe=str(mail["List-Unsubscribe"]).strip("<>"),
        unsubscribe_post=str(mail["List-Unsubscribe-Post"]),
        text=str(body.get_content()),
    )


def sentences(page: str) -> list[str]:
    """The paragraphs and list items of a page, in order: what it claims. Headings, forms and buttons claim nothing."""
    reader = _Reader()
    reader.feed(page)
    return reader.blocks


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._open: list[str] = []
        self._quiet = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in {"form", "style", "nav"}:
            self._quiet += 1
        elif tag in _BLOCKS:
            self._open.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"form", "style", "nav"}:
            self._quiet -= 1
        elif tag in _BLOCKS and self._open:
            words = " ".join(self._open.pop().split())
            if words:
                self.blocks.append(words)

    def handle_data(self, data: str) -> None:
        if self._open and not self._quiet:
            self._open[-1] += data
