"""The recorded probability is that of what was shown, also where an arm could not have been sent."""

from collections import Counter
from datetime import timedelta

import pytest

from tests.orchestration.conftest import CATALOGUE, NOW

pytestmark = pytest.mark.anyio

SLOTS = "slots: {first_name: {trait: first_name, fallback: there}}"


async def drawn(shop, placement: str, count: int, **more: object) -> Counter:
    """How often each (choice, probability, attempts) came, over many draws."""
    person = await shop.person("ada")
    found: Counter = Counter()
    for n in range(count):
        made = await shop.decide(person, placement, send=True, seed=f"s{n}", **more)
        found[made.choice, round(made.propensity, 6), made.attempts] += 1
    return found


async def test_an_arm_whose_slot_nobody_can_fill_is_lost_before_the_draw(shop):
    needy = CATALOGUE.replace(SLOTS, "slots: {first_name: {trait: nickname}}").replace("plain", "needy")
    await shop.publish(needy)
    found = await drawn(shop, "open", 60)
    # Two options are left, the letter and nothing, in every draw: no draw was made over three.
    assert {attempts for _, _, attempts in found} == {1}
    assert sum({choice: share for choice, share, _ in found}.values()) <= 1 + 1e-9
    assert {choice for choice, _, _ in found} <= {"offer@email", "nothing"}
    assert len({share for choice, share, _ in found if choice == "offer@email"}) == 1


async def test_caps_are_asked_for_the_day_on_which_the_message_leaves(shop):
    await shop.publish(CATALOGUE.replace("{limit: 1, window: 7d}", "{limit: 1, window: day}"))
    later = {"deliver_after": NOW + timedelta(days=1), "expires_at": NOW + timedelta(days=3)}
    person = await shop.person("ada")
    for n in range(20):
        if (await shop.decide(person, "cart", send=True, seed=f"f{n}", **later)).delivery_id:
            break
    full = await shop.decide(person, "cart", send=True, seed="x", **later)
    assert (full.choice, full.propensity, full.attempts) == ("nothing", 1.0, 1)
    assert full.withheld == "cap:placement:cart"


async def test_what_would_leave_after_its_end_is_lost_before_the_draw(shop):
    found = await drawn(shop, "open", 20, expires_at=NOW)
    assert found == Counter({("nothing", 1.0, 1): 20})
