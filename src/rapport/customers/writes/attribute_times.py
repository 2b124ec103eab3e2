"""When events and the API last told attributes of customers: what comes late replaces nothing newer.

Files name no time of their values, so they are not among these. Customers are named by their pseudonyms.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import orjson
from sqlalchemy import text

from rapport.access.pseudonyms import pseudonym, pseudonyms
from rapport.access.scope import Scope

# What was told longer ago is forgotten; an event that comes later than that fills what is empty only.
KEPT = timedelta(days=30)
AT_ONCE = 10_000
LAST_TIMES = text(
    "SELECT mark, times FROM attribute_times WHERE tenant_id = :tenant_id AND mark = ANY(CAST(:marks AS text[]))"
)
NOTE = text("""
    INSERT INTO attribute_times AS stored (tenant_id, mark, times, updated_at)
    SELECT :tenant_id, mark, times, :now
    FROM json_to_recordset(CAST(:rows AS json)) AS noted(mark text, times jsonb) ORDER BY mark
    ON CONFLICT (tenant_id, mark) DO UPDATE
    SET times = stored.times || excluded.times, updated_at = excluded.updated_at
""")
FORGET = text("DELETE FROM attribute_times WHERE tenant_id = :tenant_id AND mark = :mark")
DROP_OLD = text("""
    DELETE FROM attribute_times WHERE (tenant_id, mark) IN (
        SELECT tenant_id, mark FROM attribute_times WHERE tenant_id = :tenant_id AND updated_at < :before LIMIT :most
    )
""")

Times = dict[str, datetime]


def times_of(scope: Scope, customer_ids: Iterable[str]) -> dict[str, Times]:
    """When attributes of customers were last told, by customer and name of the attribute."""
    ids = list(customer_ids)
    marks = dict(zip(pseudonyms(scope, ids), ids, strict=True))
    if not marks:
        return {}
    with scope.stores.records.reading() as connection:
        rows = connection.execute(LAST_TIMES, {"tenant_id": scope.tenant_id, "marks": list(marks)}).all()
    return {marks[mark]: {name: datetime.fromisoformat(at) for name, at in times.items()} for mark, times in rows}


def note(scope: Scope, times_by_customer: Mapping[str, Times]) -> None:
    """Note when attributes of customers were told, in the place of what is noted of the same attributes."""
    marks = zip(pseudonyms(scope, times_by_customer), times_by_customer.values(), strict=True)
    rows = [{"mark": mark, "times": times} for mark, times in marks if times]
    if rows:
        parameters = {"tenant_id": scope.tenant_id, "now": scope.clock.now(), "rows": orjson.dumps(rows).decode()}
        with scope.records() as session:
            session.execute(NOTE, parameters)


def forget(scope: Scope, customer_id: str) -> None:
    """Take a person out."""
    with scope.records() as session:
        session.execute(FORGET, {"tenant_id": scope.tenant_id, "mark": pseudonym(scope, customer_id)})


def drop_old(scope: Scope) -> None:
    """Forget what was told long ago, a portion of it."""
    parameters = {"tenant_id": scope.tenant_id, "before": scope.clock.now() - KEPT, "most": AT_ONCE}
    with scope.records() as session:
        session.execute(DROP_OLD, parameters)
