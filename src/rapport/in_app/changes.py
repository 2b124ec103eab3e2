"""The instants of changes, by which apps ask for what has changed since they asked last.

An app keeps the newest instant that it was answered, to the second, and asks for what changed after it. So that it
never misses a change, each change of a user's messages gets a whole second of its own, after all earlier ones of the
user: if several come in one second, the clock of this user runs ahead. Whoever changes messages of a user holds the
user's row until its transaction ends, so changes become visible in the order of their instants.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope

SECOND = timedelta(seconds=1)
# In order of the keys, so that two callers never wait for each other for ever.
MOVE = text("""
    INSERT INTO in_app_users AS known (tenant_id, customer_key, changed_at)
    SELECT :tenant_id, changing.customer_key, CAST(:now AS timestamptz) + (changing.changes - 1) * interval '1 second'
    FROM json_to_recordset(CAST(:changing AS json)) AS changing (customer_key text, changes int)
    ORDER BY changing.customer_key COLLATE "C"
    ON CONFLICT (tenant_id, customer_key) DO UPDATE
        SET changed_at = greatest(known.changed_at + interval '1 second', CAST(:now AS timestamptz))
            + (excluded.changed_at - CAST(:now AS timestamptz))
    RETURNING customer_key, changed_at
""")


def instants(scope: Scope, session: Session, changes: Mapping[str, int]) -> dict[str, list[datetime]]:
    """The instants of so many changes of each user's messages, in order; until the transaction ends, others wait."""
    rows = [{"customer_key": key, "changes": count} for key, count in changes.items()]
    parameters = {
        "tenant_id": scope.tenant_id,
        "now": scope.clock.now().replace(microsecond=0),
        "changing": orjson.dumps(rows).decode(),
    }
    last = {row.customer_key: row.changed_at for row in session.execute(MOVE, parameters)}
    return {key: [last[key] - SECOND * before for before in range(count - 1, -1, -1)] for key, count in changes.items()}
