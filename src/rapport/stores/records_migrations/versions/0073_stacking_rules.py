"""Which promotions may be redeemed together in an order."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("promotion_budgets", sa.Column("stacking", JSONB(), nullable=False, server_default="{}"))
    op.alter_column("promotion_budgets", "stacking", server_default=None)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
