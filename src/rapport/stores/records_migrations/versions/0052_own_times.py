"""Units whose customers have times of their own are sent in rounds; what waits is found by its instant."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

DUE = "coalesce(due_at, '-infinity'::timestamptz)"


def upgrade() -> None:
    channels = "campaign_channels"
    op.add_column(channels, sa.Column("own_times", sa.Boolean(), nullable=False, server_default="false"))
    op.add_column(channels, sa.Column("round", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(channels, sa.Column("waits_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_campaign_channels_waiting",
        channels,
        ["tenant_id", "waits_until"],
        postgresql_where=sa.text("waits_until IS NOT NULL"),
    )
    op.drop_index("ix_messages_retries", "messages")
    op.create_index(
        "ix_messages_retries",
        "messages",
        ["tenant_id", "source_id", "channel_id", sa.text(DUE), "customer_id"],
        postgresql_where=sa.text("batch IS NOT NULL AND state = 'pending'"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
