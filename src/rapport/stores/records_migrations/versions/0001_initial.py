"""The first tables."""

from alembic import op

from rapport.stores.models import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
