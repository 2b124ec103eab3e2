"""Triggered campaigns as built: kept as series with a trigger, versioned; every change leaves an audit row."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import groups as audience_groups
from rapport.audiences import membership, schema
from rapport.campaigns import goals
from rapport.campaigns.definitions import change_status, check_excluded, check_groups, codes_of, replace_series
from rapport.campaigns.models import UNIQUE_SERIES, Series
from rapport.campaigns.plans import (
    OF_SCHEDULED,
    PlannedGroup,
    PlannedRules,
    PlannedTrigger,
    TriggerSchedule,
    channels_in,
)
from rapport.campaigns.publishing import granting
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered.schemas import (
    EventMatch,
    JourneyTrigger,
    SequenceTrigger,
    TriggeredBody,
    TriggeredRules,
)
from rapport.campaigns.triggered.uses import uses
from rapport.channels import service as channels
from rapport.channels.kinds.base import OWN_ID
from rapport.conditions import Column, Kind, Schema
from rapport.conditions.language.nodes import AttributeIs, leaves
from rapport.customers import event_types
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores.records import next_id, unique_name
from rapport.stores.workers.listening import Topic, publish

# Members of the body that are columns of the series; the rest is in its trigger.
COLUMNS = (
    "name",
    "campaign_type",
    "control_share",
    "goal",
    "groups",
    "rules",
    "duration",
    "conditional",
    "notes",
    "tags",
)
PARAMETER_KINDS = {"String": Kind.TEXT, "Number": Kind.DECIMAL, "Boolean": Kind.BOOLEAN}
SCHEDULE = TriggerSchedule(kind="triggered")
A_TRIGGERED = "a triggered campaign"


def triggered(scope: Scope, status: str | None = None) -> list[Series]:
    """The tenant's triggered campaigns, by id."""
    query = select(Series).where(Series.tenant_id == scope.tenant_id, Series.trigger.is_not(None))
    if status:
        query = query.where(Series.status == status)
    with scope.reads() as session:
        return list(session.scalars(query.order_by(Series.id)))


def triggered_warnings(scope: Scope, stored_series: Sequence[Series]) -> dict[int, list[str]]:
    """What may not be meant about triggered campaigns, in sentences, by id."""
    addresses = {channel.id: channel.address_attribute.upper() for channel in channels.channels(scope)}
    return {
        series.id: [*_divided(series, addresses), *_unrewarded(scope, series), *goals.warnings(scope, series)]
        for series in stored_series
    }


def _unrewarded(scope: Scope, series: Series) -> list[str]:
    """Recipient groups of a campaign that publishes promotions whose promo codes lead to none, and why."""
    if not series.rules.publishes_promotions:
        return []
    faults = [granting.fault_of(scope, codes_of(scope, group)) for group in series.groups]
    return [f"Recipient group {number}: {fault}" for number, fault in enumerate(faults, start=1) if fault]


def _divided(series: Series, addresses: Mapping[int, str]) -> list[str]:
    """That a campaign with several kinds of addresses divides its customers by one of them; nothing for any other."""
    channel_ids = sorted(channels_in(series.groups))
    kinds = list(dict.fromkeys(addresses.get(channel_id, OWN_ID) for channel_id in channel_ids))
    first, *others = [kind for kind in kinds if kind != OWN_ID] or [""]
    if not others or (len(series.groups) == 1 and not series.control_share):
        return []
    return [
        f"Customers are divided by {first}, or by the next of {', '.join(others)} for whoever has none: those who "
        f"share {' or '.join(others)} alone may fall into different groups, or one of them into control."
    ]


def active_triggers(scope: Scope) -> set[int]:
    """The ids of the tenant's triggered campaigns that are active."""
    query = select(Series.id).where(
        Series.tenant_id == scope.tenant_id, Series.trigger.is_not(None), Series.status == SeriesStatus.ACTIVE
    )
    with scope.reads() as session:
        return set(session.scalars(query))


def trigger_events(scope: Scope, series_ids: Collection[int]) -> dict[int, str]:
    """The event that each of these triggered campaigns answers, by id; of a sequence the one that opens it."""
    event = Series.trigger["trigger"]["event"].astext
    query = select(Series.id, event).where(Series.tenant_id == scope.tenant_id, Series.id.in_(series_ids))
    with scope.reads() as session:
        return {series_id: name for series_id, name in session.execute(query) if name}


def triggered_series(scope: Scope, series_id: int) -> Series:
    """A triggered campaign by id. Raises NotFound."""
    with scope.records() as session:
        return _get(scope, session, series_id)


