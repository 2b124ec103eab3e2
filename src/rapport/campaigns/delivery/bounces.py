"""What was said of addresses while messages were sent: who has none is suppressed, the rest counts as soft."""

from collections.abc import Iterable

from rapport.access.scope import Scope
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.runs import queries
from rapport.channels import service as channels
from rapport.messaging import service as messaging


def note_unit(scope: Scope, unit: Unit) -> None:
    """Suppress the addresses of a finished unit that do not exist, and count those that were not taken for now."""
    kind = channels.kind_at(scope, unit.channel_id)
    known = [str(reason) for (reason,) in scope.warehouse.rows(queries.FAILURE_REASONS, **unit.bindings)]
    if reasons := [reason for reason in known if kind and kind.bounce(reason)]:
        rows = scope.warehouse.rows(queries.FAILED_RECIPIENTS, reasons=reasons, **unit.bindings)
        note(scope, unit.channel_id, ((str(who), str(reason)) for who, reason in rows))


def note(scope: Scope, channel_id: int, failed: Iterable[tuple[str, str]]) -> None:
    """The same of messages on a channel that failed: customer and reason. May be repeated."""
    kind = channels.kind_at(scope, channel_id)
    said = [(who, kind.bounce(reason)) for who, reason in failed] if kind else []
    hard = sorted({who for who, bounce in said if bounce is channels.Bounce.HARD})
    if hard:
        with scope.records() as session:
            messaging.suppress_many(scope, session, channel_id, "bounced", hard)
    now = scope.clock.now()
    soft = [messaging.Reported(channel_id, who, now) for who, bounce in said if bounce is channels.Bounce.SOFT]
    if soft:
        messaging.soft_bounced(scope, soft)
