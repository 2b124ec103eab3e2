"""Triggered campaigns as built: kept as series with a trigger, versioned; every change leaves an audit row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import service as audiences
from rapport.campaigns import goals
from rapport.campaigns.definitions import change_status, check_excluded, check_groups, replace_series
from rapport.campaigns.models import UNIQUE_SERIES, Series
from rapport.campaigns.plans import OfTrigger, PlannedGroup, PlannedRules, channels_in
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggers import EventMatch, SequenceTrigger, Trigger, TriggeredBody, TriggeredRules
from rapport.channels import service as channels
from rapport.conditions import Column, Kind, Schema
from rapport.conditions.nodes import AttributeIs, leaves
from rapport.customers import service as customers
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
SCHEDULE = OfTrigger(kind="triggered")
A_TRIGGERED = "a triggered campaign"


def triggered(scope: Scope, status: str | None = None) -> list[Series]:
    """The tenant's triggered campaigns, by id."""
    wanted = select(Series).where(Series.tenant_id == scope.tenant_id, Series.trigger.is_not(None))
    if status:
        wanted = wanted.where(Series.status == status)
    with scope.reads() as session:
        return list(session.scalars(wanted.order_by(Series.id)))


def triggered_warnings(scope: Scope, some: Sequence[Series]) -> dict[int, list[str]]:
    """What may not be meant about triggered campaigns, in sentences, by id."""
    addresses = {one.id: one.address_attribute.upper() for one in channels.channels(scope)}
    return {one.id: [*_divided(one, addresses), *goals.warnings(scope, one)] for one in some}


def _divided(found: Series, addresses: Mapping[int, str]) -> list[str]:
    """That a campaign with several kinds of addresses divides its customers by one of them; nothing for any other."""
    used = sorted(channels_in(found.groups))
    kinds = list(dict.fromkeys(addresses.get(one, channels.OWN_ID) for one in used))
    first, *others = [one for one in kinds if one != channels.OWN_ID] or [""]
    if not others or (len(found.groups) == 1 and not found.control_share):
        return []
    return [
        f"Customers are divided by {first}, or by the next of {', '.join(others)} for whoever has none: those who "
        f"share {' or '.join(others)} alone may fall into different groups, or one of them into control."
    ]


def active_triggers(scope: Scope) -> set[int]:
    """The ids of the tenant's triggered campaigns that are active."""
    wanted = select(Series.id).where(
        Series.tenant_id == scope.tenant_id, Series.trigger.is_not(None), Series.status == SeriesStatus.ACTIVE
    )
    with scope.reads() as session:
        return set(session.scalars(wanted))


def triggered_series(scope: Scope, series_id: int) -> Series:
    """A triggered campaign by id. Raises NotFound."""
    with scope.records() as session:
        return _get(scope, session, series_id)


def _get(scope: Scope, session: Session, series_id: int) -> Series:
    found = session.get(Series, (scope.tenant_id, series_id))
    if found is None or found.trigger is None:
        raise NotFound(f"There is no triggered campaign {series_id}.")
    return found


def _columns(body: TriggeredBody) -> dict[str, Any]:
    data = body.model_dump(mode="json")
    found = {name: data.pop(name) for name in COLUMNS}
    groups = tuple(map(PlannedGroup.model_validate, found["groups"]))
    return {**found, "goal": body.goal, "groups": groups, "rules": PlannedRules(**found["rules"]), "trigger": data}


def triggered_body(found: Series) -> TriggeredBody:
    """A triggered campaign as its body, the reverse of how it is kept."""
    data = {name: getattr(found, name) for name in COLUMNS}
    of_body = TriggeredRules.model_fields.keys()
    groups = [group.model_dump(exclude={"channels": {"__all__": {"send_time"}}}) for group in found.groups]
    kept = {"groups": groups, "rules": found.rules.model_dump(include=set(of_body)), "goal": found.goal.model_dump()}
    return TriggeredBody.model_validate({**data, **kept, **(found.trigger or {})})


def create_triggered(scope: Scope, body: TriggeredBody, status: str = SeriesStatus.ACTIVE) -> Series:
    """Define a triggered campaign, active at once or paused.

    Raises NotFound or Invalid for anything it names and cannot use, Conflict for a name in use.
    """
    body = check_triggered(scope, body)
    with unique_name(UNIQUE_SERIES, A_TRIGGERED, body.name), scope.records() as session:
        made = Series(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "series"),
            target_group_id=0,
            schedule=SCHEDULE,
            status=status,
            version=1,
            created_at=scope.clock.now(),
            **_columns(body),
        )
        session.add(made)
        scope.audit(session, "create", _called(made.id), name=made.name)
        _tell(scope, session)
    _prepare(scope, body)
    return made


def update_triggered(scope: Scope, series_id: int, body: TriggeredBody, version: int) -> Series:
    """Replace a triggered campaign if it still stands at this version; what has fired keeps what it had.

    With another trigger everybody begins anew: what was done for the one before makes nothing go out.

    Raises NotFound, Invalid, and Conflict for a name in use, or when somebody else changed it meanwhile or it is
    archived.
    """
    body = check_triggered(scope, body)
    with unique_name(UNIQUE_SERIES, A_TRIGGERED, body.name), scope.records() as session:
        found = _get(scope, session, series_id)
        values = _columns(body)
        if _makes_it_go_out(values["trigger"]) != _makes_it_go_out(found.trigger or {}):
            values["trigger_version"] = version + 1
        replace_series(scope, session, found, _called(series_id), version, values)
        _tell(scope, session)
    _prepare(scope, body)
    return found


