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
from rapport.audiences import schema as audience_schema
from rapport.campaigns.models import Occurrence, Series
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered import definitions, runs
from rapport.campaigns.triggered.schemas import EventMatch, RepeatedTrigger, SequenceTrigger, TriggeredBody
from rapport.channels.models import Channel
from rapport.channels.service import channels as channels_of
from rapport.conditions import Condition, Facts, Predicate, Schema
from rapport.customers import event_types
from rapport.errors import Invalid, NotFound, RapportError
from rapport.messaging.contactability.purposes import Purpose, purposes_of_templates
from rapport.realtime.models import EventLogEntry
from rapport.realtime.states import EventStatus
from rapport.stores import Stores

log = structlog.get_logger("rapport.realtime")
# A change that nobody told of is seen after this long.
FRESH_SECONDS = 1.0
STAMP = text(f"""
    SELECT tenant.time_zone, tenant.settings, tenant.last_data_date,
        (
            SELECT json_agg(json_build_array(id, version) ORDER BY id) FROM campaign_series
            WHERE tenant_id = tenant.id AND trigger IS NOT NULL AND status = '{SeriesStatus.ACTIVE}'
        ),
        (
            SELECT json_agg(json_build_array(name, types) ORDER BY id) FROM event_types
            WHERE tenant_id = tenant.id AND declared
        ),
        (
            SELECT json_agg(json_build_array(real_field_name, field_type, source, consent) ORDER BY real_field_name)
            FROM attributes WHERE tenant_id = tenant.id
        ),
        (
            SELECT json_agg(json_build_array(id, kind, address_attribute, permission_attribute) ORDER BY id)
            FROM channels WHERE tenant_id = tenant.id
        ),
        (
            SELECT json_agg(json_build_array(channel_id, id, app_id) ORDER BY channel_id, id)
            FROM templates WHERE tenant_id = tenant.id AND app_id <> ''
        )
    FROM tenants AS tenant WHERE tenant.id = :tenant_id
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

    series: Series
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
    purposes: dict[tuple[int, int], Purpose] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    days: dict[tuple[int, date], Occurrence] = field(default_factory=dict)

    def parameters(self, event: str, parameters: Mapping[str, Any], day: date) -> Facts:
        """The parameters of an event as conditions compare them: those that were declared, as their types."""
        types = self.types.get(event, {})
        return Facts("", day, {name.upper(): typed(parameters.get(name), kind) for name, kind in types.items()})

    def occurrence(self, series: Series, day: date) -> Occurrence:
        """The campaign that a firing of a day belongs to."""
        campaign = self.days.get((series.id, day))
        if campaign is None:
            campaign = self.days[series.id, day] = runs.occurrence_of_day(self.scope, series, day)
        return campaign


def compiled(scope: Scope, only: Sequence[Series] | None = None) -> Catalogue:
    """The catalogue of a tenant: its active triggers, or only these.

    A trigger that cannot be compiled any more is left out, with the reason in faults.
    """
    schema = audience_schema.schema(scope)
    types = {event_type.name: event_type.types for event_type in event_types.event_types(scope) if event_type.declared}
    catalogue = Catalogue(scope, schema, scope.data_date(), types=types)
    catalogue.channels = {channel.id: channel for channel in channels_of(scope)}
    catalogue.purposes = purposes_of_templates(scope, catalogue.channels)
    watches: dict[str, list[Watch]] = defaultdict(list)
    for series in definitions.triggered(scope, SeriesStatus.ACTIVE) if only is None else only:
        try:
            trigger = _trigger(series, schema)
            _channels_are_there(trigger.body, catalogue.channels)
            waits_for = _watches(scope, trigger, types)
        except RapportError as error:
            catalogue.faults[series.id] = error.message
            continue
        catalogue.triggers[series.id] = trigger
        for event, watch in waits_for:
            watches[event].append(watch)
    catalogue.watches = {
        event: sorted(of_event, key=lambda watch: (watch.trigger.id, watch.role)) for event, of_event in watches.items()
    }
    return catalogue


def _channels_are_there(body: TriggeredBody, existing: Container[int]) -> None:
    for channel in (channel for group in body.groups for channel in group.channels):
        if channel.channel_id not in existing:
            raise Invalid(f"There is no channel {channel.channel_id}.")


def _trigger(series: Series, schema: Schema) -> Trigger:
    body = definitions.triggered_body(series)
    if body.customer_conditions is None:
        return Trigger(series, body, None, None)
    try:
        condition = conditions.parse(body.customer_conditions)
        return Trigger(series, body, condition, conditions.to_predicate(condition, schema))
    except Invalid as error:
        raise Invalid(error.message.replace("definition", "customer_conditions", 1)) from error


def _watches(scope: Scope, trigger: Trigger, types: Mapping[str, dict[str, str]]) -> list[tuple[str, Watch]]:
    """The events that a trigger waits for, by name."""
    matches: list[tuple[Role, EventMatch]] = []
    if isinstance(trigger.body.trigger, EventMatch):
        matches.append((Role.OPENS, trigger.body.trigger))
    if isinstance(trigger.body.trigger, SequenceTrigger):
        matches += [(Role.CLOSES, event_match) for event_match in trigger.body.trigger.closing]
        matches += [(Role.RESTARTS, event_match) for event_match in trigger.body.trigger.restart]
    try:
        return [
            (event_match.event, Watch(trigger, role, _test(scope, event_match, types[event_match.event])))
            for role, event_match in matches
        ]
    except (KeyError, Invalid):
        definitions.check_events(scope, trigger.body, types)  # which says it in words of the trigger
        raise


def _test(scope: Scope, event_match: EventMatch, types: dict[str, str]) -> Any:
    if event_match.conditions is None:
        return None
    return conditions.to_predicate(conditions.parse(event_match.conditions), definitions.event_schema(scope, types))


def faults(scope: Scope, series: Sequence[Series]) -> dict[int, str]:
    """Why triggers cannot be evaluated, by id; those that can be are absent."""
    return compiled(scope, series).faults


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
        self._cached: dict[int, tuple[float, tuple[Any, ...], Catalogue]] = {}
        self._logged: dict[int, dict[int, str]] = {}  # faults that are in the event log

    def of(self, tenant_id: int, now: float) -> Catalogue:
        """The catalogue of a tenant; now is a monotonic time in seconds."""
        cached = self._cached.get(tenant_id)
        if cached is not None and now - cached[0] < FRESH_SECONDS:
            return cached[2]
        current_stamp = stamp(self._stores, tenant_id)
        catalogue = cached[2] if cached is not None and cached[1] == current_stamp else self._compiled(tenant_id)
        self._cached[tenant_id] = (now, current_stamp, catalogue)
        return catalogue

    def _compiled(self, tenant_id: int) -> Catalogue:
        scope = scope_of(self._stores, tenant_id)
        catalogue = compiled(scope)
        logged = self._logged.get(tenant_id, {})
        for series_id, fault in catalogue.faults.items():
            log.error("a trigger cannot be evaluated", tenant_id=tenant_id, series_id=series_id, fault=fault)
        with scope.records() as session:
            for series_id, fault in catalogue.faults.items() - logged.items():
                session.add(fault_entry(scope, series_id, fault))
        self._logged[tenant_id] = dict(catalogue.faults)
        return catalogue

    def forget(self, tenant_id: int) -> None:
        """Look again at the next use."""
        cached = self._cached.get(tenant_id)
        if cached is not None:
            self._cached[tenant_id] = (float("-inf"), *cached[1:])
