"""The sports inventory: records, prices of selections, and what became of the records of each call."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "sports_records",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("brand_group_id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("event_key", sa.String(200), primary_key=True),
        sa.Column("record_key", sa.String(200), primary_key=True),
        sa.Column("parent_kind", sa.String(10), nullable=False),
        sa.Column("parent_event_key", sa.String(200), nullable=False),
        sa.Column("parent_key", sa.String(200), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("is_shown", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("display_order", sa.Integer()),
        sa.Column("starts_at", instant),
        sa.Column("numerator", sa.BigInteger()),
        sa.Column("denominator", sa.BigInteger()),
        sa.Column("decimal_odds", sa.Numeric(20, 4)),
        sa.Column("prices", sa.Integer(), nullable=False),
        sa.Column("members", JSONB(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
    )
    op.create_index(
        "ix_sports_records_parent",
        "sports_records",
        ["tenant_id", "brand_group_id", "parent_kind", "parent_event_key", "parent_key"],
    )
    op.create_table(
        "sports_prices",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("brand_group_id", sa.String(36), primary_key=True),
        sa.Column("event_key", sa.String(200), primary_key=True),
        sa.Column("selection_key", sa.String(200), primary_key=True),
        sa.Column("place", sa.SmallInteger(), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("numerator", sa.BigInteger()),
        sa.Column("denominator", sa.BigInteger()),
        sa.Column("decimal_odds", sa.Numeric(20, 4)),
    )
    op.create_table(
        "sports_calls",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("brand_group_id", sa.String(36), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("at", instant, nullable=False),
        sa.Column("outcomes", JSONB(), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