def _get(scope: Scope, session: Session, series_id: int) -> Series:
    series = session.get(Series, (scope.tenant_id, series_id))
    if series is None or series.trigger is None:
        raise NotFound(f"There is no triggered campaign {series_id}.")
    return series


def _columns(body: TriggeredBody) -> dict[str, Any]:
    data = body.model_dump(mode="json")
    columns = {name: data.pop(name) for name in COLUMNS}
    groups = tuple(map(PlannedGroup.model_validate, columns["groups"]))
    return {
        **columns,
        "goal": body.goal,
        "groups": groups,
        "rules": PlannedRules(**columns["rules"]),
        "trigger": PlannedTrigger.model_validate(data),
    }


def triggered_body(series: Series) -> TriggeredBody:
    """A triggered campaign as its body, the reverse of how it is kept."""
    data = {name: getattr(series, name) for name in COLUMNS}
    of_body = TriggeredRules.model_fields.keys()
    groups = [group.model_dump(exclude={"channels": {"__all__": OF_SCHEDULED}}) for group in series.groups]
    nested = {
        "groups": groups,
        "rules": series.rules.model_dump(include=set(of_body)),
        "goal": series.goal.model_dump(),
    }
    return TriggeredBody.model_validate({**data, **nested, **series.required_trigger.model_dump(exclude_unset=True)})


def create_triggered(scope: Scope, body: TriggeredBody, status: str = SeriesStatus.ACTIVE) -> Series:
    """Define a triggered campaign, active at once or paused.

    Raises NotFound or Invalid for anything it names and cannot use, Conflict for a name in use.
    """
    body = check_triggered(scope, body)
    with unique_name(UNIQUE_SERIES, A_TRIGGERED, body.name), scope.records() as session:
        series = Series(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "series"),
            target_group_id=0,
            schedule=SCHEDULE,
            status=status,
            version=1,
            created_at=scope.clock.now(),
            **_columns(body),
        )
        session.add(series)
        scope.audit(session, "create", _label(series.id), name=series.name)
        _publish_change(scope, session)
    _prepare(scope, body)
    return series


def update_triggered(scope: Scope, series_id: int, body: TriggeredBody, version: int) -> Series:
    """Replace a triggered campaign if it still stands at this version; what has fired keeps what it had.

    With another trigger everybody begins anew: what was done for the one before makes nothing go out.

    Raises NotFound, Invalid, and Conflict for a name in use, or when somebody else changed it meanwhile or it is
    archived.
    """
    body = check_triggered(scope, body)
    if not isinstance(body.trigger, JourneyTrigger):
        for use in uses(scope):
            if series_id in use.campaigns:
                raise Conflict(f"trigger.kind must stay journey: {use.user} uses {_label(series_id)}.")
    with unique_name(UNIQUE_SERIES, A_TRIGGERED, body.name), scope.records() as session:
        series = _get(scope, session, series_id)
        values = _columns(body)
        if values["trigger"].trigger != series.required_trigger.trigger:
            values["trigger_version"] = version + 1
        replace_series(scope, session, series, _label(series_id), version, values)
        _publish_change(scope, session)
    _prepare(scope, body)
    return series


def set_triggered_status(scope: Scope, series_id: int, status: str) -> Series:
    """Activate, pause or archive; what persons were in the middle of when it was paused counts no more.

    Raises NotFound, Invalid for another status, Conflict for an archived one.
    """
    with scope.records() as session:
        series = _get(scope, session, series_id)
        before = series.status
        change_status(scope, session, series, _label(series_id), status)
        if status != before:
            series.trigger_version = series.version
        _publish_change(scope, session)
    return series


def _label(series_id: int) -> str:
    return f"triggered campaign {series_id}"


def _prepare(scope: Scope, body: TriggeredBody) -> None:
    """Have the members of the groups that are asked about, where a profile is there; the daily cycle renews them."""
    data_date = scope.data_date()
    groups = set(body.rules.exclude_target_group_ids) | _groups_in(body.customer_conditions)
    if groups and data_date is not None:
        membership.ensure_members(scope, groups, data_date)


def _groups_in(definition: Any) -> set[int]:
    """The groups that customer conditions name."""
    return set() if definition is None else conditions.groups_in(conditions.parse(definition))


def _publish_change(scope: Scope, session: Session) -> None:
    """Whoever evaluates triggers learns of the change when it commits."""
    publish(session, Topic.TRIGGERS, scope.tenant_id)


# What a triggered campaign names


def event_schema(scope: Scope, types: dict[str, str]) -> Schema:
    """The declared parameters of an event, as what a condition over its parameters compares."""
    columns = {name.upper(): Column(name, PARAMETER_KINDS[kind]) for name, kind in types.items()}
    return Schema(columns, schema.schema(scope).data_date, scope.time_zone)


