"""Wrapped subject keys, in a database of their own: a dump of the data never carries them."""

from alembic import op

revision = "0001_keys"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    op.execute("GRANT USAGE ON SCHEMA keys TO candor_app")
    op.execute("GRANT SELECT ON keys.schema_version TO candor_app")
    op.execute(
        """
        CREATE TABLE keys.subject_keys (
            key_id text COLLATE "C" PRIMARY KEY CHECK (key_id ~ '^key_[0-9A-HJKMNP-TV-Z]{26}$'),
            wrapped bytea NOT NULL CHECK (octet_length(wrapped) >= 32),
            kek_id text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute("CREATE INDEX subject_keys_kek ON keys.subject_keys (kek_id)")
    # UPDATE is for wrapping anew under a younger key-encryption key; the words sealed under the key stay as they are.
    op.execute("GRANT SELECT, INSERT, DELETE, UPDATE (wrapped, kek_id) ON keys.subject_keys TO candor_app")
