"""What was said of the addresses of a run while its messages were sent."""

from rapport.access.scope import Scope
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.runs import queries
from rapport.channels import service as channels
from rapport.delivery import bounces


def note_unit(scope: Scope, unit: Unit) -> None:
    """Suppress the addresses of a finished unit that do not exist, and count those that were not taken for now."""
    kind = channels.kind_at(scope, unit.channel_id)
    failure_reasons = [str(reason) for (reason,) in scope.warehouse.rows(queries.FAILURE_REASONS, **unit.bindings)]
    if reasons := [reason for reason in failure_reasons if kind and kind.returned(reason)]:
        rows = scope.warehouse.rows(queries.FAILED_RECIPIENTS, reasons=reasons, **unit.bindings)
        bounces.note_failed(scope, unit.channel_id, ((str(customer_id), str(reason)) for customer_id, reason in rows))