def matches(body: TriggeredBody) -> Iterator[tuple[str, EventMatch]]:
    """Every event that a trigger names, with where it stands in the body."""
    if isinstance(body.trigger, EventMatch):
        yield "trigger", body.trigger
    if isinstance(body.trigger, SequenceTrigger):
        for name, event_matches in (("closing", body.trigger.closing), ("restart", body.trigger.restart)):
            yield from ((f"trigger.{name}[{n}]", event_match) for n, event_match in enumerate(event_matches))


def check_triggered(scope: Scope, body: TriggeredBody) -> TriggeredBody:
    """The body as it is kept: everything that it names exists and fits, names are ids. Raises NotFound, Invalid."""
    declared = {
        event_type.name: event_type.types for event_type in event_types.event_types(scope) if event_type.declared
    }
    check_events(scope, body, declared)
    if body.customer_conditions is not None:
        body = body.model_copy(update={"customer_conditions": _customer_conditions(scope, body.customer_conditions)})
    check_excluded(scope, body.rules.exclude_target_group_ids)
    check_groups(scope, body.groups)
    goals.check_goal(scope, body.goal, len(body.groups))
    return body


def check_events(scope: Scope, body: TriggeredBody, declared: Mapping[str, dict[str, str]]) -> None:
    """The events that a trigger names, and the parameters that its conditions compare, must be declared as they are
    used. Raises Invalid.
    """
    for where, event_match in matches(body):
        check_match(scope, event_match, declared, where)


def check_match(scope: Scope, event_match: EventMatch, declared: Mapping[str, Mapping[str, str]], where: str) -> None:
    """An event that stands somewhere must be declared with the parameters that its conditions compare. Raises
    Invalid.
    """
    if event_match.event not in declared:
        raise Invalid(f"{where}.event names {event_match.event!r}, which is not a declared event type.")
    if event_match.conditions is not None:
        _check_event(scope, event_match, dict(declared[event_match.event]), where)


def check_event_change(scope: Scope, name: str, types: dict[str, str]) -> None:
    """An event must not be declared so that a trigger or journey that is not archived cannot be evaluated. Raises
    Conflict.
    """
    declared = {
        event_type.name: event_type.types for event_type in event_types.event_types(scope) if event_type.declared
    }
    users = [
        (_label(series.id), tuple(matches(triggered_body(series))))
        for series in triggered(scope)
        if series.status != SeriesStatus.ARCHIVED
    ]
    for user, event_matches in [*users, *((use.user, use.matches) for use in uses(scope))]:
        for where, event_match in event_matches:
            if event_match.event == name and _can_be_evaluated(scope, event_match, declared, where):
                try:
                    check_match(scope, event_match, {**declared, name: types}, where)
                except Invalid as error:
                    raise Conflict(f"{user[0].upper()}{user[1:]} uses the event {name!r}: {error.message}") from error


def _can_be_evaluated(
    scope: Scope, event_match: EventMatch, declared: Mapping[str, Mapping[str, str]], where: str
) -> bool:
    try:
        check_match(scope, event_match, declared, where)
    except Invalid:
        return False
    return True


def _check_event(scope: Scope, event_match: EventMatch, types: dict[str, str], where: str) -> None:
    try:
        condition = conditions.parse(event_match.conditions)
        for leaf in leaves(condition):
            if not isinstance(leaf, AttributeIs):
                raise Invalid("definition can only compare parameters of the event.")
            if leaf.name not in {name.upper() for name in types}:
                raise Invalid(f"{leaf.path}.attribute names {leaf.name!r}, which {event_match.event} does not have.")
        conditions.to_predicate(condition, event_schema(scope, types))
    except Invalid as error:
        raise Invalid(error.message.replace("definition", f"{where}.conditions", 1)) from error


def _customer_conditions(scope: Scope, definition: Any) -> Any:
    try:
        return audience_groups.definition_of(scope, definition).raw
    except Invalid as error:
        raise Invalid(error.message.replace("definition", "customer_conditions", 1)) from error


def groups_of_triggers(scope: Scope) -> list[int]:
    """The target groups whose members active triggers and journeys ask for."""
    group_ids: set[int] = set()
    for series in triggered(scope, SeriesStatus.ACTIVE):
        group_ids |= set(series.rules.exclude_target_group_ids) | _groups_in(series.customer_conditions)
    for use in uses(scope):
        if use.is_active:
            group_ids = group_ids.union(*map(conditions.groups_in, use.conditions))
    return sorted(group_ids)
