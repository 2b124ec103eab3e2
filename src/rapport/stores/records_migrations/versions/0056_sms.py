"""Text messages: by which ids providers report on them."""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sms_submissions",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("provider_id", sa.String(100), nullable=False),
        sa.Column("return_token", sa.String(100), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "channel_id", "provider_id", name=op.f("pk_sms_submissions")),
    )
    op.create_index("ix_sms_submissions_time", "sms_submissions", ["tenant_id", "submitted_at"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
