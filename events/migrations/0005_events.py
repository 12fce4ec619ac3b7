"""Events: sources, the partitioned log, its dedupe table, subjects, dead letters, refusals, imports."""

from alembic import op

revision = "0005_events"
down_revision = "0004_consent"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA IF NOT EXISTS events;
GRANT USAGE ON SCHEMA events TO candor_app;

CREATE TABLE events.sources (
    name       text PRIMARY KEY,
    purpose    text NOT NULL,
    basis      text NOT NULL,
    also_for   text[] NOT NULL,
    user_kind  text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE events.events (
    event_id    text COLLATE "C" NOT NULL,
    record_id   text COLLATE "C" NOT NULL,
    type        text NOT NULL,
    name        text NOT NULL,
    event_time  timestamptz NOT NULL,
    known_time  timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    source      text NOT NULL,
    purpose     text NOT NULL,
    basis       text NOT NULL,
    message     bytea NOT NULL,        -- keyed hash of messageId: equal times are ordered by it, not by arrival
    decision_id text COLLATE "C",      -- properties.decision_id, so that outcomes are found without opening words
    machine     boolean NOT NULL,
    confidence  real NOT NULL,
    key_id      text NOT NULL,
    words       bytea NOT NULL,        -- properties, traits, context; sealed under the record's key
    PRIMARY KEY (event_id, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX events_record ON events.events (record_id, event_time);
CREATE INDEX events_decision ON events.events (decision_id) WHERE decision_id IS NOT NULL;
CREATE TABLE events.events_default PARTITION OF events.events DEFAULT;

-- Partitions are the owner's to make; the application may only ask for days. A day whose rows already lie in the default
-- partition gets them moved, so a late call is slow but never wrong.
CREATE FUNCTION events.ensure_days(first date, last date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one  date;
    part text;
    made integer := 0;
BEGIN
    IF last - first > 400 THEN
        RAISE EXCEPTION 'expected at most 400 days at once';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('events.ensure_days', 5));
    FOR one IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        part := 'events_' || to_char(one, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(format('events.%I', part)) IS NOT NULL;
        LOCK TABLE events.events_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('CREATE TABLE events.%I (LIKE events.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
        EXECUTE format(
            'WITH moved AS (DELETE FROM events.events_default WHERE received_at >= %L AND received_at < %L RETURNING *) '
            'INSERT INTO events.%I SELECT * FROM moved',
            one::timestamp AT TIME ZONE 'UTC', (one + 1)::timestamp AT TIME ZONE 'UTC', part);
        EXECUTE format('ALTER TABLE events.events ATTACH PARTITION events.%I FOR VALUES FROM (%L) TO (%L)',
            part, one::timestamp AT TIME ZONE 'UTC', (one + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION events.ensure_days(date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION events.ensure_days(date, date) TO candor_app;

-- A table of its own, since partitions cannot hold a key without the partition's column. Only keyed hashes.
CREATE TABLE events.dedupe (
    source   text NOT NULL,
    message  bytea NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (source, message)
);

-- Which record stands for a set of identifiers that came without traits: saves asking identity for every event.
CREATE TABLE events.subjects (
    subject   bytea PRIMARY KEY,       -- keyed hash of source, purpose, basis and identifiers
    record_id text COLLATE "C" NOT NULL,
    key_id    text NOT NULL
);
CREATE INDEX subjects_record ON events.subjects (record_id);

CREATE TABLE events.dead_letters (
    letter_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    received_at timestamptz NOT NULL,
    pointer     text NOT NULL,
    reason      text NOT NULL,
    subjects    bytea[] NOT NULL,      -- blind indexes of what identifiers could be read, so that an erasure finds it
    key_id      text NOT NULL,
    words       bytea NOT NULL         -- the item as it came, with its circumstances; sealed
);
CREATE INDEX dead_letters_subjects ON events.dead_letters USING gin (subjects);

CREATE TABLE events.refusals (
    source text NOT NULL,
    day    date NOT NULL,
    reason text NOT NULL,
    count  bigint NOT NULL,
    PRIMARY KEY (source, day, reason)
);

CREATE TABLE events.imports (
    file_digest text NOT NULL,
    map_digest  text NOT NULL,
    what        text NOT NULL,
    source      text NOT NULL,
    rows_done   bigint NOT NULL DEFAULT 0,
    accepted    bigint NOT NULL DEFAULT 0,
    duplicates  bigint NOT NULL DEFAULT 0,
    rejected    bigint NOT NULL DEFAULT 0,
    filtered    bigint NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (file_digest, map_digest)
);
CREATE TABLE events.import_faults (
    file_digest text NOT NULL,
    map_digest  text NOT NULL,
    line        bigint NOT NULL,
    column_name text,
    reason      text NOT NULL,
    FOREIGN KEY (file_digest, map_digest) REFERENCES events.imports
);
CREATE INDEX import_faults_of ON events.import_faults (file_digest, map_digest, line);

GRANT SELECT, INSERT ON events.sources TO candor_app;
GRANT SELECT, INSERT ON events.dedupe TO candor_app;
GRANT SELECT, INSERT, DELETE ON events.events, events.dead_letters, events.import_faults TO candor_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON events.subjects TO candor_app;   -- UPDATE also lets a row be locked
GRANT SELECT, INSERT, UPDATE ON events.refusals, events.imports TO candor_app;
-- After a bulk load we ANALYZE rather than wait for autovacuum. Older servers lack the grant: there the command is a warning.
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON events.events, events.dedupe, events.subjects TO candor_app';
    END IF;
END $$;
SELECT events.ensure_days(((now() AT TIME ZONE 'UTC')::date - 1), ((now() AT TIME ZONE 'UTC')::date + 7));
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP SCHEMA events CASCADE")
