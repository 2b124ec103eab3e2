"""Whose a visitor was, and since when; customers are named there as ids are compared everywhere."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OTHERS = r"SELECT DISTINCT customer_id FROM visitors WHERE customer_id ~ '[^\x01-\x7F]'"


def upgrade() -> None:
    op.create_table(
        "visitor_owners",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("visitor_id", sa.String(length=300), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("customer_id", sa.String(length=300), nullable=False),
        sa.Column("person", sa.String(length=310), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "visitor_id", "since", name=op.f("pk_visitor_owners")),
    )
    op.create_index("ix_visitor_owners_person", "visitor_owners", ["tenant_id", "person"])
    op.add_column("visitors", sa.Column("person", sa.String(length=310), server_default="", nullable=False))
    op.drop_index("ix_visitors_tenant_id_customer_id", "visitors")
    op.execute("UPDATE visitors SET person = lower(customer_id) WHERE customer_id <> ''")
    connection = op.get_bind()
    change = sa.text("UPDATE visitors SET person = :person WHERE customer_id = :customer_id")
    for customer_id in connection.execute(sa.text(OTHERS)).scalars().all():
        connection.execute(change, {"customer_id": customer_id, "person": customer_id.lower()})
    op.execute("""
        INSERT INTO visitor_owners (tenant_id, visitor_id, since, customer_id, person)
        SELECT tenant_id, visitor_id, identified_at, customer_id, person FROM visitors WHERE customer_id <> ''
    """)
    op.alter_column("visitors", "person", server_default=None)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
