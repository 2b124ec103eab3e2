"""What an app is told of the messages of its user: what has changed since it asked last, and overlays to show."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select

from rapport.access.scope import Scope
from rapport.in_app.contents import Surface
from rapport.in_app.models import InAppMessage

# Of more, an app gets the rest when it asks next: it goes on behind the newest that it has.
MOST_AT_ONCE = 500


def changed_messages(
    scope: Scope, customer_id: str, app_id: int, after: datetime | None, at_most: int = MOST_AT_ONCE
) -> Sequence[InAppMessage]:
    """The messages of a user that changed after an instant, in the order of their changes.

    An app that asks for the first time gets those that may still be shown. Each has an updated_at of its own, after
    the instant that was asked for: an app that keeps the newest of them misses nothing, and never goes back.
    """
    conditions = [*_of_user(scope, customer_id, app_id), InAppMessage.surface == Surface.IN_APP]
    if after is None:
        conditions += _may_be_shown(scope)
    else:
        conditions.append(InAppMessage.updated_at > after)
    with scope.reads() as session:
        query = select(InAppMessage).where(*conditions).order_by(InAppMessage.updated_at)
        return session.scalars(query.limit(at_most)).all()


def overlay(scope: Scope, customer_id: str, app_id: int, surface: Surface) -> InAppMessage | None:
    """The newest overlay of a user that nobody has shown or turned down yet; None when there is none."""
    unseen = (InAppMessage.surface == surface, InAppMessage.opened_at.is_(None), _is_current(scope))
    query = select(InAppMessage).where(*_of_user(scope, customer_id, app_id), *unseen)
    with scope.reads() as session:
        return session.scalars(query.order_by(InAppMessage.updated_at.desc()).limit(1)).first()


def numbers_of(scope: Scope, message_ids: Collection[str]) -> dict[str, int]:
    """The ids under which apps know messages, by message id."""
    mine = (InAppMessage.tenant_id == scope.tenant_id, InAppMessage.message_id.in_(message_ids))
    with scope.reads() as session:
        return {
            row.message_id: row.id
            for row in session.execute(select(InAppMessage.message_id, InAppMessage.id).where(*mine))
        }


def has_messages(scope: Scope, customer_id: str) -> bool:
    """Whether anything was ever stored for a user that is still kept."""
    theirs = (InAppMessage.tenant_id == scope.tenant_id, InAppMessage.customer_key == customer_id.lower())
    with scope.reads() as session:
        return session.scalars(select(InAppMessage.id).where(*theirs).limit(1)).first() is not None


def _of_user(scope: Scope, customer_id: str, app_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        InAppMessage.tenant_id == scope.tenant_id,
        InAppMessage.customer_key == customer_id.lower(),
        or_(InAppMessage.app_id.is_(None), InAppMessage.app_id == app_id),
    )


def _is_current(scope: Scope) -> ColumnElement[bool]:
    return or_(InAppMessage.expires_at.is_(None), InAppMessage.expires_at > scope.clock.now())


def _may_be_shown(scope: Scope) -> list[ColumnElement[bool]]:
    """Not expired nor deleted; what was opened is still shown in the inbox."""
    is_new_or_in_inbox = or_(InAppMessage.opened_at.is_(None), InAppMessage.inbox.is_not(None))
    return [InAppMessage.inbox_deleted_at.is_(None), is_new_or_in_inbox, _is_current(scope)]
