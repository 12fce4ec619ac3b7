"""Which pictures a step shows: numbers are fetched from the rooms, drawn, and kept under ``reports/`` in the data folder.

Enters: the house after a step. Leaves: `Picture`s, whose files the next walk overwrites. No words and no ids are drawn (spec consent.K7).
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from kernel.canonical import Json
from orchestration.pipeline import plots
from orchestration.pipeline.steps.learning import COMPARISONS, newest

if TYPE_CHECKING:
    from orchestration.wiring import House

FOLDER = "reports"


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing and where it lies."""

    name: str
    png: bytes
    path: Path


async def of_model(house: "House") -> list[Picture]:
    """What each level of each field is worth to the linkage model."""

    def draw() -> dict[str, bytes]:
        model = house.identity.linkage.read_model()
        levels = {
            str(one["output_column_name"]): {
                str(level["label_for_charts"]): model.weight(one["output_column_name"], level["label_for_charts"])
                for level in one["comparison_levels"]
                if not level.get("is_null_level") and level.get("m_probability") and level.get("u_probability")
            }
            for one in model.settings["comparisons"]
        }
        return {"level_weights": plots.level_weights(levels)}

    return await _kept(house, await asyncio.to_thread(draw))


async def of_edges(house: "House") -> list[Picture]:
    """How strong the edges are; certain ones, which a shared identifier of one owner makes, are drawn at their cap."""

    def draw() -> dict[str, bytes]:
        weights = house.identity.linkage.read_weights()
        return {"match_weights": plots.match_weights(np.clip(weights, -20, 60).tolist())}

    return await _kept(house, await asyncio.to_thread(draw))


async def of_graph(house: "House") -> list[Picture]:
    """How many records people have."""
    async with house.kernel.db.reading() as conn:
        sizes = await house.identity.counts.sizes(conn)
    return await _kept(house, {"cluster_sizes": await asyncio.to_thread(plots.cluster_sizes, sizes)})


async def of_rankers(house: "House") -> list[Picture]:
    """What each ranker looks at and how well it foretells."""

    def draw(judged: Mapping[str, Mapping[str, Json]]) -> dict[str, bytes]:
        made: dict[str, bytes] = {}
        for placement, one in judged.items():
            if shares := cast("Mapping[str, float] | None", one.get("importance")):
                made[f"importance-{placement}"] = plots.importance(shares, placement)
            if curve := cast("Mapping[str, Json] | None", one.get("calibration")):
                bins = cast("list[Mapping[str, float]]", curve["bins"])
                made[f"calibration-{placement}"] = plots.calibration(bins, cast("float", curve["ece"]), placement)
        return made

    return await _kept(house, await asyncio.to_thread(draw, await newest(house)))


async def of_evaluation(house: "House") -> list[Picture]:
    """The leads of each ranker with their intervals."""

    def draw(judged: Mapping[str, Mapping[str, Json]]) -> dict[str, bytes]:
        made: dict[str, bytes] = {}
        for placement, one in judged.items():
            rows = [
                (name.removeprefix("vs_").replace("_", " "), found["diff"], found["low"], found["high"])
                for name in COMPARISONS
                if (found := cast("Mapping[str, float] | None", one.get(name))) is not None
            ]
            if rows:
                made[f"evaluation-{placement}"] = plots.intervals(rows, placement)
        return made

    return await _kept(house, await asyncio.to_thread(draw, await newest(house)))


async def _kept(house: "House", drawn: Mapping[str, bytes]) -> list[Picture]:
    folder = house.kernel.settings.data_dir / FOLDER

    def write() -> list[Picture]:
        folder.mkdir(parents=True, exist_ok=True)
        kept: list[Picture] = []
        for name, png in drawn.items():
            plain = re.sub(r"[^a-z0-9_.-]", "_", name.lower())[:80]
            path = folder / f"{plain}.png"
            half = path.with_suffix(".half")
            half.write_bytes(png)
            half.replace(path)
            kept.append(Picture(plain, png, path))
        return kept

    return await asyncio.to_thread(write)
