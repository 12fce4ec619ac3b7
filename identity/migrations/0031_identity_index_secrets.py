"""A second place for an identifier's blind index, so that its secret can be rotated while both are looked up.

Secrets are numbered; odd ones write `index`, even ones `index_even`. While a rotation overlaps, a row has both, and each is unique.
"""

from alembic import op

revision = "0031_identity_index_secrets"
down_revision = "0030_consent_confirmations"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE identity.identifiers ADD COLUMN index_even bytea;
ALTER TABLE identity.identifiers DROP CONSTRAINT identifiers_check;
ALTER TABLE identity.identifiers ADD CONSTRAINT identifiers_check CHECK (
    (value IS NULL) = (erased_at IS NOT NULL) AND (index IS NULL AND index_even IS NULL) = (erased_at IS NOT NULL)
);
ALTER TABLE identity.identifiers ADD CONSTRAINT identifiers_kind_index_even_key UNIQUE (kind, index_even);
"""


def upgrade() -> None:
    op.execute(UP)
