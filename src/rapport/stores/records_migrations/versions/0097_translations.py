"""Templates in several languages, and snippets, which templates share."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0097"
down_revision = "0092"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("templates", "template_versions"):
        op.add_column(table, sa.Column("translations", JSONB(), nullable=False, server_default="{}"))
    op.create_table(
        "snippets",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("translations", JSONB(), nullable=False, server_default="{}"),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
