"""Consent: processors and the letters to them, agents of people."""

from alembic import op

revision = "0027_consent_processors"
down_revision = "0026_consent_rights"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE consent.processors (
    name       text COLLATE "C" PRIMARY KEY,
    url        text NOT NULL,
    probe_url  text NOT NULL,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    receives   text[] NOT NULL,
    purposes   text[] NOT NULL,
    contract   text NOT NULL,
    added_by   text NOT NULL,
    added_at   timestamptz NOT NULL,
    removed_at timestamptz
);

-- One letter asks one processor to do one thing. Whom it is about is sealed under a key of its own, which goes when it is proven.
CREATE TABLE consent.letters (
    id           text COLLATE "C" PRIMARY KEY,
    request      text COLLATE "C" NOT NULL REFERENCES consent.requests ON DELETE CASCADE,
    processor    text COLLATE "C" NOT NULL REFERENCES consent.processors,
    act          text NOT NULL,
    state        text NOT NULL,
    words        bytea,
    key_id       text,
    made_at      timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    next_at      timestamptz,
    fault        text,
    acked_at     timestamptz,
    ack          text,
    probed_at    timestamptz,
    escalated_at timestamptz,
    CHECK ((words IS NULL) = (key_id IS NULL))
);
CREATE INDEX letters_due ON consent.letters (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX letters_request ON consent.letters (request);

-- Whoever asks on behalf of people (Data Rights Protocol 0.9.4): a key that signs, a token whose keyed hash is kept.
CREATE TABLE consent.agents (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    token_hash bytea NOT NULL UNIQUE,
    added_by   text NOT NULL,
    added_at   timestamptz NOT NULL,
    removed_at timestamptz
);
-- A request of an agent is taken once, however often it is sent.
CREATE TABLE consent.agent_requests (
    agent     text COLLATE "C" NOT NULL REFERENCES consent.agents,
    named     text NOT NULL,
    request   text COLLATE "C" NOT NULL REFERENCES consent.requests ON DELETE CASCADE,
    PRIMARY KEY (agent, named)
);
CREATE INDEX agent_requests_request ON consent.agent_requests (request);

GRANT SELECT, INSERT, UPDATE ON consent.processors, consent.letters, consent.agents TO candor_app;
GRANT SELECT, INSERT ON consent.agent_requests TO candor_app;
"""


def upgrade() -> None:
    """Make room for it."""
    op.execute(UP)


def downgrade() -> None:
    """Remove it; what was agreed with processors is forgotten."""
    op.execute("DROP TABLE consent.agent_requests, consent.agents, consent.letters, consent.processors")
