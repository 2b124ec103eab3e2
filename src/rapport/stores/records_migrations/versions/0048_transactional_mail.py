"""Transactional mail: what was accepted and what became of it; messages are claimed by what they are sent for."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
EVENTS = ("ended_at", "opened_at", "clicked_at", "unsubscribed_at", "bounced_at", "complained_at")


def upgrade() -> None:
    op.create_table(
        "transactional_sends",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("brand_id", sa.Integer, nullable=False),
        sa.Column("channel_id", sa.Integer, nullable=False),
        sa.Column("template_id", sa.Integer, nullable=True),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("accepted_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactional_sends")),
    )
    op.create_table(
        "transactional_recipients",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("send_id", sa.BigInteger, nullable=False),
        sa.Column("brand_id", sa.Integer, nullable=False),
        sa.Column("channel_id", sa.Integer, nullable=False),
        sa.Column("template_id", sa.Integer, nullable=True),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("mark", sa.String(32), nullable=False),
        sa.Column("personalizations", sa.String, nullable=False),
        sa.Column("content_dropped", sa.Boolean, nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        *(sa.Column(name, INSTANT, nullable=True) for name in EVENTS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactional_recipients")),
    )
    of_recipients = "transactional_recipients"
    op.create_index(f"ix_{of_recipients}_mark", of_recipients, ["tenant_id", "mark", "id"])
    op.create_index(f"ix_{of_recipients}_send", of_recipients, ["tenant_id", "send_id"])
    op.create_index(f"ix_{of_recipients}_message", of_recipients, ["tenant_id", "message_id"])
    op.create_index(f"ix_{of_recipients}_template", of_recipients, ["tenant_id", "template_id", "ended_at"])
    op.create_table(
        "transactional_attachments",
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("send_id", sa.BigInteger, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("file_name", sa.String, nullable=False),
        sa.Column("content_type", sa.String(255), nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "send_id", "place", name=op.f("pk_transactional_attachments")),
    )
    op.create_table(
        "transactional_request_keys",
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("kept_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest", name=op.f("pk_transactional_request_keys")),
    )
    op.drop_index("ix_messages_due", "messages")
    due = sa.text("coalesce(due_at, '-infinity'::timestamptz)")
    waiting = sa.text("batch IS NULL AND state IN ('pending', 'claimed')")
    op.create_index(
        "ix_messages_due", "messages", ["source", "tenant_id", "channel_id", due, "id"], postgresql_where=waiting
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
