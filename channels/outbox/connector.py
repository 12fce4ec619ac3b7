"""The outbox: email as files, for a first run, for tests, and for a mail system that picks files up.

Enters: a `Message`. Leaves: ``<folder>/YYYY-MM-DD/<delivery_id>.eml`` (day of the decision, UTC), an RFC 5322 message with a text and an HTML part. The file
appears whole or not at all (write, fsync, link, fsync of the folder) and once per delivery id. ACCEPTED means: the file is on disk.
Nobody has received anything, so the outbox never says delivered.
"""

import os
import re
import secrets
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from pathlib import Path
from typing import Final

import anyio

from channels.connector import Answer, Connector, Message, Outcome
from kernel.durable import sync_folder
from kernel.ids import DeliveryId, is_id


class Verbatim(UnstructuredHeader):
    """A header that is one token: folding would cut a signed link or turn it into an encoded word, and mail clients would lose it."""

    def fold(self, *, policy: EmailPolicy) -> str:
        """The header on one line."""
        return f"{self.name}: {self!s}{policy.linesep}"  # type: ignore[attr-defined]  # set by HeaderRegistry


_REGISTRY: Final = HeaderRegistry()
for _name in ("List-Unsubscribe", "List-Unsubscribe-Post", "List-ID", "Message-ID", "X-Candor-Decision"):
    _REGISTRY.map_to_type(_name, Verbatim)  # type: ignore[arg-type]  # the registry mixes BaseHeader in; UnstructuredHeader is the library's own mixin
POLICY: Final = SMTP.clone(header_factory=_REGISTRY, cte_type="7bit")  # passes every relay, 8BITMIME or not


# Stricter than RFC 5322 allows and as wide as addresses in use: the parser behind `Address` stumbles over the rest.
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def build(message: Message) -> bytes:
    """The RFC 5322 bytes. ValueError for an address or a header that cannot be one (line breaks included)."""
    if not _ADDRESS.fullmatch(message.to):
        msg = "expected one plain ASCII address, got something else"
        raise ValueError(msg)
    mail = EmailMessage(policy=POLICY)
    mail["From"] = Address(display_name=message.sender_name, addr_spec=message.sender_address)
    mail["To"] = Address(addr_spec=message.to)
    mail["Subject"] = message.subject
    mail["Date"] = message.at
    for name, value in message.headers.items():
        if "\r" in value or "\n" in value:
            msg = f"expected one line in the header {name}, got a line break"
            raise ValueError(msg)
        mail[name] = value
    mail.set_content(message.text)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
    return mail.as_bytes()


class OutboxConnector:
    """Writes messages into a folder."""

    name: Final = "outbox"
    channel: Final = "email"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, delivery_id: DeliveryId, reserved_at: datetime) -> Path:
        """Where the delivery's file is, or would be."""
        if not is_id(delivery_id, "dlv"):
            msg = "expected a delivery id as a file name, got something else"
            raise ValueError(msg)
        return self.folder / f"{reserved_at:%Y-%m-%d}" / f"{delivery_id}.eml"

    async def send(self, message: Message, delivery_id: DeliveryId, deadline: datetime) -> Outcome:
        """Write the file, unless it is there. `deadline` cannot pass half-way: a local write either returns or fails."""
        del deadline
        try:
            words = build(message)
        except (ValueError, HeaderParseError):
            return Outcome(answer=Answer.REJECTED, reason="bad_address_or_header")
        await anyio.to_thread.run_sync(_write_once, self.path(delivery_id, message.reserved_at), words)
        return Outcome(answer=Answer.ACCEPTED, provider_id=f"outbox:{delivery_id}")

    def rehearsal(self, folder: Path) -> Connector:
        """Into another folder."""
        return OutboxConnector(folder)

    async def forget(self, delivery_id: DeliveryId, reserved_at: datetime) -> bool:
        """Delete the file."""
        return await anyio.to_thread.run_sync(_remove, self.path(delivery_id, reserved_at))


def _write_once(target: Path, words: bytes) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_suffix(f".{secrets.token_hex(8)}.part")
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
    ) as file:  # a person's words: owner only
        file.write(words)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, target)  # fails where rename would replace: of two writers one wins, the message is there once
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_folder(target.parent)


def _remove(target: Path) -> bool:
    try:
        target.unlink()
    except FileNotFoundError:
        return False
    sync_folder(target.parent)
    return True
