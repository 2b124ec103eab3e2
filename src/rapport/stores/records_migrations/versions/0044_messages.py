"""The messages of runs and of firings are in one table; a lease has no token any more."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

# What may be in flight stays claimed: it leaves again under the id that it was entered with.
OF_RUNS = """
    INSERT INTO messages (tenant_id, source, source_id, channel_id, customer_id, recipient_group_id, template_id,
        action_id, promo_code, batch, message_id, state, reason, attempts, claims)
    SELECT sent.tenant_id, 'run', sent.campaign_id, sent.channel_id, sent.customer_id, sent.recipient_group_id,
        coalesce(place.template_id, 0), coalesce(place.action_id, 0), coalesce(place.promo_code, ''), sent.batch,
        sent.message_id, CASE sent.state WHEN 'retry' THEN 'pending' ELSE sent.state END, sent.reason, sent.attempts,
        sent.attempts + CASE sent.state WHEN 'claimed' THEN 1 ELSE 0 END
    FROM campaign_sends AS sent
    LEFT JOIN LATERAL (
        SELECT template_id, action_id, promo_code FROM campaign_channels AS place
        WHERE place.tenant_id = sent.tenant_id AND place.campaign_id = sent.campaign_id
            AND place.recipient_group_id = sent.recipient_group_id AND place.channel_id = sent.channel_id
        ORDER BY template_id LIMIT 1
    ) AS place ON true
"""
# Attempts of a firing's message counted the one under way. In their order, since the oldest leave first.
OF_FIRINGS = """
    INSERT INTO messages (tenant_id, source, source_id, channel_id, customer_id, recipient_group_id, template_id,
        action_id, promo_code, message_id, state, reason, attempts, claims, due_at)
    SELECT sent.tenant_id, 'firing', sent.firing_id, sent.channel_id,
        CASE WHEN firing.is_visitor THEN '' ELSE coalesce(firing.customer_id, '') END,
        coalesce(firing.recipient_group_id, 0), sent.template_id, sent.action_id, sent.promo_code, sent.message_id,
        sent.state, sent.reason, greatest(sent.attempts - CASE sent.state WHEN 'claimed' THEN 1 ELSE 0 END, 0),
        sent.attempts, sent.due_at
    FROM firing_messages AS sent
    LEFT JOIN trigger_firings AS firing ON firing.tenant_id = sent.tenant_id AND firing.id = sent.firing_id
    ORDER BY sent.firing_id, sent.channel_id
"""


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("source_id", sa.BigInteger, nullable=False),
        sa.Column("channel_id", sa.Integer, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("recipient_group_id", sa.Integer, nullable=False),
        sa.Column("template_id", sa.Integer, nullable=False),
        sa.Column("action_id", sa.Integer, nullable=False),
        sa.Column("promo_code", sa.Text, nullable=False),
        sa.Column("batch", sa.Integer, nullable=True),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claims", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.execute(OF_RUNS)
    op.execute(OF_FIRINGS)
    op.drop_table("campaign_sends")
    op.drop_table("firing_messages")
    recipient = ["tenant_id", "source", "source_id", "channel_id", "customer_id"]
    op.create_index("uq_messages_recipient", "messages", recipient, unique=True)
    due = sa.text("batch IS NULL AND state IN ('pending', 'claimed')")
    op.create_index("ix_messages_due", "messages", ["tenant_id", "channel_id", "id"], postgresql_where=due)
    in_batches = ["tenant_id", "source_id", "channel_id", "batch"]
    op.create_index("ix_messages_batch", "messages", in_batches, postgresql_where=sa.text("batch IS NOT NULL"))
    retries = sa.text("batch IS NOT NULL AND state = 'pending'")
    place = ["tenant_id", "source_id", "channel_id", "customer_id"]
    op.create_index("ix_messages_retries", "messages", place, postgresql_where=retries)
    op.drop_column("campaign_leases", "token")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
