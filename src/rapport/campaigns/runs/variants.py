"""Who of a run gets which variant of an A/B test, and who waits for the winner: exactly so many as the share says.

By lots of their own, which each run draws anew: those with the lowest get the first variant, and so on. The recipients
of a group on a channel are divided by themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.ab_tests import UNDECIDED
from rapport.campaigns.models import Occurrence
from rapport.campaigns.runs.drawing import LARGEST_LOT, lots_at
from rapport.campaigns.runs.own_times import OwnTimes
from rapport.campaigns.runs.places import Place, seconds_of
from rapport.campaigns.runs.splits import tested, variant_lot_sql
from rapport.campaigns.states import Portion
from rapport.stores.clock import wall_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOT = variant_lot_sql("customer_id")
RECIPIENTS = "FROM {stage} WHERE verdict = '' AND grp = {group} AND faults[{position}] = 0"
# When the last of those who test gets the message, of a place with the customers' own times.
LAST_OF_TEST = "SELECT max({times:Array(UInt32)}[zone * 25 + best_hour + 1])"
# When the first customer with a time of his own gets it, by channel, group and portion, in the tenant's wall-clock
# time, and the instant at which the last one does.
TIMES_OF_PLACES = """
    SELECT channel_id, recipient_group_id, portion, toString(min(scheduled_time)), toString(max(due_at))
    FROM campaign_recipients
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32} AND due_at > 0
    GROUP BY channel_id, recipient_group_id, portion
"""
LEVELS = f"SELECT quantilesExact({{levels}})({LOT})"
# What the statement that adds recipients takes without and with a test: uppers are the highest lots of the portions.
AWAITS = f"length(uppers) > 1 AND {LOT} > uppers[-2]"
UNTESTED = {
    "template": "template",
    "timing": "place_timing",
    "awaits": "false",
    "rest_time": "0",
    "portion": f"{int(Portion.WHOLE)}",
    "tested": "",
}
TESTED = {
    "template": f"templates[arrayFirstIndex(upper -> {LOT} <= upper, uppers) AS variant]",
    "timing": f"if({AWAITS}, rest_timing, place_timing)",
    "awaits": AWAITS,
    "rest_time": "rest_time",
    "portion": f"multiIf(length(uppers) = 1, {int(Portion.WHOLE)}, variant < length(uppers), {int(Portion.TEST)}, "
    f"{int(Portion.REST)})",
    "tested": ", {uppers:Array(Array(UInt64))} AS uppers, {variants:Array(Array(UInt32))} AS templates, "
    "{rest_times:Array(UInt32)} AS rest_time, {rest_timings:Array(UInt32)} AS rest_timing",
}


# Channel, recipient group and portion.
PlacePortion = tuple[int, int, int]


@dataclass(frozen=True)
class PlaceRow:
    """What the recipients of a place, or a portion of them, get, and when (tenant wall clock)."""

    portion: Portion
    template_id: int
    scheduled_time: datetime
    send_id: str


def rows_of(scope: Scope, campaign_id: int, place: Place) -> list[PlaceRow]:
    """The rows of a place: one, or one for each variant and one for those who wait for the winner."""
    at, send_id = place.scheduled_time, f"{campaign_id}G{place.group}C{place.position}"
    if place.ab_test is None:
        return [PlaceRow(Portion.WHOLE, place.template_id, at, send_id)]
    rest = PlaceRow(Portion.REST, UNDECIDED, _rest_time(scope, place), "")
    templates = enumerate(place.ab_test.variants, start=1)
    return [*(PlaceRow(Portion.TEST, variant.template_id, at, f"{send_id}V{n}") for n, variant in templates), rest]


def _rest_time(scope: Scope, place: Place) -> datetime:
    """When the winner of a place is to be chosen if its test begins in time."""
    if place.ab_test is None:
        return place.scheduled_time
    return wall_time(scope.instant(place.scheduled_time) + place.ab_test.wait, scope.time_zone)


def drawing(
    scope: Scope, campaign: Occurrence, places: Sequence[Place], stage: str, times: OwnTimes
) -> tuple[dict[str, str], dict[str, Any]]:
    """How the recipients of a run are drawn for variants, and when they get them: parts of the statement that adds
    them, and its parameters.
    """
    bound = times.bindings(scope, campaign.send_date, places)
    if all(place.ab_test is None for place in places):
        return UNTESTED, bound
    uppers = [_uppers(scope, campaign, place, stage) for place in places]
    rests = {}
    for position, place in enumerate(places):
        if place.ab_test and place.timing:
            own = bound["due_times"][bound["timings"][position] - 1]
            last = _last_of_test(scope, campaign, place, stage, own, uppers[position][-2])
            rests[position] = (place.timing, last + place.ab_test.wait)
    return TESTED, {
        **times.with_rests(scope, campaign.send_date, bound, rests),
        "uppers": uppers,
        "variants": [[row.template_id for row in rows_of(scope, campaign.id, place)] for place in places],
        "rest_times": [seconds_of(_rest_time(scope, place)) for place in places],
    }


def times_of_portions(scope: Scope, places: Sequence[Place], common: Mapping[str, Any]) -> dict[PlacePortion, datetime]:
    """When the first message leaves of a channel, group and portion whose customers have times of their own, or when
    the winner is chosen of those who wait for it (tenant wall clock).
    """
    if all(place.timing is None for place in places):
        return {}
    times: dict[PlacePortion, datetime] = {}
    tests = {(place.channel_id, place.group): place.ab_test for place in places}
    for channel, group, portion, first, last in scope.warehouse.rows(TIMES_OF_PLACES, **common):
        key, planned_test = (int(channel), int(group)), tests[int(channel), int(group)]
        if portion != Portion.REST:
            times[*key, int(portion)] = datetime.fromisoformat(first)
        if portion == Portion.TEST and planned_test:
            choice = datetime.fromisoformat(last).replace(tzinfo=UTC) + planned_test.wait
            times[*key, int(Portion.REST)] = wall_time(choice, scope.time_zone)
    return times


def _last_of_test(
    scope: Scope, campaign: Occurrence, place: Place, stage: str, own: Sequence[int], upper: int
) -> datetime:
    """When the last of those who test gets the message, whose times are by zone and hour; if nobody tests, the send
    time.
    """
    recipients = RECIPIENTS.format(stage=stage, group=place.group, position=place.position)
    sql = f"{LAST_OF_TEST} {recipients} AND {LOT} <= {{upper:UInt64}}"
    last = int(scope.warehouse.value(sql, times=own, upper=upper, campaign=campaign.id))
    return EPOCH + timedelta(seconds=last) if last else scope.instant(place.scheduled_time)


def _uppers(scope: Scope, campaign: Occurrence, place: Place, stage: str) -> list[int]:
    """The highest lot of each variant of a place, and of the rest."""
    if place.ab_test is None:
        return [LARGEST_LOT]
    recipients = RECIPIENTS.format(stage=stage, group=place.group, position=place.position)
    size = int(scope.warehouse.value(f"SELECT count() {recipients}"))
    sizes = tested(size, place.ab_test.share, len(place.ab_test.variants))
    ends = list(accumulate(sizes[:-1]))
    return [*lots_at(scope, f"{LEVELS} {recipients}", size, ends, campaign=campaign.id), LARGEST_LOT]
