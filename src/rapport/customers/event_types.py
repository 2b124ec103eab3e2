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
from rapport.customers.importing.plans import Plan
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
        found = session.get(EventType, (scope.tenant_id, event_type_id))
    if found is None:
        raise NotFound(f"There is no event type {event_type_id}.")
    return found


def event_type_named(scope: Scope, name: str) -> EventType | None:
    """An event type by its name, which is case-sensitive; None when there is none."""
    with scope.reads() as session:
        return session.scalar(select(EventType).where(EventType.tenant_id == scope.tenant_id, EventType.name == name))


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
        found = _of_names(scope, session, [name])[name]
        if found.declared and core is None:
            raise Conflict(f"The event type {name!r} is declared already.")
        _declare(found, types, description or (core.description if core else ""))
        scope.audit(session, "declare", f"event type {found.id}", name=name)
    return found


def change_event_type(scope: Scope, event_type_id: int, types: Mapping[str, str], description: str) -> EventType:
    """Declare an event type anew: its description and all of its parameters. Raises NotFound, Invalid."""
    with scope.records() as session:
        found = session.get(EventType, (scope.tenant_id, event_type_id), with_for_update=True)
        if found is None:
            raise NotFound(f"There is no event type {event_type_id}.")
        _check(found.name, types, description, found.name in CORE_EVENTS)
        _declare(found, types, description)
        scope.audit(session, "change", f"event type {found.id}", name=found.name)
    return found


def _declare(found: EventType, types: Mapping[str, str], description: str) -> None:
    found.types, found.description, found.declared = dict(types), description, True
    found.parameters = [*types, *(one for one in found.parameters if one not in types)]


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


def _check_name(what: str, name: str, core: bool) -> None:
    if len(name) > LONGEST_NAME or not (core or SNAKE_CASE.fullmatch(name)):
        raise Invalid(f"{what} must be in snake_case, of at most {LONGEST_NAME} characters, not {name[:120]!r}.")


def ensure(scope: Scope, names: Iterable[str], parameters: Iterable[str] = ()) -> dict[str, int]:
    """The id of each name, making types that are new; parameters are added to those of each of them."""
    added = list(parameters)
    return note_event_types(scope, dict.fromkeys(names, added))


def note_event_types(scope: Scope, seen: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The id of each name, making types that are new; the parameters seen with each are added to its own."""
    with scope.records() as session:
        known = _of_names(scope, session, seen)
        for name, parameters in seen.items():
            present = known[name].parameters
            new = [one for one in dict.fromkeys(parameters) if one not in present]
            if new and len(present) < MAX_SEEN:
                known[name].parameters = [*present, *new][:MAX_SEEN]
    return {name: found.id for name, found in known.items()}


def _of_names(scope: Scope, session: Session, names: Iterable[str]) -> dict[str, EventType]:
    """The types of these names, held for the transaction; those that are new are made, core events as declared."""
    take_for_transaction(session, Lock.WRITES_AND_EVENT_TYPES, scope.tenant_id)
    query = select(EventType).where(EventType.tenant_id == scope.tenant_id).with_for_update()
    present = list(session.scalars(query))
    known, taken = {one.name: one for one in present}, {one.id for one in present}
    for name in names:
        if name not in known:
            known[name] = _made(scope, session, name, taken)
    return {name: known[name] for name in names}


def _made(scope: Scope, session: Session, name: str, taken: set[int]) -> EventType:
    core = CORE_EVENTS.get(name)
    number = core.id if core else 0
    while number in taken or not number:
        number = next_id(session, scope.tenant_id, "event_type", FIRST_ID)
    made = EventType(tenant_id=scope.tenant_id, id=number, name=name, parameters=[], types={}, declared=False)
    if core:
        _declare(made, core.parameters, core.description)
    session.add(made)
    taken.add(number)
    return made


def note_staged(scope: Scope, stage: Stage, plan: Plan, known: Iterable[EventType]) -> None:
    """Add the file's properties to the parameters of the types that staged events have; all of them are known."""
    columns = [name for name, _ in plan.properties]
    lacking = {
        one.id: one.name for one in known if len(one.parameters) < MAX_SEEN and not {*columns} <= {*one.parameters}
    }
    if lacking:
        found = stage.warehouse.rows(f"SELECT DISTINCT event_type_id FROM {stage.table('good')}")  # noqa: S608 - our table
        ensure(scope, sorted(lacking[number] for (number,) in found if number in lacking), columns)


def of_file(scope: Scope, file: File, plan: Plan, keep: bool = True) -> tuple[tuple[str, int], ...]:
    """The event types that a file names, with their ids; unless they are to be kept, with numbers of no meaning.

    Raises Invalid for more names than types there may be.
    """
    text = next(one.text for one in plan.columns if one.field.column == "event_name")
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
