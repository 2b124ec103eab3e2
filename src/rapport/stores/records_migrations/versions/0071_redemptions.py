"""Promo codes in pools, budgets of promotions, and redemptions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "code_pools",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("promotion_id", sa.String(100)),
        sa.Column("campaign_ids", JSONB(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("starts_at", instant),
        sa.Column("expires_at", instant),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
    )
    op.create_table(
        "pool_codes",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("code_key", sa.Text(), primary_key=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("pool_id", sa.String(100), nullable=False),
        sa.Column("redemption_id", sa.String(36)),
        sa.Column("person", sa.Text()),
        sa.Column("message_id", sa.Text()),
    )
    op.create_index(
        "ix_pool_codes_free",
        "pool_codes",
        ["tenant_id", "pool_id"],
        postgresql_where=sa.text("redemption_id IS NULL AND message_id IS NULL"),
    )
    op.create_index(
        "ux_pool_codes_message",
        "pool_codes",
        ["tenant_id", "message_id", "pool_id"],
        unique=True,
        postgresql_where=sa.text("message_id IS NOT NULL"),
    )
    op.create_index(
        "ix_pool_codes_person", "pool_codes", ["tenant_id", "person"], postgresql_where=sa.text("person IS NOT NULL")
    )
    op.create_table(
        "promotion_budgets",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("promotion_id", sa.String(100), primary_key=True),
        sa.Column("budgets", JSONB(), nullable=False),
        sa.Column("updated_at", instant, nullable=False),
    )
    op.create_table(
        "budget_counters",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("promotion_id", sa.String(100), primary_key=True),
        sa.Column("counted", sa.String(20), primary_key=True),
        sa.Column("counted_of", sa.String(100), primary_key=True),
        sa.Column("period", sa.String(20), primary_key=True),
        sa.Column("starts_on", sa.Date(), primary_key=True),
        sa.Column("person", sa.Text(), primary_key=True),
        sa.Column("used", sa.Numeric(20, 3), nullable=False),
        sa.Column("most", sa.Numeric(20, 3), nullable=False),
        sa.CheckConstraint("used >= 0 AND used <= most", name="within"),
    )
    op.create_index(
        "ix_budget_counters_person",
        "budget_counters",
        ["tenant_id", "person"],
        postgresql_where=sa.text("person <> ''"),
    )
    op.create_table(
        "redemptions",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("promotion_id", sa.String(100), nullable=False),
        sa.Column("promotion_version", sa.Integer(), nullable=False),
        sa.Column("pool_id", sa.String(100)),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text()),
        sa.Column("campaign_id", sa.Integer()),
        sa.Column("tier_id", sa.String(100), nullable=False),
        sa.Column("tier_name", sa.String(200), nullable=False),
        sa.Column("rewards", JSONB(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("counted_on", sa.Date(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("reserved_until", instant),
        sa.Column("ended_at", instant),
    )
    op.create_index("ux_redemptions_idempotency_key", "redemptions", ["tenant_id", "idempotency_key"], unique=True)
    op.create_index("ix_redemptions_promotion", "redemptions", ["tenant_id", "promotion_id", "counted_on"])
    op.create_index("ix_redemptions_person", "redemptions", ["tenant_id", "person"])
    op.create_index(
        "ix_redemptions_order",
        "redemptions",
        ["tenant_id", "order_id"],
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )
    op.create_index(
        "ix_redemptions_reserved",
        "redemptions",
        ["reserved_until"],
        postgresql_where=sa.text("state = 'reserved'"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
