"""What a series is to bring."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    orders = sa.text("""'{"kind": "orders"}'::jsonb""")
    op.add_column("campaign_series", sa.Column("goal", postgresql.JSONB(), nullable=False, server_default=orders))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
