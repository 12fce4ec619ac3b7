"""What the people did and agreed to, and how they would answer each message: the truth that a campaign is measured against.

Enters: the true people, a seed and the world's now. Leaves: consents, shop events of the last months, a past campaign whose arms were
drawn uniformly, today's abandoned carts, and `answer`, the probability that a person buys after each arm. The best arm differs by person:
a discount moves people who buy with coupons, bestsellers move people who browse, a plain reminder moves the rest.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.demo.households import Someone

ARMS = ("nothing", "reminder", "discount", "bestsellers")
CATEGORIES = ("books", "garden", "kitchen", "sport", "toys", "music")
HISTORY_DAYS = 150
CAMPAIGN_DAYS = (59, 49, 39)  # the past campaign's three mailings, days before now; a week after each, outcomes are in
LAPSED_DAYS = 60
BASE = 0.04  # buys within a week with no message


@dataclass(frozen=True, slots=True)
class Habits:
    """One shopper's nature, never written to any file that Candor reads."""

    coupons: bool
    browser: bool
    category: str
    lapsed: bool

    def answer(self, arm: str) -> float:
        """The true probability of an order within a week after an arm."""
        if arm == "discount":
            return BASE + (0.30 if self.coupons else 0.02)
        if arm == "bestsellers":
            return BASE + (0.26 if self.browser and not self.coupons else 0.02)
        if arm == "reminder":
            return BASE + (0.16 if not self.coupons and not self.browser else 0.04)
        return BASE

    @property
    def best(self) -> str:
        """The arm a perfect marketer would pick."""
        return max(ARMS, key=self.answer)


@dataclass(frozen=True, slots=True)
class Happening:
    """One shop event, in the words of Segment's e-commerce spec."""

    person: int
    name: str
    at: datetime
    properties: dict[str, str | float]


@dataclass(frozen=True, slots=True)
class Sent:
    """One line of the past campaign: who, when, which arm (probability 1/4 each), and whether an order followed within a week."""

    person: int
    at: datetime
    arm: str
    bought: bool


@dataclass(frozen=True, slots=True)
class Said:
    """One consent choice of a person about one contact point."""

    person: int
    purpose: str
    granted: bool
    at: datetime
    how: str  # 'form' carries notice and time; 'list' is a bought list without them and permits nothing


def habits(everyone: list[Someone], seed: int) -> dict[int, Habits]:
    """The nature of everyone with a shop login; the others never shop."""
    rng = random.Random(f"habits:{seed}")
    return {
        p.number: Habits(
            coupons=rng.random() < 0.35,
            browser=rng.random() < 0.5,
            category=rng.choice(CATEGORIES),
            lapsed=rng.random() < 0.55,
        )
        for p in everyone
        if p.login
    }


def consents(everyone: list[Someone], seed: int, now: datetime) -> list[Said]:
    """Mixed choices: most say yes to email, fewer to personalisation, some said no, some only stand on a list."""
    rng = random.Random(f"consents:{seed}")
    said: list[Said] = []
    for person in everyone:
        at = now - timedelta(days=rng.uniform(160, 700))
        draw = rng.random()
        if draw < 0.72:
            said.append(Said(person.number, "marketing.email", granted=True, at=at, how="form"))
            if rng.random() < 0.85:
                said.append(Said(person.number, "marketing.personalize", granted=True, at=at, how="form"))
        elif draw < 0.82:
            said.append(Said(person.number, "marketing.email", granted=False, at=at, how="form"))
            if rng.random() < 0.5:
                said.append(Said(person.number, "marketing.personalize", granted=True, at=at, how="form"))
        elif draw < 0.90:
            said.append(Said(person.number, "marketing.email", granted=True, at=at, how="list"))
        if draw < 0.72 and rng.random() < 0.05:  # agreed once, thought again
            later = at + timedelta(days=rng.uniform(10, 150))
            said.append(Said(person.number, "marketing.email", granted=False, at=later, how="form"))
    return said


def history(natures: dict[int, Habits], seed: int, now: datetime) -> list[Happening]:
    """Views, carts and orders of the last months; shoppers marked as lapsed stop ordering two months ago."""
    rng = random.Random(f"history:{seed}")
    happenings: list[Happening] = []
    for person, nature in natures.items():
        for _ in range(rng.randint(6, 14) if nature.browser else rng.randint(1, 4)):
            at = now - timedelta(days=rng.uniform(1, HISTORY_DAYS))
            happenings.append(Happening(person, "Product Viewed", at, _product(rng, nature)))
        for _ in range(rng.randint(1, 4)):
            newest = LAPSED_DAYS + 2 if nature.lapsed else 2
            at = now - timedelta(days=rng.uniform(newest, HISTORY_DAYS))
            happenings.append(Happening(person, "Order Completed", at, _order(rng, nature)))
    happenings.sort(key=lambda h: (h.at, h.person))
    return happenings


def past_campaign(natures: dict[int, Habits], seed: int, now: datetime) -> list[Sent]:
    """Three mailings, one uniformly drawn arm each for every shopper, and what they did next."""
    rng = random.Random(f"campaign:{seed}")
    sent = []
    for person, nature in natures.items():
        for days in CAMPAIGN_DAYS:
            arm = rng.choice(ARMS)
            at = now - timedelta(days=days + rng.random())
            sent.append(Sent(person, at, arm, bought=rng.random() < nature.answer(arm)))
    return sent


def abandoned_carts(natures: dict[int, Habits], seed: int, now: datetime) -> list[Happening]:
    """Today's carts: lapsed shoppers came back, filled a cart and left; newest an hour ago."""
    rng = random.Random(f"carts:{seed}")
    return [
        Happening(person, "Product Added", now - timedelta(hours=rng.uniform(1.1, 20)), _product(rng, nature))
        for person, nature in natures.items()
        if nature.lapsed and rng.random() < 0.8
    ]


def answers(natures: dict[int, Habits], chosen: dict[int, str], seed: int) -> dict[int, bool]:
    """Who orders after today's arm; the same person and arm answer the same way under one seed."""
    return {
        person: random.Random(f"answer:{seed}:{person}:{arm}").random() < natures[person].answer(arm)
        for person, arm in chosen.items()
    }


def _product(rng: random.Random, nature: Habits) -> dict[str, str | float]:
    category = nature.category if rng.random() < 0.7 else rng.choice(CATEGORIES)
    return {
        "product_id": f"{category[:2]}-{rng.randint(1, 60)}",
        "category": category,
        "price": round(rng.uniform(5, 120), 2),
    }


def _order(rng: random.Random, nature: Habits) -> dict[str, str | float]:
    coupon = rng.random() < (0.85 if nature.coupons else 0.05)
    return {
        "order_id": f"o-{rng.getrandbits(40):010x}",
        "revenue": round(rng.uniform(10, 160), 2),
        "coupon_used": float(coupon),
        "category": nature.category,
    }
