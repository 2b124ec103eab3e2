"""Users of two tenants may have one name: a name that was refused told who else is on the server."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint("uq_users_username_key", "users")
    op.create_unique_constraint("uq_users_username_key_tenant_id", "users", ["username_key", "tenant_id"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
