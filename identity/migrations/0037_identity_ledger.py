"""Identity: which entry of the log holds the digest of each graph version's lines; rows are added, never changed and never removed."""

from alembic import op

revision = "0037_identity_ledger"
down_revision = "0036_consent_callbacks"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE identity.ledger (
    version  bigint PRIMARY KEY REFERENCES identity.graph_versions,
    entry_id text COLLATE "C" NOT NULL
);
CREATE INDEX changes_version ON identity.changes (version);
CREATE INDEX members_began ON identity.members (valid_from);
CREATE INDEX past_members_began ON identity.past_members (valid_from);
CREATE INDEX past_members_ended ON identity.past_members (valid_to);
GRANT SELECT, INSERT ON identity.ledger TO candor_app;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON identity.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION identity.refuse_change();
ALTER TABLE identity.ledger ENABLE ALWAYS TRIGGER append_only;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(
        "DROP TABLE identity.ledger; DROP INDEX identity.changes_version; DROP INDEX identity.members_began;"
        " DROP INDEX identity.past_members_began; DROP INDEX identity.past_members_ended"
    )
