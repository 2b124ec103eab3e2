"""Indexes of what waits for a time, which is asked about for all tenants at once."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_campaigns_open",
        "campaigns",
        ["tenant_id"],
        postgresql_where=sa.text("state IN ('awaiting clearance', 'scheduled', 'executing')"),
    )
    op.create_index(
        "ix_campaign_channels_scheduled",
        "campaign_channels",
        ["tenant_id", "scheduled_time"],
        postgresql_where=sa.text("state = 'scheduled'"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
