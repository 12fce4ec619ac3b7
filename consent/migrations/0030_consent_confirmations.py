"""Consent: a yes that counts once it is confirmed (double opt-in): what confirms an act, and what was asked by mail."""

from alembic import op

revision = "0030_consent_confirmations"
down_revision = "0027_consent_processors"
branch_labels = None
depends_on = None

UP = """
-- What an act rests on besides its notice, written with it and never changed. pending: the act that it confirms; none where another system,
-- or whoever records it, tells of the confirmation. The evidence is sealed under key_id.
CREATE TABLE consent.confirmations (
    act          text COLLATE "C" PRIMARY KEY REFERENCES consent.acts,
    pending      text COLLATE "C" REFERENCES consent.acts,
    way          text NOT NULL CHECK (way IN ('link', 'own_link', 'told')),
    confirmed_at timestamptz NOT NULL,
    evidence     bytea,
    key_id       text,
    CHECK ((way = 'link') = (pending IS NOT NULL)),
    CHECK (evidence IS NULL OR key_id IS NOT NULL)
);
CREATE INDEX confirmations_pending ON consent.confirmations (pending) WHERE pending IS NOT NULL;
CREATE TRIGGER confirmations_immutable BEFORE UPDATE OR DELETE ON consent.confirmations FOR EACH ROW EXECUTE FUNCTION consent.refuse();
CREATE TRIGGER confirmations_kept BEFORE TRUNCATE ON consent.confirmations FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse();
ALTER TABLE consent.confirmations ENABLE ALWAYS TRIGGER confirmations_immutable;
ALTER TABLE consent.confirmations ENABLE ALWAYS TRIGGER confirmations_kept;

-- Pending acts that a contact was asked about by mail; the link in it names the row.
CREATE TABLE consent.invitations (
    id          text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'cfm\\_%'),
    identifier  text COLLATE "C" NOT NULL,
    acts        text[] NOT NULL CHECK (cardinality(acts) > 0),
    language    text NOT NULL,
    asked_at    timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    mails       integer NOT NULL DEFAULT 0,
    mailed_at   timestamptz,
    answer      text CHECK (answer IN ('confirmed', 'refused')),
    answered_at timestamptz,
    CHECK ((answer IS NULL) = (answered_at IS NULL))
);
CREATE INDEX invitations_identifier ON consent.invitations (identifier);

GRANT SELECT, INSERT ON consent.confirmations TO candor_app;
GRANT SELECT, INSERT, UPDATE (mails, mailed_at, answer, answered_at) ON consent.invitations TO candor_app;
"""


def upgrade() -> None:
    """Make room for it."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it; acts stay, and with them whether they count."""
    op.execute("DROP TABLE consent.invitations, consent.confirmations")
