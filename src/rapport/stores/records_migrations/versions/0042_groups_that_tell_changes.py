"""Which target groups tell listeners of who came and went."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("target_groups", sa.Column("tells_changes", sa.Boolean, nullable=False, server_default="false"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
