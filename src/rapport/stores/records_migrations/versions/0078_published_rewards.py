"""Rewards that campaigns published count like redemptions: one of each promotion for a customer of a campaign."""

from alembic import op

revision = "0078"
down_revision = "0077"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE redemptions ADD COLUMN is_published boolean NOT NULL DEFAULT false")
    op.execute(
        "CREATE UNIQUE INDEX ux_redemptions_published ON redemptions (tenant_id, campaign_id, promotion_id, person) "
        "WHERE is_published"
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
