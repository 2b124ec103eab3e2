"""Triggers ready to be evaluated: the active triggered campaigns of a tenant by the events that they name."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import IntEnum
from functools import cached_property
from typing import Any

import structlog
from sqlalchemy import text

from rapport import conditions
from rapport.access.scope import Scope, scope_of
from rapport.audiences import service as audiences
from rapport.campaigns import service as campaigns
from rapport.campaigns.service import EventMatch, RepeatedTrigger, SequenceTrigger, TriggeredBody
from rapport.channels.service import Channel
from rapport.channels.service import channels as channels_of
from rapport.conditions import Condition, Facts, Predicate, Schema
from rapport.customers import service as customers
from rapport.errors import Invalid, NotFound, RapportError
from rapport.messaging import service as messaging
from rapport.realtime.models import EventLogEntry
from rapport.realtime.states import EventStatus
from rapport.stores import Stores

log = structlog.get_logger("rapport.realtime")
# A change that nobody told of is seen after this long.
FRESH_SECONDS = 1.0
STAMP = text(f"""
    SELECT t.time_zone, t.settings, t.last_data_date,
        (
            SELECT json_agg(json_build_array(id, version) ORDER BY id) FROM campaign_series
            WHERE tenant_id = t.id AND trigger IS NOT NULL AND status = '{campaigns.SeriesStatus.ACTIVE}'
        ),
        (
            SELECT json_agg(json_build_array(name, types) ORDER BY id) FROM event_types
            WHERE tenant_id = t.id AND declared
        ),
        (
            SELECT json_agg(json_build_array(real_field_name, field_type, source, consent) ORDER BY real_field_name)
            FROM attributes WHERE tenant_id = t.id
        ),
        (
            SELECT json_agg(json_build_array(id, kind, address_attribute, permission_attribute) ORDER BY id)
            FROM channels WHERE tenant_id = t.id
        ),
        (
            SELECT json_agg(json_build_array(channel_id, id, app_id) ORDER BY channel_id, id)
            FROM templates WHERE tenant_id = t.id AND app_id <> ''
        )
    FROM tenants AS t WHERE t.id = :tenant_id
