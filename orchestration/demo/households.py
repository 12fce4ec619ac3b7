"""The people of the demo world: households with twins, namesakes, moves and marriages, seeded.

Enters: a number of people and a seed. Leaves: `Someone` objects, the truth that identity resolution is measured against. Names come from
Faker's en_US lists (weighted by frequency), nicknames from the `nicknames` package, so the world is as hard as a real customer base:
shared family contacts, common surnames, second generations of the same name.
"""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from itertools import accumulate

from faker.providers.address.en_US import Provider as Streets
from faker.providers.person.en_US import Provider as Names
from nicknames import NickNamer

DAYS = 1500  # the world's records span about four years
MAIL_HOSTS = ("gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "proton.me", "mail.net")


@dataclass
class Someone:
    """One true person. Contact points are lists: index 0 before the day of change, index 1 after."""

    number: int
    household: int
    first: str
    surnames: tuple[str, str]
    born: date
    emails: tuple[str, str]
    phones: tuple[str, str]
    homes: tuple[tuple[str, str, str], tuple[str, str, str]]
    device: str
    login: str | None
    changes: dict[str, int] = field(default_factory=dict)
    tag: str = "plain"

    def at(self, what: str, day: int) -> int:
        """Which of the two values of `what` holds on a day: 0 before its change, 1 after."""
        return int(day >= self.changes.get(what, DAYS + 1))

    @property
    def email(self) -> str:
        """The address of today."""
        return self.emails[self.at("email", DAYS)]


@cache
def _weighted(which: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    table = getattr(Names, which)
    return tuple(table), tuple(accumulate(table.values()))


def _name(rng: random.Random, which: str) -> str:
    names, cumulative = _weighted(which)
    return rng.choices(names, cum_weights=cumulative)[0]


@cache
def nicknames_of(first: str) -> tuple[str, ...]:
    """Nicknames of a first name, sorted, title case; empty when none is known."""
    return tuple(sorted(n.title() for n in _namer().nicknames_of(first.lower())))


@cache
def _namer() -> NickNamer:
    return NickNamer()


def _home(rng: random.Random, cities: list[tuple[str, int]]) -> tuple[str, str, str]:
    city, district = rng.choices(cities, weights=[1 / (i + 1) for i in range(len(cities))])[0]
    street = f"{rng.randint(1, 399)} {rng.choice(_weighted('last_names')[0])} {rng.choice(('St', 'Ave', 'Rd', 'Lane'))}"
    return street, city, f"{district * 100 + rng.randint(0, 59):05d}"


def _mailbox(rng: random.Random, first: str, last: str, born: date) -> str:
    f, s, y, n = first.lower(), last.lower().replace("'", ""), f"{born:%y}", rng.randint(0, 9972)
    local = rng.choice(
        (f"{f}.{s}{n % 97}", f"{f[0]}{s}{y}", f"{f}{s}{n % 997}", f"{f}{y}{n}", f"{s}.{f}{n % 89}", f"{f}_{s}{y}")
    )
    return f"{local}@{rng.choice(MAIL_HOSTS)}"


def _phone(rng: random.Random) -> str:
    return f"+1415{rng.randint(200, 999)}{rng.randint(0, 9999):04d}"


def people(count: int, seed: int) -> list[Someone]:
    """Make `count` people in households of one to five.

    Args:
        count: how many people, at least 1.
        seed: the same seed gives the same people, in any process.
    """
    rng = random.Random(f"households:{seed}")
    first_half, second_half = (*Streets.city_prefixes, "Oak", "Lake", "Mill", "Fair"), Streets.city_suffixes
    cities = [(f"{a}{b}", i + 1) for i, (a, b) in enumerate((a, b) for a in first_half for b in second_half)][:300]
    made: list[Someone] = []
    household = 0
    while len(made) < count:
        size = min(rng.choices((1, 2, 3, 4, 5), weights=(42, 30, 13, 10, 5))[0], count - len(made))
        family, homes = _name(rng, "last_names"), (_home(rng, cities), _home(rng, cities))
        head: Someone | None = None
        for _ in range(size):
            someone = _member(rng, len(made), household, family, homes, head, made[-1] if head else None, cities)
            head = head or someone
            made.append(someone)
        household += 1
    return made


def _member(
    rng: random.Random,
    number: int,
    household: int,
    family: str,
    homes: tuple[tuple[str, str, str], tuple[str, str, str]],
    head: Someone | None,
    before: Someone | None,
    cities: list[tuple[str, int]],
) -> Someone:
    female = rng.random() < 0.5
    first = _name(rng, "first_names_female" if female else "first_names_male")
    last = family if head is None or rng.random() < 0.75 else _name(rng, "last_names")
    born, tag = date(1935, 1, 1) + timedelta(days=rng.randrange(27_000)), "plain"
    if before is not None and rng.random() < 0.02:
        born, last, tag = before.born, before.surnames[0], "twin"
        while first == before.first:
            first = _name(rng, "first_names_female" if female else "first_names_male")
        before.tag = "twin"
    elif before is not None and rng.random() < 0.015:
        first, last, tag = before.first, before.surnames[0], "namesake"
        born = before.born + timedelta(days=9_600)
        before.tag = "namesake"
    changes = {
        what: rng.randrange(DAYS)
        for what, share in (("home", 0.28), ("email", 0.35), ("phone", 0.30), ("surname", 0.12 if female else 0))
        if rng.random() < share
    }
    own_mail = (_mailbox(rng, first, last, born), _mailbox(rng, first, last, born))
    own_phone = (_phone(rng), _phone(rng))
    device = f"dev-{rng.getrandbits(40):010x}"
    share = (
        head is not None and rng.random() < 0.06,
        head is not None and rng.random() < 0.15,
        head is not None and rng.random() < 0.35,
    )
    if head is not None:
        own_mail = head.emails if share[0] else own_mail
        own_phone = head.phones if share[1] else own_phone
        device = head.device if share[2] else device
    return Someone(
        number=number,
        household=household,
        first=first,
        surnames=(last, _name(rng, "last_names")),
        born=born,
        emails=own_mail,
        phones=own_phone,
        homes=(homes[0], _home(rng, cities) if rng.random() < 0.4 else homes[1]),
        device=device,
        login=f"u{number:06d}" if rng.random() < 0.8 else None,
        changes=changes,
        tag=tag,
    )
