"""The customers who meet a condition, page by page."""

from datetime import date

from rapport.access.scope import Scope
from rapport.conditions import Condition, Schema, to_expressions

# Where a customer stands among all. A page goes on behind a place, which tells nothing of the customer.
PLACE = "toInt64(bitShiftRight(sipHash64(customer_id), 1))"
START = -1
MEETING = f"""
    SELECT {PLACE} AS place, customer_id FROM profiles
    WHERE data_date = {{{{data_date:Date}}}} AND {{meets}} AND place > {{{{after:Int64}}}}
    ORDER BY place LIMIT {{{{at_once:UInt32}}}}
"""  # noqa: S608 - ours


def customers_meeting(
    scope: Scope, condition: Condition, schema: Schema, data_date: date, after: int, at_once: int
) -> list[tuple[int, str]]:
    """Customers with a profile of data_date who meet a condition on attributes, as place and id, behind a place.

    The days that the condition names count from the schema's today, whatever the data date. Raises Invalid for what
    does not fit the schema.
    """
    (meets,), parameters = to_expressions([condition], schema)
    rows = scope.warehouse.rows(
        MEETING.format(meets=meets), data_date=data_date, after=after, at_once=at_once, **parameters
    )
    return [(int(place), str(customer_id)) for place, customer_id in rows]
