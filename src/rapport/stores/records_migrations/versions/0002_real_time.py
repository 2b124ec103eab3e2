"""Outside systems and real time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accepted_events",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("event", sa.String(length=255), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("customer_id", sa.String(length=300), nullable=False),
        sa.Column("visitor_id", sa.String(length=300), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_accepted_events")),
    )
    op.create_index(
        "ix_accepted_events_handled",
        "accepted_events",
        ["tenant_id", "seq"],
        unique=False,
        postgresql_where=sa.text("state > 0"),
    )
    op.create_index(
        "ix_accepted_events_waiting",
        "accepted_events",
        ["tenant_id", "seq"],
        unique=False,
        postgresql_where=sa.text("state = 0"),
    )
    op.create_table(
        "campaign_metrics",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "campaign_id", "channel_id", "template_id", "metric_id", name=op.f("pk_campaign_metrics")
        ),
    )
    op.create_table(
        "channel_apps",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "channel_id", "app_id", name=op.f("pk_channel_apps")),
    )
    op.create_table(
        "channel_preferences",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.String(length=200), nullable=False),
        sa.Column("customer_key", sa.String(length=300), nullable=False),
        sa.Column("customer_id", sa.String(length=300), nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "channel_id", "app_id", "customer_key", name=op.f("pk_channel_preferences")
        ),
    )
    op.create_table(
        "channel_webhooks",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("rows_per_file", sa.Integer(), nullable=False),
        sa.Column("attributes", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "channel_id", name=op.f("pk_channel_webhooks")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_channel_webhooks_tenant_id_name")),
    )
    op.create_table(
        "engagements",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("recipient_group_id", sa.Integer(), nullable=False),
        sa.Column("folder", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("files", sa.Integer(), server_default="0", nullable=False),
        sa.Column("customers", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_engagements")),
        sa.UniqueConstraint("tenant_id", "campaign_id", "channel_id", "recipient_group_id", name="uq_engagements_unit"),
    )
    op.create_table(
        "event_counts",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", "status", name=op.f("pk_event_counts")),
    )
    op.create_table(
        "event_keys",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("received_date", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_event_keys")),
    )
    op.create_table(
        "event_log",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("event", sa.String(length=255), nullable=False),
        sa.Column("person", sa.String(length=300), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_log")),
    )
    op.create_index("ix_event_log_person", "event_log", ["tenant_id", "person"], unique=False)
    op.create_index("ix_event_log_tenant_id_id", "event_log", ["tenant_id", "id"], unique=False)
    op.create_table(
        "event_recordings",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_event_recordings")),
    )
    op.create_table(
        "event_tokens",
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("value", name=op.f("pk_event_tokens")),
    )
    op.create_index(op.f("ix_event_tokens_tenant_id"), "event_tokens", ["tenant_id"], unique=False)
    op.create_table(
        "firing_messages",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("firing_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("action_id", sa.Integer(), nullable=False),
        sa.Column("promo_code", sa.String(length=1000), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("firing_id", "channel_id", name=op.f("pk_firing_messages")),
    )
    op.create_index(
        "ix_firing_messages_open",
        "firing_messages",
        ["tenant_id", "channel_id", "firing_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'claimed')"),
    )
    op.create_table(
        "gateways",
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("secret", sa.String(length=100), nullable=False),
        sa.Column("previous_secret", sa.String(length=100), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("timeout_seconds", sa.Float(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("fallback", sa.String(length=10), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_gateways")),
    )
    op.create_table(
        "promotions",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("promo_code", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "promo_code", name=op.f("pk_promotions")),
    )
    op.create_table(
        "trigger_firings",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("event_key", sa.String(length=80), nullable=False),
        sa.Column("person", sa.String(length=310), nullable=False),
        sa.Column("customer_id", sa.String(length=300), nullable=False),
        sa.Column("is_visitor", sa.Boolean(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("recipient_group_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("verdict", postgresql.JSONB(), nullable=True),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trigger_firings")),
    )
    op.create_index(
        "ix_trigger_firings_asking",
        "trigger_firings",
        ["tenant_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'asking'"),
    )
    op.create_index("ix_trigger_firings_campaign_id", "trigger_firings", ["tenant_id", "campaign_id"], unique=False)
    op.create_index(
        "ix_trigger_firings_delayed",
        "trigger_firings",
        ["tenant_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'delayed'"),
    )
    op.create_index(
        "ix_trigger_firings_open",
        "trigger_firings",
        ["tenant_id", "state", "id"],
        unique=False,
        postgresql_where=sa.text("state <> 'filed'"),
    )
    op.create_index(
        "ix_trigger_firings_person", "trigger_firings", ["tenant_id", "person", "series_id", "fired_at"], unique=False
    )
    op.create_index("uq_trigger_firings_event", "trigger_firings", ["tenant_id", "series_id", "event_key"], unique=True)
    op.create_table(
        "trigger_states",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(length=310), nullable=False),
        sa.Column("times", postgresql.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened", postgresql.JSONB(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "series_id", "person", name=op.f("pk_trigger_states")),
    )
    op.create_index(
        "ix_trigger_states_deadline",
        "trigger_states",
        ["tenant_id", "deadline"],
        unique=False,
        postgresql_where=sa.text("deadline IS NOT NULL"),
    )
    op.create_index(
        "ix_trigger_states_tenant_id_updated_at", "trigger_states", ["tenant_id", "updated_at"], unique=False
    )
    op.create_table(
        "visitors",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("visitor_id", sa.String(length=300), nullable=False),
        sa.Column("customer_id", sa.String(length=300), nullable=False),
        sa.Column("same_as", sa.String(length=300), nullable=False),
        sa.Column("identified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("joined", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "visitor_id", name=op.f("pk_visitors")),
    )
    op.create_index(
        "ix_visitors_same_as",
        "visitors",
        ["tenant_id", "same_as"],
        unique=False,
        postgresql_where=sa.text("same_as <> ''"),
    )
    op.create_index(
        "ix_visitors_tenant_id_customer_id",
        "visitors",
        ["tenant_id", sa.literal_column("lower(customer_id)")],
        unique=False,
    )
    op.create_index(
        "ix_visitors_unjoined",
        "visitors",
        ["tenant_id"],
        unique=False,
        postgresql_where=sa.text("NOT joined AND customer_id <> ''"),
    )
    op.add_column("campaign_series", sa.Column("trigger", postgresql.JSONB(none_as_null=True), nullable=True))
    op.add_column("campaigns", sa.Column("is_triggered", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("campaigns", sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("event_types", sa.Column("description", sa.String(length=1000), server_default="", nullable=False))
    op.add_column("event_types", sa.Column("types", postgresql.JSONB(), server_default="{}", nullable=False))
    op.add_column("event_types", sa.Column("declared", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("templates", sa.Column("app_id", sa.String(length=200), server_default="", nullable=False))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
