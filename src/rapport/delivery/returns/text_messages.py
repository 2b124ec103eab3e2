"""What comes in about text messages: reports become events of messages, answers become wishes."""

from datetime import datetime

import structlog

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.sms import submissions
from rapport.channels.sms.incoming import Answer, Report, Reported
from rapport.delivery import outbox
from rapport.delivery.models import MailEventKind, Source
from rapport.delivery.outbox import Entry
from rapport.delivery.returns.events import ANY_CAMPAIGN, Happening, accept
from rapport.errors import NotFound
from rapport.messaging.contactability import keywords, suppressed_addresses
from rapport.messaging.tracking.tokens import MessageToken, SentFor, TokenReader, message_key

log = structlog.get_logger("rapport.delivery")
KINDS = {
    Reported.DELIVERED: MailEventKind.DELIVERED,
    Reported.FAILED: MailEventKind.TEMPORARY,
    Reported.INVALID: MailEventKind.PERMANENT,
}


class TextMessages:
    """Records it all in the records, so that whoever told it may forget it."""

    def report(self, scope: Scope, channel_id: int, report: Report) -> bool:
        """Accept a report; whether it names a message of the channel that is known."""
        token = report.token or submissions.tokens_of(scope, channel_id, [report.provider_id]).get(report.provider_id)
        if not token:
            return False
        try:
            message = TokenReader(scope.stores).read(token)
        except NotFound:
            return False
        if (message.tenant_id, message.channel_id) != (scope.tenant_id, channel_id):
            return False
        at = min(report.at, scope.clock.now())
        accept(scope.stores, [Happening(message, KINDS[report.status], at, detail=report.detail)])
        return True

    def answer(self, scope: Scope, channel_id: int, answer: Answer) -> None:
        """Carry out the wish of an answer, and have the reply to it sent, in one transaction; then have it counted."""
        channel = channels.channel(scope, channel_id)
        with scope.records() as session:
            done = keywords.carry_out(scope, session, channel, answer.sender, answer.text)
            if done.reply is not None:
                outbox.enter(scope, session, Source.KEYWORD_REPLY, [Entry(done.reply, channel_id, "", 0, 0, 0, "")])
        at = min(answer.at, scope.clock.now())
        [mark] = suppressed_addresses.marks_of(scope, [answer.sender])
        refusals = [_refusal(scope, channel_id, mark, customer_id, at) for customer_id in done.refused_by]
        accept(scope.stores, refusals)


def _refusal(scope: Scope, channel_id: int, mark: str, customer_id: str, at: datetime) -> Happening:
    """That a customer refused messages, whatever the last one was; mark is that of the number, for all who have it."""
    place = (scope.tenant_id, SentFor.CAMPAIGN, ANY_CAMPAIGN, channel_id, 0)
    message = MessageToken(*place, message_key(mark), customer_id=customer_id)
    return Happening(message, MailEventKind.UNSUBSCRIBED, at)


RECORDER = TextMessages()
