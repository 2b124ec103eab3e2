"""The history of activity: events of sites, apps and servers that were filed for customers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rapport.conditions.histories.base import OF_CUSTOMERS, Happening, History, Reading
from rapport.conditions.histories.filters import Filter, Ids
from rapport.conditions.histories.times import instant
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.purchases import ValueRule
from rapport.conditions.schema import Kind

READ = f"""
    SELECT customer_id, event_type_id, toUnixTimestamp64Milli(event_at), properties
    FROM activity_events
    WHERE {OF_CUSTOMERS} AND event_at >= {{since:DateTime('UTC')}}
        AND (empty({{types:Array(UInt32)}}) OR event_type_id IN {{types:Array(UInt32)}})
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class Event:
    """An activity event; at is aware."""

    event_type: int
    at: datetime
    properties: Mapping[str, str] = field(default_factory=dict)


TYPE = Filter[Event](
    "event_type",
    Ids("event_type"),
    "An event type, see GET /manage/v1/event-types",
    "event_type_id",
    lambda event: event.event_type,
)


class Activity(History[Event]):
    """Events count by their type and by what they say of themselves."""

    name = "activity"
    title = "activity events"
    description = "What customers did on sites, in apps and elsewhere, as events reported it."
    table = "activity_events"
    time_column = "event_at"
    time_kind = Kind.INSTANT
    filters = (TYPE,)
    properties = "properties"

    def happening(self, node: HistoryIs, row: Event, values: ValueRule) -> Happening:
        """Every event counts."""
        return Happening(row.at)

    def read(self, reading: Reading) -> Iterable[tuple[str, Event]]:
        """Events of the types that conditions ask for."""
        for customer_id, kind, at, properties in reading.rows(READ, types=reading.filter_values(TYPE.name)):
            yield customer_id, Event(int(kind), instant(at), properties)
