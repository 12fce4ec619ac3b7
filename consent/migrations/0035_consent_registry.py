"""Consent: a notice is its words under a version in a language; a yes of a file that is brought again confirmed is another act; questions go when their time is over."""

from alembic import op

revision = "0035_consent_registry"
down_revision = "0034_identity_runs"
branch_labels = None
depends_on = None

UP = """
-- The same words may be published again under another version: each version is in the registry with the day it was first used.
ALTER TABLE consent.notices DROP CONSTRAINT notices_pkey, ADD PRIMARY KEY (text_hash, version, language);

-- One row of a file is one act, however often the file is imported; but one that lacked its confirmation, and has it now, is a second.
CREATE UNIQUE INDEX acts_imported_once ON consent.acts
    (subject, purpose, coalesce(channel, ''), status, given_at, coalesce(notice_version, ''), verified) WHERE mechanism = 'import';
DROP INDEX consent.acts_imported;

GRANT DELETE ON consent.invitations TO candor_app;
"""

DOWN = """
REVOKE DELETE ON consent.invitations FROM candor_app;
CREATE UNIQUE INDEX acts_imported ON consent.acts
    (subject, purpose, coalesce(channel, ''), status, given_at, coalesce(notice_version, '')) WHERE mechanism = 'import' AND verified;
DROP INDEX consent.acts_imported_once;
DELETE FROM consent.notices n USING consent.notices o WHERE n.text_hash = o.text_hash
    AND (n.first_used, n.version, n.language) > (o.first_used, o.version, o.language);
ALTER TABLE consent.notices DROP CONSTRAINT notices_pkey, ADD PRIMARY KEY (text_hash);
"""


def upgrade() -> None:
    """Make room for it."""
    op.execute(UP)


def downgrade() -> None:
    """As before; of words under several versions the first stays."""
    op.execute(DOWN)
