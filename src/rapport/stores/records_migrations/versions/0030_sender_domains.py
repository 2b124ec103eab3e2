"""Domains that a tenant may send from over the server's own mail server; those in use until now stay allowed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

IN_USE = """
UPDATE tenants AS t SET sender_domains = used.domains
FROM (
    SELECT tenant_id, jsonb_agg(DISTINCT lower(split_part(settings ->> 'from_address', '@', 2))) AS domains
    FROM channels
    WHERE kind = 'email' AND coalesce(settings ->> 'host', '') = '' AND settings ->> 'from_address' LIKE '%@%'
    GROUP BY tenant_id
) AS used
WHERE used.tenant_id = t.id
"""


def upgrade() -> None:
    op.add_column("tenants", sa.Column("sender_domains", JSONB(), nullable=False, server_default="[]"))
    op.execute(IN_USE)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
