"""A/B tests: which portion of a group a row of campaign_channels is about, and how the tests of a campaign ended."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

CHANNELS = "campaign_channels"
KEY = ["tenant_id", "campaign_id", "recipient_group_id", "channel_id", "template_id", "portion"]


def upgrade() -> None:
    op.add_column(CHANNELS, sa.Column("portion", sa.SmallInteger(), nullable=False, server_default="0"))
    op.drop_constraint("pk_campaign_channels", CHANNELS, type_="primary")
    op.create_primary_key("pk_campaign_channels", CHANNELS, KEY)
    op.add_column("campaigns", sa.Column("ab_tests", postgresql.JSONB(), nullable=False, server_default="{}"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
