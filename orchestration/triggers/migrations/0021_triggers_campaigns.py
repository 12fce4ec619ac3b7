"""Triggers: campaigns, whose people are runs like any other."""

from alembic import op

revision = "0021_triggers_campaigns"
down_revision = "0020_audit_asked"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE triggers.runs DROP CONSTRAINT runs_kind_check;
ALTER TABLE triggers.runs ADD CONSTRAINT runs_kind_check CHECK (kind IN ('event', 'segment', 'schedule', 'api', 'campaign'));

CREATE TABLE triggers.campaigns (
    campaign_id text COLLATE "C" PRIMARY KEY,
    name        text NOT NULL,                 -- the placement
    source      text,                          -- only people with a record of it
    people      integer NOT NULL,
    state       text NOT NULL CHECK (state IN ('running', 'paused', 'killed', 'done')),
    actor       text NOT NULL,
    started_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX campaigns_one ON triggers.campaigns (name) WHERE state IN ('running', 'paused');
GRANT SELECT, INSERT, UPDATE ON triggers.campaigns TO candor_app;

-- A worker that looks for what is due must not read past everybody whom a campaign means, nor the other way round.
CREATE INDEX runs_ringing ON triggers.runs (due_at) WHERE state = 'waiting' AND kind <> 'campaign';
DROP INDEX triggers.runs_due;
CREATE INDEX runs_campaign ON triggers.runs (trigger, run_id) WHERE kind = 'campaign' AND state IN ('waiting', 'deciding');
"""

DOWN = """
DELETE FROM triggers.runs WHERE kind = 'campaign';
DROP INDEX triggers.runs_campaign;
DROP INDEX triggers.runs_ringing;
CREATE INDEX runs_due ON triggers.runs (due_at) WHERE state = 'waiting';
DROP TABLE triggers.campaigns;
ALTER TABLE triggers.runs DROP CONSTRAINT runs_kind_check;
ALTER TABLE triggers.runs ADD CONSTRAINT runs_kind_check CHECK (kind IN ('event', 'segment', 'schedule', 'api'));
"""


def upgrade() -> None:
    """Add them."""
    op.execute(UP)


def downgrade() -> None:
    """Remove them with their runs."""
    op.execute(DOWN)
