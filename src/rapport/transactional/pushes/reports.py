"""What apps tell of push messages that applications sent: entered with their recipients, the first time of each."""

from collections.abc import Sequence

from sqlalchemy import func, or_, update

from rapport.access.scope import Scope
from rapport.apps.reports import MessageReport, ReportSink
from rapport.apps.states import MessageType, Reported
from rapport.channels.push.details import LARGEST_NUMBER
from rapport.channels.push.numbers import origins_of
from rapport.transactional.models import PushRecipient

COLUMNS = {Reported.DELIVERED: PushRecipient.delivered_at, Reported.OPENED: PushRecipient.opened_at}


class NotificationReports(ReportSink):
    """Enters when messages of notifications were delivered and opened."""

    def record(self, scope: Scope, reports: Sequence[MessageReport]) -> None:
        """Of messages of campaigns it knows nothing."""
        counted = [
            report
            for report in reports
            if report.type is MessageType.PUSH and report.reported in COLUMNS and report.message_id <= LARGEST_NUMBER
        ]
        origins = origins_of(scope, {report.message_id for report in counted}) if counted else {}
        with_send = [report for report in counted if (origin := origins.get(report.message_id)) and origin.send_id]
        if not with_send:
            return
        with scope.records() as session:
            for report in with_send:
                column = COLUMNS[report.reported]
                is_theirs = PushRecipient.install_id == report.install_id
                if report.customer_id:
                    is_theirs = or_(is_theirs, PushRecipient.person == report.customer_id.lower())
                of_notification = (
                    PushRecipient.tenant_id == scope.tenant_id,
                    PushRecipient.notification_id == origins[report.message_id].send_id,
                )
                first = {column.key: func.coalesce(column, report.at)}
                session.execute(update(PushRecipient).where(*of_notification, is_theirs).values(first))
