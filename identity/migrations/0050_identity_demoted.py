"""Identity: identifiers that a record carries beyond a limit, and that lead nobody to its person."""

from alembic import op

revision = "0050_identity_demoted"
down_revision = "0048_explain_tallies"
branch_labels = None
depends_on = None

# The trigger is that of 0032: whoever keeps identifiers in memory hears that one leads to somebody else now.
UP = """
CREATE TABLE identity.demoted (
    record_id     text COLLATE "C" NOT NULL,
    identifier_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (identifier_id, record_id),
    FOREIGN KEY (record_id, identifier_id) REFERENCES identity.record_identifiers ON DELETE CASCADE
);
CREATE INDEX demoted_by_record ON identity.demoted (record_id, identifier_id);
CREATE TRIGGER link_demoted AFTER INSERT ON identity.demoted
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION identity.tell_unlinked();
CREATE TRIGGER link_restored AFTER DELETE ON identity.demoted
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION identity.tell_unlinked();
GRANT SELECT, INSERT, DELETE ON identity.demoted TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE identity.demoted")
