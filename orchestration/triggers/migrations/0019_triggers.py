"""Triggers: published rules, pauses, runs with their history, calendars, who is in which segment."""

from alembic import op

revision = "0019_triggers"
down_revision = "0018_learning_rewards"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA triggers;
GRANT USAGE ON SCHEMA triggers TO candor_app;

-- The last row rules. Publishing an earlier file again is a new row.
CREATE TABLE triggers.published (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest       text NOT NULL CHECK (digest LIKE 'sha256:%'),
    document     jsonb NOT NULL,
    actor        text NOT NULL,
    published_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON triggers.published TO candor_app;

CREATE TABLE triggers.pauses (
    trigger   text PRIMARY KEY,
    actor     text NOT NULL,
    paused_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, DELETE ON triggers.pauses TO candor_app;

CREATE TABLE triggers.runs (
    run_id      text COLLATE "C" PRIMARY KEY,
    trigger     text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('event', 'segment', 'schedule', 'api')),
    key         text COLLATE "C" NOT NULL,     -- what set it off: the id of an event, an entry, an hour of the calendar; a keyed hash of a caller's own
    person      text COLLATE "C",              -- NULL when she was erased
    at          timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,
    single      boolean NOT NULL,              -- at most one open run of this trigger and person
    state       text NOT NULL CHECK (state IN ('waiting', 'deciding', 'sent', 'withheld', 'called_off', 'failed')),
    reason      text NOT NULL,
    generation  integer NOT NULL DEFAULT 0,    -- how often it was claimed: who was overtaken may not write
    attempts    integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    settled_at  timestamptz,                   -- it is its turn, for certain: uses up the person's window
    decision_id text COLLATE "C",              -- given before the decision is made
    delivery_id text COLLATE "C",
    event_id    text COLLATE "C",
    actor       text NOT NULL,
    made_at     timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,          -- when something was last told that an open run stands for
    UNIQUE (trigger, key),
    CHECK ((state = 'deciding') = (lease_until IS NOT NULL))
);
CREATE UNIQUE INDEX runs_single ON triggers.runs (trigger, person)
    WHERE single AND settled_at IS NULL AND state IN ('waiting', 'deciding');
CREATE INDEX runs_due ON triggers.runs (due_at) WHERE state = 'waiting';
CREATE INDEX runs_leased ON triggers.runs (lease_until) WHERE state = 'deciding';
CREATE INDEX runs_person ON triggers.runs (person, trigger) WHERE person IS NOT NULL;
CREATE INDEX runs_newest ON triggers.runs (trigger, run_id);
CREATE INDEX runs_old ON triggers.runs (changed_at) WHERE state NOT IN ('waiting', 'deciding');
GRANT SELECT, INSERT, UPDATE, DELETE ON triggers.runs TO candor_app;

CREATE TABLE triggers.steps (
    step   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL REFERENCES triggers.runs ON DELETE CASCADE,
    at     timestamptz NOT NULL,
    state  text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX steps_run ON triggers.steps (run_id, step);
GRANT SELECT, INSERT, DELETE ON triggers.steps TO candor_app;

-- Until when a calendar was carried out, until when a segment was asked of everybody (swept) and of those with news (seen).
CREATE TABLE triggers.clocks (
    trigger  text PRIMARY KEY,
    until_at timestamptz NOT NULL,
    swept_at timestamptz,
    seen_at  timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON triggers.clocks TO candor_app;

CREATE TABLE triggers.members (
    trigger text NOT NULL,
    person  text COLLATE "C" NOT NULL,
    since   timestamptz NOT NULL,
    PRIMARY KEY (trigger, person)
);
CREATE INDEX members_person ON triggers.members (person);
GRANT SELECT, INSERT, DELETE ON triggers.members TO candor_app;
"""


def upgrade() -> None:
    """Make the wing's tables."""
    op.execute(UP)


def downgrade() -> None:
    """Remove them with all they hold."""
    op.execute("DROP SCHEMA triggers CASCADE")
