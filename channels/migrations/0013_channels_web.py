"""Channels: what stands on visitors' pages, and what happened to it, in order."""

from alembic import op

revision = "0013_channels_web"
down_revision = "0012_channels_push"
branch_labels = None
depends_on = None

UP = """
-- The answer of one placement for one person. Written in the commit of its decision; the one before it is named there, so of two
-- requests that decide at once only one does.
CREATE TABLE channels.standing (
    person            text COLLATE "C" NOT NULL,
    placement         text COLLATE "C" NOT NULL,
    decision_id       text COLLATE "C" NOT NULL,
    choice            text NOT NULL,
    variant           text,
    propensity        double precision NOT NULL,
    withheld          text,
    purpose           text NOT NULL,
    personalize_under text NOT NULL,
    personal          boolean NOT NULL,
    consent_version   bigint NOT NULL,
    graph_version     bigint NOT NULL,
    catalogue         text NOT NULL,
    since             timestamptz NOT NULL,
    until             timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    PRIMARY KEY (person, placement)
) WITH (fillfactor = 70);

-- The counter is a row a person: whoever writes a change holds it until the commit, so that numbers have no gaps and come in commit order.
CREATE TABLE channels.pages (
    person text COLLATE "C" PRIMARY KEY,
    seq    bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE channels.page_changes (
    person      text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    at          timestamptz NOT NULL,
    what        text NOT NULL CHECK (what IN ('decision', 'permissions')),
    placement   text,
    channel     text,
    decision_id text,
    PRIMARY KEY (person, seq)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON channels.standing, channels.pages TO candor_app;
GRANT SELECT, INSERT, DELETE ON channels.page_changes TO candor_app;
"""


def upgrade() -> None:
    """Make the web's ledger."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it; the decisions stay."""
    op.execute("DROP TABLE channels.page_changes, channels.pages, channels.standing")
