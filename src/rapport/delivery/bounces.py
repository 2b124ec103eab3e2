"""What was said of addresses while messages were sent: who has none is suppressed, the rest counts as soft."""

from collections.abc import Iterable

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.returned import ReturnKind
from rapport.messaging.contactability import soft_bounces, suppressions
from rapport.messaging.contactability.soft_bounces import DeliveryReport


def note_failed(scope: Scope, channel_id: int, failed: Iterable[tuple[str, str]]) -> None:
    """Suppress the addresses that do not exist of messages on a channel that failed, given as customer and reason, and
    count those that took nothing for now. May be repeated.
    """
    kind = channels.kind_at(scope, channel_id)
    returned = [(customer_id, kind.returned(reason)) for customer_id, reason in failed] if kind else []
    gone = sorted({customer_id for customer_id, said in returned if said is ReturnKind.PERMANENT})
    if gone:
        with scope.records() as session:
            suppressions.suppress_many(scope, session, channel_id, "bounced", gone)
    now = scope.clock.now()
    soft = [
        DeliveryReport(channel_id, customer_id, now) for customer_id, said in returned if said is ReturnKind.TEMPORARY
    ]
    if soft:
        soft_bounces.soft_bounced(scope, soft)
