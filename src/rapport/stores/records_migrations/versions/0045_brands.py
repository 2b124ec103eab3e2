"""A brand is an account for mail, with addresses and keys of its own; every e-mail channel that there is gets one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

# Which brand a channel gets: of its id and its name, if no brand has them.
OF_CHANNELS = """
    INSERT INTO brands (tenant_id, id, name, created_at)
    SELECT channel.tenant_id, chosen.id,
        CASE WHEN EXISTS (
            SELECT 1 FROM brands WHERE brands.tenant_id = channel.tenant_id AND brands.name = channel.name
        ) THEN left(channel.name, 189) || ' ' || chosen.id ELSE channel.name END,
        channel.created_at
    FROM channels AS channel
    CROSS JOIN LATERAL (
        SELECT CASE WHEN EXISTS (
            SELECT 1 FROM brands WHERE brands.tenant_id = channel.tenant_id AND brands.id = channel.id
        ) THEN channel.id + 1000000000 ELSE channel.id END AS id
    ) AS chosen
    WHERE channel.kind = 'email' AND channel.settings ->> 'brand_id' IS NULL
"""
NAMED_BY_CHANNELS = """
    UPDATE channels SET settings = channels.settings || jsonb_build_object('brand_id', CASE
        WHEN EXISTS (
            SELECT 1 FROM brands
            WHERE brands.tenant_id = channels.tenant_id AND brands.id = channels.id + 1000000000
        ) THEN channels.id + 1000000000 ELSE channels.id END)
    WHERE channels.kind = 'email' AND channels.settings ->> 'brand_id' IS NULL
"""
ADDRESSES = """
    INSERT INTO brand_addresses (tenant_id, brand_id, role, id, address, created_at)
    SELECT tenant_id, (settings ->> 'brand_id')::integer, place.role, 1, settings ->> place.setting, created_at
    FROM channels
    CROSS JOIN (VALUES ('from', 'from_address'), ('reply_to', 'reply_to')) AS place (role, setting)
    WHERE kind = 'email' AND coalesce(settings ->> place.setting, '') <> ''
    ON CONFLICT DO NOTHING
"""
# Ids go on after those that were given here.
SEQUENCES = """
    INSERT INTO sequences (tenant_id, name, value)
    SELECT tenant_id, role || ' of brand ' || brand_id, 1 FROM brand_addresses
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.add_column("brands", sa.Column("kind", sa.String(20), nullable=False, server_default="marketing"))
    op.add_column("brands", sa.Column("settings", JSONB(), nullable=False, server_default="{}"))
    op.add_column("brands", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("brands", sa.Column("created_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE brands SET created_at = tenants.created_at FROM tenants WHERE tenants.id = brands.tenant_id")
    op.alter_column("brands", "created_at", nullable=False)
    op.create_table(
        "brand_addresses",
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("brand_id", sa.Integer, nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "brand_id", "role", "id", name=op.f("pk_brand_addresses")),
    )
    op.create_index(
        "uq_brand_addresses_address",
        "brand_addresses",
        ["tenant_id", "brand_id", "role", sa.text("lower(address)")],
        unique=True,
    )
    op.create_table(
        "dkim_keys",
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("brand_id", sa.Integer, nullable=False),
        sa.Column("selector", sa.String(63), nullable=False),
        sa.Column("algorithm", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("private_key", sa.String, nullable=False),
        sa.Column("public_key", sa.String(1000), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "brand_id", "selector", name=op.f("pk_dkim_keys")),
    )
    op.execute(OF_CHANNELS)
    op.execute(NAMED_BY_CHANNELS)
    op.execute(ADDRESSES)
    op.execute(SEQUENCES)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
