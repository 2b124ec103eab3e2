"""Children of a sports record are found by its key first, since the planner took their index for the primary key."""

from alembic import op

revision = "0075"
down_revision = "0074"
branch_labels = None
depends_on = None

NAME, TABLE = "ix_sports_records_parent", "sports_records"
COLUMNS = ["parent_key", "parent_event_key", "parent_kind", "brand_group_id", "tenant_id"]


def upgrade() -> None:
    op.drop_index(NAME, TABLE)
    op.create_index(NAME, TABLE, COLUMNS)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
