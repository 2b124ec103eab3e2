"""Winners of the tests inside journeys, and when somebody looks next whether there is one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0092"
down_revision = "0089"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("journeys", sa.Column("tests_at", sa.DateTime(timezone=True)))
    op.create_table(
        "journey_tests",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("journey_id", sa.Integer(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("step", sa.String(40), primary_key=True),
        sa.Column("winner", sa.Integer(), nullable=False),
        sa.Column("ground", sa.String(10), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("branches", JSONB(), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
