"""Messages of a unit whose customers have times of their own: whose quiet hours hold them, and which are too late."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rapport.access.scope import Scope
from rapport.campaigns.delivery import lateness, ledger, quiet_hours
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.leases import HeldLease
from rapport.campaigns.runs import queries
from rapport.campaigns.runs.time_zones import own_zone
from rapport.delivery import outbox
from rapport.delivery.models import State
from rapport.delivery.outbox import Claim, Settled


def not_quiet(scope: Scope, held: HeldLease, unit: Unit, claims: Sequence[Claim]) -> list[Claim]:
    """Those of claimed messages whose customers have no quiet hour now; the others wait for its end."""
    hours = quiet_hours.hours_of(scope, unit.campaign, unit.channel_id)
    if hours is None or not claims:
        return list(claims)
    now, zones = scope.clock.now(), {customer_id: name for customer_id, _, name in _times(scope, unit, claims)}
    ends = {
        name: quiet_hours.quiet_until_in(own_zone(scope, name), hours, now) for name in dict.fromkeys(zones.values())
    }
    until = {claim: at for claim in claims if (at := ends[zones[claim.customer_id]]) is not None}
    if until:
        ledger.hold(scope, held, unit, until)
    return [claim for claim in claims if claim not in until]


def give_up_late(scope: Scope, held: HeldLease, unit: Unit, claims: Sequence[Claim]) -> list[Claim]:
    """Let those of claimed messages fail that have not left and are too late by now; the others."""
    before = lateness.late_before(scope, unit)
    if before is None:
        return list(claims)
    late = {customer_id for customer_id, at, _ in _times(scope, unit, claims) if at < before}
    reason = lateness.too_late(scope).message
    settled = [Settled(claim, State.FAILED, reason) for claim in claims if claim.customer_id in late]
    held.note(lambda records: outbox.settle(scope, records, settled))  # what has left already stays as it is
    return [claim for claim in claims if claim.customer_id not in late]


def _times(scope: Scope, unit: Unit, claims: Sequence[Claim]) -> list[tuple[str, datetime, str]]:
    """Customer, own time and name of the zone of messages."""
    customer_ids = [claim.customer_id for claim in claims]
    rows = scope.warehouse.rows(queries.TIMES, customers=customer_ids, **unit.bindings)
    return [(str(customer_id), instant_at(at), str(name)) for customer_id, at, name in rows]


def instant_at(text: str) -> datetime:
    """An instant as the warehouse writes it: in UTC, without saying so."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
