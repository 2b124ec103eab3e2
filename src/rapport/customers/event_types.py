"""Types of activity events: a number and a name per tenant, declared, or made when a name is first seen."""

import re
from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.customers.core_events import BOOLEAN, CORE_EVENTS, NUMBER, STRING
from rapport.customers.formats.cells import unclean
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.formats.values import RULES
from rapport.customers.importing.column_plans import Plan
from rapport.customers.importing.staging import Stage
from rapport.customers.models import EventType
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores.records import next_id
from rapport.stores.records.locks import Lock, take_for_transaction

FIRST_ID = 2001
MAX_NAMES = 5000
MAX_PARAMETERS = 50
# Of parameters that nobody declared only so many are listed; all are kept with the events.
MAX_SEEN = 200
MAX_DESCRIPTION = 1000
KINDS = (STRING, NUMBER, BOOLEAN)
SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST_NAME = 100


def event_types(scope: Scope) -> list[EventType]:
    """The tenant's event types, by id."""
    with scope.reads() as session:
        query = select(EventType).where(EventType.tenant_id == scope.tenant_id).order_by(EventType.id)
        return list(session.scalars(query))


def event_type(scope: Scope, event_type_id: int) -> EventType:
    """An event type by id. Raises NotFound."""
    with scope.reads() as session:
        stored = session.get(EventType, (scope.tenant_id, event_type_id))
    if stored is None:
        raise NotFound(f"There is no event type {event_type_id}.")
    return stored


def event_type_named(scope: Scope, name: str) -> EventType | None:
    """An event type by its name, which is case-sensitive; None when there is none."""
    with scope.reads() as session:
        return session.scalar(select(EventType).where(EventType.tenant_id == scope.tenant_id, EventType.name == name))


def ids_named(scope: Scope, names: Iterable[str]) -> dict[str, int]:
    """The id of each event type that there is among some names."""
    query = select(EventType.name, EventType.id).where(
        EventType.tenant_id == scope.tenant_id, EventType.name.in_(list(names))
    )
    with scope.reads() as session:
        return {row.name: row.id for row in session.execute(query)}


def declare_event_type(
    scope: Scope, name: str, parameters: Mapping[str, str] | None = None, description: str = ""
) -> EventType:
    """Declare an event with its parameters' types; one that was only seen so far keeps its number.

    A core event may be declared by its name alone. Raises Invalid, Conflict for one that is declared.
    """
    core = CORE_EVENTS.get(name)
    types = dict(core.parameters if core and parameters is None else parameters or {})
    _check(name, types, description, core is not None)
    with scope.records() as session:
        event_type = _types_named(scope, session, [name])[name]
        if event_type.declared and core is None:
            raise Conflict(f"The event type {name!r} is declared already.")
        _declare(event_type, types, description or (core.description if core else ""))
        scope.audit(session, "declare", f"event type {event_type.id}", name=name)
    return event_type


def change_event_type(scope: Scope, event_type_id: int, types: Mapping[str, str], description: str) -> EventType:
    """Declare an event type anew: its description and all of its parameters. Raises NotFound, Invalid."""
    with scope.records() as session:
        event_type = session.get(EventType, (scope.tenant_id, event_type_id), with_for_update=True)
        if event_type is None:
            raise NotFound(f"There is no event type {event_type_id}.")
        _check(event_type.name, types, description, event_type.name in CORE_EVENTS)
        _declare(event_type, types, description)
        scope.audit(session, "change", f"event type {event_type.id}", name=event_type.name)
    return event_type


def _declare(event_type: EventType, types: Mapping[str, str], description: str) -> None:
    event_type.types, event_type.description, event_type.declared = dict(types), description, True
    event_type.parameters = [*types, *(parameter for parameter in event_type.parameters if parameter not in types)]


def _check(name: str, types: Mapping[str, str], description: str, core: bool) -> None:
    _check_name("name", name, core)
    if len(types) > MAX_PARAMETERS:
        raise Invalid(f"parameters must be at most {MAX_PARAMETERS}, not {len(types)}.")
    for parameter, kind in types.items():
        _check_name("a parameter's name", parameter, core)
        if kind not in KINDS:
            raise Invalid(f"The type of the parameter {parameter!r} must be one of {', '.join(KINDS)}, not {kind!r}.")
    if len(description) > MAX_DESCRIPTION or "\0" in description:
        raise Invalid(f"description must be a text of at most {MAX_DESCRIPTION} characters.")


