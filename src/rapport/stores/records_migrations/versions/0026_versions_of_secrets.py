"""Secrets have versions, so that one can be replaced while what was made with the one before is still good."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tenant_secrets", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("tenant_secrets", sa.Column("created_at", sa.DateTime(timezone=True)))
    op.add_column("tenant_secrets", sa.Column("ends_at", sa.DateTime(timezone=True)))
    op.drop_constraint("pk_tenant_secrets", "tenant_secrets")
    op.create_primary_key("pk_tenant_secrets", "tenant_secrets", ["tenant_id", "purpose", "version"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
