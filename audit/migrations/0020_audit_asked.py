"""Audit (access): what was asked under an Idempotency-Key, and what became of it."""

from alembic import op

revision = "0020_audit_asked"
down_revision = "0019_triggers"
branch_labels = None
depends_on = None

UP = """
-- Keyed hashes and ids only. A row commits with what it names, or not at all.
CREATE TABLE audit.asked (
    key    bytea PRIMARY KEY CHECK (length(key) = 32),      -- of who asked, what for, and the key they gave it
    print  bytea NOT NULL CHECK (length(print) = 32),       -- of what was asked
    answer text NOT NULL,                                   -- the ids that were made
    at     timestamptz NOT NULL
);
CREATE INDEX asked_at ON audit.asked (at);
GRANT SELECT, INSERT, DELETE, UPDATE (at) ON audit.asked TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE audit.asked")
