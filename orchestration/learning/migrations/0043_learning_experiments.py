"""Learning: experiments and rollouts, every step they took."""

from alembic import op

revision = "0043_learning_experiments"
down_revision = "0040_learning_online"
branch_labels = None
depends_on = None

UP = """
-- An experiment as declared; nothing of it changes after its start but its steps.
CREATE TABLE learning.experiments (
    name        text PRIMARY KEY,
    placement   text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('experiment', 'rollout')),
    document    jsonb NOT NULL,
    digest      text NOT NULL,
    started_at  timestamptz NOT NULL,
    actor       text NOT NULL
);
GRANT SELECT, INSERT ON learning.experiments TO candor_app;

-- The last step says what holds: the share of people, and whether it runs.
CREATE TABLE learning.experiment_steps (
    seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text NOT NULL REFERENCES learning.experiments,
    at      timestamptz NOT NULL,
    state   text NOT NULL CHECK (state IN ('running', 'watched', 'stopped', 'rolled_back', 'done')),
    share   double precision NOT NULL CHECK (share >= 0 AND share <= 1),
    reason  text NOT NULL,
    facts   jsonb NOT NULL,
    actor   text NOT NULL
);
CREATE INDEX experiment_steps_name ON learning.experiment_steps (name, seq);
GRANT SELECT, INSERT ON learning.experiment_steps TO candor_app;
"""


def upgrade() -> None:
    """Add the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Remove them."""
    op.execute("DROP TABLE learning.experiment_steps, learning.experiments")
