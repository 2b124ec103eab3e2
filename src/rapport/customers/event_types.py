"""Types of activity events: a number and a name per tenant, made when a name is first seen."""

from collections.abc import Iterable

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.customers.files import File, rows_sql
from rapport.customers.models import EventType
from rapport.customers.plans import Plan
from rapport.errors import Invalid, NotFound
from rapport.stores.records import next_id

FIRST_ID = 1001
MAX_NAMES = 5000


def event_types(scope: Scope) -> list[EventType]:
    """The tenant's event types, by id."""
    with scope.records() as session:
        query = select(EventType).where(EventType.tenant_id == scope.tenant_id).order_by(EventType.id)
        return list(session.scalars(query))


def event_type(scope: Scope, event_type_id: int) -> EventType:
    """An event type by id. Raises NotFound."""
    with scope.records() as session:
        found = session.get(EventType, (scope.tenant_id, event_type_id))
    if found is None:
        raise NotFound(f"There is no event type {event_type_id}.")
    return found


def ensure(scope: Scope, names: Iterable[str], parameters: Iterable[str] = ()) -> dict[str, int]:
    """The id of each name, making types that are new; parameters are added to those of the named types."""
    wanted, added = list(dict.fromkeys(names)), list(parameters)
    with scope.records() as session:
        query = select(EventType).where(EventType.tenant_id == scope.tenant_id).with_for_update()
        known = {one.name: one for one in session.scalars(query)}
        for name in wanted:
            if name not in known:
                number = next_id(session, scope.tenant_id, "event_type", FIRST_ID)
                known[name] = EventType(tenant_id=scope.tenant_id, id=number, name=name, parameters=[])
                session.add(known[name])
            present = known[name].parameters
            known[name].parameters = [*present, *(one for one in added if one not in present)]
    return {name: known[name].id for name in wanted}


def of_file(scope: Scope, file: File, plan: Plan) -> tuple[tuple[str, int], ...]:
    """The event types that a file names. Raises Invalid for more names than types there may be."""
    text = next(one.text for one in plan.bound if one.field.column == "event_name")
    sql = f"""
        SELECT DISTINCT ifNull({text}, '') FROM ({rows_sql(file)})
        WHERE isValidUTF8(ifNull({text}, '')) AND length({text}) BETWEEN 1 AND 255 LIMIT {MAX_NAMES + 1} {file.settings}
    """  # noqa: S608 - made of the file's structure
    names = sorted(name for (name,) in scope.warehouse.rows(sql))
    if len(names) > MAX_NAMES:
        raise Invalid(f"The file names more than {MAX_NAMES} types of event: is it the right column?")
    return tuple(ensure(scope, names, [name for name, _ in plan.properties]).items())