""")  # noqa: S608 - ours


class Role(IntEnum):
    """What an event is to a trigger, in the order in which one that is several things is taken."""

    CLOSES, RESTARTS, OPENS = range(3)


def typed(value: Any, kind: str) -> Any:
    """A parameter as its declared type, String, Number or Boolean; None when it is not one."""
    if kind == "Boolean":
        return value if isinstance(value, bool) else None
    if kind == "Number":
        number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        return value if number else None
    return value if isinstance(value, str) else None


@dataclass(frozen=True)
class Trigger:
    """One active triggered campaign."""

    series: campaigns.Series
    body: TriggeredBody
    condition: Condition | None
    predicate: Predicate | None

    @property
    def id(self) -> int:
        """The number of its series."""
        return self.series.id

    @cached_property
    def window(self) -> timedelta:
        """How long a repetition or a sequence may take; nothing for a simple trigger."""
        trigger = self.body.trigger
        if isinstance(trigger, RepeatedTrigger | SequenceTrigger):
            return timedelta(minutes=trigger.window_minutes)
        return timedelta()

    @cached_property
    def lateness(self) -> timedelta:
        """An event that arrives more minutes late than this does not fire."""
        return timedelta(minutes=self.body.late_minutes)

    def runs_on(self, day: date) -> bool:
        """Whether it may fire on a tenant day."""
        return (self.body.starts or day) <= day <= (self.body.ends or day)

    def meets(self, facts: Facts) -> bool:
        """Whether a customer meets its customer conditions."""
        return self.predicate is None or self.predicate(facts)


@dataclass(frozen=True, slots=True)
class Watch:
    """An event that a trigger waits for."""

    trigger: Trigger
    role: Role
    predicate: Predicate | None  # over the parameters of the event; None means any event passes

    def passes(self, facts: Facts) -> bool:
        """Whether an event with these parameters matches."""
        return self.predicate is None or self.predicate(facts)


@dataclass
class Catalogue:
    """The triggers of a tenant, as they stand."""

    scope: Scope
    schema: Schema
    data_date: date | None
    triggers: dict[int, Trigger] = field(default_factory=dict)
    watches: dict[str, list[Watch]] = field(default_factory=dict)
    types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    apps: dict[tuple[int, int], str] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    days: dict[tuple[int, date], campaigns.Occurrence] = field(default_factory=dict)

    def parameters(self, event: str, parameters: Mapping[str, Any], day: date) -> Facts:
        """The parameters of an event as conditions compare them: those that were declared, as their types."""
        types = self.types.get(event, {})
        return Facts("", day, {name.upper(): typed(parameters.get(name), kind) for name, kind in types.items()})

    def occurrence(self, series: campaigns.Series, day: date) -> campaigns.Occurrence:
        """The campaign that a firing of a day belongs to."""
        found = self.days.get((series.id, day))
        if found is None:
            found = self.days[series.id, day] = campaigns.occurrence_of_day(self.scope, series, day)
        return found


def compiled(scope: Scope, only: Sequence[campaigns.Series] | None = None) -> Catalogue:
    """The catalogue of a tenant: its active triggers, or only these.

    A trigger that cannot be compiled any more is left out, with the reason in faults.
    """
    schema = audiences.schema(scope)
    types = {one.name: one.types for one in customers.event_types(scope) if one.declared}
    found = Catalogue(scope, schema, scope.data_date(), types=types)
    found.channels = {one.id: one for one in channels_of(scope)}
    found.apps = messaging.apps_of_templates(scope, found.channels)
    watches: dict[str, list[Watch]] = defaultdict(list)
    for series in campaigns.triggered(scope, campaigns.SeriesStatus.ACTIVE) if only is None else only:
        try:
            trigger = _trigger(series, schema)
            _channels_are_there(trigger.body, found.channels)
            waits_for = _watches(scope, trigger, types)
        except RapportError as error:
            found.faults[series.id] = error.message
            continue
        found.triggers[series.id] = trigger
        for event, watch in waits_for:
            watches[event].append(watch)
    found.watches = {event: sorted(some, key=lambda one: (one.trigger.id, one.role)) for event, some in watches.items()}
    return found


def _channels_are_there(body: TriggeredBody, there: Container[int]) -> None:
    for place in (place for group in body.groups for place in group.channels):
        if place.channel_id not in there:
            raise Invalid(f"There is no channel {place.channel_id}.")


def _trigger(series: campaigns.Series, schema: Schema) -> Trigger:
    body = campaigns.triggered_body(series)
    if body.customer_conditions is None:
        return Trigger(series, body, None, None)
    try:
        condition = conditions.parse(body.customer_conditions)
        return Trigger(series, body, condition, conditions.to_predicate(condition, schema))
    except Invalid as error:
        raise Invalid(error.message.replace("definition", "customer_conditions", 1)) from error


def _watches(scope: Scope, trigger: Trigger, types: Mapping[str, dict[str, str]]) -> list[tuple[str, Watch]]:
    """The events that a trigger waits for, by name."""
    wanted: list[tuple[Role, EventMatch]] = [(Role.OPENS, trigger.body.trigger)]
    if isinstance(trigger.body.trigger, SequenceTrigger):
        wanted += [(Role.CLOSES, one) for one in trigger.body.trigger.closing]
        wanted += [(Role.RESTARTS, one) for one in trigger.body.trigger.restart]
    try:
        return [(one.event, Watch(trigger, role, _test(scope, one, types[one.event]))) for role, one in wanted]
    except (KeyError, Invalid):
        campaigns.check_events(scope, trigger.body, types)  # which says it in words of the trigger
        raise


def _test(scope: Scope, one: EventMatch, types: dict[str, str]) -> Any:
    if one.conditions is None:
        return None
    return conditions.to_predicate(conditions.parse(one.conditions), campaigns.event_schema(scope, types))


def faults(scope: Scope, some: Sequence[campaigns.Series]) -> dict[int, str]:
    """Why triggers cannot be evaluated, by id; those that can be are absent."""
    return compiled(scope, some).faults


def fault_entry(scope: Scope, series_id: int, fault: str, then: str = "") -> EventLogEntry:
    """An entry of the event log for a trigger that cannot be evaluated, and what came of it."""
    reason = f"Triggered campaign {series_id} cannot be evaluated: {fault}{then}"[:500]
    return EventLogEntry(
        tenant_id=scope.tenant_id,
        at=scope.clock.now(),
        status=EventStatus.ERROR,
        origin="",
        event="",
        person="",
        reason=reason,
    )


def stamp(stores: Stores, tenant_id: int) -> tuple[Any, ...]:
    """What a catalogue is made of, to tell whether it still holds; one statement, for it is asked every second."""
    with stores.records.reading() as connection:
        row = connection.execute(STAMP, {"tenant_id": tenant_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no tenant {tenant_id}.")
    return tuple(row)


class Catalogues:
    """The catalogues of a process, renewed when something they were made of has changed."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._known: dict[int, tuple[float, tuple[Any, ...], Catalogue]] = {}
        self._told: dict[int, dict[int, str]] = {}  # faults that are in the event log

    def of(self, tenant_id: int, now: float) -> Catalogue:
        """The catalogue of a tenant; now is a monotonic time in seconds."""
        known = self._known.get(tenant_id)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[2]
        made = stamp(self._stores, tenant_id)
        catalogue = known[2] if known is not None and known[1] == made else self._compiled(tenant_id)
        self._known[tenant_id] = (now, made, catalogue)
        return catalogue

    def _compiled(self, tenant_id: int) -> Catalogue:
        scope = scope_of(self._stores, tenant_id)
        found = compiled(scope)
        told = self._told.get(tenant_id, {})
        for series_id, fault in found.faults.items():
            log.error("a trigger cannot be evaluated", tenant_id=tenant_id, series_id=series_id, fault=fault)
        with scope.records() as session:
            for series_id, fault in found.faults.items() - told.items():
                session.add(fault_entry(scope, series_id, fault))
        self._told[tenant_id] = dict(found.faults)
        return found

    def forget(self, tenant_id: int) -> None:
        """Look again at the next use."""
        known = self._known.get(tenant_id)
        if known is not None:
            self._known[tenant_id] = (float("-inf"), *known[1:])
