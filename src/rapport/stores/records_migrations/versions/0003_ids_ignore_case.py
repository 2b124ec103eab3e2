"""Ids of apps and promo codes are compared ignoring case; of those that differed only in case the newest stays."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Table, the column that is keyed by, its key and how long that may be, and the rest of the primary key.
KEYED = (
    ("channel_apps", "app_id", "app_key", 400, ("tenant_id", "channel_id"), ()),
    ("channel_preferences", "app_id", "app_key", 400, ("tenant_id", "channel_id"), ("customer_key",)),
    ("promotions", "promo_code", "promo_key", 200, ("tenant_id",), ()),
)


def upgrade() -> None:
    for table, given, key, longest, first, last in KEYED:
        columns = ", ".join((*first, key, *last))
        op.execute(f"ALTER TABLE {table} ADD COLUMN {key} VARCHAR({longest})")
        op.execute(f"UPDATE {table} SET {key} = lower({given})")  # noqa: S608 - names of ours
        op.execute(f"""
            DELETE FROM {table} WHERE ctid NOT IN (
                SELECT DISTINCT ON ({columns}) ctid FROM {table} ORDER BY {columns}, updated_at DESC
            )
        """)  # noqa: S608 - names of ours
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {key} SET NOT NULL")
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({columns})")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
