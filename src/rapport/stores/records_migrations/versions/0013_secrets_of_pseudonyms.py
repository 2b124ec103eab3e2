"""Tenants of before get the secrets that pseudonyms are made with, so that every backup from now on has them."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ADD = sa.text("""
    INSERT INTO tenant_secrets (tenant_id, purpose, value) VALUES (:id, :purpose, :value) ON CONFLICT DO NOTHING
""")


def upgrade() -> None:
    connection = op.get_bind()
    for tenant_id in connection.execute(sa.text("SELECT id FROM tenants")).scalars().all():
        for purpose in ("pseudonyms", "addresses"):
            connection.execute(ADD, {"id": tenant_id, "purpose": purpose, "value": secrets.token_urlsafe(32)})


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
