"""Imports keep what was suspicious of their file."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("imports", sa.Column("warnings", postgresql.JSONB(), nullable=False, server_default="[]"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
