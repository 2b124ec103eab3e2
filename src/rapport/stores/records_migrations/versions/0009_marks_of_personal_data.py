"""Attributes say how it came about that they are marked as identifying."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attributes", sa.Column("pii_reason", sa.String(length=10), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
