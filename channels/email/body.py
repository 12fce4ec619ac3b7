"""One message as the body of POST /v3/mail/send.

Enters: a `Message`, the settings. Leaves: a JSON object with one personalization, or `Unsendable` with a reason. Follows Twilio's
OpenAPI document of mail/send and its page of limits; spec channels.A2 to A5. What SendGrid keeps for ever (categories, custom
arguments) holds two opaque ids and the words of the settings, never anything of a person.
"""

import re
from collections.abc import Mapping
from typing import Final

import orjson
from sendgrid.helpers.mail import (
    Asm,
    Category,
    ClickTracking,
    Content,
    CustomArg,
    From,
    GroupId,
    Header,
    IpPoolName,
    Mail,
    MailSettings,
    MimeType,
    OpenTracking,
    Personalization,
    SandBoxMode,
    Subject,
    SubscriptionTracking,
    To,
    TrackingSettings,
)
from sendgrid.helpers.mail.exceptions import ApiKeyIncludedException

from channels.connector import Message
from channels.email.errors import Unsendable
from channels.email.settings import SendGridSettings
from channels.rendering import has_control
from kernel.canonical import Json

RESERVED: Final = frozenset(
    {
        "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
        "to", "from", "subject", "reply-to", "cc", "bcc",
    }
)  # fmt: skip
RECIPIENTS: Final = 1000  # over to, cc and bcc of all personalizations together
PERSONALIZATIONS: Final = 1000
CATEGORIES: Final = 10
CATEGORY_CHARS: Final = 255
CUSTOM_ARGS_BYTES: Final = 10_000
GROUPS_SHOWN: Final = 25
IP_POOL_CHARS: Final = 64
SEND_AHEAD: Final = 72 * 3600  # seconds
BODY_BYTES: Final = 30 * 1024 * 1024
_SUBJECT_CHARS: Final = 998  # RFC 5322 2.1.1
# A dot-atom at a host name with a dot (RFC 5321 4.1.2): what SendGrid's own check takes. Anything wider comes back as a 400.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"(?=.{{3,254}}$)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 5322 ftext without the colon
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]{1,4000}")


def compose(message: Message, settings: SendGridSettings) -> Mapping[str, Json]:
    """The body. Raises Unsendable for an address, a header or a size that SendGrid would refuse."""
    _check(message)
    mail = Mail()
    mail.from_email = From(message.sender_address, message.sender_name)
    mail.subject = Subject(message.subject)
    only = Personalization()
    to = To()  # no name: it is not needed, and one with ; or , is refused
    to.email = message.to  # not To(address): that would parse a name out of it
    only.add_to(to)
    only.add_custom_arg(CustomArg("delivery_id", message.delivery_id))
    only.add_custom_arg(CustomArg("decision_id", message.decision_id))
    for name, value in message.headers.items():
        only.add_header(Header(name, value))
    mail.add_personalization(only)
    try:
        mail.add_content(Content(MimeType.text, message.text))  # plain first: RFC 2046 5.1.4, and SendGrid insists
        if message.html:
            mail.add_content(Content(MimeType.html, message.html))
    except ApiKeyIncludedException:
        raise Unsendable("bad_content") from None
    for category in settings.categories:
        mail.add_category(Category(category))
    if settings.asm_group_id is not None:
        mail.asm = Asm(GroupId(settings.asm_group_id))
    if settings.ip_pool is not None:
        mail.ip_pool_name = IpPoolName(settings.ip_pool)
    mail.mail_settings = MailSettings(sandbox_mode=SandBoxMode(settings.sandbox))
    mail.tracking_settings = TrackingSettings(  # said in every message, whatever the account's own defaults are
        click_tracking=ClickTracking(settings.track_clicks and message.tracked, enable_text=False),
        open_tracking=OpenTracking(settings.track_opens and message.tracked),
        subscription_tracking=SubscriptionTracking(enable=False),
    )
    body: dict[str, Json] = mail.get()
    if (broken := broken_limit(body, now=message.at.timestamp())) is not None:
        raise Unsendable(broken)
    return body


def _check(message: Message) -> None:
    if not _ADDRESS.fullmatch(message.to) or not _ADDRESS.fullmatch(message.sender_address):
        raise Unsendable("bad_address")
    names = [name.lower() for name in message.headers]
    if not RESERVED.isdisjoint(names):
        raise Unsendable("reserved_header")
    if len(set(names)) < len(names) or not all(
        _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in message.headers.items()
    ):
        raise Unsendable("bad_header")
    subject = message.subject
    if not subject.strip() or len(subject) > _SUBJECT_CHARS or has_control(subject):
        raise Unsendable("bad_subject")
    if not message.text or has_control(message.sender_name) or not _encodable(message):
        raise Unsendable("bad_content")


def _encodable(message: Message) -> bool:
    """Half a surrogate pair has no UTF-8, and no JSON."""
    try:
        f"{message.sender_name}{message.subject}{message.text}{message.html}".encode()
    except UnicodeEncodeError:
        return False
    return True


def broken_limit(body: Mapping[str, Json], *, now: float) -> str | None:
    """The first of SendGrid's limits that a body of mail/send exceeds; None when it keeps them all. `now` in epoch seconds."""
    crowd = _objects(body.get("personalizations"))
    addressed = [one for p in crowd for kind in ("to", "cc", "bcc") for one in _objects(p.get(kind))]
    categories = _list(body.get("categories"))
    asm, pool = body.get("asm"), body.get("ip_pool_name")
    shown = _list(asm.get("groups_to_display")) if isinstance(asm, Mapping) else []
    times = [one for part in (body, *crowd) if isinstance(one := part.get("send_at"), int)]
    checks = {
        "too_many_personalizations": not 1 <= len(crowd) <= PERSONALIZATIONS,
        "too_many_recipients": len(addressed) > RECIPIENTS,
        "bad_recipient_name": any(set(";,") & set(str(one.get("name", ""))) for one in addressed),
        "too_many_categories": len(categories) > CATEGORIES,
        "category_too_long": any(len(str(one)) > CATEGORY_CHARS for one in categories),
        "custom_args_too_large": any(_size(p.get("custom_args")) > CUSTOM_ARGS_BYTES for p in (body, *crowd)),
        "too_many_groups": len(shown) > GROUPS_SHOWN,
        "ip_pool_too_long": isinstance(pool, str) and len(pool) > IP_POOL_CHARS,
        "sent_too_late": any(one > now + SEND_AHEAD for one in times),
        "body_too_large": _size(body) > BODY_BYTES,
    }
    return next((name for name, broken in checks.items() if broken), None)


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _objects(value: Json) -> list[Mapping[str, Json]]:
    return [one for one in _list(value) if isinstance(one, Mapping)]


def _size(value: Json) -> int:
    return len(orjson.dumps(value)) if value else 0
