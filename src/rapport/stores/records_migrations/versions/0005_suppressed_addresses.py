"""Whoever must not be written to is kept by address too, so that no other record of it is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suppressed_addresses",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.String(length=32), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("app_key", sa.String(length=400), nullable=False),
        sa.Column("customer_key", sa.String(length=300), nullable=False),
        sa.Column("listed", sa.String(length=30), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "mark",
            "channel_id",
            "app_key",
            "customer_key",
            "listed",
            name=op.f("pk_suppressed_addresses"),
        ),
    )
    op.create_index("ix_suppressed_addresses_channel", "suppressed_addresses", ["tenant_id", "channel_id"])
    op.create_index("ix_suppressed_addresses_person", "suppressed_addresses", ["tenant_id", "customer_key"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
