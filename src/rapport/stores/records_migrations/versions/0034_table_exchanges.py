"""Tables that are about to take the places of others, for whoever takes a tenant's lock over after an outage."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "table_exchanges",
        sa.Column("tenant_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(200), primary_key=True),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
