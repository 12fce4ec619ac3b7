"""Learning: lessons of decisions, sums by arm, states of learners."""

from alembic import op

revision = "0040_learning_online"
down_revision = "0039_identity_blocks"
branch_labels = None
depends_on = None

UP = """
-- Names of events that some placement learns from online; kept in step with the catalogue.
CREATE TABLE learning.listens (
    event text PRIMARY KEY
);
GRANT SELECT, INSERT, DELETE ON learning.listens TO candor_app;

-- Whom something happened to that counts, in the transaction that keeps it; taken away when it was learned from.
CREATE TABLE learning.heard (
    seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text COLLATE "C" NOT NULL CHECK (subject ~ '^(rec|per)_')
);
GRANT SELECT, INSERT, DELETE ON learning.heard TO candor_app;

-- How far the decisions of a placement were followed.
CREATE TABLE learning.followed (
    placement text PRIMARY KEY,
    at        timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE (at) ON learning.followed TO candor_app;

-- What each decision taught: the reward so far, in millionths, and for linear learners the person's row.
CREATE TABLE learning.lessons (
    decision  text COLLATE "C" PRIMARY KEY,
    placement text NOT NULL,
    person    text COLLATE "C" NOT NULL,
    arm       text NOT NULL,
    at        timestamptz NOT NULL,
    epoch     bigint NOT NULL,
    reward    bigint NOT NULL,
    context   bigint[] NOT NULL DEFAULT '{}',
    taught_at timestamptz                   -- when a learner of a library learned it, once
);
CREATE INDEX lessons_voice ON learning.lessons (person, placement, epoch);
CREATE INDEX lessons_at ON learning.lessons (at);
CREATE INDEX lessons_untaught ON learning.lessons (placement, at) WHERE taught_at IS NULL;
GRANT SELECT, INSERT, DELETE, UPDATE (reward, taught_at) ON learning.lessons TO candor_app;

-- Sums of lessons by arm and time: whole numbers, so that every order gives the same.
CREATE TABLE learning.tallies (
    placement text NOT NULL,
    arm       text NOT NULL,
    epoch     bigint NOT NULL,
    n         bigint NOT NULL,
    reward    bigint NOT NULL,
    squares   bigint NOT NULL,
    gram      numeric[] NOT NULL DEFAULT '{}',
    moment    numeric[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (placement, arm, epoch)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON learning.tallies TO candor_app;

-- What a learner knew at a moment: never changed, named by its digest in the decisions that rest on it.
CREATE TABLE learning.learned (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    placement text NOT NULL,
    policy    text NOT NULL,
    digest    text NOT NULL CHECK (digest LIKE 'sha256:%'),
    content   bytea NOT NULL,
    made_at   timestamptz NOT NULL
);
CREATE INDEX learned_placement ON learning.learned (placement, seq DESC);
CREATE INDEX learned_digest ON learning.learned (digest);
GRANT SELECT, INSERT, DELETE ON learning.learned TO candor_app;
"""


def upgrade() -> None:
    """Add the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Remove them with all they hold."""
    op.execute(
        "DROP TABLE learning.learned, learning.tallies, learning.lessons, learning.followed, learning.heard, learning.listens"
    )
