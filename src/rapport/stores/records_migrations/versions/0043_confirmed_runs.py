"""When a run that the blast guard stopped was confirmed."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

# Of runs before, the audit log knows it.
OF_THE_AUDIT_LOG = """
    UPDATE campaigns SET confirmed_at = confirmed.at
    FROM (
        SELECT tenant_id, object, max(at) AS at FROM audit_log WHERE action = 'confirm' GROUP BY tenant_id, object
    ) AS confirmed
    WHERE confirmed.tenant_id = campaigns.tenant_id AND confirmed.object = 'campaign ' || campaigns.id
"""


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(OF_THE_AUDIT_LOG)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