def set_triggered_status(scope: Scope, series_id: int, status: str) -> Series:
    """Activate, pause or archive; what persons were in the middle of when it was paused counts no more.

    Raises NotFound, Invalid for another status, Conflict for an archived one.
    """
    with scope.records() as session:
        found = _get(scope, session, series_id)
        before = found.status
        change_status(scope, session, found, _called(series_id), status)
        if status != before:
            found.trigger_version = found.version
        _tell(scope, session)
    return found


def _makes_it_go_out(kept: dict[str, Any]) -> dict[str, Any]:
    """What events have to do for a triggered campaign, of what is kept of it, with every default in it."""
    found: dict[str, Any] = TypeAdapter(Trigger).validate_python(kept["trigger"]).model_dump(mode="json")
    return found


def _called(series_id: int) -> str:
    return f"triggered campaign {series_id}"


def _prepare(scope: Scope, body: TriggeredBody) -> None:
    """Have the members of the groups that are asked about, where a profile is there; the daily cycle renews them."""
    data_date = scope.data_date()
    groups = set(body.rules.exclude_target_group_ids) | _asked(body.customer_conditions)
    if groups and data_date is not None:
        audiences.ensure_members(scope, groups, data_date)


def _asked(definition: Any) -> set[int]:
    """The groups that customer conditions name."""
    return set() if definition is None else conditions.groups_in(conditions.parse(definition))


def _tell(scope: Scope, session: Session) -> None:
    """Whoever evaluates triggers learns of the change when it commits."""
    publish(session, Topic.TRIGGERS, scope.tenant_id)


# What a triggered campaign names


def event_schema(scope: Scope, types: dict[str, str]) -> Schema:
    """The declared parameters of an event, as what a condition over its parameters compares."""
    columns = {name.upper(): Column(name, PARAMETER_KINDS[kind]) for name, kind in types.items()}
    return Schema(columns, audiences.schema(scope).data_date, scope.time_zone)


def matches(body: TriggeredBody) -> Iterator[tuple[str, EventMatch]]:
    """Every event that a trigger names, with where it stands in the body."""
    yield "trigger", body.trigger
    if isinstance(body.trigger, SequenceTrigger):
        for name, some in (("closing", body.trigger.closing), ("restart", body.trigger.restart)):
            yield from ((f"trigger.{name}[{n}]", one) for n, one in enumerate(some))


def check_triggered(scope: Scope, body: TriggeredBody) -> TriggeredBody:
    """The body as it is kept: everything that it names exists and fits, names are ids. Raises NotFound, Invalid."""
    declared = {one.name: one.types for one in customers.event_types(scope) if one.declared}
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
    for where, one in matches(body):
        if one.event not in declared:
            raise Invalid(f"{where}.event names {one.event!r}, which is not a declared event type.")
        if one.conditions is not None:
            _check_event(scope, one, declared[one.event], where)


def check_event_change(scope: Scope, name: str, types: dict[str, str]) -> None:
    """An event must not be declared so that a trigger which is not archived cannot be evaluated. Raises Conflict."""
    declared = {one.name: one.types for one in customers.event_types(scope) if one.declared}
    for series in triggered(scope):
        body = triggered_body(series)
        if series.status == SeriesStatus.ARCHIVED or all(one.event != name for _, one in matches(body)):
            continue
        try:
            check_events(scope, body, declared)
        except Invalid:
            continue  # it cannot be evaluated as it is
        try:
            check_events(scope, body, {**declared, name: types})
        except Invalid as error:
            raise Conflict(f"{_called(series.id).capitalize()} uses the event {name!r}: {error.message}") from error


def _check_event(scope: Scope, one: EventMatch, types: dict[str, str], where: str) -> None:
    try:
        condition = conditions.parse(one.conditions)
        for leaf in leaves(condition):
            if not isinstance(leaf, AttributeIs):
                raise Invalid("definition can only compare parameters of the event.")
            if leaf.name not in {name.upper() for name in types}:
                raise Invalid(f"{leaf.path}.attribute names {leaf.name!r}, which {one.event} does not have.")
        conditions.to_predicate(condition, event_schema(scope, types))
    except Invalid as error:
        raise Invalid(error.message.replace("definition", f"{where}.conditions", 1)) from error


def _customer_conditions(scope: Scope, definition: Any) -> Any:
    try:
        return audiences.definition_of(scope, definition).raw
    except Invalid as error:
        raise Invalid(error.message.replace("definition", "customer_conditions", 1)) from error


def groups_of_triggers(scope: Scope) -> list[int]:
    """The target groups whose members active triggers ask for."""
    found: set[int] = set()
    for one in triggered(scope, SeriesStatus.ACTIVE):
        assert one.trigger is not None  # noqa: S101 - tells the type checker
        found |= set(one.rules.exclude_target_group_ids) | _asked(one.trigger["customer_conditions"])
    return sorted(found)
