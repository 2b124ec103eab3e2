"""Promotions with their tenants and their history; the codes that back offices register have a table of their own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.rename_table("promotions", "registered_promotions")
    op.execute("ALTER INDEX pk_promotions RENAME TO pk_registered_promotions")
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "promotion_tenants",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("settings", JSONB(), nullable=False),
        sa.Column("customer_properties", JSONB(), nullable=False),
        sa.Column("promotion_properties", JSONB(), nullable=False),
        sa.Column("session_properties", JSONB(), nullable=False),
        sa.Column("reward_types", JSONB(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    )
    op.create_table(
        "promotions",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("code_key", sa.Text(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("condition_tree", JSONB(), nullable=False),
        sa.Column("tiers", JSONB(), nullable=False),
        sa.Column("properties", JSONB(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("activated_at", instant),
        sa.Column("version", sa.Integer(), nullable=False),
    )
    op.create_index(
        "ux_promotions_code",
        "promotions",
        ["tenant_id", "code_key"],
        unique=True,
        postgresql_where=sa.text("status <> 'archived'"),
    )
    op.create_table(
        "promotion_versions",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("promotion_id", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("at", instant, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("commands", JSONB(), nullable=False),
        sa.Column("document", JSONB(), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
