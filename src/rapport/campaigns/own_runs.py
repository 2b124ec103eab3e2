"""How a run counts against later runs of its own series, and what a marketer is warned of beforehand."""

from functools import lru_cache
from itertools import islice, pairwise

from rapport.campaigns.plans import PlannedRules
from rapport.campaigns.schedule import upcoming
from rapport.campaigns.schemas import Schedule

# Runs of a schedule that are looked at for the shortest time between two of them.
LOOKED_AT = 14
# Series whose runs are at least so many days apart reach everybody at every run, unless they say otherwise.
WEEK = 7
DURATION, PERIOD = "duration", "period"


def shortest_gap(schedule: Schedule) -> int | None:
    """The fewest days between two runs that follow each other; none when the schedule has one run."""
    return _shortest_gap(schedule.model_dump_json())


@lru_cache(1000)
def _shortest_gap(schedule_json: str) -> int | None:
    schedule = Schedule.model_validate_json(schedule_json)
    days = islice(upcoming(schedule, schedule.start_date), LOOKED_AT)
    return min(((later - earlier).days for earlier, later in pairwise(days)), default=None)


def own_days(schedule: Schedule, rules: PlannedRules, duration: int) -> int:
    """For how many days from its send a run keeps its customers out of other runs of its series."""
    gap = shortest_gap(schedule)
    if gap is None:
        return duration
    rule = rules.own_runs or (PERIOD if gap >= WEEK else DURATION)
    return min(duration, gap) if rule == PERIOD else duration


def warnings(schedule: Schedule, rules: PlannedRules, duration: int) -> list[str]:
    """What may not be meant about the runs of a series, in sentences."""
    gap = shortest_gap(schedule)
    if gap is None or gap >= duration or rules.include_all:
        return []
    if own_days(schedule, rules, duration) > gap:
        return [
            f"Runs are as close as {gap} days, and a run keeps its customers out of the next ones for {duration} days: "
            "a customer is not reached by every run. rules.own_runs 'period' lets every run reach everybody."
        ]
    return [
        f"Runs are as close as {gap} days, and results are measured for {duration}: a customer may be in several runs "
        "at a time, and what it buys then counts in each of them. rules.own_runs 'duration' keeps it out."
    ]
