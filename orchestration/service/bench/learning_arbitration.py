"""Deciding itself: costs move the choice where they should, pages keep their shares, nothing forbidden is served, replays are equal (decision.D4, D8, D10, D12, D38).

Enters: seeded coins. Leaves: rows. Everything is decided by the product's pure function; what is true of the simulated people is known, so that every answer can be
counted as right or wrong by a rule that shares no line with it.
"""

import json
import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import digest
from kernel.ids import DecisionId
from orchestration.decision.arbitration import Diversity
from orchestration.decision.balance import Balance, Boost
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.engine import Outcome, decide
from orchestration.decision.inputs import Arm, HoldoutDraw, Inputs, Permit, Versions, from_json
from orchestration.decision.record import Record
from orchestration.decision.slate import Slate
from orchestration.service.bench.learning_rows import Progress, Row, generator, share

Floats = NDArray[np.float64]
_VERSIONS: Final = Versions(
    graph=1, consent=1, profile=1, catalogue="sha256:c", feature_set="sha256:f", policy="sha256:p", model=None
)
FEW: Final = 5_000  # where the way is to be shown only
_CHANNELS: Final = ("email", "push", "web")


class Known:
    """A model that says the truth of each arm of the decision at hand: one column an arm, one row an arm."""

    def __init__(self, truths: dict[str, float]) -> None:
        self.feature_names = tuple(f"variant={name}" for name in truths)
        self.digest = digest({"known": sorted(truths)})
        self._truths = np.array(list(truths.values()), dtype=np.float64)

    def score(self, rows: Floats) -> Floats:
        """The truth of the arm of each row."""
        scores: Floats = rows @ self._truths
        return scores

    def contributions(self, row: Floats) -> tuple[float, Floats]:
        """Of a linear model."""
        return 0.0, row * self._truths


