"""Explain: explanations made once, the queue of decisions without one, what people said of decisions."""

from alembic import op

revision = "0008_explain"
down_revision = "0007_channels"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA IF NOT EXISTS explain;
GRANT USAGE ON SCHEMA explain TO candor_app;

CREATE TABLE explain.explanations (
    decision_id text COLLATE "C" PRIMARY KEY,
    person      text COLLATE "C",
    digest      text NOT NULL CHECK (digest LIKE 'sha256:%'),
    body        bytea,                     -- canonical JSON, sealed under key_id; clear where nobody is meant
    key_id      text,
    made_at     timestamptz NOT NULL,
    redacted_at timestamptz,
    CHECK ((body IS NULL) = (redacted_at IS NOT NULL)),
    CHECK (person IS NULL OR key_id IS NOT NULL)
);
CREATE INDEX explanations_person ON explain.explanations (person) WHERE person IS NOT NULL;
CREATE INDEX explanations_key ON explain.explanations (key_id) WHERE key_id IS NOT NULL;
GRANT SELECT, INSERT, UPDATE (person, body, key_id, redacted_at) ON explain.explanations TO candor_app;

-- Decisions that the log names and that have no explanation yet. `refused`: made, did not add up, set aside.
CREATE TABLE explain.queue (
    decision_id text COLLATE "C" PRIMARY KEY,
    leaf_index  bigint NOT NULL,
    refused     text
);
CREATE INDEX queue_waiting ON explain.queue (leaf_index, decision_id) WHERE refused IS NULL;
GRANT SELECT, INSERT, UPDATE (refused), DELETE ON explain.queue TO candor_app;

CREATE TABLE explain.feed (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    leaf_index bigint NOT NULL             -- how far the log was read
);
INSERT INTO explain.feed (leaf_index) VALUES (-1);
GRANT SELECT, UPDATE (leaf_index) ON explain.feed TO candor_app;

CREATE TABLE explain.feedback (
    decision_id text COLLATE "C" NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('not_interested', 'not_me')),
    person      text COLLATE "C",
    content     text,                      -- the catalogue's id
    at          timestamptz NOT NULL,
    PRIMARY KEY (decision_id, kind)
);
CREATE INDEX feedback_person ON explain.feedback (person) WHERE person IS NOT NULL;
GRANT SELECT, INSERT, DELETE ON explain.feedback TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP SCHEMA explain CASCADE")
