"""Consent: which rules were in force from when, with what their files said."""

from alembic import op

revision = "0022_consent_rules"
down_revision = "0021_triggers_campaigns"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE consent.rulebooks (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest       text NOT NULL,
    jurisdiction text NOT NULL,
    says         jsonb NOT NULL,           -- what each file said, by part: rules only, nothing of people
    signed_by    text[] NOT NULL,
    began_at     timestamptz NOT NULL
);
GRANT SELECT, INSERT ON consent.rulebooks TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE consent.rulebooks")
