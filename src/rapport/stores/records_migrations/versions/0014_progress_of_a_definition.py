"""How far persons are in a trigger belongs to the definition that they did it under."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("campaign_series", "trigger_states"):
        op.add_column(table, sa.Column("trigger_version", sa.Integer(), server_default="1", nullable=False))
        op.alter_column(table, "trigger_version", server_default=None)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
