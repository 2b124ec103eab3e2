"""Columns of secrets take sealed values, which are longer; a token of events is found by its hash."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

SEALED = (
    ("tenant_secrets", "value"),
    ("event_tokens", "value"),
    ("gateways", "secret"),
    ("gateways", "previous_secret"),
    ("listeners", "secret"),
    ("listeners", "previous_secret"),
    ("engagements", "key"),
)


def upgrade() -> None:
    for table, column in SEALED:
        op.alter_column(table, column, type_=sa.String(300))
    op.add_column("event_tokens", sa.Column("hash", sa.String(64)))
    op.execute("UPDATE event_tokens SET hash = encode(sha256(convert_to(value, 'UTF8')), 'hex')")
    op.drop_constraint("pk_event_tokens", "event_tokens")
    op.create_primary_key("pk_event_tokens", "event_tokens", ["hash"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
