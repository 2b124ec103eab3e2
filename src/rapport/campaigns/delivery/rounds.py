"""Rounds of a unit whose customers have times of their own.

When the unit begins, all of its messages are entered, each with its instant. A round sends what is due, and ends when
nothing is; the unit takes no place among the work under way until its next message is due.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.delivery import lateness, ledger
from rapport.campaigns.delivery.own_times import instant_at
from rapport.campaigns.delivery.sending import forget, is_open
from rapport.campaigns.delivery.units import Unit, rows_of_unit
from rapport.campaigns.leases import lease
from rapport.campaigns.models import OccurrenceChannel
from rapport.campaigns.occurrences import locked
from rapport.campaigns.runs import queries
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import RunState
from rapport.delivery import reading
from rapport.stores.workers.listening import Topic, publish


def enter_waiting(scope: Scope, unit: Unit, number: int, low: str, high: str) -> bool:
    """Enter the messages to the recipients after low up to high, or WHOLE, each of which waits for its customer's time.

    False when the campaign was canceled. May be repeated.
    """
    with lease(scope, unit.lease_name) as held:
        if not is_open(scope, unit):
            return False
        rows = scope.warehouse.rows(queries.BATCH_DUE, low=low, high=high, **unit.bindings)
        due_at = {str(customer_id): instant_at(at) for customer_id, at, _ in rows}
        templates = {str(customer_id): int(template_id) for customer_id, _, template_id in rows}
        ledger.claim(scope, held, unit, unit.start + number, list(due_at), due_at, templates)
    return True


def begin_round(scope: Scope, unit: Unit, number: int) -> int | None:
    """Begin a round: how many batches of messages that waited the unit has had. None when the unit has ended.

    May be repeated.
    """
    with scope.records() as session:
        rows = _rows_under_way(scope, session, unit)
        if not rows:
            return None
        for row in rows:
            if row.round == number:
                row.waits_until = None
        return max(reading.last_batch(session, unit.mailing(scope)) - unit.retries, 0)


def give_up_late(scope: Scope, unit: Unit, number: int) -> int:
    """Let up to a batch of messages fail whose customers' own times are over by too much; how many. May be repeated."""
    batch = unit.retries + number
    with lease(scope, unit.lease_name) as held:
        before = lateness.late_before(scope, unit)
        if before is None or not is_open(scope, unit):
            return 0
        size, reason = tenant_settings(scope, CampaignSettings).batch_size, lateness.too_late(scope).message
        return ledger.give_up_late(scope, held, unit, batch, before, size, reason)


def end_round(scope: Scope, unit: Unit, number: int, waits_until: datetime) -> bool:
    """End a round: the next one begins at an instant. False when the unit has ended. May be repeated."""
    with scope.records() as session:
        rows = _rows_under_way(scope, session, unit)
        for row in rows:
            if row.round == number:
                row.round, row.waits_until = number + 1, waits_until
                publish(session, Topic.SCHEDULE, scope.tenant_id)
        return bool(rows)


def forget_waiting(scope: Scope, unit: Unit) -> None:
    """Forget the messages of a canceled unit that waits for its next round: no work under way would. Repeatable."""
    forget(scope, unit)
    with scope.records() as session:
        for row in rows_of_unit(scope, session, unit):
            row.waits_until = None


def _rows_under_way(scope: Scope, session: Session, unit: Unit) -> list[OccurrenceChannel]:
    """The rows of a unit that is being sent: none when it, or its campaign, has ended."""
    campaign = locked(scope, session, unit.campaign.id)
    rows = rows_of_unit(scope, session, unit) if campaign.state == RunState.EXECUTING else []
    return [row for row in rows if row.state == RunState.EXECUTING]
