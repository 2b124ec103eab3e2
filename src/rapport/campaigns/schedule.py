"""The days on which a series runs. Days are the tenant's, so no clock change can skip or repeat one."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from croniter import croniter

from rapport.campaigns.schemas import Schedule
from rapport.errors import Invalid

DAY = timedelta(days=1)
# Longest time between two runs that preview looks across: leap days in a cron expression.
HORIZON = timedelta(days=366 * 8)


# Members that only some kinds of schedules go by. cron has a check of its own in the shape.
OF_KINDS = {"weekdays": ("weekly",), "days": ("monthly",), "every": ("daily", "weekly", "monthly")}


def check_schedule(schedule: Schedule) -> None:
    """Refuse a member that the kind does not go by: daily on weekdays 1 to 5 would run at weekends. Raises Invalid."""
    for name, kinds in OF_KINDS.items():
        if schedule.kind not in kinds and getattr(schedule, name) != Schedule.model_fields[name].default:
            applies_to = f"kinds {', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else f"kind {kinds[0]}"
            raise Invalid(f"schedule.{name} applies only to the {applies_to}, not to {schedule.kind}.")


def runs_on(schedule: Schedule, day: date) -> bool:
    """Whether a series with this schedule runs on a tenant day."""
    if day < schedule.start_date or (schedule.end_date and day > schedule.end_date):
        return False
    return {
        "once": _once,
        "daily": _daily,
        "weekly": _weekly,
        "monthly": _monthly,
        "cron": _cron,
    }[schedule.kind](schedule, day)


def _once(schedule: Schedule, day: date) -> bool:
    return day == schedule.start_date


def _daily(schedule: Schedule, day: date) -> bool:
    return (day - schedule.start_date).days % schedule.every == 0


def _weekly(schedule: Schedule, day: date) -> bool:
    weekdays = schedule.weekdays or [schedule.start_date.isoweekday()]
    monday = schedule.start_date - timedelta(days=schedule.start_date.weekday())
    return day.isoweekday() in weekdays and (day - monday).days // 7 % schedule.every == 0


def _monthly(schedule: Schedule, day: date) -> bool:
    start = schedule.start_date
    months = (day.year - start.year) * 12 + day.month - start.month
    last = monthrange(day.year, day.month)[1]
    return months % schedule.every == 0 and day.day in {min(n, last) for n in schedule.days or [start.day]}


def _cron(schedule: Schedule, day: date) -> bool:
    begin = datetime.combine(day, time()) - timedelta(seconds=1)
    next_run: datetime = croniter(schedule.cron, begin).get_next(datetime)
    return next_run.date() == day


def upcoming(schedule: Schedule, first: date) -> Iterator[date]:
    """The days of a schedule from a day on, in order; ends with the schedule or after eight years without one."""
    day = max(first, schedule.start_date)
    last = schedule.end_date
    quiet_until = day + HORIZON
    while day <= quiet_until and (last is None or day <= last):
        if runs_on(schedule, day):
            yield day
            quiet_until = day + HORIZON
        day += DAY


def send_time(schedule: Schedule, channel_time: str | None, default: str) -> time:
    """The wall-clock time of a send: the channel's own, else the cron expression's, else the tenant's default."""
    if channel_time is None and schedule.kind == "cron":
        minute, hour = schedule.cron.split()[:2]
        return time(int(hour), int(minute))
    return time.fromisoformat(channel_time or default)
