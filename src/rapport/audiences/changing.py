"""Who came into a target group and who left it from one data date to another, and who is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import func, select

from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.audiences.groups import target_group, target_groups
from rapport.audiences.membership import ensure_members, snapshot
from rapport.audiences.models import Snapshot, TargetGroup
from rapport.errors import Away, Invalid, NotFound, RapportError
from rapport.notifications import service as notifications

log = structlog.get_logger("rapport.audiences")
FAULTS = (RapportError, ClickHouseError)
Change = Literal["entered", "left"]
ENTERED: Change = "entered"
LEFT: Change = "left"
# Packages above this one that bring customers somewhere as groups change.
GroupFollower = Callable[[Scope, date], None]
_followers: list[GroupFollower] = []


@dataclass(frozen=True)
class ChangedCustomer:
    """A customer who is a member on only one of two data dates."""

    customer_id: str
    change: Change


@dataclass(frozen=True)
class GroupChanges:
    """How a group changed from the data date since to data_date: the total numbers, and a page of the customers, by
    ID.
    """

    target_group_id: int
    since: date
    data_date: date
    entered: int
    left: int
    customers: list[ChangedCustomer]


def changes(
    scope: Scope,
    target_group_id: int,
    data_date: date | None = None,
    since: date | None = None,
    limit: int = 0,
    after: str = "",
) -> GroupChanges:
    """Who came and who went between two data dates for which members are stored; the two newest unless told otherwise.

    The page begins behind the customer after. Raises NotFound for the group and for a date without stored members,
    Invalid when since is not before data_date.
    """
    target_group(scope, target_group_id)
    day = data_date or _newest(scope, target_group_id)
    base = since or (day and _newest(scope, target_group_id, day))
    if day is None or base is None:
        raise NotFound(f"Members of target group {target_group_id} are not stored for two data dates.")
    if base >= day:
        raise Invalid(f"since must be before data_date, which is {day}.")
    for stored_day in (base, day):
        if snapshot(scope, target_group_id, stored_day) is None:
            raise NotFound(f"Members of target group {target_group_id} are not stored for {stored_day}.")
    parameters: dict[str, Any] = {"target_group": target_group_id, "since": base, "data_date": day}
    entered, left = scope.warehouse.row(queries.COUNT_CHANGES, **parameters, after="") or (0, 0)
    rows = scope.warehouse.rows(queries.CHANGES, **parameters, after=after, limit=limit) if limit else []
    customers = [ChangedCustomer(str(customer_id), ENTERED if is_in else LEFT) for customer_id, is_in in rows]
    return GroupChanges(target_group_id, base, day, int(entered), int(left), customers)


def _newest(scope: Scope, target_group_id: int, before: date | None = None) -> date | None:
    """The newest data date for which members of a group are stored, or that before a date."""
    newest = select(func.max(Snapshot.data_date)).where(
        Snapshot.tenant_id == scope.tenant_id, Snapshot.target_group_id == target_group_id
    )
    with scope.reads() as session:
        return session.scalar(newest if before is None else newest.where(Snapshot.data_date < before))


def register_group_follower(follower: GroupFollower) -> None:
    """Let a package follow how groups changed up to a data date; it is called at least once a date."""
    _followers.append(follower)


def follow_changes(scope: Scope, data_date: date) -> None:
    """Tell listeners and followers how groups changed up to a data date; an old date is told to nobody. Raises Away."""
    if data_date != scope.data_date():
        return
    tell_changes(scope, data_date)
    for follow in _followers:
        follow(scope, data_date)


def tell_changes(scope: Scope, data_date: date) -> None:
    """Tell listeners how the groups that tell it changed up to a data date, once a date.

    The fault of one group is logged and holds up no other. Raises Away.
    """
    for group in target_groups(scope):
        if group.tells_changes:
            try:
                _tell(scope, group, data_date)
            except Away:
                raise
            except FAULTS:
                log.exception("changes of a target group not told", tenant_id=scope.tenant_id, target_group_id=group.id)


def _tell(scope: Scope, group: TargetGroup, data_date: date) -> None:
    ensure_members(scope, {group.id}, data_date)
    since = _newest(scope, group.id, data_date)
    if since is None:  # here it begins
        return
    group_changes = changes(scope, group.id, data_date, since)
    if not group_changes.entered and not group_changes.left:
        return
    payload = {"TargetGroupID": group.id, "TargetGroupName": group.name, "Date": data_date.isoformat()}
    payload |= {"SinceDate": since.isoformat(), "Entered": group_changes.entered, "Left": group_changes.left}
    with scope.records() as session:
        key = f"{notifications.GROUP_CHANGED}:{group.id}:{data_date}"
        notifications.notify(scope, session, notifications.GROUP_CHANGED, payload, key)
