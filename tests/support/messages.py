"""Generated messages, as the dispatcher would hand them over: rendered from content with people's words in it, seeded."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from channels.connector import Message
from channels.content import Action, Content
from channels.email.settings import SendGridSettings
from channels.links import MessageLinks
from channels.rendering import Envelope, Sender, render
from kernel.ids import new_id

AT = datetime(2026, 3, 5, 12, tzinfo=UTC)
NAMES = (
    "Ada",
    "Jürgen",
    "O'Brien; Patrick",
    "王小明",
    "Ζωή",
    "محمد",
    "Renée-Claude",
    "d’Artagnan",
    "Łukasz, Jr.",
    "Ngọc 🌸",
    "<b>Bo</b>",
    'Q"uote',
)
WORDS = (
    "spring",
    "Garten",
    "50 % off",
    "café",
    "“quoted”",
    "5 < 7 & 8 > 3",
    "日本語",
    "🎁",
    "line—dash",
    "a\u00a0b",
    "{x}",
    "%{y}%",
    "-x-",
)
SENDERS = ("Blue Shop", "Ben & Jörg's", "Müller; Söhne, GmbH", "花屋")
DOMAINS = ("example.org", "mail.example.co.uk", "xn--mnchen-3ya.example", "a-b.example")
LOCALS = ("ada", "a.b+c", "o'brien", "x_y-z", "1", "n!#$%&*/=?^`{|}~")


def settings(chance: random.Random, **fixed: object) -> SendGridSettings:
    """Settings of every kind."""
    return SendGridSettings(
        categories=tuple(chance.sample(["news", "cart", "shop:blue", "a b", "x" * 255], chance.randint(0, 5))),
        asm_group_id=chance.choice([None, 1, 12345]),
        ip_pool=chance.choice([None, "pool", "p" * 64]),
        track_opens=chance.random() < 0.5,
        track_clicks=chance.random() < 0.5,
        sandbox=chance.random() < 0.3,
        **fixed,  # type: ignore[arg-type]
    )


def message(chance: random.Random) -> tuple[Message, dict[str, str]]:
    """A message, and the words of the person that are in it."""
    words = lambda: " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 12)))  # noqa: E731
    plain = lambda: words().replace("{", "(").replace("}", ")")  # noqa: E731
    profile = {"first_name": chance.choice(NAMES), "city": f"Town{chance.randint(1000, 9999)}"}
    to = f"{chance.choice(LOCALS)}{chance.randint(0, 10**6)}@{chance.choice(DOMAINS)}"
    content = Content(
        content_id=f"c{chance.randint(0, 99)}",
        subject=("{{ first_name }}: " + plain())[:200],
        heading=plain(),
        paragraphs=tuple(f"{plain()} {{{{ city }}}}" for _ in range(chance.randint(1, 6))),
        preheader=plain() if chance.random() < 0.5 else "",
        action=Action(label=plain(), url="https://shop.example/a?b=1&c=%20") if chance.random() < 0.7 else None,
        locale=chance.choice([None, "en", "de", "fr-CA"]),
        advertisement=chance.random() < 0.8,
        slots=profile,
    )
    person, token = to.split("@", maxsplit=1)[0], "v1." + "t" * chance.randint(50, 300)
    envelope = Envelope(
        delivery_id=new_id("dlv"), decision_id=new_id("dec"), channel="email", purpose="marketing.email", to=to,
        reserved_at=AT, at=AT, tracked=chance.random() < 0.5,
    )  # fmt: skip
    links = MessageLinks(**{one: f"https://c.example/{one}/{token}" for one in ("why", "preferences", "one_click")})
    sender = Sender(
        name=chance.choice(SENDERS),
        address="hello@shop.example",
        postal="Main Street 1, Town",
        list_domain="shop.example",
    )
    return render(content, envelope, links, sender, default_locale="en"), {**profile, "to": to, "local": person}


def messages(count: int, seed: int = 7) -> Iterator[tuple[Message, dict[str, str], SendGridSettings]]:
    chance = random.Random(seed)
    for _ in range(count):
        yield *message(chance), settings(chance)
