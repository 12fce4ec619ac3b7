"""Channels: the delivery ledger and its history, cap counters, provider receipts, suppressions by keyed hash."""

from alembic import op

revision = "0007_channels"
down_revision = "0006_profiles"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA IF NOT EXISTS channels;
GRANT USAGE ON SCHEMA channels TO candor_app;

-- One row a delivery; a decision has at most one, so a repeated commit reserves nothing twice.
CREATE TABLE channels.deliveries (
    delivery_id      text COLLATE "C" PRIMARY KEY CHECK (delivery_id LIKE 'dlv\\_%'),
    decision_id      text COLLATE "C" NOT NULL UNIQUE,
    person           text COLLATE "C" NOT NULL,
    identifier_id    text COLLATE "C" NOT NULL,
    channel          text NOT NULL,
    purpose          text NOT NULL,
    state            text NOT NULL CHECK (state IN ('reserved', 'intent', 'accepted', 'rejected', 'uncertain', 'deferred',
                                                    'delivered', 'bounced', 'complained', 'cancelled', 'withheld')),
    key_id           text COLLATE "C" NOT NULL,
    deliver_after    timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    reserved_at      timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    generation       bigint NOT NULL DEFAULT 0,
    attempts         integer NOT NULL DEFAULT 0,
    lease_expires_at timestamptz,
    cap_keys         text[] NOT NULL DEFAULT '{}',
    connector        text,
    provider_id      text,
    reason           text,
    content          bytea,                -- the words, sealed under key_id; gone after an erasure
    CHECK ((state = 'intent') = (lease_expires_at IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX deliveries_due ON channels.deliveries (deliver_after, delivery_id) WHERE state = 'reserved';
CREATE INDEX deliveries_leased ON channels.deliveries (lease_expires_at) WHERE state = 'intent';
CREATE INDEX deliveries_person ON channels.deliveries (person);
CREATE INDEX deliveries_contact ON channels.deliveries (identifier_id);

-- Every step of a delivery, never changed.
CREATE TABLE channels.steps (
    step        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id text COLLATE "C" NOT NULL REFERENCES channels.deliveries,
    at          timestamptz NOT NULL,
    state       text NOT NULL,
    generation  bigint NOT NULL,
    reason      text
);
CREATE INDEX steps_delivery ON channels.steps (delivery_id, step);

-- Who holds a place under a cap and since when; a window is counted inside one row, so that one statement takes a place.
CREATE TABLE channels.caps (
    person       text COLLATE "C" NOT NULL,
    cap_key      text COLLATE "C" NOT NULL,
    holders      text[] NOT NULL,
    taken        timestamptz[] NOT NULL,
    window_start timestamptz NOT NULL,
    cap_limit    integer NOT NULL CHECK (cap_limit >= 1),
    PRIMARY KEY (person, cap_key),
    CHECK (cardinality(holders) = cardinality(taken))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE channels.receipts (
    provider_event_id text COLLATE "C" PRIMARY KEY,
    delivery_id       text COLLATE "C" NOT NULL REFERENCES channels.deliveries,
    receipt           text NOT NULL CHECK (receipt IN ('accepted', 'deferred', 'delivered', 'bounced', 'complained')),
    at                timestamptz NOT NULL
);
CREATE INDEX receipts_delivery ON channels.receipts (delivery_id);

-- A keyed hash of the contact, not the contact: it holds on after the person is erased, and when she comes back.
CREATE TABLE channels.suppressions (
    hash    bytea NOT NULL CHECK (length(hash) = 32),
    channel text NOT NULL,
    reason  text NOT NULL,
    actor   text NOT NULL,
    since   timestamptz NOT NULL,
    PRIMARY KEY (hash, channel)
);

GRANT SELECT, INSERT, UPDATE ON channels.deliveries TO candor_app;
GRANT SELECT, INSERT ON channels.steps, channels.receipts TO candor_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON channels.caps TO candor_app;
GRANT SELECT, INSERT, DELETE ON channels.suppressions TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)
