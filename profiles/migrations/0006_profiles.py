"""Profiles: the feature tables that were written, so that an erasure finds them and a training names them."""

from alembic import op

revision = "0006_profiles"
down_revision = "0005_events"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA IF NOT EXISTS profiles;
GRANT USAGE ON SCHEMA profiles TO candor_app;

CREATE TABLE profiles.feature_tables (
    file        text PRIMARY KEY,          -- name inside the features folder of the data folder
    digest      text NOT NULL,             -- sha256 of the rows' bytes, whatever the file format does
    purpose     text NOT NULL,
    feature_set text NOT NULL,
    at          timestamptz NOT NULL,
    rows        bigint NOT NULL,
    odd         jsonb NOT NULL,            -- counts of what could not be read, by feature and reason
    made_at     timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL       -- later than made_at once an erasure took rows out
);
GRANT SELECT, INSERT, UPDATE ON profiles.feature_tables TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP SCHEMA profiles CASCADE")
