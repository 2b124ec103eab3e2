"""Words from one process to the workers of all (NOTIFY), sent when the transaction of a change commits."""

from enum import StrEnum

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session


class Topic(StrEnum):
    """What words are about, with what they say."""

    DELIVERIES = "rapport_deliveries"  # nothing
    EVENTS = "rapport_events"  # the tenant of whom events were accepted
    FIRINGS = "rapport_firings"  # nothing
    INBOX = "rapport_inbox"  # the tenant of whom inboxes have changed
    MAIL_EVENTS = "rapport_mail_events"  # nothing
    MESSAGES = "rapport_messages"  # nothing
    SCHEDULE = "rapport_schedule"  # the tenant of whom something new may be due
    SPORTS = "rapport_sports"  # the tenant of whom a sports inventory has changed
    TRIGGERS = "rapport_triggers"  # the tenant whose triggers have changed


def publish(session: Session | Connection, topic: Topic, tenant_id: int | None = None) -> None:
    """Wake those who listen to a topic, once the session's transaction has committed."""
    session.execute(select(func.pg_notify(topic.value, "" if tenant_id is None else str(tenant_id))))
