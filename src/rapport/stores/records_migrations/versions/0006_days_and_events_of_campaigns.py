"""The day on which a campaign is sent; when its lists were handed over and when listeners were told of it first."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Of campaigns of before: event 1 had been told when something of them was sent or listed, or triggers had fired.
EXECUTED = """
    UPDATE campaigns SET executed_at = coalesce(finished_at, processed_at, now())
    WHERE is_triggered OR (state IN ('executing', 'successful', 'canceled') AND EXISTS (
        SELECT 1 FROM campaign_channels AS g
        WHERE g.tenant_id = campaigns.tenant_id AND g.campaign_id = campaigns.id
          AND g.state = 'successful' AND g.recipients > 0
    ))
"""
# Those that may be sent are handed over by the next round of the scheduler, those that wait when they may go on.
HANDED_OVER = """
    UPDATE campaigns SET handed_over_at = processed_at WHERE state IN ('successful', 'failed', 'canceled', 'not run')
"""


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("handed_over_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaigns", sa.Column("executed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(EXECUTED)
    op.execute(HANDED_OVER)
    day = sa.Column("send_date", sa.Date(), sa.Computed("execution_date + lead_time", persisted=True), nullable=False)
    op.add_column("campaigns", day)
    op.create_index("ix_campaigns_tenant_id_send_date", "campaigns", ["tenant_id", "send_date"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
