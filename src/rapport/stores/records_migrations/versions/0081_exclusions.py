"""Exclusions: customers who get no marketing until an instant, or for good."""

import sqlalchemy as sa
from alembic import op

revision = "0081"
down_revision = "0080"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "exclusions",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("customer_key", sa.String(300), nullable=False),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("customer_id", sa.String(300), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(30), nullable=False),
        sa.Column("made_by", sa.String(200), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.String(200), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("tenant_id", "customer_key", "begins_at", name=op.f("pk_exclusions")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
