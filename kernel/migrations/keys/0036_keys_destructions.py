"""A count of destructions, so that a process which holds unwrapped keys sees with one small read whether any of them may be gone.

The trigger is on the table, not in the application: a key that somebody deletes by hand is noticed too. Moves between the spaces are updates and count
nothing.
"""

from alembic import op

revision = "0036_keys_destructions"
down_revision = "0029_keys_spaces"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE keys.destructions (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    n        bigint NOT NULL DEFAULT 0
);
INSERT INTO keys.destructions DEFAULT VALUES;
GRANT SELECT ON keys.destructions TO candor_app;

CREATE FUNCTION keys.count_destruction() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE keys.destructions SET n = n + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER counted AFTER DELETE ON keys.subject_keys FOR EACH STATEMENT EXECUTE FUNCTION keys.count_destruction();
"""


def upgrade() -> None:
    op.execute(UP)
