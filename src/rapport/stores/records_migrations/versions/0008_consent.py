"""Attributes may be marked as consent; what could not be read when their values were converted is kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attributes", sa.Column("consent", sa.String(length=20), nullable=False, server_default=""))
    op.execute("""
        UPDATE attributes SET consent = 'permission' FROM channels
        WHERE channels.tenant_id = attributes.tenant_id
            AND channels.permission_attribute = upper(attributes.real_field_name)
    """)
    op.create_table(
        "consent_conversions",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("real_field_name", sa.String(length=128), nullable=False),
        sa.Column("converted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("customers", sa.BigInteger(), nullable=False),
        sa.Column("unread_customers", sa.BigInteger(), nullable=False),
        sa.Column("unread", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "real_field_name", name=op.f("pk_consent_conversions")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
