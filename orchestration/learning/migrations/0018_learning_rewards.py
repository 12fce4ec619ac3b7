"""Learning: counted rewards by version, runs of the weekly job."""

from alembic import op

revision = "0018_learning_rewards"
down_revision = "0015_consent_retention"
branch_labels = None
depends_on = None

UP = """
-- Each count of rewards is a version: what is known later changes nothing until it is counted again.
CREATE TABLE learning.reward_runs (
    version    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    as_of      timestamptz NOT NULL,          -- events known by then were counted
    since      timestamptz NOT NULL,          -- decisions before then kept what they had
    rules      jsonb NOT NULL,                -- windows, sharing, digests of the tables
    digest     text NOT NULL,                 -- over every reward of the version
    decisions  bigint NOT NULL,
    changed    bigint NOT NULL,
    facts      jsonb NOT NULL,                -- counts: exposed, open, outcomes with and without a decision
    made_at    timestamptz NOT NULL
);
GRANT SELECT, INSERT ON learning.reward_runs TO candor_app;

-- One row a decision and version in which its reward changed; the newest up to a version is what that version says.
CREATE TABLE learning.rewards (
    decision   text COLLATE "C" NOT NULL,
    version    bigint NOT NULL REFERENCES learning.reward_runs,
    placement  text NOT NULL,
    arm        text NOT NULL,
    channel    text,
    at         timestamptz NOT NULL,
    seen_at    timestamptz,
    closes_at  timestamptz NOT NULL,
    reward     double precision NOT NULL CHECK (reward = reward AND abs(reward) < 'Infinity'),
    credits    jsonb NOT NULL,                -- event name to millionths
    table_of   text NOT NULL,                 -- digest of the table of rewards
    PRIMARY KEY (decision, version)
);
CREATE INDEX rewards_placement ON learning.rewards (placement, at);
GRANT SELECT, INSERT, DELETE ON learning.rewards TO candor_app;

-- Where the job of a week stands, one row a placement; a job that was killed goes on from here.
CREATE TABLE learning.weekly (
    placement  text NOT NULL,
    week       text NOT NULL CHECK (week ~ '^[0-9]{4}-W[0-9]{2}$'),
    stage      text NOT NULL CHECK (stage IN ('begun', 'registered', 'done')),
    version    bigint REFERENCES learning.reward_runs,
    model      text REFERENCES learning.models,
    outcome    text,
    facts      jsonb NOT NULL DEFAULT '{}',
    begun_at   timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (placement, week)
);
GRANT SELECT, INSERT, UPDATE ON learning.weekly TO candor_app;

-- After a bulk load of consents or decisions we ANALYZE rather than wait for autovacuum. Older servers lack the grant: there it is a warning.
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON consent.acts, consent.versions, learning.logged TO candor_app';
    END IF;
END $$;
"""


def upgrade() -> None:
    """Add the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Remove them with all they hold."""
    op.execute("DROP TABLE learning.weekly, learning.rewards, learning.reward_runs")
