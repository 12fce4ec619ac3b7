"""Identity: blocking keys of records, as keyed hashes: what a record that comes later finds its candidates by."""

from alembic import op

revision = "0039_identity_blocks"
down_revision = "0037_identity_ledger"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE identity.blocks (
    record_id text COLLATE "C" PRIMARY KEY REFERENCES identity.records,
    keys      bigint[],            -- keyed hashes; NULL: not made yet
    settled   boolean NOT NULL     -- whether a run or a settling compared it with the others
);
CREATE INDEX blocks_keys ON identity.blocks USING gin (keys);
CREATE INDEX blocks_waiting ON identity.blocks (record_id) WHERE NOT settled;

CREATE TABLE identity.block_choices (
    run_id text COLLATE "C" PRIMARY KEY REFERENCES identity.runs,
    names  text[] NOT NULL,        -- of the keys
    crowds bigint[] NOT NULL       -- hashes of blocks that are too large
);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity.blocks, identity.block_choices TO candor_app;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE identity.block_choices; DROP TABLE identity.blocks")
