"""What apps tell of push messages, as what came back about those: opens of a push count as those of mail do."""

from collections.abc import Sequence

from rapport.access.scope import Scope
from rapport.apps.reports import MessageReport, ReportSink
from rapport.apps.states import MessageType, Reported
from rapport.channels.messages import Origin
from rapport.channels.push.numbers import origins_of
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.events import Happening, accept
from rapport.messaging.tracking.tokens import MessageToken, SentFor

# A dismissal says only that the message was there.
KINDS = {Reported.DELIVERED: MailEventKind.DELIVERED, Reported.OPENED: MailEventKind.OPENED}
LARGEST_NUMBER = 2**31 - 1


class PushReports(ReportSink):
    """Counts what apps tell of push messages of campaigns."""

    def record(self, scope: Scope, reports: Sequence[MessageReport]) -> None:
        """Accept reports; those of messages of no campaign, or of installs of nobody known, are passed over."""
        counted = [
            report
            for report in reports
            if report.type is MessageType.PUSH and report.reported in KINDS and report.message_id <= LARGEST_NUMBER
        ]
        origins = origins_of(scope, {report.message_id for report in counted}) if counted else {}
        happenings = [
            Happening(_token(scope, origin, report.customer_id), KINDS[report.reported], report.at)
            for report in counted
            if report.customer_id and (origin := origins.get(report.message_id)) and origin.campaign_id
        ]
        accept(scope.stores, happenings)


def _token(scope: Scope, origin: Origin, customer_id: str) -> MessageToken:
    place = (origin.campaign_id, origin.channel_id, origin.template_id)
    return MessageToken(scope.tenant_id, SentFor.CAMPAIGN, *place, message_key="", customer_id=customer_id)
