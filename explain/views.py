"""What an auditor reads: the same record with its numbers (explain.E1).

Enters: `Explanation`. Leaves: `AuditorView`: features with values, provenance and contributions, base, score, candidates with the stage they were lost at,
versions, seed. Person and contact point are ids; no word of a person is in a decision record.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from math import fsum, isnan

from explain.explanation import Content, Explanation
from explain.facts import Provenance
from kernel.canonical import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturePart:
    """One feature of the scored row. `value` is None where it was absent."""

    feature: str
    value: float | None
    contribution: float
    provenance: tuple[Provenance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditorView:
    """The record in numbers. `content` is None when the person was erased; the digest stays, as the log names it."""

    decision_id: str
    digest: str
    redacted: bool
    content: Content | None
    features: tuple[FeaturePart, ...] = ()
    residual: float | None = None

    def as_json(self) -> dict[str, Json]:
        """As the API answers it."""
        about: dict[str, Json] = {
            "decision_id": self.decision_id,
            "explanation": self.digest,
            "redacted": self.redacted,
        }
        if self.content is None:
            return about
        facts, content = self.content.facts, self.content
        return about | {
            "at": facts.at.isoformat(), "person": facts.person, "placement": facts.placement, "purpose": facts.purpose,
            "channel": facts.channel, "choice": facts.choice, "propensity": facts.propensity, "seed": facts.seed,
            "procedure": str(content.procedure), "segments": list(facts.segments),
            "is_advertisement": facts.advertisement.is_advertisement, "on_behalf_of": facts.advertisement.on_behalf_of,
            "paid_by": facts.advertisement.paid_by,
            "score": facts.score, "base": content.base, "residual": self.residual,
            "features": [_json(asdict(part)) for part in self.features],
            "concepts": [
                {
                    "concept": one.key, "contribution": one.contribution, "alone": one.alone,
                    "direction": None if one.alone is None else one.direction, "features": list(one.features),
                }
                for one in content.concepts
            ],
            "levers": [_json(asdict(lever)) for lever in content.levers],
            "candidates": [_json(asdict(one)) for one in facts.candidates],
            "policy": _json(asdict(facts.policy)),
            "permission": None if facts.permission is None else _json(asdict(facts.permission)),
            "model": facts.model_digest,
            "versions": {
                "feature_set": facts.feature_set_digest, "consent": facts.consent_version, "graph": facts.graph_version,
                "profile": facts.profile_version, "catalogue": facts.catalogue_digest, "template": facts.template_digest,
                "items": facts.items_version, "learned": facts.policy.learned,
            },
            "data": {
                "from": None if facts.data_from is None else facts.data_from.isoformat(),
                "until": None if facts.data_until is None else facts.data_until.isoformat(),
            },
            "unit": facts.unit,
        }  # fmt: skip


def auditor_view(explanation: Explanation) -> AuditorView:
    """The numbers behind an explanation."""
    content = explanation.content
    parts: tuple[FeaturePart, ...] = ()
    residual = None
    if content is not None and content.base is not None:
        parts = tuple(
            FeaturePart(
                feature=feature.name,
                value=None if isnan(feature.value) else feature.value,
                contribution=part,
                provenance=feature.provenance,
            )
            for feature, part in zip(content.facts.features, content.contributions, strict=True)
        )
        residual = fsum((content.base, *content.contributions)) - (content.facts.score or 0.0)
    return AuditorView(
        decision_id=explanation.decision_id, digest=explanation.digest, redacted=explanation.redacted, content=content,
        features=parts, residual=residual,
    )  # fmt: skip


def _json(value: object) -> Json:
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"expected a JSON value, got {type(value).__name__}")
