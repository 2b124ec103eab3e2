"""What mail servers said of addresses while messages were sent: who has none is suppressed, the rest counts as soft."""

from collections.abc import Iterable

from rapport.access.scope import Scope
from rapport.campaigns import queries
from rapport.campaigns.units import Unit
from rapport.channels import service as channels
from rapport.messaging import service as messaging


def note_unit(scope: Scope, unit: Unit) -> None:
    """Suppress the addresses of a finished unit that do not exist, and count those that were not taken for now."""
    rows = scope.warehouse.rows(queries.FAILED_RECIPIENTS, **unit.bindings)
    note(scope, unit.channel_id, ((str(who), str(reason)) for who, reason in rows))


def note(scope: Scope, channel_id: int, failed: Iterable[tuple[str, str]]) -> None:
    """The same of messages on a channel that failed: customer and reason. May be repeated."""
    rows = list(failed)
    hard = sorted({who for who, reason in rows if channels.is_hard_bounce(reason)})
    if hard:
        with scope.records() as session:
            messaging.suppress_many(scope, session, channel_id, "bounced", hard)
    now = scope.clock.now()
    soft = [messaging.Reported(channel_id, who, now) for who, reason in rows if channels.is_soft_bounce(reason)]
    if soft:
        messaging.soft_bounced(scope, soft)
