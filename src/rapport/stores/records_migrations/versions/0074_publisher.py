"""Campaigns whose customers promotions still have to decide about."""

import sqlalchemy as sa
from alembic import op

revision = "0074"
down_revision = "0073"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("to_publish", sa.Boolean(), nullable=False, server_default="false"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
