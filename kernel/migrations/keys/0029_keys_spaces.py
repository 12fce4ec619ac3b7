"""Wrapped keys in two spaces, so that what destroyed keys left behind can be thrown away whole.

The living keys lie in one space; a removal moves them to the other, a few at a time, and truncates the one they came from: its file goes, with
every dead row. `destroyed` holds what still waits for that. Names of retired key-encryption keys are kept, so that nobody wraps under one.
"""

from alembic import op

revision = "0029_keys_spaces"
down_revision = "0001_keys"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE keys.subject_keys RENAME TO subject_keys_before;
ALTER INDEX keys.subject_keys_pkey RENAME TO subject_keys_before_pkey;
DROP INDEX keys.subject_keys_kek;

CREATE TABLE keys.subject_keys (
    key_id     text COLLATE "C" NOT NULL CHECK (key_id ~ '^key_[0-9A-HJKMNP-TV-Z]{26}$'),
    wrapped    bytea NOT NULL CHECK (octet_length(wrapped) >= 32),
    kek_id     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    space      smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (key_id, space)
) PARTITION BY LIST (space);
CREATE TABLE keys.subject_keys_0 PARTITION OF keys.subject_keys FOR VALUES IN (0);
CREATE TABLE keys.subject_keys_1 PARTITION OF keys.subject_keys FOR VALUES IN (1);
INSERT INTO keys.subject_keys (key_id, wrapped, kek_id, created_at) SELECT key_id, wrapped, kek_id, created_at FROM keys.subject_keys_before;
DROP TABLE keys.subject_keys_before;
GRANT SELECT, INSERT, DELETE, UPDATE (wrapped, kek_id, space) ON keys.subject_keys TO candor_app;
GRANT SELECT, DELETE, TRUNCATE ON keys.subject_keys_0, keys.subject_keys_1 TO candor_app;

CREATE TABLE keys.spaces (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    current  smallint NOT NULL DEFAULT 0 CHECK (current IN (0, 1))   -- where new keys go
);
INSERT INTO keys.spaces DEFAULT VALUES;
GRANT SELECT, UPDATE (current) ON keys.spaces TO candor_app;

CREATE TABLE keys.destroyed (                -- what a removal still has to do; a row goes once its bytes are gone
    at      timestamptz NOT NULL DEFAULT now(),
    keys    bigint NOT NULL,
    removal boolean NOT NULL DEFAULT false   -- covered by the removal that runs, or was cut off
);
GRANT SELECT, INSERT, DELETE, UPDATE (removal) ON keys.destroyed TO candor_app;

CREATE TABLE keys.removals (
    ended_at timestamptz PRIMARY KEY,
    keys     bigint NOT NULL,
    moved    bigint NOT NULL,
    log      text NOT NULL                   -- what became of the write-ahead log
);
GRANT SELECT, INSERT ON keys.removals TO candor_app;

CREATE TABLE keys.retired_keks (
    kek_id     text PRIMARY KEY,
    retired_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON keys.retired_keks TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)
