"""Reading the audit log: entries by who, what and when, and how many there are."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select

from rapport.access.models import AuditEntry
from rapport.access.scope import Scope
from rapport.stores.parts import Part, part

# The kind of an object is what stands before its number: of "target group 4" the target group.
KIND = func.regexp_replace(AuditEntry.object, r"\s*[0-9].*$", "")


@dataclass(frozen=True)
class AuditFilter:
    """Which entries: actor and object have a text in them, in any case; action is one; from since on, before until."""

    actor: str = ""
    action: str = ""
    object: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What is given, as conditions on entries."""
        conditions: list[ColumnElement[bool]] = []
        if self.actor:
            conditions.append(AuditEntry.actor.icontains(self.actor, autoescape=True))
        if self.action:
            conditions.append(func.lower(AuditEntry.action) == self.action.lower())
        if self.object:
            conditions.append(AuditEntry.object.icontains(self.object, autoescape=True))
        if self.since:
            conditions.append(AuditEntry.at >= self.since)
        if self.until:
            conditions.append(AuditEntry.at < self.until)
        return conditions


@dataclass(frozen=True)
class AuditCount:
    """How often somebody did one kind of action to one kind of object."""

    actor: str
    action: str
    kind: str
    times: int


ALL = AuditFilter()


def audit_entries(scope: Scope, limit: int, offset: int, audit_filter: AuditFilter = ALL) -> Part[AuditEntry]:
    """The tenant's audit log, newest first."""
    newest = select(AuditEntry).where(*_of(scope, audit_filter)).order_by(AuditEntry.id.desc())
    with scope.reads() as session:
        return part(session, newest, limit, offset)


def audit_counts(scope: Scope, audit_filter: AuditFilter) -> list[AuditCount]:
    """How many entries there are by actor, action and kind of object, most frequent first."""
    by = (AuditEntry.actor, AuditEntry.action, KIND.label("kind"))
    counted = (
        select(*by, func.count().label("times")).where(*_of(scope, audit_filter)).group_by("actor", "action", "kind")
    )
    with scope.reads() as session:
        rows = session.execute(counted.order_by(func.count().desc(), "actor", "action", "kind"))
        return [AuditCount(*row) for row in rows]


def _of(scope: Scope, audit_filter: AuditFilter) -> list[Any]:
    return [AuditEntry.tenant_id == scope.tenant_id, *audit_filter.conditions()]
