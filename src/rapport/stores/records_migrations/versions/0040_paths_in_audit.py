"""The audit log told the path of a gateway's address as it was given, which may hold a token."""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(r"""
        UPDATE audit_log SET details = details || jsonb_build_object(
            'url', regexp_replace(details ->> 'url', '^([a-z]+://[^/?#]*)/[^?#]+', '\1/***')
        )
        WHERE object = 'gateway' AND action = 'set' AND details ->> 'url' ~ '^[a-z]+://[^/?#]*/[^?#]'
    """)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
