"""What was said of addresses while messages were sent: who has none is suppressed, the rest counts as soft."""

from collections.abc import Iterable

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.kinds.base import Bounce
from rapport.messaging.contactability import soft_bounces, suppressions
from rapport.messaging.contactability.soft_bounces import DeliveryReport


def note_failed(scope: Scope, channel_id: int, failed: Iterable[tuple[str, str]]) -> None:
    """Suppress the addresses that do not exist of messages on a channel that failed, given as customer and reason, and
    count those that took nothing for now. May be repeated.
    """
    kind = channels.kind_at(scope, channel_id)
    bounces = [(customer_id, kind.bounce(reason)) for customer_id, reason in failed] if kind else []
    hard = sorted({customer_id for customer_id, bounce in bounces if bounce is Bounce.HARD})
    if hard:
        with scope.records() as session:
            suppressions.suppress_many(scope, session, channel_id, "bounced", hard)
    now = scope.clock.now()
    soft = [DeliveryReport(channel_id, customer_id, now) for customer_id, bounce in bounces if bounce is Bounce.SOFT]
    if soft:
        soft_bounces.soft_bounced(scope, soft)
