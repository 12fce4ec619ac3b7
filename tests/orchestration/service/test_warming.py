"""What is made before requests and beside them only advises: whose values are odd keeps neither the server from starting nor the others cold."""

import asyncio
from types import SimpleNamespace

import pytest

from kernel.errors import Unavailable
from orchestration.decision.service import Decisions as Real
from orchestration.service import server
from orchestration.service.catching_up import rehearse, warm, warming

pytestmark = pytest.mark.anyio


class Decisions:
    """Remembers whom it made ready; an odd person is an accident that nobody foresaw."""

    def __init__(self, odd: str = "", fault: Exception | None = None) -> None:
        self.odd, self.fault = odd, fault or ValueError("odd")
        self.warmed: list[str] = []
        self.asked: list[tuple[str, bool]] = []
        self.shelf = self

    async def current(self) -> SimpleNamespace:
        return SimpleNamespace(catalogue=SimpleNamespace(placements=[SimpleNamespace(name=one) for one in "ab"]))

    async def warm(self, people: list[str]) -> None:
        await asyncio.sleep(0)
        if self.odd in people:
            raise self.fault
        self.warmed += people

    async def decide(self, request: SimpleNamespace) -> None:
        self.asked.append((request.placement, request.dry_run))
        if request.person == self.odd:
            raise self.fault


def house(decisions: Decisions) -> SimpleNamespace:
    async def active(_: str) -> None:
        return None

    settings = SimpleNamespace(profiles=SimpleNamespace(warm_seconds=60.0))
    return SimpleNamespace(decisions=decisions, learning=SimpleNamespace(active=active), settings=settings)


PEOPLE = [f"per_{number}" for number in range(450)]


async def test_of_groups_made_before_requests_only_that_of_an_odd_person_is_left():
    decisions = Decisions("per_210")
    assert await warm(house(decisions), PEOPLE, seconds=60.0) == PEOPLE[200:400]
    assert decisions.warmed == PEOPLE[:200] + PEOPLE[400:]


@pytest.mark.parametrize("fault", [KeyError("odd"), Unavailable("expected a store, got none")])
async def test_each_placement_is_rehearsed_without_any_effect_whatever_one_of_them_says(fault):
    decisions = Decisions("per_0", fault)
    await rehearse(house(decisions), "per_0")
    assert decisions.asked == [("a", True), ("b", True)]


async def test_beside_requests_the_others_of_an_odd_persons_group_wait_for_their_own_and_no_further_group_does():
    decisions = Decisions("per_10")
    async with warming(house(decisions), PEOPLE[:24]):
        for _ in range(1_000):
            await asyncio.sleep(0)
            if len(decisions.warmed) == 16:
                break
    assert decisions.warmed == PEOPLE[:8] + PEOPLE[16:24]


async def test_beside_requests_a_part_that_is_down_is_not_asked_again():
    decisions = Decisions("per_0", Unavailable("expected a store, got none"))
    async with warming(house(decisions), PEOPLE):
        for _ in range(20):
            await asyncio.sleep(0)
    assert decisions.warmed == []


@pytest.mark.parametrize(("available", "kept"), [(True, ["service"]), (False, [])])
async def test_hot_profiles_are_made_where_there_is_a_store_for_them_and_keys_are_fetched_anyhow(available, kept):
    made, fetched = [], []
    placements = [SimpleNamespace(personalize_under="service")]

    async def current():
        return SimpleNamespace(catalogue=SimpleNamespace(placements=placements))

    async def keep_warm(_, purpose):
        made.append(purpose)

    async def fetch(people):
        fetched.extend(people)

    decisions = SimpleNamespace(
        shelf=SimpleNamespace(current=current), _kernel=SimpleNamespace(cache=SimpleNamespace(available=available)),
        _profiles=SimpleNamespace(keep_warm=keep_warm), _sealer=SimpleNamespace(fetch=fetch),
    )  # fmt: skip
    await Real.warm(decisions, ["per_1"])
    assert (made, fetched) == (kept, ["per_1"])


async def test_a_server_starts_whatever_happens_while_it_warms(monkeypatch):
    monkeypatch.setattr(server, "gc", SimpleNamespace(collect=int, freeze=int, set_threshold=lambda *_: None))
    monkeypatch.setattr(server, "sys", SimpleNamespace(setswitchinterval=float))
    decisions = Decisions()
    decisions.current = None  # an accident that nobody foresaw
    assert await server._warm(house(decisions), PEOPLE) == []
    assert await server._warm(house(Decisions("per_0")), PEOPLE[:3]) == PEOPLE[:3]
