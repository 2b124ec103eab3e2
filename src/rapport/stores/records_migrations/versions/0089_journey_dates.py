"""When customers come into journeys next by a date, and how far that has come."""

import sqlalchemy as sa
from alembic import op

revision = "0089"
down_revision = "0082"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("journeys", sa.Column("dates_at", sa.DateTime(timezone=True)))
    op.add_column("journeys", sa.Column("dates_after", sa.BigInteger(), nullable=False, server_default="-1"))
    op.alter_column("journeys", "dates_after", server_default=None)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
