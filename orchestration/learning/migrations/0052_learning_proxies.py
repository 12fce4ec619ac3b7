"""Learning: audits of proxies, and what officers accepted."""

from alembic import op

revision = "0052_learning_proxies"
down_revision = "0051_explain_uses"
branch_labels = None
depends_on = None

UP = """
-- Figures by feature and attribute; no value of anybody.
CREATE TABLE learning.proxy_runs (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    placement text NOT NULL,
    at        timestamptz NOT NULL,
    people    integer NOT NULL,
    findings  jsonb NOT NULL,
    direct    jsonb NOT NULL,
    untried   jsonb NOT NULL
);
CREATE INDEX proxy_runs_placement ON learning.proxy_runs (placement, seq);
GRANT SELECT, INSERT ON learning.proxy_runs TO candor_app;

CREATE TABLE learning.proxies_accepted (
    attribute text NOT NULL,
    feature   text NOT NULL,
    reason    text NOT NULL,
    actor     text NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (attribute, feature)
);
GRANT SELECT, INSERT ON learning.proxies_accepted TO candor_app;
"""


def upgrade() -> None:
    """Add the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Take them away."""
    op.execute("DROP TABLE learning.proxies_accepted, learning.proxy_runs")
