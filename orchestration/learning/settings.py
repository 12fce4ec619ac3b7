"""The learning section of the settings tree. Small trees: what a few ten thousand rows can carry (spec decision.D31)."""

from pydantic import Field

from kernel.settings import Section


class LearningSettings(Section):
    """How models are trained and judged."""

    trees: int = Field(default=250, ge=10, le=5000, description="Trees of the ranker.")
    leaves: int = Field(default=7, ge=2, le=255, description="Leaves of a tree.")
    rate: float = Field(default=0.03, gt=0, le=1, description="Learning rate: how far each tree moves the scores.")
    seed: int = Field(default=1, ge=0, description="Seed of training and of the folds.")
    folds: int = Field(default=5, ge=2, le=20, description="Folds of a cross-fit.")
    repeats: int = Field(default=5, ge=1, le=50, description="Cross-fits whose median is reported.")
    least_rows: int = Field(default=500, ge=10, description="Fewer decisions than this are not trained on.")
    attribution_days: float = Field(
        default=7.0, gt=0, description="An outcome counts for a decision this many days after it."
    )
