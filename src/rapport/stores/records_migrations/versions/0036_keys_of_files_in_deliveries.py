"""Deliveries of event 14 hold no key of files any more: it is put in when they are posted."""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        UPDATE deliveries SET body = regexp_replace(body, '"DecryptionKey":"[^"]*"', '"DecryptionKey":""')
        WHERE event_type_id = 14
    """)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
