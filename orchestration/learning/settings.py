"""The learning section of the settings tree. Small trees: what a few ten thousand rows can carry (spec decision.D31)."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from kernel.settings import Section


class LearningSettings(Section):
    """How outcomes are credited, how models are trained and judged."""

    trees: int = Field(default=250, ge=10, le=5000, description="Trees of the ranker.")
    leaves: int = Field(default=7, ge=2, le=255, description="Leaves of a tree.")
    rate: float = Field(default=0.03, gt=0, le=1, description="Learning rate: how far each tree moves the scores.")
    seed: int = Field(default=1, ge=0, description="Seed of training and of the folds.")
    folds: int = Field(default=5, ge=2, le=20, description="Folds of a cross-fit.")
    repeats: int = Field(default=5, ge=1, le=50, description="Cross-fits whose median is reported.")
    least_rows: int = Field(default=500, ge=10, description="Fewer decisions than this are not trained on.")
    attribution_days_web: float = Field(
        default=1.0, gt=0, description="Days after it was seen in which an outcome counts for a choice on the web."
    )
    attribution_days_email: float = Field(default=7.0, gt=0, description="The same for e-mail.")
    attribution_days_push: float = Field(default=2.0, gt=0, description="The same for push messages.")
    credit: Literal["last", "even"] = Field(
        default="last", description="Who gets an outcome that several choices reach: the last one, or all evenly."
    )
    reward_days: float = Field(
        default=90.0, gt=0, description="Decisions older than this keep the reward that they have."
    )
    rewards_file: Path | None = Field(
        default=None, description="YAML table of rewards. Absent: the shipped orchestration/learning/data/rewards.yaml."
    )
    weight_clip: float = Field(
        default=20.0, ge=1, description="Most that one decision weighs in training, as a multiple of the mean weight."
    )
    half_life_days: float = Field(
        default=28.0,
        gt=0,
        description="A decision so many days older than the newest one counts half, in training and before the gate: people change.",
    )
    feature_days: float = Field(
        default=14.0, gt=0, description="Days before the newest example whose features give a model its normalisation."
    )
    model_age_days: float = Field(default=14.0, gt=0, description="A model that rules longer than this is told of.")
    drift_alarm: float = Field(
        default=0.5,
        gt=0,
        description="A feature or score whose mean moved by this many standard deviations is told of.",
    )

    promotion: Literal["ramp", "direct"] = Field(
        default="ramp",
        description="How a model that the gate promotes comes to rule: in the shadow first and then to a growing share of people, or at once.",
    )
    first_model: Literal["direct", "ramp"] = Field(
        default="direct",
        description="The same for the first model that ever rules a placement, which has the declared rules alone to replace.",
    )
    shadow_days: float = Field(
        default=7.0, gt=0, description="A new model decides the decisions of so many days again before anybody sees it."
    )
    shadow_most: int = Field(default=2000, ge=1, description="At most so many of them, the newest.")
    shadow_ms: float = Field(
        default=20.0,
        gt=0,
        description="Processor time of a decision in the shadow, milliseconds; a slower model is not let out.",
    )
    ramp_metric: str = Field(default="conversion", description="The one metric that a model's rollout is judged by.")
    ramp_share: float = Field(default=0.01, gt=0, le=1, description="Share of people at the first step of a rollout.")
    ramp_planned: int = Field(
        default=20_000, ge=100, le=100_000_000, description="People in each arm when a rollout is as large as meant."
    )
    ramp_people: int = Field(
        default=200, ge=20, description="People in each arm of a rollout before it goes a step further."
    )
    ramp_margin: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Before everybody is ranked by it, a new model must be shown to lose less than this share of the metric.",
    )
    ramp_stake: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="So much of everybody's metric a step of a rollout may put at risk: before a step to a share of people a loss of this over that share must be ruled out.",
    )
    alternative_leaves: tuple[int, ...] = Field(
        default=(3, 15),
        max_length=5,
        description="Other sizes of a tree that a training compares; one is used only where it foretells unseen rewards better by interval.",
    )

    online_seconds: float = Field(
        default=0.2, gt=0, le=60, description="Learners look for news this often; so do processes that decide."
    )
    voices: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Decisions about one person that count for one arm in a stretch of time (a week, less where a policy forgets fast); more are averaged.",
    )
    most_decisions: int = Field(
        default=100,
        ge=1,
        description="Who has more decisions at a placement in that time is not learned from: people do not come that often.",
    )
    weak_rows: int = Field(
        default=100,
        ge=10,
        description="Decisions of a variant from which on it is told of when it brings less than was predicted.",
    )
    leak_area: float = Field(
        default=0.98,
        gt=0.5,
        le=1,
        description="A feature whose area under the curve alone is this great knows the answer: no model is made of it.",
    )
    leak_share: float = Field(
        default=0.9,
        gt=0.5,
        le=1,
        description="The same for a value of a feature with which at least this share answered, where at most a quarter as many do in all.",
    )
    sensitive_file: Path | None = Field(
        default=None,
        description="YAML list of sensitive attributes. Absent: the shipped orchestration/learning/data/sensitive.yaml (GDPR Art. 9).",
    )
    card_file: Path | None = Field(
        default=None,
        description="YAML file of what model cards say beside their figures. Absent: the shipped orchestration/learning/data/card.yaml.",
    )
    proxy_purpose: str = Field(
        default="analytics",
        description="The purpose under which sensitive attributes are looked at, by the audit of proxies alone.",
    )
    proxy_area: float = Field(
        default=0.65,
        gt=0.5,
        le=1,
        description="A feature that infers a sensitive attribute with this area under the curve, and better than chance, is held back.",
    )
    proxy_people: int = Field(
        default=2000, ge=40, description="People of a training set that the audit of proxies looks at."
    )
    watch_seconds: float = Field(
        default=2.0, gt=0, le=60, description="Experiments and rollouts are looked at this often; harm ends them then."
    )
    watch_hours: float = Field(
        default=48.0,
        gt=0,
        description="A rollout that has reached everybody is watched so long before its model rules.",
    )
    silence_hours: float = Field(
        default=6.0,
        gt=0,
        description="A rollout of which nothing is heard is held; after so long it goes back to the old policy.",
    )
    alert_route: str = Field(default="log", description="Who is told of a rollback, by the name that alerts carry.")
    alert_url: str | None = Field(
        default=None,
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])",
        description="Where alerts are posted as JSON; absent: the log alone. TLS, unless it is this machine.",
    )
    metrics_file: Path | None = Field(
        default=None, description="YAML file of metrics. Absent: the shipped orchestration/learning/data/metrics.yaml."
    )

    def window_days(self, channel: str) -> float:
        """Days in which an outcome may be a choice's merit; an unknown channel is watched like e-mail."""
        return {"web": self.attribution_days_web, "push": self.attribution_days_push}.get(
            channel, self.attribution_days_email
        )
