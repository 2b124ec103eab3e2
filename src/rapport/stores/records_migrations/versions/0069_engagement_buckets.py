"""Buckets to which files for senders are copied, and how far each copy is."""

import sqlalchemy as sa
from alembic import op

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "engagement_buckets",
        sa.Column("tenant_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("updated_at", instant, nullable=False),
    )
    op.add_column("engagements", sa.Column("copy_state", sa.String(20), nullable=False, server_default="none"))
    op.add_column("engagements", sa.Column("copy_due_at", instant))
    op.add_column("engagements", sa.Column("copy_attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("engagements", sa.Column("copy_error", sa.String(300), nullable=False, server_default=""))
    op.create_index(
        "ix_engagements_copies", "engagements", ["copy_due_at"], postgresql_where=sa.text("copy_state <> 'none'")
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
