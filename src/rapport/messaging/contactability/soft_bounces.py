"""Soft bounces: one suppresses nobody; an address that has them on many days, and no delivery in between, is given up.

They are counted by address, or by customer where a channel has none; several on a day count once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.messaging import queries
from rapport.messaging.contactability.suppressed_addresses import address_attributes, marks_of
from rapport.messaging.contactability.suppressions import suppress_many
from rapport.messaging.settings import MessagingSettings

# In order of the key, so that two callers with the same persons wait for each other and never lock up.
ADD = text("""
    INSERT INTO soft_bounces (tenant_id, channel_id, mark, day, bounced_at)
    SELECT :tenant_id, :channel_id, mark, day, at
    FROM unnest(CAST(:marks AS text[]), CAST(:days AS date[]), CAST(:ats AS timestamptz[])) AS named (mark, day, at)
    ORDER BY mark, day
    ON CONFLICT DO NOTHING
""")
TOO_MANY = text("""
    SELECT mark FROM soft_bounces
    WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND mark = ANY(CAST(:marks AS text[])) AND day > :since
    GROUP BY mark HAVING count(*) >= :most
""")
FORGET = text("""
    DELETE FROM soft_bounces AS bounce
    USING unnest(CAST(:marks AS text[]), CAST(:ats AS timestamptz[])) AS named (mark, at)
    WHERE bounce.tenant_id = :tenant_id AND bounce.channel_id = :channel_id AND bounce.mark = named.mark
        AND bounce.bounced_at <= named.at
""")
OLD = text("DELETE FROM soft_bounces WHERE tenant_id = :tenant_id AND day <= :since")


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """That a message to a customer on a channel came back for now, or arrived; at is an instant."""

    channel_id: int
    customer_id: str
    at: datetime


def soft_bounced(scope: Scope, rows: Iterable[DeliveryReport]) -> None:
    """Count soft bounces, and suppress as bounced who has had too many. May be repeated."""
    settings = tenant_settings(scope, MessagingSettings)
    since = scope.today() - timedelta(days=settings.soft_bounce_days)
    with scope.records() as session:
        for channel_id, reports in _by_channel(rows):
            marks = _marks(scope, channel_id, [report.customer_id for report in reports])
            common = {"tenant_id": scope.tenant_id, "channel_id": channel_id}
            ats = [report.at for report in reports]
            days = [at.astimezone(scope.time_zone).date() for at in ats]
            session.execute(ADD, {**common, "marks": marks, "days": days, "ats": ats})
            parameters = {**common, "marks": sorted(set(marks)), "since": since, "most": settings.soft_bounces}
            given_up = {str(mark) for (mark,) in session.execute(TOO_MANY, parameters)}
            gone = {report.customer_id for report, mark in zip(reports, marks, strict=True) if mark in given_up}
            if gone:
                suppress_many(scope, session, channel_id, "bounced", sorted(gone))
        session.execute(OLD, {"tenant_id": scope.tenant_id, "since": since})


def arrived(scope: Scope, session: Session, rows: Iterable[DeliveryReport]) -> None:
    """Forget the soft bounces before a message that arrived, in the caller's transaction."""
    for channel_id, reports in _by_channel(rows):
        marks = _marks(scope, channel_id, [report.customer_id for report in reports])
        parameters = {"marks": marks, "ats": [report.at for report in reports]}
        session.execute(FORGET, {"tenant_id": scope.tenant_id, "channel_id": channel_id, **parameters})


def any_counted(scope: Scope, session: Session) -> bool:
    """Whether any soft bounces of a tenant are counted at present."""
    sql = "SELECT EXISTS (SELECT 1 FROM soft_bounces WHERE tenant_id = :tenant_id)"
    return bool(session.scalar(text(sql), {"tenant_id": scope.tenant_id}))


def _by_channel(rows: Iterable[DeliveryReport]) -> list[tuple[int, list[DeliveryReport]]]:
    ordered = sorted(rows, key=lambda report: (report.channel_id, report.customer_id, report.at))
    return [
        (channel, [report for report in ordered if report.channel_id == channel])
        for channel in {each.channel_id for each in ordered}
    ]


def _marks(scope: Scope, channel_id: int, customer_ids: Sequence[str]) -> list[str]:
    """By what soft bounces of customers are counted: the mark of the address, else the customer's pseudonym."""
    attributes = address_attributes(scope, channel_id)
    addresses_by_key = dict(queries.addresses(scope, attributes, sorted(set(customer_ids)))) if attributes else {}
    addresses = marks_of(scope, [addresses_by_key.get(customer_id.lower(), "") for customer_id in customer_ids])
    return [mark or own for mark, own in zip(addresses, pseudonyms(scope, customer_ids), strict=True)]
