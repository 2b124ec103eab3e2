"""What users did with messages, as their apps report it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.in_app.changes import instants
from rapport.in_app.models import InAppMessage, InAppUser


class Reported(StrEnum):
    """What an app reports of a message: fetched, shown, closed, read in the inbox, deleted from the inbox."""

    DELIVERED = "delivered"
    OPENED = "opened"
    DISMISSED = "dismissed"
    READ = "read"
    INBOX_DELETED = "inbox deleted"


@dataclass(frozen=True, slots=True)
class Report:
    """What was done with a message, by its id, at an instant by the clock of the device."""

    message_id: int
    what: Reported
    at: datetime


@dataclass(frozen=True, slots=True)
class Noted:
    """What counts of a report: that a message was fetched, or opened for the first time."""

    what: Literal[Reported.DELIVERED, Reported.OPENED]
    message: InAppMessage
    at: datetime


OPENED = "opened_at"
# The state that a report sets. What is closed was shown, whether that was reported or not.
COLUMNS = {
    Reported.OPENED: OPENED,
    Reported.DISMISSED: OPENED,
    Reported.READ: "read_at",
    Reported.INBOX_DELETED: "inbox_deleted_at",
}


def note(scope: Scope, session: Session, customer_id: str, reports: Sequence[Report]) -> list[Noted]:
    """Note what a user did, in the caller's transaction; what of it counts.

    Of messages of others and of none nothing is noted. The first report of a state counts; safe to repeat.
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
    noted: list[Noted] = []
    changed: dict[int, InAppMessage] = {}
    for report in sorted(reports, key=lambda report: report.at):
        message, at = messages.get(report.message_id), min(report.at, now)
        if message is None:
            continue
        column = COLUMNS.get(report.what)
        if column is None:
            noted.append(Noted(Reported.DELIVERED, message, at))
        elif getattr(message, column) is None:
            setattr(message, column, at)
            changed[message.id] = message
            if column == OPENED:
                noted.append(Noted(Reported.OPENED, message, at))
    if changed:
        times = instants(scope, session, {key: len(changed)})[key]
        for message, updated_at in zip(changed.values(), times, strict=True):
            message.updated_at = updated_at
    return noted
