"""Consent: holds, keys that are still to be destroyed, and what the retention run may remove."""

from alembic import op

revision = "0015_consent_retention"
down_revision = "0014_items"
branch_labels = None
depends_on = None

UP = """
-- Something that must not be removed yet. The ground is a code; a reference names a file of somebody else's, never a person.
CREATE TABLE consent.holds (
    id        text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'hld\\_%'),
    person    text COLLATE "C" NOT NULL,
    ground    text NOT NULL,
    reference text NOT NULL,
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL,
    until     timestamptz,
    lifted_by text,
    lifted_at timestamptz,
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
);
CREATE INDEX holds_standing ON consent.holds (person) WHERE lifted_at IS NULL;
GRANT SELECT, INSERT, UPDATE (lifted_by, lifted_at) ON consent.holds TO candor_app;

-- Written in the commit that removes what a key sealed, emptied once the key is destroyed: a crash between the two loses nothing.
CREATE TABLE consent.doomed_keys (
    key_id text COLLATE "C" PRIMARY KEY,
    since  timestamptz NOT NULL
);
GRANT SELECT, INSERT, DELETE ON consent.doomed_keys TO candor_app;

-- What is past its time is removed by the application; what proves something (acts, entries) it still cannot touch.
GRANT DELETE ON consent.requests, events.dedupe, profiles.feature_tables TO candor_app;

-- Both tables grow at their end: a few pages tell which rows are old or new.
CREATE INDEX records_recorded ON identity.records USING brin (recorded_at);
CREATE INDEX deliveries_changed ON channels.deliveries USING brin (reserved_at);
"""


def upgrade() -> None:
    """Make room for it."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it; what was removed under it stays removed."""
    op.execute(
        "DROP INDEX channels.deliveries_changed; DROP INDEX identity.records_recorded;"
        " REVOKE DELETE ON consent.requests, events.dedupe, profiles.feature_tables FROM candor_app;"
        " DROP TABLE consent.doomed_keys, consent.holds"
    )
