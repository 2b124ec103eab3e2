"""Room beside the records of sports for their next prices, which need no new entries of the indexes then."""

from alembic import op

revision = "0077"
down_revision = "0076"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sports_records SET (fillfactor = 60)")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
