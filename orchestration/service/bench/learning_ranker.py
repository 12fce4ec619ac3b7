"""The ranker: learning from clicks on ordered lists, the same bytes again, calibrated scores (spec decision.D37, D39, D40).

Enters: a seeded shop whose true relevance is known; a file of an e-mail experiment. Leaves: rows for `candor bench learning`.
"""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, cast

import numpy as np

from orchestration.decision.cold import ladder
from orchestration.decision.items import Item
from orchestration.decision.tallies import Tally
from orchestration.decision.tallies import lists as lists_of
from orchestration.learning.evaluation import cross_fit, folds
from orchestration.learning.figures import calibration
from orchestration.learning.logs import Floats, Whole, read_log
from orchestration.learning.positions import Examination, estimated, undone
from orchestration.learning.ranker import fit, train
from orchestration.learning.ranks import ndcg, reciprocal_rank, recovered
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench.learning_people import END
from orchestration.service.bench.learning_rows import Progress, Row, Section, find, generator
from profiles.interests import Deed

SEED: Final = 37
LENGTH: Final = 10
RANDOM: Final = 0.05
BARS: Final[Mapping[float, float]] = {1.0: 0.60, 2.0: 0.36}


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of ten things: features, how likely each is liked, where it stood, whether the list was drawn, whether it was liked, and clicked."""

    rows: Floats
    liking: Floats
    query: Whole
    position: Whole
    drawn: np.ndarray[tuple[int], np.dtype[np.bool_]]
    liked: Floats
    clicked: Floats


def lists(count: int, eta: float, rng: np.random.Generator) -> Lists:
    """`count` lists that an old ranker ordered, which knows one feature too well; one in twenty in an order that was drawn. Being looked at falls with place to the -eta."""
    total = count * LENGTH
    rows = rng.normal(size=(total, 8))
    rows[:, 6] = rng.integers(0, 5, total)
    raw = (
        0.9 * rows[:, 0]
        + 0.8 * np.sin(2 * rows[:, 1])
        + 0.7 * (rows[:, 2] > 0) * rows[:, 3]
        - 0.5 * np.abs(rows[:, 4])
        + 0.25 * (rows[:, 6] == 2)
    )
    liking = 1 / (1 + np.exp(1.2 - 1.3 * raw))
    query = np.repeat(np.arange(count), LENGTH)
    old = 0.5 * rows[:, 0] + 1.2 * rows[:, 5] + 0.4 * rng.normal(size=total)  # feature 5 says nothing of liking
    drawn = np.repeat(rng.random(count) < RANDOM, LENGTH)
    order = np.where(drawn, rng.normal(size=total), old)
    position = np.empty(total, dtype=np.int64)
    place = np.lexsort((-order, query))
    position[place] = np.tile(np.arange(1, LENGTH + 1), count)
    liked = (rng.random(total) < liking).astype(np.float64)
    looked = rng.random(total) < position.astype(np.float64) ** -eta
    return Lists(rows, liking, query, position, drawn, liked, liked * looked)


def positions(full: bool, progress: Progress) -> list[Row]:
    """D37: how much of what clicks hide is recovered, judged by true liking of lists that nobody learned from."""
    made: list[Row] = []
    for eta, bar in BARS.items():
        shop = lists(6_000 if full else 3_000, eta, generator(SEED, int(eta)))
        test = lists(3_000 if full else 1_000, eta, generator(SEED, int(eta), 1))
        known = Examination(tuple((np.arange(1, LENGTH + 1) ** -eta).tolist()), 0)
        found = estimated(shop.position[shop.drawn], shop.clicked[shop.drawn] > 0)
        assert found is not None
        placed = np.column_stack([shop.rows, shop.position]), np.column_stack([test.rows, np.ones(len(test.rows))])
        score = {
            "naive": _scores(shop.rows, shop.clicked, test.rows),
            "oracle": _scores(shop.rows, shop.liked, test.rows),
            "known": _debiased(shop, known, test.rows),
            "estimated": _debiased(shop, found, test.rows),
            "position": _scores(placed[0], shop.clicked, placed[1]),
        }
        value = {name: ndcg(one, test.liking, test.query) for name, one in score.items()}
        mrr = {name: reciprocal_rank(one, test.liking, test.query) for name, one in score.items()}
        progress(f"eta {eta:g}: " + ", ".join(f"{name} {value[name]:.4f} (MRR {mrr[name]:.3f})" for name in value))
        for name, what in (
            ("known", "weights by known examination"),
            ("estimated", f"by examination estimated from {RANDOM:.0%} drawn lists"),
            ("position", "position as a feature"),
        ):
            got = recovered(value["naive"], value[name], value["oracle"])
            asked = name != "position"
            made.append(
                Row("decision.D37", f"falling with place^-{eta:g}, {what}", f"recovers >= {bar:.0%}" if asked else "told beside",
                    f"{got:.0%} (NDCG@10 {value['naive']:.3f} to {value[name]:.3f}, oracle {value['oracle']:.3f}; MRR {mrr[name]:.3f})", not asked or got >= bar)
            )  # fmt: skip
    return made


def strangers(full: bool, progress: Progress) -> list[Row]:
    """D36: people of whom nothing is known but, of some, the region; judged by the true taste of their region for items that they have not seen."""
    rng = generator(SEED, 6)
    regions, count = 5, 60
    quality = rng.normal(size=count)
    taste = 0.9 * rng.normal(size=(regions, count)) + quality
    liking = 1 / (1 + np.exp(2.0 - taste))
    items = {
        f"i{n:02}": Item(item_id=f"i{n:02}", title="", category=f"c{n % 6}", rating=float(np.clip(3 + quality[n] + rng.normal(), 1, 5)))
        for n in range(count)
    }  # fmt: skip
    tally = Tally()
    for _ in range(4_000 if full else 800):
        region = int(rng.integers(regions))
        did = [n for n in rng.choice(count, 12, replace=False).tolist() if rng.random() < liking[region, n]]
        deeds = [Deed("viewed", 1.0, END, f"i{n:02}", f"c{n % 6}", None) for n in did]
        tally.add(f"r{region}", deeds, [(one, 1.0) for one in deeds])
    rated = {kind: [n for n, one in items.items() if one.category == kind] for kind in {f"c{n}" for n in range(6)}}
    listed = {
        key: [name for name, _ in ranked]
        for key, ranked in lists_of(tally, items, rated, length=count, least_people=3).items()
    }
    new = {
        key: [name for name, _ in ranked]
        for key, ranked in lists_of(Tally(), items, rated, length=count, least_people=3).items()
    }
    told: dict[str, list[float]] = {"ladder": [], "everybody": [], "drawn": [], "new shop": []}
    for region in range(regions):
        for known in (f"r{region}", None, "unheard"):
            down = list(dict.fromkeys(name for _, name in ladder(listed, known, None)))
            told["ladder"].append(_gained(down, liking[region]))
            told["everybody"].append(_gained(listed["popular", ""], liking[region]))
            told["new shop"].append(
                _gained(list(dict.fromkeys(name for _, name in ladder(new, known, None))), liking[region])
            )
            told["drawn"].append(_gained([f"i{n:02}" for n in rng.permutation(count).tolist()], liking[region]))
    mean = {name: float(np.mean(values)) for name, values in told.items()}
    progress(", ".join(f"{name} {value:.3f}" for name, value in mean.items()))
    return [
        Row("decision.D36", "strangers, the region known of a third, NDCG@10 of the ladder", f"above everybody's favourites, {mean['everybody']:.3f}", f"{mean['ladder']:.3f} (drawn {mean['drawn']:.3f})", mean["ladder"] > mean["everybody"]),
        Row("decision.D36", "a shop that opened today: the best rated", f"above drawn, {mean['drawn']:.3f}", f"{mean['new shop']:.3f}, never empty", mean["new shop"] > mean["drawn"]),
    ]  # fmt: skip


def _gained(names: list[str], liking: Floats) -> float:
    """NDCG@10 of an order of items."""
    score = np.zeros(len(liking))
    for place, name in enumerate(names):
        score[int(name[1:])] = len(names) - place
    return ndcg(score, liking, np.zeros(len(liking), dtype=np.int64))


def same_file(full: bool, progress: Progress) -> list[Row]:
    """D39: the same rows and seed in three processes, each with a hash seed of its own."""
    count = 40_000 if full else 4_000
    context = get_context("spawn")
    seed = int(generator(SEED, 9).integers(2**31))
    with ProcessPoolExecutor(max_workers=1, mp_context=context, max_tasks_per_child=1) as pool:
        digests = [pool.submit(_trained, count, seed).result() for _ in range(2)]
    digests.append(_trained(count, seed))
    progress(digests[0])
    same = len(set(digests)) == 1
    return [
        Row("decision.D39", f"a model of {count:,} rows trained in three processes", "one file", "one digest" if same else "several", same)
    ]  # fmt: skip


def calibrated(full: bool, progress: Progress, shared: Path) -> list[Row]:
    """D40: scores of people whom the scoring model had not seen against what they did, for every arm that was shown."""
    log = read_log(
        find(shared, "hillstrom_even.csv"), arm="segment", reward="visit", propensity="0.3333333333333333",
        features=("recency", "history", "mens", "womens", "zip_code", "newbie", "channel"),
    )  # fmt: skip
    errors = []
    for seed in range(1, 6 if full else 3):
        settings = LearningSettings(seed=seed)
        values = cross_fit(log, folds(len(log), settings.folds, seed), settings)
        errors.append(cast("float", calibration(values[np.arange(len(log)), log.arm], log.reward)["ece"]))
        progress(f"seed {seed}: {errors[-1]:.4f}")
    worst = max(errors)
    return [
        Row("decision.D40", f"expected calibration error of visit, {len(log):,} rows, cross-fitted, {len(errors)} seeds", "<= .010 at worst", f"{worst:.4f}, median {float(np.median(errors)):.4f}", worst <= 0.010)
    ]  # fmt: skip


def _trained(count: int, seed: int) -> str:
    shop = lists(count // LENGTH, 1.0, np.random.default_rng(seed))
    names = tuple(f"f{place}" for place in range(shop.rows.shape[1]))
    model, _ = train(shop.rows, shop.clicked, feature_names=names, feature_set="", settings=LearningSettings())
    return model.digest


def _scores(rows: Floats, reward: Floats, judged: Floats, weight: Floats | None = None) -> Floats:
    return np.asarray(fit(rows, reward, LearningSettings(), weight).predict(judged, num_threads=1), dtype=np.float64)


def _debiased(shop: Lists, examination: Examination, judged: Floats) -> Floats:
    reward, weight = undone(shop.clicked, shop.position, examination)
    return _scores(shop.rows, reward, judged, weight)


SECTIONS: Final = (
    Section("positions", "learning from ordered lists", run=positions),
    Section("strangers", "people of whom nothing is known", run=strangers),
    Section("same_file", "training again", run=same_file),
    Section("calibrated", "scores against what was done", over_files=calibrated),
)
