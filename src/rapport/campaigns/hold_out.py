"""The global hold-out: customers whom no series and no trigger may write to, to measure what all of them bring.

Who is in it follows from a hash of its salt and the customer alone: a customer stays where it is, and a new one is
drawn when it arrives. A larger share takes customers in and lets none out, another salt draws everybody anew.
"""

from datetime import date
from typing import Any

from sqlalchemy import func, select

from rapport.access.scope import Scope
from rapport.campaigns.models import LIVE_STATES, Occurrence
from rapport.campaigns.settings import HoldOut, settings_of
from rapport.campaigns.splits import PARTS, hashed_part, hashed_part_sql
from rapport.errors import Conflict

REASON = "kept back: global hold-out"


def hold_out_on(scope: Scope, day: date) -> HoldOut | None:
    """The tenant's hold-out if it holds for what leaves on a day of the tenant."""
    found = settings_of(scope).hold_out
    return found if found and day >= found.start_date else None


def is_held_out(hold_out: HoldOut | None, customer_id: str) -> bool:
    """Whether a hold-out has a customer, whose id is taken in any case."""
    if hold_out is None:
        return False
    return hashed_part(f"hold-out/{hold_out.salt}/{customer_id.lower()}") < _cut(hold_out)


def held_out_sql(customer_id: str) -> str:
    """The same as SQL over a column, with what bound gives."""
    text = f"concat('hold-out/', {{hold_out_salt:String}}, '/', lowerUTF8({customer_id}))"
    return f"{hashed_part_sql(text)} < {{hold_out_cut:UInt32}}"


def bound(hold_out: HoldOut) -> dict[str, Any]:
    """What the SQL binds."""
    return {"hold_out_salt": hold_out.salt, "hold_out_cut": _cut(hold_out)}


def _cut(hold_out: HoldOut) -> int:
    return round(hold_out.share * PARTS)


def check_change(scope: Scope, wanted: HoldOut | None) -> None:
    """A hold-out begins, or is another, on a day of which no message can have left and no run is processed.

    Raises Conflict.
    """
    if wanted is None or wanted == settings_of(scope).hold_out:
        return
    last = scope.today()
    processed = select(func.max(Occurrence.send_date)).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.state.in_(LIVE_STATES),
        Occurrence.is_triggered.is_(False),
    )
    with scope.records() as session:
        last = max(last, session.scalar(processed) or last)
    if wanted.start_date <= last:
        raise Conflict(
            f"settings.campaigns.hold_out needs a start_date after {last}: what is sent up to that day is decided."
        )
