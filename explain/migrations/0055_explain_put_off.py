"""Explain: decisions that the queue has no room for are put off, with the reason; they are explained when somebody asks, or when nothing else waits."""

from alembic import op

revision = "0055_explain_put_off"
down_revision = "0053_explain_belonging"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE explain.queue ADD COLUMN put_off text CHECK (put_off IN ('queue_full', 'waited_too_long'));
GRANT UPDATE (put_off) ON explain.queue TO candor_app;
CREATE INDEX queue_ahead ON explain.queue (leaf_index, decision_id) WHERE refused IS NULL AND put_off IS NULL;
CREATE INDEX queue_newest ON explain.queue (decision_id) WHERE refused IS NULL AND put_off IS NULL;
CREATE INDEX queue_put_off ON explain.queue (decision_id) WHERE refused IS NULL AND put_off IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("ALTER TABLE explain.queue DROP COLUMN put_off")
