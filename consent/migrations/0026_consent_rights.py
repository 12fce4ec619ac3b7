"""Consent: how a request came and who checked whom, repeats of it, sealed packages behind a link."""

from alembic import op

revision = "0026_consent_rights"
down_revision = "0023_identity_past"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE consent.requests
    ADD COLUMN manner           text NOT NULL DEFAULT 'staff',  -- 11 CCR 7101: the manner in which it was made
    ADD COLUMN agent            text,                           -- who asked on her behalf: the id of a registered agent
    ADD COLUMN seeds            text[] NOT NULL DEFAULT '{}',   -- identifiers that she asked by
    ADD COLUMN about            jsonb NOT NULL DEFAULT '{}',    -- codes: a purpose, a channel; never words of hers
    ADD COLUMN words            bytea,                          -- what she wants corrected, sealed under words_key
    ADD COLUMN words_key        text,
    ADD COLUMN check_method     text,
    ADD COLUMN check_passed     boolean,
    ADD COLUMN check_evidence   text,                           -- salt and SHA-256; what was shown is not kept
    ADD COLUMN check_by         text,
    ADD COLUMN check_at         timestamptz,
    ADD COLUMN confirmed_at     timestamptz,
    ADD COLUMN first_due_on     date,
    ADD COLUMN extended_at      timestamptz,
    ADD COLUMN extension_reason text,
    ADD COLUMN alarmed          smallint NOT NULL DEFAULT 0,    -- the last alarm of its clock: 50, 80 or 100 percent
    ADD COLUMN reach            jsonb,                          -- people and records at its approval
    ADD COLUMN response         text,                           -- nature of the response
    ADD CONSTRAINT requests_words CHECK ((words IS NULL) = (words_key IS NULL));

-- The same right asked for again while the first asking is open: grouped, and each one dated.
CREATE TABLE consent.repeats (
    request  text COLLATE "C" NOT NULL REFERENCES consent.requests ON DELETE CASCADE,
    asked_at timestamptz NOT NULL,
    manner   text NOT NULL,
    actor    text NOT NULL
);
CREATE INDEX repeats_request ON consent.repeats (request);

-- Packages: ciphertext under a code that is kept nowhere here. The row goes when the link expires or the person is erased.
CREATE TABLE consent.packages (
    id         text COLLATE "C" PRIMARY KEY,
    request    text COLLATE "C" NOT NULL REFERENCES consent.requests ON DELETE CASCADE,
    person     text COLLATE "C" NOT NULL,
    parcel     bytea NOT NULL,
    digest     text NOT NULL,
    made_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    tries      integer NOT NULL DEFAULT 0,
    fetched_at timestamptz
);
CREATE INDEX packages_request ON consent.packages (request);
CREATE INDEX packages_person ON consent.packages (person);

GRANT SELECT, INSERT, DELETE ON consent.repeats TO candor_app;
GRANT SELECT, INSERT, UPDATE (tries, fetched_at), DELETE ON consent.packages TO candor_app;
"""


def upgrade() -> None:
    """Make room for it."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it; packages that were made are gone."""
    op.execute(
        "DROP TABLE consent.packages, consent.repeats; ALTER TABLE consent.requests DROP CONSTRAINT requests_words,"
        " DROP COLUMN manner, DROP COLUMN agent, DROP COLUMN seeds, DROP COLUMN about, DROP COLUMN words, DROP COLUMN words_key,"
        " DROP COLUMN check_method, DROP COLUMN check_passed, DROP COLUMN check_evidence, DROP COLUMN check_by, DROP COLUMN check_at,"
        " DROP COLUMN confirmed_at, DROP COLUMN first_due_on, DROP COLUMN extended_at, DROP COLUMN extension_reason,"
        " DROP COLUMN alarmed, DROP COLUMN reach, DROP COLUMN response"
    )
