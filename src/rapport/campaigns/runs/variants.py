"""Who of a run gets which variant of an A/B test, and who waits for the winner: exactly so many as the share says.

By lots of their own, which each run draws anew: those with the lowest get the first variant, and so on. The recipients
of a group on a channel are divided by themselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.ab_tests import UNDECIDED
from rapport.campaigns.models import Occurrence
from rapport.campaigns.runs.drawing import LARGEST_LOT, lots_at
from rapport.campaigns.runs.places import Place, seconds_of
from rapport.campaigns.runs.splits import tested, variant_lot_sql
from rapport.campaigns.states import Portion
from rapport.stores.clock import wall_time

LOT = variant_lot_sql("customer_id")
RECIPIENTS = "FROM {stage} WHERE verdict = '' AND grp = {group} AND faults[{position}] = 0"
LEVELS = f"SELECT quantilesExact({{levels}})({LOT})"
# What the statement that adds recipients takes without and with a test: uppers are the highest lots of the portions.
UNTESTED = {
    "template": "template",
    "awaits": "false",
    "rest_time": "0",
    "portion": f"{int(Portion.WHOLE)}",
    "tested": "",
}
TESTED = {
    "template": f"templates[arrayFirstIndex(upper -> {LOT} <= upper, uppers) AS variant]",
    "awaits": "length(uppers) > 1 AND variant = length(uppers)",
    "rest_time": "rest_time",
    "portion": f"multiIf(length(uppers) = 1, {int(Portion.WHOLE)}, variant < length(uppers), {int(Portion.TEST)}, "
    f"{int(Portion.REST)})",
    "tested": ", {uppers:Array(Array(UInt64))} AS uppers, {variants:Array(Array(UInt32))} AS templates, "
    "{rest_times:Array(UInt32)} AS rest_time",
}


# Channel, recipient group, hour of the tenant's clock, customers.
Leaving = tuple[int, int, str, int]


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
    scope: Scope, campaign: Occurrence, places: Sequence[Place], stage: str
) -> tuple[dict[str, str], dict[str, Any]]:
    """How the recipients of a run are drawn for variants: parts of the statement that adds them, and its parameters."""
    if all(place.ab_test is None for place in places):
        return UNTESTED, {}
    return TESTED, {
        "uppers": [_uppers(scope, campaign, place, stage) for place in places],
        "variants": [[row.template_id for row in rows_of(scope, campaign.id, place)] for place in places],
        "rest_times": [seconds_of(_rest_time(scope, place)) for place in places],
    }


def spread(scope: Scope, places: Sequence[Place], leaving: Iterable[Leaving]) -> list[Leaving]:
    """How many customers get a message in which hour, with the rest after A/B tests at the hour of the winner.

    Control is drawn before; of one place with a test there is one hour.
    """
    tested_places = {(place.channel_id, place.group): place for place in places if place.ab_test}
    rows = []
    for channel_id, group, hour, customers in leaving:
        place = tested_places.get((channel_id, group))
        if place is None or place.ab_test is None:
            rows.append((channel_id, group, hour, customers))
            continue
        *variants, rest = tested(customers, place.ab_test.share, len(place.ab_test.variants))
        rest_hour = _rest_time(scope, place).replace(minute=0)
        rows += [(channel_id, group, hour, sum(variants)), (channel_id, group, str(rest_hour), rest)]
    return rows


def _uppers(scope: Scope, campaign: Occurrence, place: Place, stage: str) -> list[int]:
    """The highest lot of each variant of a place, and of the rest."""
    if place.ab_test is None:
        return [LARGEST_LOT]
    recipients = RECIPIENTS.format(stage=stage, group=place.group, position=place.position)
    size = int(scope.warehouse.value(f"SELECT count() {recipients}"))
    sizes = tested(size, place.ab_test.share, len(place.ab_test.variants))
    ends = list(accumulate(sizes[:-1]))
    return [*lots_at(scope, f"{LEVELS} {recipients}", size, ends, campaign=campaign.id), LARGEST_LOT]
