"""Identity: source records, identifiers, people, memberships over time, edges, the change feed."""

from alembic import op

revision = "0003_identity"
down_revision = "0002_audit"
branch_labels = None
depends_on = None

# Ids sort by time of making under "C" and under no other collation for certain.
UP = """
CREATE SCHEMA IF NOT EXISTS identity;
GRANT USAGE ON SCHEMA identity TO candor_app;

CREATE TABLE identity.records (
    record_id   text COLLATE "C" PRIMARY KEY,
    source      text NOT NULL,
    row_index   bytea NOT NULL,            -- keyed hash of source and key in the source
    content     bytea NOT NULL,            -- keyed hash of what the row says
    version     integer NOT NULL,
    current     boolean NOT NULL,
    key_id      text NOT NULL,
    body        bytea,                     -- sealed; NULL after an erasure
    observed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    purpose     text NOT NULL,
    basis       text NOT NULL,
    also_for    text[] NOT NULL,           -- further purposes that the source told people of
    erased_at   timestamptz,
    CHECK ((body IS NULL) = (erased_at IS NOT NULL)),
    UNIQUE (row_index, version)
);

CREATE TABLE identity.identifiers (
    identifier_id text COLLATE "C" PRIMARY KEY,
    kind        text NOT NULL,
    index       bytea,                     -- blind index; NULL after an erasure
    key_id      text NOT NULL,
    value       bytea,                     -- sealed; NULL after an erasure
    created_at  timestamptz NOT NULL,
    erased_at   timestamptz,
    CHECK ((value IS NULL) = (erased_at IS NOT NULL) AND (index IS NULL) = (erased_at IS NOT NULL)),
    UNIQUE (kind, index)
);

CREATE TABLE identity.record_identifiers (
    record_id     text COLLATE "C" NOT NULL REFERENCES identity.records,
    identifier_id text COLLATE "C" NOT NULL REFERENCES identity.identifiers,
    PRIMARY KEY (record_id, identifier_id)
);
CREATE INDEX record_identifiers_by_identifier ON identity.record_identifiers (identifier_id, record_id);

CREATE TABLE identity.graph_versions (
    version  bigint PRIMARY KEY,
    cause    text NOT NULL,
    facts    jsonb NOT NULL,
    made_at  timestamptz NOT NULL
);
INSERT INTO identity.graph_versions VALUES (0, 'founded', '{}', now());

CREATE TABLE identity.people (
    person_id    text COLLATE "C" PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    changed_in   bigint NOT NULL,          -- graph version in which its records last changed
    sure         double precision NOT NULL DEFAULT 1,
    redirect_to  text COLLATE "C" REFERENCES identity.people,   -- always a live person: chains are collapsed
    retired_at   timestamptz,
    erased_at    timestamptz,
    CHECK ((redirect_to IS NULL) = (retired_at IS NULL))
);
CREATE INDEX people_redirect ON identity.people (redirect_to) WHERE redirect_to IS NOT NULL;

-- The living memberships lie apart from the ended ones: every question is about the living, and Postgres, which guesses
-- badly what "valid_to IS NULL" leaves over, need not guess.
CREATE TABLE identity.members (
    record_id  text COLLATE "C" PRIMARY KEY REFERENCES identity.records,
    person_id  text COLLATE "C" NOT NULL REFERENCES identity.people,
    valid_from bigint NOT NULL
);
CREATE INDEX members_person ON identity.members (person_id) INCLUDE (record_id);

CREATE TABLE identity.past_members (
    record_id  text COLLATE "C" NOT NULL REFERENCES identity.records,
    person_id  text COLLATE "C" NOT NULL REFERENCES identity.people,
    valid_from bigint NOT NULL,
    valid_to   bigint NOT NULL,            -- the first graph version in which it no longer held
    PRIMARY KEY (record_id, valid_from)
);
CREATE INDEX past_members_person ON identity.past_members (person_id);

CREATE TABLE identity.edges (
    record_a text COLLATE "C" NOT NULL,
    record_b text COLLATE "C" NOT NULL,
    weight   double precision NOT NULL,
    version  bigint NOT NULL,
    PRIMARY KEY (record_a, record_b)
);
CREATE INDEX edges_b ON identity.edges (record_b);

CREATE TABLE identity.ambiguous (
    record_a text COLLATE "C" NOT NULL,
    record_b text COLLATE "C" NOT NULL,
    weight   double precision NOT NULL,
    cause    text NOT NULL,
    version  bigint NOT NULL,
    PRIMARY KEY (record_a, record_b)
);
CREATE INDEX ambiguous_b ON identity.ambiguous (record_b);

CREATE TABLE identity.changes (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version  bigint NOT NULL,
    kind     text NOT NULL,
    person_id text COLLATE "C" NOT NULL,
    other_id text COLLATE "C",
    records  text[] NOT NULL,
    made_at  timestamptz NOT NULL
);
CREATE INDEX changes_person ON identity.changes (person_id);

GRANT SELECT, INSERT ON identity.graph_versions, identity.changes TO candor_app;
GRANT SELECT, INSERT, UPDATE ON identity.records, identity.identifiers, identity.people TO candor_app;
GRANT SELECT, INSERT, DELETE ON identity.members TO candor_app;
GRANT SELECT, INSERT ON identity.past_members TO candor_app;
GRANT SELECT, INSERT, DELETE ON identity.record_identifiers TO candor_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON identity.edges, identity.ambiguous TO candor_app;

-- After a bulk load we ANALYZE rather than wait for autovacuum. Older servers lack the grant: there the command is a warning.
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON ALL TABLES IN SCHEMA identity TO candor_app';
    END IF;
END $$;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP SCHEMA identity CASCADE")
