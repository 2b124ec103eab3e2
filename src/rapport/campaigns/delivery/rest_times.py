"""When those get the winner of an A/B test whose channel gives customers times of their own: at the first of their
times that comes after the choice.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.ab_tests import UNDECIDED
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.delivery.own_times import instant_at
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.runs import queries
from rapport.campaigns.runs.time_zones import own_zone
from rapport.campaigns.settings import Hours
from rapport.stores.clock import instant_of, wall_time

DAY = timedelta(days=1)
PLANNED = f"""
    SELECT DISTINCT toString(time_zone), toString(due_at), toUInt32(due_at) {queries.UNIT}
    AND template_id = {UNDECIDED}
"""
FIRST = f"SELECT toString(min(scheduled_time)) {queries.UNIT}"
# Of a row of the rest, the place of its instant among the planned ones.
KEY = "concat(toString(time_zone), ' ', toString(toUInt32(due_at)))"
MOVED = f"toDateTime(transform({KEY}, {{{{keys:Array(String)}}}}, {{{{{{times}}:Array(UInt32)}}}}, toUInt32(0)), 'UTC')"
MOVE = f"due_at = {MOVED.format(times='due_times')}, scheduled_time = {MOVED.format(times='wall_times')}"


def times_after(scope: Scope, unit: Unit, decided_at: datetime) -> dict[str, Any]:
    """What MOVE binds: the instants of a rest that has no winner yet, and those after the choice that they become; no
    keys once it has.
    """
    hours, keys, dues = quiet_hours.hours_of(scope, unit.campaign, unit.channel_id), [], []
    for name, due_at, seconds in scope.warehouse.rows(PLANNED, **unit.bindings):
        keys.append(f"{name} {seconds}")
        dues.append(following(own_zone(scope, str(name)), hours, instant_at(due_at), decided_at))
    walls = [wall_time(at, scope.time_zone).replace(tzinfo=UTC) for at in dues]
    return {
        "keys": keys,
        "due_times": [int(at.timestamp()) for at in dues],
        "wall_times": [int(at.timestamp()) for at in walls],
    }


def following(zone: tzinfo, hours: Hours | None, planned: datetime, earliest: datetime) -> datetime:
    """The first instant from earliest on at which clocks in a zone show the time of day of a planned one; if that is in
    quiet hours, their end.
    """
    clock_time = planned.astimezone(zone).time()
    day = earliest.astimezone(zone).date()
    while (at := instant_of(datetime.combine(day, clock_time), zone)) < earliest:
        day += DAY
    return quiet_hours.quiet_until_in(zone, hours, at) or at


def first_time(scope: Scope, unit: Unit) -> datetime:
    """When the first customer of a unit that has recipients gets the message (tenant wall clock)."""
    return datetime.fromisoformat(str(scope.warehouse.value(FIRST, **unit.bindings)))
