"""Target groups: creating, changing and archiving them, and the order in which they depend on each other."""

from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences.models import TargetGroup
from rapport.audiences.names import Definition, with_ids
from rapport.audiences.schema import names, schema
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores.records import hold, next_id, unique_name

MAX_NAME = 200
MAX_PRIORITY = 1_000_000
UNIQUE, A_GROUP = "uq_target_groups_name", "a target group"


def definition_of(scope: Scope, definition: Any) -> Definition:
    """A definition, given as JSON, that fits the tenant's attributes and groups, as it is kept. Raises Invalid."""
    resolved = with_ids(scope, definition)
    # Whether it fits is asked of nobody: the customers of a channel are not looked up for it.
    conditions.to_sql(resolved.condition, replace(schema(scope), unreached=lambda channel_id: "customers"))
    group_ids = {group.id for group in target_groups(scope)}
    for number in sorted(conditions.groups_in(resolved.condition) - group_ids):
        raise Invalid(f"definition names target group {number}, which does not exist.")
    return resolved


def readable(scope: Scope, condition: conditions.Condition) -> str:
    """A condition as a sentence."""
    return conditions.sentence(condition, names(scope))


def create_target_group(
    scope: Scope, name: str, definition: dict[str, Any], priority: int | None = None, *, tells_changes: bool = False
) -> TargetGroup:
    """Save a target group; without a priority it comes after all others.

    definition is the JSON of a condition; names of stages and segments are kept as their ids.
    Raises Invalid, or Conflict for a name that is in use.
    """
    resolved = definition_of(scope, definition)
    with unique_name(UNIQUE, A_GROUP, name), scope.records() as session:
        hold(session, scope.tenant_id, "target groups")
        group = TargetGroup(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "target group"),
            name=_name(name),
            priority=_priority(scope, session, priority),
            definition=resolved.raw,
            depends_on=sorted(conditions.groups_in(resolved.condition)),
            archived=False,
            version=1,
            tells_changes=tells_changes,
            created_at=scope.clock.now(),
        )
        group.condition = resolved.condition
        session.add(group)
        session.flush()
        scope.audit(session, "create", f"target group {group.id}", name=group.name)
    return group


def _name(name: str) -> str:
    if not name.strip() or len(name.strip()) > MAX_NAME:
        raise Invalid(f"name must have 1 to {MAX_NAME} characters.")
    return name.strip()


def _priority(scope: Scope, session: Session, priority: int | None) -> int:
    if priority is None:
        largest = select(func.max(TargetGroup.priority)).where(TargetGroup.tenant_id == scope.tenant_id)
        return min((session.scalar(largest) or 0) + 1, MAX_PRIORITY)
    if not 1 <= priority <= MAX_PRIORITY:
        raise Invalid(f"priority must be from 1 to {MAX_PRIORITY}.")
    return priority


def target_group(scope: Scope, target_group_id: int) -> TargetGroup:
    """A group by id, archived or not. Raises NotFound."""
    with scope.reads() as session:
        return _get(scope, session, target_group_id)


def _get(scope: Scope, session: Session, target_group_id: int) -> TargetGroup:
    group = session.get(TargetGroup, (scope.tenant_id, target_group_id))
    if group is None:
        raise NotFound(f"There is no target group {target_group_id}.")
    return group


def target_groups(scope: Scope, *, archived: bool = False) -> list[TargetGroup]:
    """The groups in use, by id; or the archived ones."""
    chosen = (TargetGroup.tenant_id == scope.tenant_id, TargetGroup.archived.is_(archived))
    with scope.reads() as session:
        return list(session.scalars(select(TargetGroup).where(*chosen).order_by(TargetGroup.id)))


