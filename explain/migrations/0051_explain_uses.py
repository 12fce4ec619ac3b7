"""Levers that explanations show, and controls that people pressed: what was promised, and what was decided next."""

from alembic import op

revision = "0051_explain_uses"
down_revision = "0050_identity_demoted"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE explain.lever_tallies (
    decision_id text COLLATE "C" PRIMARY KEY,
    levers      integer NOT NULL CHECK (levers > 0),
    replayed    integer NOT NULL DEFAULT 0,  -- pulled once more since
    flipped     integer NOT NULL DEFAULT 0   -- of these, those that changed the choice again
);
GRANT SELECT, INSERT, UPDATE (replayed, flipped) ON explain.lever_tallies TO candor_app;

CREATE TABLE explain.uses (
    decision_id      text COLLATE "C" NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('not_interested', 'not_me', 'stop_using', 'correct', 'pause', 'opt_out')),
    subject          text NOT NULL,           -- a kind of information, a channel, a purpose; empty where none is meant
    person           text COLLATE "C",
    placement        text NOT NULL,
    at               timestamptz NOT NULL,
    was              text NOT NULL,           -- the choice that was explained
    was_channel      text,
    promised         text,                    -- the choice that the lever led to; NULL: no lever was shown
    promised_channel text,
    flipped          boolean,                 -- that lever, pulled again when it was used
    followed_by      text COLLATE "C",
    followed_at      timestamptz,
    changed          boolean,                 -- whether the decision that followed is as promised
    PRIMARY KEY (decision_id, kind, subject),
    CHECK ((followed_by IS NULL) = (followed_at IS NULL) AND (followed_by IS NULL) = (changed IS NULL))
);
CREATE INDEX uses_person ON explain.uses (person) WHERE person IS NOT NULL;
GRANT SELECT, INSERT, UPDATE (followed_by, followed_at, changed), DELETE ON explain.uses TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE explain.uses, explain.lever_tallies")
