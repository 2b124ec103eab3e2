"""When attributes of customers were last told, so that what comes late replaces nothing newer."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attribute_times",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("times", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "mark", name=op.f("pk_attribute_times")),
    )
    op.create_index("ix_attribute_times_updated_at", "attribute_times", ["tenant_id", "updated_at"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
