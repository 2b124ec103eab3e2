"""Messages in inboxes."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def _instant(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "inbox_messages",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(310), nullable=False),
        sa.Column("customer_id", sa.String(300), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("send_id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("container_id", sa.String(100), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("media", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("layout_type", sa.SmallInteger(), nullable=True),
        _instant("sent_at"),
        _instant("updated_at"),
        _instant("expires_at", nullable=True),
        _instant("kept_until"),
        _instant("read_at", nullable=True),
        _instant("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_inbox_messages")),
    )
    op.create_index(
        "ix_inbox_messages_person",
        "inbox_messages",
        ["tenant_id", "person", "sent_at"],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "inbox_event_keys",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        _instant("received_at"),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_inbox_event_keys")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
