"""Replies to people who answer text messages with a keyword."""

import sqlalchemy as sa
from alembic import op

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "keyword_replies",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.String(32), nullable=False),
        sa.Column("wish", sa.String(10), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyword_replies")),
    )
    mark = ["tenant_id", "channel_id", "mark", "wish"]
    op.create_index("uq_keyword_replies_mark", "keyword_replies", mark, unique=True)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
