"""What customers got by firings that are not in the accounts yet: a vendor told by event 11 may report at once."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.measurement.received import Received
from rapport.conditions.outcomes import Outcome
from rapport.delivery.models import Source, State
from rapport.realtime.states import FiringState

# Messages that went out or are about to, under the spelling that the accounts will have.
UNFILED = text(f"""
    SELECT DISTINCT ON (firing.person)
        firing.customer_id, firing.recipient_group_id, messages.action_id, messages.template_id
    FROM trigger_firings AS firing
    JOIN messages
        ON messages.tenant_id = firing.tenant_id AND messages.source = '{Source.FIRING}'
            AND messages.source_id = firing.id
    WHERE firing.tenant_id = :tenant_id AND firing.campaign_id = :campaign_id
        AND firing.person = ANY(CAST(:persons AS text[])) AND NOT firing.is_visitor
        AND firing.state <> '{FiringState.FILED}' AND firing.outcome IN ('', '{Outcome.SENT}')
        AND messages.channel_id = :channel_id
        AND messages.state IN ('{State.PENDING}', '{State.CLAIMED}', '{State.SENT}')
    ORDER BY firing.person, firing.id
""")  # noqa: S608 - ours


def unfiled_receipts(
    scope: Scope, session: Session, campaign_id: int, channel_id: int, persons: Sequence[str]
) -> list[Received]:
    """What persons (customer ids in lower case) got of a triggered campaign on a channel by firings not yet filed."""
    parameters = {
        "tenant_id": scope.tenant_id,
        "campaign_id": campaign_id,
        "channel_id": channel_id,
        "persons": list(persons),
    }
    return [Received(*row) for row in session.execute(UNFILED, parameters)]
