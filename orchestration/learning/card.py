"""The card of a model: what it was trained on, what it looks at, how well it foretells, who let it rule and by which figures, what it is not for.

Enters: a digest. Leaves: a `Card`, gathered from the registry, the model's own file, the promotions and the audit of proxies; words beside the figures come from a file. Nothing is
made up: what was not recorded is told as not recorded.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from explain.concepts import rule_of
from kernel.canonical import Json
from kernel.yaml_text import read_yaml
from orchestration.learning import store
from orchestration.learning.errors import CardInvalid, ModelBroken, UnknownModel
from orchestration.learning.gbm import GbmModel
from orchestration.learning.proxy_store import ProxyRun
from orchestration.learning.store import ModelRow, Promotion

if TYPE_CHECKING:
    from orchestration.learning.service import Learning

SHIPPED: Final = Path(__file__).parent / "data" / "card.yaml"
_CANDIDATE: Final = ("variant=", "channel=", "category=", "tag=", "context=")
_GATE: Final = ("vs_rules", "vs_uniform", "vs_best_fixed", "vs_current")


class NotFor(BaseModel):
    """A use that the model is not for, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: Annotated[str, Field(min_length=3)]
    because: Annotated[str, Field(min_length=3)]


class CardWords(BaseModel):
    """What stands on every card beside the figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    meant_for: tuple[str, ...]
    not_for: tuple[NotFor, ...]
    limits: tuple[str, ...]


async def card(learning: "Learning", name: str) -> dict[str, Json]:
    """The card of the model with this digest, or of the only one whose digest begins so.

    Raises:
        UnknownModel: no such model, or several begin so.
    """
    async with learning.kernel.db.reading() as conn:
        every = await store.models(conn)
        row = _one(every, name)
        past = await store.promotions(conn, row.placement)
        ruling = (await store.active(conn)).get(row.placement)
        kept = await store.training_set(conn, row.training_set)
    try:
        model: GbmModel | None = await learning.model(row.digest)
        broken = None
    except ModelBroken as fault:
        model, broken = None, fault.message
    audited = next((one for one in await learning.proxies.newest() if one.placement == row.placement), None)
    said = words(learning.settings.card_file)
    return {
        "digest": row.digest, "placement": row.placement, "rules_now": ruling == row.digest, "file": broken or "answers to its digest",
        "trained": _trained(row, model, kept), "columns": _columns(row, model), "metrics": _metrics(row.evaluation),
        "gate": _gate(row.evaluation), "promotions": [_promotion(one) for one in past if one.digest == row.digest],
        "proxies": _proxies(audited), "limits": [*said.limits, *_limits(row)],
        "meant_for": list(said.meant_for), "not_for": [{"use": one.use, "because": one.because} for one in said.not_for],
    }  # fmt: skip


def words(path: Path | None) -> CardWords:
    """The words that settings name, or the shipped ones.

    Raises:
        CardInvalid: not YAML, unknown or missing keys.
    """
    try:
        return CardWords.model_validate(read_yaml((path or SHIPPED).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as fault:
        raise CardInvalid(f"expected a YAML file of words for cards, got {type(fault).__name__}") from None
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        raise CardInvalid(f"expected valid words for cards, got at {'/'.join(map(str, first['loc']))}: {first['msg']}") from None  # fmt: skip


def _one(every: list[ModelRow], name: str) -> ModelRow:
    wanted = name if name.startswith("sha256:") else f"sha256:{name}"
    hits = [one for one in every if one.digest.startswith(wanted)]
    if len(hits) != 1 or len(wanted) < len("sha256:") + 6:
        raise UnknownModel(
            "expected the digest of a registered model, or at least six letters of one alone, got another"
        )
    return hits[0]


def _trained(row: ModelRow, model: GbmModel | None, kept: Mapping[str, Any] | None) -> dict[str, Json]:
    span = cast("Mapping[str, Json] | None", row.evaluation.get("learned_from"))
    return {
        "at": row.trained_at.isoformat(), "rows": row.rows, "training_set": row.training_set, "feature_set": row.feature_set,
        "since": None if span is None else span["first"], "until": None if span is None else span["last"],
        "redacted_at": None if kept is None or kept["redacted_at"] is None else kept["redacted_at"].isoformat(),
        "rows_left": None if kept is None else kept["rows"], "columns": None if model is None else len(model.feature_names),
    }  # fmt: skip


def _columns(row: ModelRow, model: GbmModel | None) -> list[Json]:
    """What the model looks at by kind of information, the greatest share of gain first; single columns beneath."""
    shares = cast("Mapping[str, float]", row.evaluation.get("importance") or {})
    groups: dict[str, list[str]] = {}
    for name in model.feature_names if model is not None else shares:
        rule = rule_of(name)
        groups.setdefault(rule.concept if rule is not None else "other", []).append(name)
    weights = {concept: sum(shares.get(one, 0.0) for one in held) for concept, held in groups.items()}
    return [_group(one, groups[one], shares) for one in sorted(groups, key=lambda one: (-weights[one], one))]


def _group(concept: str, held: list[str], shares: Mapping[str, float]) -> Json:
    ordered = sorted(held, key=lambda one: (-shares.get(one, 0.0), one))
    return {
        "concept": concept, "about": "message" if all(one.startswith(_CANDIDATE) for one in held) else "person",
        "share": sum(shares.get(one, 0.0) for one in held) if shares else None,
        "columns": [{"name": one, "share": shares.get(one, 0.0) if shares else None} for one in ordered],
    }  # fmt: skip


def _metrics(judged: Mapping[str, Json]) -> dict[str, Json]:
    return {name: judged.get(name) for name in ("calibration", "ordering", "debias", "positions", "drift", "variants")}


def _gate(judged: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "decision": judged.get("decision"), "reason": judged.get("reason"), "refused": bool(judged.get("refused")),
        "best_fixed": judged.get("best_fixed"), "comparisons": {name: judged[name] for name in _GATE if judged.get(name) is not None},
    }  # fmt: skip


def _promotion(one: Promotion) -> dict[str, Json]:
    return {"actor": one.actor, "reason": one.reason, "at": one.at.isoformat()}


def _proxies(run: ProxyRun | None) -> Json:
    if run is None:
        return None
    flagged: list[Json] = [one for one in run.findings if isinstance(one, dict) and one["flagged"]]
    return {
        "at": run.at.isoformat(),
        "people": run.people,
        "flagged": flagged,
        "untried": list(run.untried),
        "tried": len(run.findings) > 0,
    }


def _limits(row: ModelRow) -> list[str]:
    """What the figures themselves say against it."""
    judged = row.evaluation
    found: list[str] = []
    if judged.get("refused"):
        found.append(f"The log could not tell what it is worth: {judged.get('reason') or 'too little overlap'}.")
    weak = [one for one in cast("list[Any]", judged.get("variants") or []) if one.get("weak")]
    found += [f"The variant {one['variant']} brought less than was foretold of it." for one in weak]
    error = cast("Mapping[str, float]", judged.get("calibration") or {}).get("ece")
    if error is not None:
        found.append(f"What it foretells is off by {error:.4f} in the mean of ten bins (expected calibration error).")
    return found
