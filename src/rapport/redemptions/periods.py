"""The periods of budgets: calendar days of the tenant, so that a change of clocks makes a day longer or shorter."""

from datetime import date, timedelta

from rapport.redemptions.states import Period

# When lifetimes begin.
FIRST_DAY = date(1, 1, 1)


def starts_on(period: Period, day: date) -> date:
    """The first day of the period that a day is in."""
    if period is Period.LIFETIME:
        return FIRST_DAY
    if period is Period.MONTHLY:
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period is Period.WEEKLY else day
