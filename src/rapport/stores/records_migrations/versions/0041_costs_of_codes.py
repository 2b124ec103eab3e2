"""What the codes of an action cost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("actions", sa.Column("cost", postgresql.JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
