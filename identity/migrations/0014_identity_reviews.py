"""Identity: doubts about one person that staff must look at."""

from alembic import op

revision = "0014_identity_reviews"
down_revision = "0013_channels_web"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE identity.reviews (
    review_id text COLLATE "C" PRIMARY KEY,
    person_id text COLLATE "C" NOT NULL REFERENCES identity.people,
    reason    text NOT NULL,
    about     text NOT NULL,               -- the id of what raised it: a decision
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    UNIQUE (person_id, reason, about)
);
CREATE INDEX reviews_open ON identity.reviews (opened_at) WHERE closed_at IS NULL;
GRANT SELECT, INSERT, DELETE, UPDATE (closed_at) ON identity.reviews TO candor_app;
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it with all it holds."""
    op.execute("DROP TABLE identity.reviews")
