"""Decision: catalogues, published variants, decisions."""

from alembic import op

revision = "0009_decision"
down_revision = "0008_explain"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA IF NOT EXISTS decision;
GRANT USAGE ON SCHEMA decision TO candor_app;

-- The last row rules. Publishing an earlier document again is a new row: that is how one goes back.
CREATE TABLE decision.catalogues (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest       text NOT NULL CHECK (digest LIKE 'sha256:%'),
    document     jsonb NOT NULL,
    actor        text NOT NULL,
    published_at timestamptz NOT NULL
);
CREATE INDEX catalogues_digest ON decision.catalogues (digest);
GRANT SELECT, INSERT ON decision.catalogues TO candor_app;

-- A published variant never changes: receipts and edge caches name it.
CREATE TABLE decision.variants (
    variant      text COLLATE "C" PRIMARY KEY,
    digest       text NOT NULL,
    words        jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    withdrawn_at timestamptz
);
GRANT SELECT, INSERT, UPDATE (withdrawn_at) ON decision.variants TO candor_app;

CREATE TABLE decision.decisions (
    id           text COLLATE "C" PRIMARY KEY,
    person       text COLLATE "C",
    placement    text NOT NULL,
    at           timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    trigger      text,
    choice       text NOT NULL,
    variant      text,
    channel      text,
    propensity   double precision NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    ranked_by    text NOT NULL,
    explored     boolean NOT NULL,
    holdout      text,
    held         boolean NOT NULL,
    in_scope     boolean NOT NULL,         -- some arm passed every question before the holdout: counts for lift
    withheld     text,
    catalogue    text NOT NULL,
    feature_set  text NOT NULL,
    policy       text NOT NULL,
    model        text,
    record       text NOT NULL,            -- digest of the canonical record
    inputs       text NOT NULL,
    entry_id     text NOT NULL,
    delivery_id  text,
    key_id       text,
    sealed       bytea,                    -- record and inputs, under key_id; gone when the person is erased
    redacted_at  timestamptz,
    CHECK ((sealed IS NULL) = (redacted_at IS NOT NULL))
);
CREATE INDEX decisions_person ON decision.decisions (person, at) WHERE person IS NOT NULL;
CREATE INDEX decisions_placement ON decision.decisions (placement, at);
GRANT SELECT, INSERT, UPDATE (person, sealed, key_id, redacted_at) ON decision.decisions TO candor_app;
"""


def upgrade() -> None:
    """Make the room."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it with all it holds."""
    op.execute("DROP SCHEMA decision CASCADE")
