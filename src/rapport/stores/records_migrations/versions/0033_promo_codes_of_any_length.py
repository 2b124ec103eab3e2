"""Promo codes of the length that outside systems give them, also several of them joined."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

CODES = (
    ("promotions", "promo_key"),
    ("promotions", "promo_code"),
    ("campaign_channels", "promo_code"),
    ("firing_messages", "promo_code"),
)


def upgrade() -> None:
    for table, column in CODES:
        op.alter_column(table, column, type_=sa.Text(), existing_nullable=False)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
