"""Consent: whom agents want told, records that a hold is about, copies of the keys database and when they went."""

from alembic import op

revision = "0036_consent_callbacks"
down_revision = "0035_consent_registry"
branch_labels = None
depends_on = None

UP = """
-- Where an agent wants to hear of its request, sealed under a key that goes with it: whoever chose the address may have named somebody in it.
ALTER TABLE consent.agent_requests
    ADD COLUMN callback bytea,
    ADD COLUMN key_id   text,
    ADD COLUMN told     text,                        -- digest of the status that was last heard
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,  -- since then
    ADD COLUMN next_at  timestamptz,
    ADD COLUMN fault    text,
    ADD CONSTRAINT agent_requests_callback CHECK (callback IS NULL OR key_id IS NOT NULL);
CREATE INDEX agent_requests_due ON consent.agent_requests (next_at) WHERE next_at IS NOT NULL;
GRANT UPDATE (callback, key_id, told, attempts, next_at, fault) ON consent.agent_requests TO candor_app;

-- What was hers when the hold was placed: it stays held whoever it belongs to after a split.
ALTER TABLE consent.holds ADD COLUMN records text[] NOT NULL DEFAULT '{}';
CREATE INDEX holds_records ON consent.holds USING gin (records) WHERE lifted_at IS NULL;

-- Copies of the keys database: each holds the wrapped keys of people who were erased since, until it is gone.
CREATE TABLE consent.key_backups (
    id            text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'kbk\\_%'),
    place         text NOT NULL,                     -- path of a file of this machine, or where else it is, in words
    here          boolean NOT NULL,
    digest        text,
    keks          text[] NOT NULL,                   -- key-encryption keys that open it
    made_at       timestamptz NOT NULL,
    purge_on      date NOT NULL,
    registered_by text NOT NULL,
    purged_at     timestamptz,
    purged_by     text,
    how           text CHECK (how IN ('overwritten', 'absent', 'told', 'unopenable')),
    CHECK ((purged_at IS NULL) = (how IS NULL))
);
CREATE INDEX key_backups_standing ON consent.key_backups (purge_on) WHERE purged_at IS NULL;
GRANT SELECT, INSERT, UPDATE (purged_at, purged_by, how) ON consent.key_backups TO candor_app;
"""


def upgrade() -> None:
    """Make room for it."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it; copies of keys are no longer known."""
    op.execute(
        "DROP TABLE consent.key_backups; ALTER TABLE consent.holds DROP COLUMN records; ALTER TABLE consent.agent_requests"
        " DROP CONSTRAINT agent_requests_callback, DROP COLUMN callback, DROP COLUMN key_id, DROP COLUMN told, DROP COLUMN attempts,"
        " DROP COLUMN next_at, DROP COLUMN fault"
    )
