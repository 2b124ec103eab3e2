"""What templates of other kinds than mail say beside subject, HTML and text."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("templates", "template_versions"):
        op.add_column(table, sa.Column("details", postgresql.JSONB(), nullable=False, server_default="{}"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
