"""Journeys, their versions, the customers in them, and the steps that these took."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0082"
down_revision = "0081"
branch_labels = None
depends_on = None
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "journeys",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changes_until", sa.Date()),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    op.create_index(
        "uq_journeys_name",
        "journeys",
        ["tenant_id", sa.text("lower(name)")],
        unique=True,
        postgresql_where=sa.text("status <> 'archived'"),
    )
    op.create_table(
        "journey_versions",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("journey_id", sa.Integer(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("body", JSONB(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    _create_members()
    op.create_table(
        "journey_steps_taken",
        sa.Column("tenant_id", sa.Integer(), primary_key=True),
        sa.Column("member_id", sa.BigInteger(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("journey_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(40), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("result", sa.String(60), nullable=False),
    )
    op.create_index(
        "ix_journey_steps_taken_step", "journey_steps_taken", ["tenant_id", "journey_id", "version", "step"]
    )


def _create_members() -> None:
    op.create_table(
        "journey_members",
        sa.Column("id", sa.BigInteger(), primary_key=True),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("journey_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(310), nullable=False),
        sa.Column("customer_id", sa.String(300), nullable=False),
        sa.Column("entry_key", sa.String(80), nullable=False),
        sa.Column("parameters", JSONB(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("step", sa.String(40), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("entered_at", INSTANT, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("ending", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
    )
    is_active = sa.text("state = 'active'")
    inside, entry = ["tenant_id", "journey_id", "person"], ["tenant_id", "journey_id", "entry_key"]
    due = ["tenant_id", "journey_id", "due_at"]
    op.create_index("uq_journey_members_entry", "journey_members", entry, unique=True)
    op.create_index("uq_journey_members_inside", "journey_members", inside, unique=True, postgresql_where=is_active)
    op.create_index("ix_journey_members_due", "journey_members", due, postgresql_where=is_active)
    op.create_index("ix_journey_members_person", "journey_members", ["tenant_id", "person", "journey_id", "entered_at"])
    op.create_index("ix_journey_members_step", "journey_members", ["tenant_id", "journey_id", "version", "step"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