def _state(arms: list[Arm], **changes: object) -> Inputs:
    base = Inputs(
        at="2026-01-05T10:00:00+00:00", person="per_bench", placement="bench", personalize_under="marketing.personalize",
        arms=tuple(arms), permits={f"p|{name}": Permit(answer="granted", reason="granted") for name in _CHANNELS},
        reach=dict.fromkeys(_CHANNELS, "idn_bench"), versions=_VERSIONS, eps_min=1e-9, balance=Balance(unit="visits"),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def _arm(name: str, channel: str = "email", order: int = 0, **more: object) -> Arm:
    return Arm(variant=name, channel=channel, purpose="p", order=order, epsilon=0.0, **more)  # type: ignore[arg-type]


def _best(made: Outcome) -> str:
    return max(made.judged, key=lambda one: one.propensity).id


def costs(full: bool, progress: Progress) -> list[Row]:
    """D12: people of whom it is known what two messages bring; the cost of a message rises, and each must turn where it should."""
    people = 20_000 if full else 500
    rng = generator(12)
    bare = rng.beta(2, 16, people)
    lift = np.column_stack([rng.normal(0.045, 0.02, people), rng.normal(0.055, 0.03, people)])
    progress(f"  {people} people, costs from 0 to .12 of a visit")
    rows: list[Row] = []
    shares: list[float] = []
    grid = (0.0, 0.02, 0.05, 0.08, 0.12)
    wrong = exact = 0
    for cost in grid:
        idle = 0
        state = _state([_arm("a"), _arm("b", order=1)], balance=Balance(unit="visits", channel_costs={"email": cost}))
        for place in range(people):
            truths = {"a": bare[place] + lift[place, 0], "b": bare[place] + lift[place, 1], NOTHING: bare[place]}
            made = decide(state, "s", model=Known(truths))
            best = _best(made)
            worth = [truths["a"] - cost, truths["b"] - cost, truths[NOTHING]]
            should = ("a@email", "b@email", NOTHING)[int(np.argmax(worth))]
            wrong += best != should
            exact += [one.utility for one in made.judged] == worth
            idle += best == NOTHING
        shares.append(idle / people)
    rows.append(Row("decision.D12", f"people decided otherwise than the known truth asks, {len(grid)} costs", "0", f"{wrong} of {people * len(grid):,}", wrong == 0))  # fmt: skip
    rows.append(Row("decision.D12", "utilities that are the truth less the cost, to the last bit", "all", share(exact, people * len(grid)), exact == people * len(grid)))  # fmt: skip
    told = ", ".join(f"{cost:g}: {one:.1%}" for cost, one in zip(grid, shares, strict=True))
    rows.append(Row("decision.D12", "share of people who get nothing, by the cost of a message", "rises", told, shares == sorted(shares) and shares[0] < shares[-1]))  # fmt: skip
    return rows


SLOTS: Final = 10
ITEMS: Final = 50
LEVELS: Final = (1.0, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Fifty items of `kinds` categories; likings of a category spread by `taste`, of an item in it by `noise`; what the ranker adds for a liked category."""

    name: str
    kinds: int
    taste: float
    noise: float
    overrated: float

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
        """Categories, brands, true relevance from 0 to 4, scores."""
        kinds = rng.integers(0, self.kinds, ITEMS)
        brands = rng.integers(0, 8, ITEMS)
        taste = rng.normal(0, self.taste, self.kinds)
        truth = np.clip(np.round(1.6 + taste[kinds] + rng.normal(0, self.noise, ITEMS)), 0, 4)
        return kinds, brands, truth, truth + taste[kinds] * self.overrated + rng.normal(0, 0.6, ITEMS)


# A ranker trained on clicks makes pages narrower than what people want (spec decision.D38 measured it); where it does not, a floor costs more.
OVERRATING: Final = Shelf("a ranker that overrates liked categories", 5, 0.6, 0.8, 1.2)
FAITHFUL: Final = Shelf("a ranker that is right about them", 5, 1.0, 0.6, 0.0)


def page(full: bool, progress: Progress) -> list[Row]:
    """D38: pages of ten out of fifty items whose relevance is known, with and without a floor under their diversity."""
    people = 400 if full else 24
    progress(
        f"  {people} people, {SLOTS} of {ITEMS} items, shares of a category {', '.join(f'{one:g}' for one in LEVELS)}"
    )
    rows: list[Row] = []
    over = 0
    for number, shelf in enumerate((OVERRATING, FAITHFUL)):
        means, kinds, broken = _pages(shelf, people, generator(38, number))
        over += broken
        plain = means[1.0]
        enough = [level for level in LEVELS if means[level][1] >= 1.1 * plain[1]]
        bound = shelf is OVERRATING
        if enough:
            level = enough[0]  # the widest share that does it
            loss = 1 - means[level][0] / plain[0]
            what = f"NDCG@{SLOTS} lost for pages 10 % more diverse ({plain[1]:.3f} to {means[level][1]:.3f}, share {level:g}): {shelf.name}"
            ok = loss <= 0.02 or not full or not bound
            rows.append(Row("decision.D38", what, "at most 2%" if bound else "reported", f"{loss:.2%}", ok))
        else:
            rows.append(
                Row(
                    "decision.D38", f"pages 10 % more diverse: {shelf.name}", "some share does it", "none", ok=not bound
                )
            )
        told = ", ".join(f"{level:g}: {one[0]:.3f} / {one[1]:.3f} / {kinds[level]}" for level, one in means.items())
        rows.append(Row("decision.D38", f"NDCG@{SLOTS} / distance within a page / kinds ever shown, by share: {shelf.name}", "reported", told, ok=True))  # fmt: skip
    pages = people * len(LEVELS) * 2
    return [Row("decision.D38", f"pages on which a category has more than its share, {pages:,} pages", "0", str(over), over == 0), *rows]  # fmt: skip


def _pages(shelf: Shelf, people: int, rng: np.random.Generator) -> tuple[dict[float, Floats], dict[float, int], int]:
    """By share: mean NDCG and distance, kinds ever shown; and pages on which a category had too much."""
    sums = {level: np.zeros(2) for level in LEVELS}
    shown: dict[float, set[tuple[int, int]]] = {level: set() for level in LEVELS}
    over = 0
    for _ in range(people):
        kinds, brands, truth, scores = shelf.draw(rng)
        model = Known({f"i{item}": float(scores[item]) for item in range(ITEMS)} | {NOTHING: -5.0})
        arms = [
            _arm(f"i{item}", "web", item, category=f"c{kinds[item]}", brand=f"b{brands[item]}") for item in range(ITEMS)
        ]
        for level in LEVELS:
            picked = _page(arms, model, level)
            over += bool(np.bincount(kinds[picked]).max() > max(1, math.floor(level * SLOTS + 1e-9)))
            sums[level] += (_ndcg(truth, picked), _apart(kinds, brands, picked))
            shown[level] |= {(int(kinds[item]), int(brands[item])) for item in picked}
    return {level: one / people for level, one in sums.items()}, {level: len(one) for level, one in shown.items()}, over


def _page(arms: list[Arm], model: Known, level: float) -> list[int]:
    """The items of a page, one decision after another, as the product fills it."""
    kind = {arm.variant: (arm.category, arm.brand) for arm in arms}
    slate = Slate(SLOTS, Diversity(category=level), kind.__getitem__)
    picked: list[int] = []
    for place in range(SLOTS):
        beside = slate.beside()
        no = {arm.id: why for arm in arms if (why := beside.refusal(arm)) is not None}
        made = decide(_state(arms, refused=no), f"s{place}", model=model)
        variant = made.arm.variant if made.arm else None
        slate.add(variant)
        if variant is not None:
            picked.append(int(variant[1:]))
    return picked


def _ndcg(truth: Floats, picked: list[int]) -> float:
    gains = 2.0**truth - 1
    discount = 1 / np.log2(np.arange(2, SLOTS + 2))
    best = float(np.sort(gains)[::-1][:SLOTS] @ discount)
    return float(gains[picked] @ discount[: len(picked)]) / best if best else 1.0


def _apart(kinds: NDArray[np.int64], brands: NDArray[np.int64], picked: list[int]) -> float:
    """The mean distance of two items of a page: half for another category, half for another brand."""
    pairs = [(a, b) for at, a in enumerate(picked) for b in picked[at + 1 :]]
    return float(np.mean([0.5 * (kinds[a] != kinds[b]) + 0.5 * (brands[a] != brands[b]) for a, b in pairs]))


def forbidden(full: bool, progress: Progress) -> list[Row]:
    """D4, D8, D10: any state at all; a second, naive set of rules says what may be served."""
    runs = 1_000_000 if full else FEW
    replays = runs // 10
    rng = generator(8)
    progress(f"  {runs:,} fuzzed decisions, {replays:,} replays from their bytes")
    served = silent = uneven = different = 0
    for number in range(runs):
        state = _fuzzed(rng)
        made = decide(state, f"f{number}")
        chosen = made.arm
        served += chosen is not None and not _may(state, chosen)
        for one in made.judged:
            lost = one.rejection
            silent += (lost is None) != (one.id == made.choice)
            silent += one.arm is not None and one.propensity > 0 and not _may(state, one.arm)
            silent += one.arm is not None and one.propensity == 0 and _may(state, one.arm)
        uneven += abs(math.fsum(one.propensity for one in made.judged) - 1) > 1e-12
        if number < replays:
            kept = Record(decision_id=DecisionId("dec_bench"), seed=f"f{number}", inputs=state, outcome=made)
            read = from_json(json.loads(state.canonical))
            again = Record(
                decision_id=kept.decision_id, seed=kept.seed, inputs=read, outcome=decide(read, f"f{number}")
            )
            different += again.canonical() != kept.canonical()
    return [
        Row("decision.D8", f"{runs:,} fuzzed states: arms served that were not eligible", "0", str(served), served == 0),
        Row("decision.D10", "arms without exactly one reason, or whose probability does not fit it", "0", str(silent), silent == 0),
        Row("decision.D6", "vectors that do not sum to 1 within 1e-12", "0", str(uneven), uneven == 0),
        Row("decision.D4", f"{replays:,} replays from stored bytes: records that differ", "0", str(different), different == 0),
    ]  # fmt: skip


def _fuzzed(rng: np.random.Generator) -> Inputs:
    coins = rng.random(64)
    count = 1 + int(coins[0] * 4)
    arms = [
        Arm(
            variant=f"v{place}", channel=_CHANNELS[int(coins[at] * 3)], purpose="p", order=place, epsilon=float(coins[at + 1]) * 0.3,
            value=float(coins[at + 2]) * 4 - 1, cost=float(coins[at + 3]), personal=bool(coins[at + 4] < 0.5),
            published=bool(coins[at + 5] < 0.85), stock=(None, 0, 3)[int(coins[at + 6] * 3)],
            regions=("by",) if coins[at + 7] < 0.1 else (),
        )
        for place in range(count) for at in [12 + place * 10]
    ]  # fmt: skip
    permits = {
        f"p|{name}": Permit(answer=("granted", "granted", "granted", "denied", "undetermined")[int(coins[1 + at] * 5)], reason="r")
        for at, name in enumerate(_CHANNELS)
    }  # fmt: skip
    reasons = ("cap:all", "suppressed", "no_connector", "missing_variable", "shown_on_page", "category_full_on_page")
    refused = {arms[0].id: reasons[int(coins[5] * len(reasons))]} if coins[4] < 0.4 else {}
    boosts = (Boost("lever", "lever", 1.0 + float(coins[6]), None if coins[7] < 0.5 else (arms[-1].id,)),)
    return _state(
        arms,
        permits=permits,
        reach={name: "idn_bench" for at, name in enumerate(_CHANNELS) if coins[52 + at] < 0.8},
        refused=refused,
        blocked="erased" if coins[8] < 0.03 else None,
        suppressed=frozenset({"email"}) if coins[9] < 0.15 else frozenset(),
        holdout=HoldoutDraw(name="h", share=0.1, member=bool(coins[10] < 0.1)),
        declined=frozenset({arms[0].id}) if coins[11] < 0.1 else frozenset(),
        segments=frozenset({"vip"}) if coins[55] < 0.5 else frozenset(),
        segment_none=("vip",) if coins[56] < 0.2 else (),
        sure=float(coins[57]),
        min_sure=float(coins[58]) * 0.5,
        eps_min=0.01,
        balance=Balance(
            boosts=boosts, signals=float(int(coins[59] * 4)), least_signals=2.0 if coins[60] < 0.3 else 0.0
        ),
    )


def _may(state: Inputs, arm: Arm) -> bool:
    """What may be served, said once more and plainly."""
    permit = state.permits.get(f"{arm.purpose}|{arm.channel}")
    known = state.sure >= state.min_sure and (
        state.balance is None or (state.balance.signals or 0.0) >= state.balance.least_signals
    )
    return (
        state.blocked is None
        and permit is not None
        and permit.answer == "granted"
        and arm.channel in state.reach
        and arm.channel not in state.suppressed
        and arm.published
        and arm.stock != 0
        and not arm.regions
        and arm.id not in (state.refused or {})
        and arm.id not in state.declined
        and not (state.holdout is not None and state.holdout.member)
        and not (set(state.segment_none) & state.segments)
        and (known or not arm.personal)
    )
