"""Channels: keys that sign pushes, and the subscriptions of browsers."""

from alembic import op

revision = "0012_channels_push"
down_revision = "0011_channels_receipts"
branch_labels = None
depends_on = None

UP = """
-- A subscription takes messages of the key it was made under only, so keys are never replaced, they are added.
CREATE TABLE channels.vapid_keys (
    vapid_id text COLLATE "C" PRIMARY KEY CHECK (vapid_id LIKE 'vpd\\_%'),
    public   text NOT NULL UNIQUE,
    key_id   text COLLATE "C" NOT NULL,
    private  bytea NOT NULL,               -- sealed under key_id
    made_at  timestamptz NOT NULL
);

-- What it takes, beside the endpoint (an identifier), to write to a browser. No row: the subscription has ended.
CREATE TABLE channels.push_subscriptions (
    identifier_id text COLLATE "C" PRIMARY KEY,
    record_id     text COLLATE "C" NOT NULL,   -- of whoever registered it last; it serves nobody else
    key_id        text COLLATE "C" NOT NULL,
    vapid_id      text COLLATE "C" NOT NULL REFERENCES channels.vapid_keys,
    secrets       bytea NOT NULL,              -- the browser's two keys, sealed under key_id
    version       bigint NOT NULL DEFAULT 1,
    registered_at timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL
);
CREATE INDEX push_subscriptions_record ON channels.push_subscriptions (record_id);
CREATE INDEX push_subscriptions_vapid ON channels.push_subscriptions (vapid_id);

-- What somebody does with a notification.
ALTER TABLE channels.receipts DROP CONSTRAINT receipts_receipt_check;
ALTER TABLE channels.receipts ADD CONSTRAINT receipts_receipt_check CHECK (receipt IN (
    'accepted', 'deferred', 'blocked', 'delivered', 'opened', 'clicked', 'dismissed', 'unsubscribed', 'dropped', 'bounced',
    'complained'));

GRANT SELECT, INSERT, DELETE ON channels.vapid_keys TO candor_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON channels.push_subscriptions TO candor_app;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Remove them; the endpoints stay identifiers."""
    op.execute("DROP TABLE channels.push_subscriptions, channels.vapid_keys")
