"""Addresses that may hold a password or a token take sealed values; callbacks go by their host, without a login."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

SEALED = (("listeners", "url"), ("deliveries", "url"), ("gateways", "url"), ("attribute_jobs", "callback_url"))


def upgrade() -> None:
    for table, column in SEALED:
        op.alter_column(table, column, type_=sa.String())
    op.drop_index("uq_listeners_callback", "listeners")
    op.add_column("listeners", sa.Column("callback_host", sa.String(2000)))
    op.execute("UPDATE listeners SET url = regexp_replace(url, '//[^/]*@', '//') WHERE event_type_id = 0")
    # Of hosts that differed in the login only the first goes on; what waits for the others is still posted.
    op.execute("""
        UPDATE listeners SET callback_host = url
        WHERE event_type_id = 0 AND (tenant_id, id) IN (
            SELECT tenant_id, min(id) FROM listeners WHERE event_type_id = 0 GROUP BY tenant_id, url
        )
    """)
    op.create_index("uq_listeners_callback_host", "listeners", ["tenant_id", "callback_host"], unique=True)
    op.execute("UPDATE attribute_jobs SET callback_url = NULL WHERE callback_state = 'taken'")
    # The audit log told a gateway's address as it was given.
    op.execute(r"""
        UPDATE audit_log SET details = details || jsonb_build_object('url', regexp_replace(
            regexp_replace(details ->> 'url', '//[^/?#]*@', '//***@'), '\?.*', '?***'
        ))
        WHERE object = 'gateway' AND action = 'set' AND details ->> 'url' ~ '[@?]'
    """)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
