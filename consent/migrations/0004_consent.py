"""Consent: acts that nobody can change, notices, consent versions, subject requests, kept suppressions."""

from alembic import op

revision = "0004_consent"
down_revision = "0003_identity"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA IF NOT EXISTS consent;
GRANT USAGE ON SCHEMA consent TO candor_app;

CREATE TABLE consent.acts (
    id              text COLLATE "C" PRIMARY KEY,
    subject         text COLLATE "C" NOT NULL CHECK (subject ~ '^(idn|rec)_'),
    purpose         text NOT NULL,
    status          text NOT NULL CHECK (status IN ('granted', 'denied', 'unreadable')),
    channel         text,
    basis           text NOT NULL,
    jurisdiction    text NOT NULL,
    categories      text[] NOT NULL,
    controller      text NOT NULL,
    notice_hash     text,
    notice_version  text,
    notice_language text,
    notice_listed   text[] NOT NULL DEFAULT '{}',
    variant         text NOT NULL,
    mechanism       text NOT NULL,
    actor           text NOT NULL,
    given_at        timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    expires_at      timestamptz,
    verified        boolean NOT NULL,
    raw             bytea,                 -- the bytes that carried the act, sealed under key_id
    key_id          text,
    CHECK ((raw IS NULL) OR (key_id IS NOT NULL)),
    CHECK ((notice_version IS NULL) = (notice_hash IS NULL) AND (notice_version IS NULL) = (notice_language IS NULL)),
    CHECK (status <> 'granted' OR mechanism = 'import' OR notice_hash LIKE 'sha256:%'),
    CHECK (given_at <= recorded_at)
);
CREATE INDEX acts_subject ON consent.acts (subject, given_at);
-- One row of a file is one act, however often the file is imported.
CREATE UNIQUE INDEX acts_imported ON consent.acts
    (subject, purpose, coalesce(channel, ''), status, given_at, coalesce(notice_version, '')) WHERE mechanism = 'import';

CREATE FUNCTION consent.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'consent acts are append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER acts_immutable BEFORE UPDATE OR DELETE ON consent.acts FOR EACH ROW EXECUTE FUNCTION consent.refuse();
CREATE TRIGGER acts_kept BEFORE TRUNCATE ON consent.acts FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse();
ALTER TABLE consent.acts ENABLE ALWAYS TRIGGER acts_immutable;
ALTER TABLE consent.acts ENABLE ALWAYS TRIGGER acts_kept;

CREATE TABLE consent.notices (
    text_hash  text COLLATE "C" PRIMARY KEY,
    version    text NOT NULL,
    language   text NOT NULL,
    text       text NOT NULL,
    listed     text[] NOT NULL,
    first_used timestamptz NOT NULL
);

-- The fence: one row a person, bumped by whatever changes what she permits.
CREATE TABLE consent.versions (
    person    text COLLATE "C" PRIMARY KEY,
    version   bigint NOT NULL DEFAULT 0,
    erased_at timestamptz
);

CREATE TABLE consent.requests (
    id              text COLLATE "C" PRIMARY KEY,
    right_asked     text NOT NULL,
    person          text COLLATE "C" NOT NULL,
    regime          text NOT NULL,
    state           text NOT NULL,
    reason          text,
    opened_by       text NOT NULL,
    approved_by     text,
    suppress        boolean NOT NULL,
    received_at     timestamptz NOT NULL,
    due_on          date NOT NULL,
    approved_at     timestamptz,
    closed_at       timestamptz,
    plan            jsonb,                 -- of an erasure that is under way: key ids, never words
    counts          jsonb,
    idempotency_key text UNIQUE,
    fingerprint     text,
    CHECK (approved_by IS NULL OR right_asked <> 'erasure' OR approved_by <> opened_by)
);
CREATE INDEX requests_person ON consent.requests (person);
CREATE INDEX requests_open ON consent.requests (due_on) WHERE closed_at IS NULL;

-- Contacts that must stay silent after an erasure: keyed hashes under a pepper of their own, used for nothing else.
CREATE TABLE consent.silenced (
    contact bytea PRIMARY KEY,
    since   timestamptz NOT NULL,
    request text NOT NULL
);

GRANT SELECT, INSERT ON consent.acts, consent.notices, consent.silenced TO candor_app;
GRANT SELECT, INSERT, UPDATE ON consent.versions, consent.requests TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP SCHEMA consent CASCADE")
