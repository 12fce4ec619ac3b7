"""Explain: what people said is found by the key of whom it was decided for, whatever her id is now; levers of explanations that are let go are summed up."""

from alembic import op

revision = "0053_explain_belonging"
down_revision = "0052_learning_proxies"
branch_labels = None
depends_on = None

UP = """
-- The key that the decision is sealed under: it stays with her record through merges and splits, and here when the explanation is let go.
ALTER TABLE explain.uses ADD COLUMN key_id text;
ALTER TABLE explain.feedback ADD COLUMN key_id text;
ALTER TABLE explain.human_reviews ADD COLUMN key_id text;
UPDATE explain.uses AS u SET key_id = e.key_id FROM explain.explanations AS e WHERE e.decision_id = u.decision_id;
UPDATE explain.feedback AS f SET key_id = e.key_id FROM explain.explanations AS e WHERE e.decision_id = f.decision_id;
UPDATE explain.human_reviews AS h SET key_id = e.key_id FROM explain.explanations AS e WHERE e.decision_id = h.decision_id;
CREATE INDEX uses_key ON explain.uses (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX feedback_key ON explain.feedback (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX human_reviews_key ON explain.human_reviews (key_id) WHERE key_id IS NOT NULL;

-- One row: levers of explanations that are gone, about nobody.
CREATE TABLE explain.lever_sums (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    levers   bigint NOT NULL DEFAULT 0,
    replayed bigint NOT NULL DEFAULT 0,
    flipped  bigint NOT NULL DEFAULT 0
);
INSERT INTO explain.lever_sums DEFAULT VALUES;
GRANT SELECT, UPDATE (levers, replayed, flipped) ON explain.lever_sums TO candor_app;
GRANT DELETE ON explain.lever_tallies TO candor_app;
WITH gone AS (DELETE FROM explain.lever_tallies AS t USING explain.explanations AS e
  WHERE e.decision_id = t.decision_id AND e.redacted_at IS NOT NULL RETURNING t.levers, t.replayed, t.flipped)
UPDATE explain.lever_sums SET (levers, replayed, flipped) =
  (SELECT coalesce(sum(levers), 0), coalesce(sum(replayed), 0), coalesce(sum(flipped), 0) FROM gone);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(
        "REVOKE DELETE ON explain.lever_tallies FROM candor_app; DROP TABLE explain.lever_sums;"
        " ALTER TABLE explain.uses DROP COLUMN key_id; ALTER TABLE explain.feedback DROP COLUMN key_id;"
        " ALTER TABLE explain.human_reviews DROP COLUMN key_id"
    )
