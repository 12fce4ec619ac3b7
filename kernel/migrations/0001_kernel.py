"""The kernel's schema: holds the version of the chain and nothing of the domain."""

from alembic import op

revision = "0001_kernel"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The schema itself is made by kernel.migrate, because the version table lives in it.
    op.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    op.execute("GRANT USAGE ON SCHEMA kernel TO candor_app")
    op.execute("GRANT SELECT ON kernel.schema_version TO candor_app")
