"""How many messages whoever a trigger holds back would have had, by which it counts in frequency caps."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trigger_firings", sa.Column("messages", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
