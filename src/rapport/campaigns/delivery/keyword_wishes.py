"""People who refuse messages by a keyword: the last campaign that wrote to them has the interaction, as that of a link
to unsubscribe has.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from rapport.access.scope import Scope
from rapport.campaigns.delivery import unsubscribing
from rapport.channels.messages import Origin
from rapport.conditions.outcomes import Outcome
from rapport.delivery.models import MailEvent

# What was sent longer ago is not what somebody answers.
ANSWERED = timedelta(days=90)
# Several may have a number; one of them was written to last.
LAST = f"""
    SELECT customer_id, campaign_id, execution_date FROM campaign_outcomes
    WHERE execution_date >= {{since:Date}} AND channel_id = {{channel:UInt32}} AND outcome = '{Outcome.SENT}'
        AND customer_id IN {{ids:Array(String)}}
    ORDER BY recorded_at DESC, campaign_id DESC LIMIT 1
"""  # noqa: S608 - a member of an enum
MESSAGE = """
    SELECT template_id, recipient_group_id, action_id FROM campaign_recipients
    WHERE execution_date = {day:Date} AND campaign_id = {campaign:UInt32} AND customer_id = {customer:String}
        AND channel_id = {channel:UInt32}
    LIMIT 1
"""


def record(scope: Scope, events: Sequence[MailEvent]) -> list[MailEvent]:
    """Record wishes that name no campaign; those of people whom none is known to have written to (yet)."""
    unknown: list[MailEvent] = []
    answers: dict[tuple[int, str], list[MailEvent]] = defaultdict(list)
    for event in events:
        answers[event.channel_id, event.message_key].append(event)
    for (channel_id, _), holders in answers.items():
        message = _last(scope, channel_id, [event.customer_id for event in holders])
        if message is None:
            unknown += holders
        else:
            unsubscribing.note(scope, *message)
    return unknown


def _last(scope: Scope, channel_id: int, customer_ids: Sequence[str]) -> tuple[str, Origin] | None:
    """The customer whom a campaign wrote to last, and by what; None where none did."""
    since = scope.today() - ANSWERED
    rows = scope.warehouse.rows(LAST, since=since, channel=channel_id, ids=list(customer_ids))
    for customer_id, campaign_id, day in rows:
        place = {"day": day, "campaign": campaign_id, "customer": customer_id, "channel": channel_id}
        for template_id, group_id, action_id in scope.warehouse.rows(MESSAGE, **place):
            origin = Origin(channel_id, campaign_id, template_id, group_id, action_id, day.isoformat())
            return str(customer_id), origin
    return None
