"""Channels: what else providers say (blocked, dropped, opened, clicked, unsubscribed), and a count of what belongs to nothing here."""

from alembic import op

revision = "0011_channels_receipts"
down_revision = "0010_learning"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE channels.deliveries DROP CONSTRAINT deliveries_state_check;
ALTER TABLE channels.deliveries ADD CONSTRAINT deliveries_state_check CHECK (state IN (
    'reserved', 'intent', 'accepted', 'rejected', 'uncertain', 'deferred', 'blocked', 'delivered', 'dropped', 'bounced', 'complained',
    'cancelled', 'withheld'));

ALTER TABLE channels.receipts DROP CONSTRAINT receipts_receipt_check;
ALTER TABLE channels.receipts ADD CONSTRAINT receipts_receipt_check CHECK (receipt IN (
    'accepted', 'deferred', 'blocked', 'delivered', 'opened', 'clicked', 'unsubscribed', 'dropped', 'bounced', 'complained'));
ALTER TABLE channels.receipts
    ADD COLUMN permanent boolean NOT NULL DEFAULT false,
    ADD COLUMN machine boolean NOT NULL DEFAULT false,
    ADD COLUMN code text;                  -- a status or a word of our own table, never the provider's prose: it may quote an address

-- Receipts that are about no delivery of ours: how many, never what they said.
CREATE TABLE channels.unmatched (
    connector text NOT NULL,
    day       date NOT NULL,
    receipt   text NOT NULL,
    reason    text NOT NULL,
    count     bigint NOT NULL,
    PRIMARY KEY (connector, day, receipt, reason)
);
GRANT SELECT, INSERT, UPDATE ON channels.unmatched TO candor_app;
"""


def upgrade() -> None:
    """Widen what a receipt and a state may be."""
    op.execute(UP)
