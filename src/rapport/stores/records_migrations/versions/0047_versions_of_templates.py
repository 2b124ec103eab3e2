"""Templates keep their former contents, say as whom they are sent, and lie in folders."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

# What has no content was registered by its vendor.
FIRST_VERSIONS = """
    INSERT INTO template_versions (tenant_id, channel_id, template_id, version, name, subject, html, text, mjml,
        from_name, saved_at)
    SELECT tenant_id, channel_id, id, 1, name, subject, html, text, '', '', updated_at FROM templates
    WHERE subject <> '' OR html <> '' OR text <> ''
"""
NUMBERED = "UPDATE templates SET version = 1 WHERE subject <> '' OR html <> '' OR text <> ''"


def upgrade() -> None:
    op.add_column("templates", sa.Column("mjml", sa.Text, nullable=False, server_default=""))
    op.add_column("templates", sa.Column("from_name", sa.String(200), nullable=False, server_default=""))
    op.add_column("templates", sa.Column("from_address_id", sa.Integer, nullable=True))
    op.add_column("templates", sa.Column("reply_to_address_id", sa.Integer, nullable=True))
    op.add_column("templates", sa.Column("folder_id", sa.Integer, nullable=False, server_default="1"))
    op.add_column("templates", sa.Column("version", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "template_versions",
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("channel_id", sa.Integer, nullable=False),
        sa.Column("template_id", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(1000), nullable=False),
        sa.Column("html", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("mjml", sa.Text, nullable=False),
        sa.Column("from_name", sa.String(200), nullable=False),
        sa.Column("from_address_id", sa.Integer, nullable=True),
        sa.Column("reply_to_address_id", sa.Integer, nullable=True),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "channel_id", "template_id", "version", name=op.f("pk_template_versions")),
    )
    op.execute(FIRST_VERSIONS)
    op.execute(NUMBERED)
    op.create_table(
        "template_folders",
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("brand_id", sa.Integer, nullable=False),
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "brand_id", "id", name=op.f("pk_template_folders")),
    )
    op.create_index(
        "uq_template_folders_name",
        "template_folders",
        ["tenant_id", "brand_id", sa.text("lower(name)")],
        unique=True,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
