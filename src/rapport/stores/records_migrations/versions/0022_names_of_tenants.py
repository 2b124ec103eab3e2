"""No two tenants have one name, ignoring case, and no name is a number, which commands would take for an id.

Of several with one name the first keeps it; each later one, and each number, gets its id behind it: Shop (3004).
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tenants DROP CONSTRAINT uq_tenants_name")
    op.execute("UPDATE tenants SET name = btrim(name)")
    op.execute("""
        UPDATE tenants AS t SET name = left(t.name, 180) || ' (' || t.id || ')'
        WHERE t.name ~ '^[[:digit:]]+$'
            OR EXISTS (SELECT FROM tenants AS o WHERE lower(o.name) = lower(t.name) AND o.id < t.id)
    """)
    op.execute("CREATE UNIQUE INDEX uq_tenants_name ON tenants (lower(name))")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
