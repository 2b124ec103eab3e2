"""Actions, series and triggered campaigns, and templates of Rapport's own channels have names of their own.

Of several with one name the first keeps it; each later one gets a number behind it: Welcome, Welcome 2, Welcome 3.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

LONGEST = 200
# Table, what parts its names besides the tenant, and which of its rows have names of their own.
NAMED = (
    ("actions", "0", "NOT archived"),
    ("campaign_series", "(trigger IS NULL)::int", "status <> 'archived' AND customer_list_id IS NULL"),
    (
        "templates",
        "channel_id",
        "EXISTS (SELECT FROM channels AS c WHERE c.tenant_id = templates.tenant_id AND c.id = channel_id "
        "AND c.kind <> 'external')",
    ),
)


def upgrade() -> None:
    for table, part, chosen in NAMED:
        _rename_doubles(table, part, chosen)
    op.execute("CREATE UNIQUE INDEX uq_actions_name ON actions (tenant_id, lower(btrim(name))) WHERE NOT archived")
    op.execute("""
        CREATE UNIQUE INDEX uq_campaign_series_name
        ON campaign_series (tenant_id, (trigger IS NULL), lower(btrim(name)))
        WHERE status <> 'archived' AND customer_list_id IS NULL
    """)


def _rename_doubles(table: str, part: str, chosen: str) -> None:
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(f"""
            SELECT tenant_id, {part} AS part, id, btrim(name) AS name, lower(btrim(name)) AS key FROM {table}
            WHERE {chosen} ORDER BY tenant_id, part, id
        """)  # noqa: S608 - names of ours
    ).all()
    used = {(row.tenant_id, row.part, row.key) for row in rows}
    first: set[tuple[int, int, str]] = set()
    for row in rows:
        if (row.tenant_id, row.part, row.key) not in first:
            first.add((row.tenant_id, row.part, row.key))
            continue
        number = 2
        while (row.tenant_id, row.part, _numbered(row.key, number)) in used:
            number += 1
        used.add((row.tenant_id, row.part, _numbered(row.key, number)))
        connection.execute(
            sa.text(f"UPDATE {table} SET name = :name WHERE tenant_id = :tenant_id AND id = :id AND {part} = :part"),  # noqa: S608 - names of ours
            {"name": _numbered(row.name, number), "tenant_id": row.tenant_id, "id": row.id, "part": row.part},
        )


def _numbered(name: str, number: int) -> str:
    behind = f" {number}"
    return name[: LONGEST - len(behind)].rstrip() + behind


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was taken before the upgrade")
