"""Keys have rights, and sections of the management API that they are for; those of before have all."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("rights", sa.String(20), nullable=False, server_default="full"))
    op.add_column("api_keys", sa.Column("sections", postgresql.JSONB(), nullable=False, server_default="[]"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
