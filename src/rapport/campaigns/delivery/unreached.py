"""What becomes of messages of a unit whose server, or one of whose providers, cannot be reached."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rapport.access.scope import Scope
from rapport.campaigns.delivery import lateness, ledger, own_times
from rapport.campaigns.delivery.units import Unit, now_of
from rapport.campaigns.leases import HeldLease
from rapport.channels.messages import Receipt
from rapport.delivery.outbox import Claim
from rapport.delivery.pacing import pause_of
from rapport.errors import Away


def wait_for_server(
    scope: Scope, held: HeldLease, unit: Unit, claims: Sequence[Claim], away: Mapping[Claim, Receipt]
) -> None:
    """Have the step that sends a batch repeated until the server of the channel is back: what was not tried stays
    claimed. Raises Away; Conflict when the unit is too late by now. Returns when that holds for all messages of a unit
    whose customers have times of their own.
    """
    if unit.has_own_times and not own_times.give_up_late(scope, held, unit, claims):
        return
    if not unit.has_own_times and lateness.is_late(scope, unit):
        raise lateness.too_late(scope)
    raise Away(f"The {next(iter(away.values())).reason}.")


def wait_for_providers(scope: Scope, held: HeldLease, unit: Unit, away: Mapping[Claim, Receipt]) -> None:
    """Let messages wait whose provider cannot be reached, and those that wait for it already; others go on meanwhile.

    What is too late by now fails.
    """
    claims = list(away)
    if unit.has_own_times:
        claims = own_times.give_up_late(scope, held, unit, claims)
    elif lateness.is_late(scope, unit):
        ledger.fail(scope, held, unit, claims, lateness.too_late(scope).message)
        return
    by_reason: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_reason[away[claim].reason].append(claim)
    for reason, waiting in by_reason.items():
        until = now_of(scope, unit) + max(map(pause_of, waiting))
        ledger.put_off(scope, held, unit, waiting, reason, until)