def update_target_group(
    scope: Scope,
    target_group_id: int,
    name: str | None = None,
    definition: dict[str, Any] | None = None,
    priority: int | None = None,
    *,
    tells_changes: bool | None = None,
) -> TargetGroup:
    """Change what is given. A new definition makes a new version and leaves stored members as they are.

    Raises NotFound, Invalid, and Conflict for a name in use, an archived group, or groups that would
    depend on each other in a circle.
    """
    resolved = None if definition is None else definition_of(scope, definition)
    with unique_name(UNIQUE, A_GROUP, name or ""), scope.records() as session:
        hold(session, scope.tenant_id, "target groups")
        group = _get(scope, session, target_group_id)
        if group.archived:
            raise Conflict(f"Target group {target_group_id} is archived.")
        group.name = group.name if name is None else _name(name)
        group.priority = group.priority if priority is None else _priority(scope, session, priority)
        group.tells_changes = group.tells_changes if tells_changes is None else tells_changes
        if resolved is not None and resolved.raw != group.definition:
            _redefine(scope, session, group, resolved)
        session.flush()
        scope.audit(session, "update", f"target group {target_group_id}", version=group.version)
    return group


def _redefine(scope: Scope, session: Session, group: TargetGroup, resolved: Definition) -> None:
    needed = sorted(conditions.groups_in(resolved.condition))
    graph = _graph(scope, session) | {group.id: needed}
    _in_order(graph, group.id)
    group.definition, group.condition, group.depends_on = resolved.raw, resolved.condition, needed
    group.version += 1
    group.size = group.size_date = group.sized_at = None


def bind_target_groups(scope: Scope) -> None:
    """Give groups that were saved with names of stages and segments the ids that they mean now.

    Nobody is selected otherwise by it, so that the version stays. One that names nothing that exists stays as it is.
    """
    for group in target_groups(scope):
        try:
            definition = with_ids(scope, group.definition).raw
        except Invalid:
            continue
        if definition != group.definition:
            with scope.records() as session:
                _get(scope, session, group.id).definition = definition


def archive_target_group(scope: Scope, target_group_id: int) -> TargetGroup:
    """Take a group out of use; its past members stay. Raises NotFound, Conflict when another group names it."""
    with scope.records() as session:
        hold(session, scope.tenant_id, "target groups")
        group = _get(scope, session, target_group_id)
        users = [user.id for user in target_groups(scope) if target_group_id in user.depends_on]
        if users:
            raise Conflict(f"Target group {users[0]} depends on target group {target_group_id}.")
        group.archived = True
        scope.audit(session, "archive", f"target group {target_group_id}")
    return group


def _graph(scope: Scope, session: Session) -> dict[int, list[int]]:
    """Every group, archived ones too (a campaign may still be running on one), and those it depends on."""
    chosen = select(TargetGroup.id, TargetGroup.depends_on).where(TargetGroup.tenant_id == scope.tenant_id)
    return {row.id: row.depends_on for row in session.execute(chosen)}


def computing_order(scope: Scope, group_ids: set[int]) -> list[int]:
    """The groups to compute for some groups, each after those it depends on. Raises Conflict for a circle."""
    with scope.reads() as session:
        graph = _graph(scope, session)
    return _in_order(graph, *sorted(group_ids))


def versions_of(scope: Scope, target_group_id: int) -> dict[str, int]:
    """The versions of a group and of all that it depends on, by id: what its stored members were computed from."""
    chosen = computing_order(scope, {target_group_id})
    statement = select(TargetGroup.id, TargetGroup.version).where(
        TargetGroup.tenant_id == scope.tenant_id, TargetGroup.id.in_(chosen)
    )
    with scope.reads() as session:
        return {str(row.id): row.version for row in session.execute(statement)}


def _in_order(graph: dict[int, list[int]], *group_ids: int) -> list[int]:
    reached: dict[int, list[int]] = {}
    waiting = list(group_ids)
    while waiting:
        number = waiting.pop()
        if number not in reached:
            reached[number] = graph.get(number, [])
            waiting.extend(reached[number])
    try:
        return list(TopologicalSorter(reached).static_order())
    except CycleError as error:
        circle = " -> ".join(str(number) for number in error.args[1])
        raise Conflict(f"definition makes target groups depend on each other in a circle: {circle}.") from error
