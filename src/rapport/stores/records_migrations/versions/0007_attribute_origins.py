"""Attributes keep how files write their decimals, and the name of the file's column that they were made of."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attributes", sa.Column("forms", postgresql.JSONB(), nullable=False, server_default="[]"))
    op.add_column("attributes", sa.Column("header", sa.String(200), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
