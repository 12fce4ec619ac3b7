"""Learning: imported decisions, training sets, models, promotions."""

from alembic import op

revision = "0010_learning"
down_revision = "0009_decision"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA IF NOT EXISTS learning;
GRANT USAGE ON SCHEMA learning TO candor_app;

-- A decision that somebody else made and logged. Features are traits of the source record, sealed there.
CREATE TABLE learning.logged (
    source      text NOT NULL,
    key         text NOT NULL,             -- keyed hash of what the row means: the same row again is the same decision
    subject     text COLLATE "C" NOT NULL CHECK (subject ~ '^(rec|idn)_'),
    placement   text NOT NULL,
    arm         text NOT NULL,
    propensity  double precision NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    outcomes    jsonb NOT NULL,
    at          timestamptz NOT NULL,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (source, key)
);
CREATE INDEX logged_placement ON learning.logged (placement, at);
CREATE INDEX logged_subject ON learning.logged (subject);
GRANT SELECT, INSERT, DELETE ON learning.logged TO candor_app;

-- Files in the data folder, noted so that an erasure finds them.
CREATE TABLE learning.training_sets (
    digest      text PRIMARY KEY,
    placement   text NOT NULL,
    file        text NOT NULL,
    rows        bigint NOT NULL,
    feature_set text NOT NULL,
    made_at     timestamptz NOT NULL,
    redacted_at timestamptz
);
GRANT SELECT, INSERT, UPDATE (rows, redacted_at) ON learning.training_sets TO candor_app;

CREATE TABLE learning.models (
    digest        text PRIMARY KEY CHECK (digest LIKE 'sha256:%'),
    placement     text NOT NULL,
    feature_set   text NOT NULL,
    training_set  text NOT NULL,
    rows          bigint NOT NULL,
    evaluation    jsonb NOT NULL,
    trained_at    timestamptz NOT NULL
);
GRANT SELECT, INSERT ON learning.models TO candor_app;

-- The last row of a placement rules; a NULL digest means that the declared rules rank.
CREATE TABLE learning.promotions (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    placement text NOT NULL,
    digest    text REFERENCES learning.models,
    actor     text NOT NULL,
    reason    text NOT NULL,
    at        timestamptz NOT NULL
);
CREATE INDEX promotions_placement ON learning.promotions (placement, seq DESC);
GRANT SELECT, INSERT ON learning.promotions TO candor_app;
"""


def upgrade() -> None:
    """Make the room."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it with all it holds."""
    op.execute("DROP SCHEMA learning CASCADE")
