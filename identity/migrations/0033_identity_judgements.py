"""Identity: what staff decided about who is who. Rows are added, never changed and never removed: the database refuses it to everybody."""

from alembic import op

revision = "0033_identity_judgements"
down_revision = "0032_identity_notices"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE identity.judgements (
    judgement_id text COLLATE "C" PRIMARY KEY,
    act_id     text COLLATE "C" NOT NULL,   -- judgements of one act bear the id of its first
    act        text NOT NULL CHECK (act IN ('merge', 'unmerge', 'split', 'pin', 'answer')),
    verdict    text NOT NULL CHECK (verdict IN ('positive', 'negative', 'unsure')),
    actor      text NOT NULL,
    reason     text NOT NULL,               -- one of a few words: no room for a name
    version    bigint NOT NULL,             -- graph version that the act made, or that was the newest
    sure       jsonb NOT NULL,              -- how sure each person was whom the act changed
    made_at    timestamptz NOT NULL
);
CREATE INDEX judgements_act ON identity.judgements (act_id);

CREATE TABLE identity.judged_records (
    judgement_id text COLLATE "C" NOT NULL REFERENCES identity.judgements,
    record_id  text COLLATE "C" NOT NULL REFERENCES identity.records,
    side       smallint NOT NULL CHECK (side IN (0, 1)),
    PRIMARY KEY (judgement_id, record_id)
);
CREATE INDEX judged_records_record ON identity.judged_records (record_id);

CREATE TABLE identity.revoked_judgements (
    judgement_id text COLLATE "C" PRIMARY KEY REFERENCES identity.judgements,
    revoked_by text COLLATE "C" NOT NULL,   -- the act that took it back; its own id where somebody simply revoked it
    actor      text NOT NULL,
    reason     text NOT NULL,
    revoked_at timestamptz NOT NULL
);

CREATE FUNCTION identity.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are kept as they are; a judgement is taken back by another one', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

GRANT SELECT, INSERT ON identity.judgements, identity.judged_records, identity.revoked_judgements TO candor_app;
"""


TABLES = ("judgements", "judged_records", "revoked_judgements")


def upgrade() -> None:
    """Make the tables; nobody changes what stands in them, not in a session that replays a replica's rows either."""
    op.execute(UP)
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON identity.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION identity.refuse_change()"
        )
        op.execute(f"ALTER TABLE identity.{table} ENABLE ALWAYS TRIGGER append_only")


def downgrade() -> None:
    """Remove them with all they hold."""
    op.execute(
        "DROP TABLE identity.revoked_judgements; DROP TABLE identity.judged_records; DROP TABLE identity.judgements;"
        " DROP FUNCTION identity.refuse_change()"
    )
