"""When the message of a run leaves to each customer, on channels where customers have times of their own.

The instants are worked out here, for each time zone and each hour at which somebody is to get the message; the
warehouse only looks up the one of each customer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.models import Occurrence
from rapport.campaigns.runs import best_hours
from rapport.campaigns.runs.places import Place
from rapport.campaigns.runs.time_zones import CustomerZones, customer_zones, whole_seconds
from rapport.campaigns.runs.timings import NO_HOUR, Timing, due_at
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import PassedTime

# The column of a profile that says where the customer is.
OF_ZONE = "of_own_zone"
NOBODY_APART = f"toUInt16(0) AS zone, toUInt8({NO_HOUR}) AS best_hour"


@dataclass(frozen=True)
class OwnTimes:
    """What a run knows of the times of its customers before they are staged.

    columns, with_sql and join are SQL of the stage: what it reads of a profile, each customer's zone and best hour.
    """

    timings: list[Timing] = field(default_factory=list)
    zones: CustomerZones | None = None
    columns: str = ""
    with_sql: str = NOBODY_APART
    join: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def tables(self) -> list[str]:
        """The tables that the stage reads besides."""
        return ["campaign_interactions"] if self.join else []

    def bindings(self, scope: Scope, day: date, places: Sequence[Place]) -> dict[str, Any]:
        """What the statements bind that give customers their times: of each place the timing, and the instants."""
        now = whole_seconds(scope.clock.now())
        instants = [self._instants(scope, timing, day, now) for timing in self.timings]
        return {
            "timings": [self.timings.index(place.timing) + 1 if place.timing else 0 for place in places],
            "due_times": [[int(at.timestamp()) for at in row] for row in instants] or [[0]],
            "wall_times": [[_wall_seconds(at, scope.time_zone) for at in row] for row in instants] or [[0]],
            "zone_names": self._zones(scope).names,
        }

    def with_rests(
        self, scope: Scope, day: date, bound: Mapping[str, Any], timings: Mapping[int, tuple[Timing, datetime]]
    ) -> dict[str, Any]:
        """bindings() with the times of those who wait for the winners of A/B tests: the first of their times after the
        choice. timings: by the position of a place, how its customers get their times, and the instant of the choice.
        """
        instants = [
            self._instants(scope, replace(timing, passed=PassedTime.NEXT_DAY), day, decision)
            for timing, decision in timings.values()
        ]
        numbers = {position: number for number, position in enumerate(timings, start=len(bound["due_times"]) + 1)}
        return {
            **bound,
            "rest_timings": [numbers.get(position, 0) for position in range(len(bound["timings"]))],
            "due_times": [*bound["due_times"], *([int(at.timestamp()) for at in row] for row in instants)],
            "wall_times": [
                *bound["wall_times"],
                *([_wall_seconds(at, scope.time_zone) for at in row] for row in instants),
            ],
        }

    def _zones(self, scope: Scope) -> CustomerZones:
        return self.zones or CustomerZones([scope.time_zone])

    def _instants(self, scope: Scope, timing: Timing, day: date, now: datetime) -> list[datetime]:
        """When customers get a message of a day, by zone and, within it, by best hour, of which there are 25."""
        zones = self._zones(scope).zones
        keys = [(number, hour) for number in range(len(zones)) for hour in range(NO_HOUR + 1)]
        return [due_at(timing, day, zones, number, hour, now) for number, hour in keys]


def _wall_seconds(at: datetime, zone: tzinfo) -> int:
    """The wall-clock time of an instant as the warehouse keeps it: as if it were UTC."""
    return int(at.astimezone(zone).replace(tzinfo=UTC).timestamp())


def own_times(scope: Scope, campaign: Occurrence, data_date: date, places: Sequence[Place]) -> OwnTimes:
    """What gives the customers of a run on a data date their times."""
    distinct = list(dict.fromkeys(place.timing for place in places if place.timing is not None))
    if not distinct:
        return OwnTimes()
    zones = customer_zones(scope, data_date)
    columns = f", {zones.value} AS {OF_ZONE}" if zones.numbers else ""
    with_sql = f"{zones.number_sql(f'profile.{OF_ZONE}')} AS zone"
    if not any(timing.optimised for timing in distinct):
        with_sql += f", toUInt8({NO_HOUR}) AS best_hour"
        return OwnTimes(distinct, zones, columns, with_sql, parameters=zones.parameters)
    quiet_hours = None if campaign.plan.rules.any_hour else tenant_settings(scope, CampaignSettings).quiet_hours
    parameters = best_hours.parameters_of(scope, data_date, zones, quiet_hours)
    with_sql += f", {best_hours.HOURS_OPENED} AS hours_opened, {best_hours.BEST_HOUR} AS best_hour"
    return OwnTimes(distinct, zones, columns, with_sql, best_hours.JOIN_HABIT, parameters)
