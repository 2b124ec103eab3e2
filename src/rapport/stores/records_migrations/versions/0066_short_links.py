"""Short addresses in text messages."""

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "short_links",
        sa.Column("slug", sa.String(16), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("customer_key", sa.String(300), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_short_links")),
    )
    op.create_index("ix_short_links_person", "short_links", ["tenant_id", "customer_key"])
    op.create_index("ix_short_links_time", "short_links", ["tenant_id", "made_at"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