def _check_name(label: str, name: str, core: bool) -> None:
    if len(name) > LONGEST_NAME or not (core or SNAKE_CASE.fullmatch(name)):
        raise Invalid(f"{label} must be in snake_case, of at most {LONGEST_NAME} characters, not {name[:120]!r}.")


def ensure(scope: Scope, names: Iterable[str], parameters: Iterable[str] = ()) -> dict[str, int]:
    """The id of each name, making types that are new; parameters are added to those of each of them."""
    added = list(parameters)
    return note_event_types(scope, dict.fromkeys(names, added))


def note_event_types(scope: Scope, parameters_by_name: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The id of each name, making types that are new; the parameters seen with each are added to its own."""
    with scope.records() as session:
        types_by_name = _types_named(scope, session, parameters_by_name)
        for name, parameters in parameters_by_name.items():
            present = types_by_name[name].parameters
            new_parameters = [parameter for parameter in dict.fromkeys(parameters) if parameter not in present]
            if new_parameters and len(present) < MAX_SEEN:
                types_by_name[name].parameters = [*present, *new_parameters][:MAX_SEEN]
    return {name: event_type.id for name, event_type in types_by_name.items()}


def _types_named(scope: Scope, session: Session, names: Iterable[str]) -> dict[str, EventType]:
    """The types of these names, held for the transaction; those that are new are made, core events as declared."""
    take_for_transaction(session, Lock.WRITES_AND_EVENT_TYPES, scope.tenant_id)
    query = select(EventType).where(EventType.tenant_id == scope.tenant_id).with_for_update()
    present = list(session.scalars(query))
    types_by_name = {event_type.name: event_type for event_type in present}
    taken_ids = {event_type.id for event_type in present}
    for name in names:
        if name not in types_by_name:
            types_by_name[name] = _new_event_type(scope, session, name, taken_ids)
    return {name: types_by_name[name] for name in names}


def _new_event_type(scope: Scope, session: Session, name: str, taken_ids: set[int]) -> EventType:
    core = CORE_EVENTS.get(name)
    number = core.id if core else 0
    while number in taken_ids or not number:
        number = next_id(session, scope.tenant_id, "event_type", FIRST_ID)
    event_type = EventType(tenant_id=scope.tenant_id, id=number, name=name, parameters=[], types={}, declared=False)
    if core:
        _declare(event_type, core.parameters, core.description)
    session.add(event_type)
    taken_ids.add(number)
    return event_type


def note_staged(scope: Scope, stage: Stage, plan: Plan, known_types: Iterable[EventType]) -> None:
    """Add the file's properties to the parameters of the types that staged events have; all of them are known."""
    columns = [name for name, _ in plan.properties]
    lacking = {
        event_type.id: event_type.name
        for event_type in known_types
        if len(event_type.parameters) < MAX_SEEN and not {*columns} <= {*event_type.parameters}
    }
    if lacking:
        rows = stage.warehouse.rows(f"SELECT DISTINCT event_type_id FROM {stage.table('good')}")  # noqa: S608 - our table
        ensure(scope, sorted(lacking[number] for (number,) in rows if number in lacking), columns)


def of_file(scope: Scope, file: File, plan: Plan, *, keep: bool = True) -> tuple[tuple[str, int], ...]:
    """The event types that a file names, with their ids; unless they are to be kept, with numbers of no meaning.

    Raises Invalid for more names than types there may be.
    """
    text = next(column.text for column in plan.columns if column.field.column == "event_name")
    sql = f"""
        SELECT DISTINCT ifNull({text}, '') FROM ({rows_sql(file)})
        WHERE _fault = '' AND {RULES["Id"].value(text)} IS NOT NULL AND NOT {unclean(f"ifNull({text}, '')")}
        LIMIT {MAX_NAMES + 1} {file.settings}
    """  # noqa: S608 - made of the file's structure
    names = sorted(name for (name,) in scope.warehouse.rows(sql))
    if len(names) > MAX_NAMES:
        raise Invalid(f"The file has more than {MAX_NAMES} different event names: is this the right column?")
    if not keep:
        return tuple((name, number) for number, name in enumerate(names, 1))
    return tuple(ensure(scope, names, [name for name, _ in plan.properties]).items())
