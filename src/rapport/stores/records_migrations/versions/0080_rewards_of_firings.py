"""Triggered campaigns publish rewards: one of each promotion for a firing, which keeps what it gave."""

from alembic import op

revision = "0080"
down_revision = "0078"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE trigger_firings ADD COLUMN rewards jsonb")
    op.execute("ALTER TABLE redemptions ADD COLUMN firing_id bigint")
    op.execute("DROP INDEX ux_redemptions_published")
    op.execute(
        "CREATE UNIQUE INDEX ux_redemptions_published ON redemptions (tenant_id, campaign_id, promotion_id, person) "
        "WHERE is_published AND firing_id IS NULL"
    )
    op.execute(
        "CREATE UNIQUE INDEX ux_redemptions_firing ON redemptions (tenant_id, firing_id, promotion_id) "
        "WHERE firing_id IS NOT NULL"
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
