"""Identity: what linkage runs left behind: parameters, bearers of values by keyed hash, and the card of each run."""

from alembic import op

revision = "0034_identity_runs"
down_revision = "0033_identity_judgements"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE identity.parameters (
    digest  text PRIMARY KEY,
    told    jsonb NOT NULL,                -- the model, kinds and conditions; no value of anybody
    made_at timestamptz NOT NULL
);

CREATE TABLE identity.bearers (
    parameters text NOT NULL REFERENCES identity.parameters,
    field      text NOT NULL,
    value      bytea NOT NULL,             -- keyed hash
    rows       integer NOT NULL,           -- that bore it in the run; 0: junk
    gone       integer NOT NULL DEFAULT 0, -- rows of people who were erased since
    PRIMARY KEY (parameters, field, value)
);

CREATE TABLE identity.runs (
    run_id        text COLLATE "C" PRIMARY KEY,
    made_at       timestamptz NOT NULL,
    parameters    text NOT NULL REFERENCES identity.parameters,
    verdict       text NOT NULL CHECK (verdict IN ('published', 'held', 'allowed')),
    reasons       text[] NOT NULL,         -- why it was held, or would have been
    graph_version bigint,                  -- that it became; NULL while it is held
    card          jsonb NOT NULL,
    allowed_by    text,                    -- who let a held run through, when and why
    allowed_at    timestamptz,
    allowed_for   text,
    CHECK ((allowed_by IS NULL) = (allowed_at IS NULL) AND (allowed_by IS NULL) = (allowed_for IS NULL))
);
CREATE UNIQUE INDEX runs_of_version ON identity.runs (graph_version) WHERE graph_version IS NOT NULL;

GRANT SELECT, INSERT ON identity.parameters TO candor_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON identity.bearers TO candor_app;
GRANT SELECT, INSERT, UPDATE ON identity.runs TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE identity.runs; DROP TABLE identity.bearers; DROP TABLE identity.parameters")
