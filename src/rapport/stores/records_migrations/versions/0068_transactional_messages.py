"""Transactional messages to customers, on channels that belong to no transactional brand."""

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None

RECIPIENTS = "transactional_recipients"


def upgrade() -> None:
    for table in ("transactional_sends", RECIPIENTS):
        op.alter_column(table, "brand_id", existing_type=sa.Integer(), nullable=True)
    for column in ("customer_id", "person"):
        op.add_column(RECIPIENTS, sa.Column(column, sa.Text(), nullable=False, server_default=""))
    op.create_index(
        "ix_transactional_recipients_person",
        RECIPIENTS,
        ["tenant_id", "person"],
        postgresql_where=sa.text("person <> ''"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
