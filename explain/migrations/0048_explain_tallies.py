"""Explain: what counted by day, trials of reasons that were shown, human reviews of significant decisions."""

from alembic import op

revision = "0048_explain_tallies"
down_revision = "0043_learning_experiments"
branch_labels = None
depends_on = None

UP = """
-- Counts and sums by day, placement and kind of information ('*': all of the day). No id of anybody: an erasure has nothing to take out.
CREATE TABLE explain.tallies (
    day          date NOT NULL,
    placement    text NOT NULL,
    concept      text NOT NULL,
    told         bigint NOT NULL CHECK (told >= 0),
    first        bigint NOT NULL CHECK (first >= 0),
    contribution double precision NOT NULL
);
CREATE INDEX tallies_day ON explain.tallies (day, placement, concept);
GRANT SELECT, INSERT, DELETE ON explain.tallies TO candor_app;

CREATE TABLE explain.trials (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL,
    since     timestamptz NOT NULL,
    looked    integer NOT NULL,
    reasons   integer NOT NULL,
    falsified integer NOT NULL,
    idle      integer NOT NULL,
    scores    integer NOT NULL,
    levers    integer NOT NULL,
    flat      integer NOT NULL
);
GRANT SELECT, INSERT ON explain.trials TO candor_app;
CREATE INDEX explanations_made ON explain.explanations (made_at) WHERE body IS NOT NULL;

-- Somebody asked that a person looks at a significant decision.
CREATE TABLE explain.human_reviews (
    decision_id text COLLATE "C" PRIMARY KEY,
    person      text COLLATE "C",
    asked_at    timestamptz NOT NULL,
    closed_at   timestamptz,
    closed_by   text,
    outcome     text CHECK (outcome IN ('stands', 'decided_anew', 'withdrawn')),
    CHECK ((closed_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX human_reviews_person ON explain.human_reviews (person) WHERE person IS NOT NULL;
CREATE INDEX human_reviews_open ON explain.human_reviews (asked_at) WHERE closed_at IS NULL;
GRANT SELECT, INSERT, UPDATE (person, closed_at, closed_by, outcome), DELETE ON explain.human_reviews TO candor_app;
"""


def upgrade() -> None:
    """Add the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Take them away."""
    op.execute(
        "DROP TABLE explain.human_reviews, explain.trials, explain.tallies; DROP INDEX explain.explanations_made"
    )
