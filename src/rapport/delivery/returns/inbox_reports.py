"""What persons do with the messages in their inboxes counts as what they do with mail."""

from collections.abc import Sequence

from rapport.access.scope import Scope
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.events import Happening, accept
from rapport.inbox import changing
from rapport.inbox.changing import Action, Done, Report
from rapport.inbox.reading import Inbox
from rapport.messaging.tracking.tokens import MessageToken, SentFor, message_key

COUNTED = {
    Action.READ: MailEventKind.OPENED,
    Action.CLICKED: MailEventKind.CLICKED,
    Action.DELETED: MailEventKind.DELETED,
}


def report(scope: Scope, inbox: Inbox, reports: Sequence[Report]) -> int:
    """Have messages of an inbox show what was done with them, and count it; how many reports were new.

    What is not about a message in the inbox, or was reported before, is passed over. It is counted first: were the
    process killed in between, a repetition would find nothing new, and an interaction counts once however often it
    comes.
    """
    done = count(scope, inbox, reports)
    changing.apply(scope, done, reports)
    return len(done)


def count(scope: Scope, inbox: Inbox, reports: Sequence[Report]) -> list[Done]:
    """Only count what was done with messages of an inbox; what was counted, or would be if somebody had sent it."""
    done = changing.new_of(scope, inbox, reports)
    accept(scope.stores, [happening for each in done if (happening := _happening(scope, each))])
    return done


def _happening(scope: Scope, done: Done) -> Happening | None:
    """What is counted; None for what is not: of messages that nobody sent for anything, and of visitors."""
    message, kind = done.message, COUNTED.get(done.action)
    source_id = message.campaign_id or message.send_id
    if kind is None or not source_id or message.is_visitors:
        return None
    sent_for = SentFor.CAMPAIGN if message.campaign_id else SentFor.TRANSACTIONAL
    token = MessageToken(
        scope.tenant_id,
        sent_for,
        source_id,
        message.channel_id,
        message.template_id,
        message_key(message.message_id),
        message.sent_at,
        message.customer_id,
    )
    return Happening(token, kind, done.at)
