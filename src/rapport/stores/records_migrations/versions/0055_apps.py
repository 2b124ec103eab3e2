"""Apps, their installs with push tokens, and the errors of push services."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _apps()
    _installs()
    _errors()


def _apps() -> None:
    op.create_table(
        "device_apps",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("api_key", sa.String(length=36), nullable=False),
        sa.Column("secret_key", sa.String(length=300), nullable=False),
        sa.Column("secret_key_hash", sa.String(length=64), nullable=False),
        sa.Column("server_key_hash", sa.String(length=64), nullable=False),
        sa.Column("vapid_public_key", sa.String(length=100), nullable=False),
        sa.Column("vapid_private_key", sa.String(), nullable=False),
        sa.Column("for_web", sa.Boolean(), nullable=False),
        sa.Column("web_settings", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_device_apps")),
        sa.UniqueConstraint("api_key", name=op.f("uq_device_apps_api_key")),
    )
    op.create_index("uq_device_apps_name", "device_apps", ["tenant_id", sa.text("lower(name)")], unique=True)
    op.create_index(
        "uq_device_apps_for_web", "device_apps", ["tenant_id"], unique=True, postgresql_where=sa.text("for_web")
    )


def _installs() -> None:
    op.create_table(
        "installs",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("install_id", sa.String(length=100), nullable=False),
        sa.Column("customer_id", sa.String(length=300), nullable=True),
        sa.Column("person", sa.String(length=310), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("token_type", sa.SmallInteger(), nullable=True),
        sa.Column("token_key", sa.String(length=64), nullable=True),
        sa.Column("token_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("token_ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("token_end_reason", sa.String(length=300), nullable=False),
        sa.Column("is_production", sa.Boolean(), nullable=False),
        sa.Column("bundle_id", sa.String(length=255), nullable=False),
        sa.Column("package", sa.String(length=255), nullable=False),
        sa.Column("notifications_enabled", sa.Boolean(), nullable=True),
        sa.Column("in_app_consent", sa.Boolean(), nullable=True),
        sa.Column("badge", sa.Integer(), nullable=False),
        sa.Column("os", sa.String(length=100), nullable=False),
        sa.Column("device", sa.String(length=300), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("locale", sa.String(length=35), nullable=False),
        sa.Column("app_version", sa.String(length=100), nullable=False),
        sa.Column("sdk", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "app_id", "install_id", name=op.f("pk_installs")),
    )
    known = sa.text("person IS NOT NULL")
    op.create_index("ix_installs_person", "installs", ["tenant_id", "person"], postgresql_where=known)
    op.create_index("ix_installs_seen_at", "installs", ["tenant_id", "seen_at"])
    op.create_index(
        "uq_installs_token_key",
        "installs",
        ["tenant_id", "app_id", "token_key"],
        unique=True,
        postgresql_where=sa.text("token_key IS NOT NULL"),
    )


def _errors() -> None:
    op.create_table(
        "provider_errors",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("install_id", sa.String(length=100), nullable=False),
        sa.Column("customer_id", sa.String(length=300), nullable=True),
        sa.Column("person", sa.String(length=310), nullable=True),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_errors")),
    )
    op.create_index("ix_provider_errors_tenant_id_id", "provider_errors", ["tenant_id", "id"])
    known = sa.text("person IS NOT NULL")
    op.create_index("ix_provider_errors_person", "provider_errors", ["tenant_id", "person"], postgresql_where=known)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
