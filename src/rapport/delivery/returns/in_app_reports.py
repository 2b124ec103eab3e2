"""What apps tell of in-app messages and overlays: the state that all devices of the user share, and what is counted."""

from collections import defaultdict
from collections.abc import Sequence

from rapport.access.scope import Scope
from rapport.apps.reports import MessageReport, ReportSink
from rapport.apps.states import MessageType, Reported
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.events import Happening, accept
from rapport.in_app.states import Noted, Report, note
from rapport.messaging.tracking.tokens import MessageToken, SentFor, message_key

SHOWN_HERE = frozenset({MessageType.IN_APP, MessageType.OVERLAY})
KINDS = {
    Reported.DELIVERED: MailEventKind.DELIVERED,
    Reported.OPENED: MailEventKind.OPENED,
    Reported.CLICKED: MailEventKind.CLICKED,
}
# What an app says that it made of an overlay which it was asked about; others leave the overlay for later.
OUTCOME = "outcome"
OUTCOMES = {"show": Reported.OPENED, "discard": Reported.DISMISSED}


class InAppReports(ReportSink):
    """Keeps the states of in-app messages, and counts what apps tell of those that were sent for something."""

    def record(self, scope: Scope, reports: Sequence[MessageReport]) -> None:
        """Record reports of users about their own messages."""
        of_users: dict[str, list[Report]] = defaultdict(list)
        for report in reports:
            what = _meant(report)
            if report.type in SHOWN_HERE and what is not None:
                user = report.customer_id or report.install_id
                of_users[user].append(Report(report.message_id, what, report.at))
        noted: list[Noted] = []
        for user, theirs in of_users.items():
            with scope.records() as session:
                noted += note(scope, session, user, theirs)
        accept(scope.stores, [_happening(scope, each) for each in noted if each.what in KINDS and _is_counted(each)])


def _meant(report: MessageReport) -> Reported | None:
    """What a report says; None for an overlay that was put off."""
    if report.reported is not Reported.INTERCEPTED:
        return report.reported
    return OUTCOMES.get(str(report.details.get(OUTCOME)))


def _is_counted(noted: Noted) -> bool:
    return noted.message.campaign_id > 0 or noted.message.send_id > 0


def _happening(scope: Scope, noted: Noted) -> Happening:
    message = noted.message
    token = MessageToken(
        scope.tenant_id,
        SentFor.CAMPAIGN if message.campaign_id else SentFor.TRANSACTIONAL,
        message.campaign_id or message.send_id,
        message.channel_id,
        message.template_id,
        message_key(message.message_id),
        customer_id=message.customer_id,
    )
    return Happening(token, KINDS[noted.what], noted.at)
