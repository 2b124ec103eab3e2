"""Keys by which the tokens of apps' users are verified."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "user_jwt_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.String(length=10), nullable=False),
        sa.Column("secret", sa.String(length=300), nullable=True),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_jwt_keys")),
    )
    op.create_index(op.f("ix_user_jwt_keys_tenant_id"), "user_jwt_keys", ["tenant_id"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
