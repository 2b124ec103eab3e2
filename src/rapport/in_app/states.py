"""What users did with messages, as their apps report it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.apps.states import Reported
from rapport.in_app.changes import instants
from rapport.in_app.models import InAppMessage, InAppUser


@dataclass(frozen=True, slots=True)
class Report:
    """What was done with a message, by its id, at an instant by the clock of the device."""

    message_id: int
    what: Reported
    at: datetime


@dataclass(frozen=True, slots=True)
class Noted:
    """A report of a message of the user, at an instant that is not in the future."""

    message: InAppMessage
    what: Reported
    at: datetime


# The state that a report sets, if any. What is closed was shown, whether that was reported or not.
COLUMNS = {
    Reported.OPENED: "opened_at",
    Reported.DISMISSED: "opened_at",
    Reported.READ: "read_at",
    Reported.INBOX_DELETED: "inbox_deleted_at",
}


def note(scope: Scope, session: Session, customer_id: str, reports: Sequence[Report]) -> list[Noted]:
    """Note what a user did, in the caller's transaction: the reports that are of messages of the user.

    The first report of a state counts; safe to repeat.
    """
    key, now = customer_id.lower(), scope.clock.now()
    user = select(InAppUser).where(InAppUser.tenant_id == scope.tenant_id, InAppUser.customer_key == key)
    if session.scalars(user.with_for_update()).one_or_none() is None:
        return []
    # Read only now that nobody else can change them.
    query = select(InAppMessage).where(
        InAppMessage.tenant_id == scope.tenant_id,
        InAppMessage.customer_key == key,
        InAppMessage.id.in_({report.message_id for report in reports}),
    )
    messages = {message.id: message for message in session.scalars(query)}
    noted = [
        Noted(messages[report.message_id], report.what, min(report.at, now))
        for report in sorted(reports, key=lambda report: report.at)
        if report.message_id in messages
    ]
    changed: dict[int, InAppMessage] = {}
    for each in noted:
        column = COLUMNS.get(each.what)
        if column and getattr(each.message, column) is None:
            setattr(each.message, column, each.at)
            changed[each.message.id] = each.message
    if changed:
        times = instants(scope, session, {key: len(changed)})[key]
        for message, updated_at in zip(changed.values(), times, strict=True):
            message.updated_at = updated_at
    return noted
