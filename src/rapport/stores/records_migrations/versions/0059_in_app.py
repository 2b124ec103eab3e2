"""In-app messages of users, and the instants of their changes."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def _at(name: str, *, nullable: bool = False) -> "sa.Column[Any]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _json(name: str, *, nullable: bool = True) -> "sa.Column[Any]":
    return sa.Column(name, postgresql.JSONB(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "in_app_messages",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=True),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("send_id", sa.BigInteger(), nullable=False),
        sa.Column("surface", sa.String(20), nullable=False),
        sa.Column("presented_when", sa.String(20), nullable=False),
        _json("content", nullable=False),
        _json("data"),
        _json("badge"),
        _json("inbox"),
        _at("updated_at"),
        _at("sent_at"),
        _at("expires_at", nullable=True),
        _at("opened_at", nullable=True),
        _at("read_at", nullable=True),
        _at("inbox_deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_in_app_messages")),
    )
    op.create_index("uq_in_app_messages_message", "in_app_messages", ["tenant_id", "message_id"], unique=True)
    op.create_index("ix_in_app_messages_changes", "in_app_messages", ["tenant_id", "customer_key", "updated_at"])
    op.create_table(
        "in_app_users",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("customer_key", sa.Text(), nullable=False),
        _at("changed_at"),
        sa.PrimaryKeyConstraint("tenant_id", "customer_key", name=op.f("pk_in_app_users")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
