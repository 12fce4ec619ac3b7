"""The audit room: entries, their openings and references, the tree, checkpoints, keys, staff and sessions."""

from alembic import op

revision = "0002_audit"
down_revision = "0001_kernel"
branch_labels = None
depends_on = None

TABLES = """
CREATE SCHEMA audit;

CREATE TABLE audit.entries (
    entry_id text PRIMARY KEY,
    tag      text NOT NULL,
    at       timestamptz NOT NULL,
    leaf     bytea NOT NULL CHECK (octet_length(leaf) BETWEEN 1 AND 65535)
);

-- Beside the tree: what the commitments hold, sealed under the subject's key or the log's own.
CREATE TABLE audit.openings (
    entry_id text PRIMARY KEY,
    key_id   text NOT NULL,
    sealed   bytea NOT NULL
);
-- Beside the tree: pseudonymous look-up, may be erased.
CREATE TABLE audit.refs (
    ref      text NOT NULL,
    kind     text NOT NULL,
    entry_id text NOT NULL,
    PRIMARY KEY (ref, kind, entry_id)
);
CREATE INDEX refs_by_entry ON audit.refs (entry_id);

-- The queue of entries without a place. Filled by trigger, so no way of writing an entry can forget it.
CREATE TABLE audit.pending (entry_id text PRIMARY KEY);

CREATE TABLE audit.leaves (
    leaf_index bigint PRIMARY KEY CHECK (leaf_index >= 0),
    entry_id   text NOT NULL UNIQUE,
    leaf_hash  bytea NOT NULL CHECK (octet_length(leaf_hash) = 32)
);
CREATE TABLE audit.tiles (
    level  smallint NOT NULL,
    index  bigint NOT NULL,
    hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (level, index)
);
CREATE TABLE audit.checkpoints (
    size      bigint PRIMARY KEY CHECK (size > 0),
    note      text NOT NULL,
    signed_at timestamptz NOT NULL
);
CREATE TABLE audit.operational_keys (
    key_id     text PRIMARY KEY,
    created_at timestamptz NOT NULL
);

CREATE TABLE audit.staff (
    staff_id      text PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    scopes        text[] NOT NULL,
    created_at    timestamptz NOT NULL,
    removed_at    timestamptz,
    failures      integer NOT NULL DEFAULT 0,
    locked_until  timestamptz
);
CREATE TABLE audit.api_keys (
    api_key_id   text PRIMARY KEY,
    secret_hash  bytea NOT NULL UNIQUE,
    hint         text NOT NULL,
    name         text NOT NULL,
    scopes       text[] NOT NULL,
    source       text,
    origin       text,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
CREATE TABLE audit.sessions (
    token_hash bytea PRIMARY KEY,
    staff_id   text NOT NULL REFERENCES audit.staff,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE INDEX sessions_by_staff ON audit.sessions (staff_id);
"""

TRIGGERS = """
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit.% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION audit.queue_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.pending (entry_id) SELECT entry_id FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER queue_entries AFTER INSERT ON audit.entries
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION audit.queue_entries();
ALTER TABLE audit.entries ENABLE ALWAYS TRIGGER queue_entries;
"""

APPEND_ONLY = ("entries", "leaves", "checkpoints")

GRANTS = """
GRANT USAGE ON SCHEMA audit TO candor_app;
GRANT SELECT, INSERT ON audit.entries, audit.openings, audit.leaves, audit.checkpoints, audit.operational_keys TO candor_app;
GRANT SELECT, INSERT, DELETE ON audit.refs, audit.pending TO candor_app;
GRANT SELECT, INSERT, UPDATE ON audit.tiles, audit.staff, audit.api_keys, audit.sessions TO candor_app;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(TRIGGERS)
    for table in APPEND_ONLY:
        # ALWAYS: a session in replica role does not slip past it either.
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()"
        )
        op.execute(f"ALTER TABLE audit.{table} ENABLE ALWAYS TRIGGER append_only")
    op.execute(GRANTS)
