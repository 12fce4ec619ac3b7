"""Identity: since when a pair is kept apart, and pairs that are not doubted any more, so that a graph of the past can be asked whole."""

from alembic import op

revision = "0023_identity_past"
down_revision = "0022_consent_rules"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE identity.ambiguous ADD COLUMN since bigint;  -- graph version in which the doubt began; NULL: that of `version`
UPDATE identity.ambiguous SET since = version;

CREATE TABLE identity.past_ambiguous (
    record_a   text COLLATE "C" NOT NULL,
    record_b   text COLLATE "C" NOT NULL,
    valid_from bigint NOT NULL,
    valid_to   bigint NOT NULL,            -- the first graph version in which it was no longer doubted
    PRIMARY KEY (record_a, record_b, valid_from)
);
CREATE INDEX past_ambiguous_b ON identity.past_ambiguous (record_b);

-- Doubts of graph versions before this one were not kept.
CREATE TABLE identity.past_known (since bigint NOT NULL);
INSERT INTO identity.past_known SELECT max(version) FROM identity.graph_versions;

GRANT SELECT, INSERT, DELETE ON identity.past_ambiguous TO candor_app;
GRANT SELECT ON identity.past_known TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(
        "DROP TABLE identity.past_ambiguous; DROP TABLE identity.past_known;"
        " ALTER TABLE identity.ambiguous DROP COLUMN since"
    )
