"""Topics by brand group, what customers said of them, the log of consent; sources and addresses of suppressions."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

# Of what was kept before, the reason is that of the person's suppression; addresses by themselves had none.
REASONS = """
    UPDATE suppressed_addresses AS kept SET reason = said.reason FROM suppressions AS said
    WHERE said.tenant_id = kept.tenant_id AND said.channel_id = kept.channel_id
        AND said.customer_key = kept.customer_key AND kept.app_key = '' AND kept.listed = 'suppression list'
"""


def _at(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _text(name: str, length: int) -> "sa.Column[Any]":
    return sa.Column(name, sa.String(length), nullable=False)


def _flag(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Boolean(), nullable=False)


def _number(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Integer(), nullable=False)


def upgrade() -> None:
    for table in ("suppressions", "suppressed_addresses"):
        op.add_column(table, sa.Column("source", sa.String(30), nullable=False, server_default=""))
    op.add_column("suppressed_addresses", sa.Column("reason", sa.String(50), nullable=False, server_default=""))
    op.add_column("suppressed_addresses", sa.Column("address", sa.String(), nullable=True))
    op.execute(REASONS)
    op.add_column("templates", sa.Column("topic_id", sa.String(36), nullable=False, server_default=""))
    op.create_table(
        "brand_groups",
        _number("tenant_id"),
        _text("id", 36),
        _text("name", 200),
        sa.Column("channels", postgresql.JSONB(), nullable=False),
        _flag("requires_proof"),
        _at("created_at"),
        _at("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_brand_groups")),
    )
    op.create_table(
        "topics",
        _number("tenant_id"),
        _text("id", 36),
        _text("brand_group_id", 36),
        _text("name", 200),
        _text("description", 1000),
        _text("frequency", 200),
        *map(_flag, ("mandatory", "hidden", "subscribed_by_default")),
        _at("created_at"),
        _at("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_topics")),
    )
    op.create_table(
        "topic_subscriptions",
        _number("tenant_id"),
        _text("topic_id", 36),
        _number("wire_channel_id"),
        _text("customer_key", 300),
        _text("customer_id", 300),
        _flag("subscribed"),
        _at("updated_at"),
        sa.PrimaryKeyConstraint(
            "tenant_id", "topic_id", "wire_channel_id", "customer_key", name=op.f("pk_topic_subscriptions")
        ),
    )
    op.create_index("ix_topic_subscriptions_person", "topic_subscriptions", ["tenant_id", "customer_key"])
    op.create_table(
        "consent_changes",
        sa.Column("id", sa.BigInteger(), nullable=False),
        _number("tenant_id"),
        _text("customer_key", 300),
        _text("customer_id", 300),
        _text("topic_id", 36),
        _number("channel_id"),
        _flag("agreed"),
        _text("source", 30),
        _text("actor", 200),
        sa.Column("wording", sa.Text(), nullable=False),
        _at("changed_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_changes")),
    )
    op.create_index("ix_consent_changes_person", "consent_changes", ["tenant_id", "customer_key", "id"])
    op.create_index("ix_consent_changes_time", "consent_changes", ["tenant_id", "changed_at"])
    op.create_table(
        "preference_link_requests",
        sa.Column("id", sa.BigInteger(), nullable=False),
        _number("tenant_id"),
        _text("brand_group_id", 36),
        _text("mark", 32),
        sa.Column("address", sa.String(), nullable=False),
        _text("language", 10),
        _at("requested_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preference_link_requests")),
    )
    op.create_index(
        "ix_preference_link_requests_mark", "preference_link_requests", ["tenant_id", "mark", "requested_at"]
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
