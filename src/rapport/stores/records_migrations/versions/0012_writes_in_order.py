"""Accepted writes of customers have a number, in whose order they are carried out; callbacks are deliveries."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SEQUENCE attribute_jobs_seq")
    op.execute("ALTER TABLE attribute_jobs ADD COLUMN seq BIGINT")
    op.execute("""
        UPDATE attribute_jobs AS job SET seq = placed.place
        FROM (SELECT tenant_id, id, row_number() OVER (ORDER BY created_at, id) AS place FROM attribute_jobs) AS placed
        WHERE placed.tenant_id = job.tenant_id AND placed.id = job.id
    """)
    op.execute("SELECT setval('attribute_jobs_seq', (SELECT coalesce(max(seq), 0) + 1 FROM attribute_jobs), false)")
    op.execute("ALTER TABLE attribute_jobs ALTER COLUMN seq SET DEFAULT nextval('attribute_jobs_seq')")
    op.execute("ALTER TABLE attribute_jobs ALTER COLUMN seq SET NOT NULL")
    op.execute("ALTER SEQUENCE attribute_jobs_seq OWNED BY attribute_jobs.seq")
    op.execute("CREATE INDEX ix_attribute_jobs_waiting ON attribute_jobs (tenant_id, seq) WHERE finished_at IS NULL")
    op.execute("""
        CREATE INDEX ix_attribute_jobs_untold ON attribute_jobs (seq)
        WHERE callback_state = 'waiting' AND finished_at IS NOT NULL
    """)
    # What accepted events say of their customers was read when they were filed.
    op.execute("""
        INSERT INTO attribute_jobs (tenant_id, id, kind, payload, callback_state, created_at)
        SELECT tenant_id, CAST(gen_random_uuid() AS text), 'details', jsonb_build_object('items', jsonb_agg(
            jsonb_build_object('event', event, 'origin', origin, 'customer', customer_id, 'visitor', visitor_id,
                'parameters', parameters) ORDER BY seq
        )), 'none', max(received_at)
        FROM accepted_events WHERE event IN ('set_email_event', 'ootb_user_details_update') GROUP BY tenant_id
    """)
    op.execute("ALTER TABLE deliveries ADD COLUMN url VARCHAR(2000)")
    op.execute("CREATE UNIQUE INDEX uq_listeners_callback ON listeners (tenant_id, url) WHERE event_type_id = 0")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
