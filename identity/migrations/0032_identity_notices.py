"""Identity: whoever changes who holds an identifier says so, by its keyed hash, when the transaction commits.

The statement is made by the tables themselves, so that no writer can forget it. It wakes nobody when nobody listens.
"""

from alembic import op

revision = "0032_identity_notices"
down_revision = "0031_identity_index_secrets"
branch_labels = None
depends_on = None

# A notice holds up to 8,000 bytes: 240 keys of 32 letters. More keys than a listener wants to hear of one by one: "*", read all anew.
# Index probes whatever Postgres believes of freshly loaded tables: a plan is kept for a session that may have begun on empty ones.
UP = """
CREATE FUNCTION identity.tell_changed() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE said text;
BEGIN
    IF (SELECT count(*) FROM changed) > 20000 THEN
        PERFORM pg_notify('identity_index', '*');
        RETURN NULL;
    END IF;
    FOR said IN
        SELECT string_agg(key, '') FROM (
            SELECT key, row_number() OVER () / 240 AS page FROM (
                SELECT DISTINCT encode(substr(held.index, 1, 16), 'hex') AS key FROM changed
                JOIN identity.record_identifiers ri ON ri.record_id = changed.record_id
                JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id
                CROSS JOIN LATERAL (VALUES (i.index), (i.index_even)) AS held (index)
                WHERE held.index IS NOT NULL
            ) AS keys
        ) AS pages GROUP BY page
    LOOP
        PERFORM pg_notify('identity_index', said);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION identity.tell_unlinked() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE said text;
BEGIN
    FOR said IN
        SELECT string_agg(key, '') FROM (
            SELECT key, row_number() OVER () / 240 AS page FROM (
                SELECT DISTINCT encode(substr(held.index, 1, 16), 'hex') AS key FROM changed
                JOIN identity.identifiers i ON i.identifier_id = changed.identifier_id
                CROSS JOIN LATERAL (VALUES (i.index), (i.index_even)) AS held (index)
                WHERE held.index IS NOT NULL
            ) AS keys
        ) AS pages GROUP BY page
    LOOP
        PERFORM pg_notify('identity_index', said);
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER members_joined AFTER INSERT ON identity.members
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION identity.tell_changed();
CREATE TRIGGER members_left AFTER DELETE ON identity.members
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION identity.tell_changed();
CREATE TRIGGER records_unlinked AFTER DELETE ON identity.record_identifiers
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION identity.tell_unlinked();
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(
        "DROP TRIGGER members_joined ON identity.members; DROP TRIGGER members_left ON identity.members;"
        " DROP TRIGGER records_unlinked ON identity.record_identifiers;"
        " DROP FUNCTION identity.tell_changed(); DROP FUNCTION identity.tell_unlinked();"
    )
