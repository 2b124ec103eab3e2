"""A person pauses the sending of a run: what is in flight ends, the rest waits and goes on where it was."""

from rapport.access.scope import Scope
from rapport.campaigns.cycle import tasks
from rapport.campaigns.models import Occurrence
from rapport.campaigns.occurrences import locked, occurrence
from rapport.campaigns.states import RunState
from rapport.errors import Conflict

SENT_LATER = (RunState.SCHEDULED, RunState.EXECUTING)


def pause(scope: Scope, campaign_id: int) -> Occurrence:
    """Let no more messages of a run leave that Rapport sends itself; nothing changes for one that is paused.

    Lists that outside systems pull are not held back. Raises NotFound, and Conflict for a run that does not wait for
    its time and is not being sent.
    """
    with scope.records() as session:
        campaign = locked(scope, session, campaign_id)
        if campaign.is_triggered:
            raise Conflict(f"Campaign {campaign_id} is triggered: pause its trigger.")
        if campaign.state not in SENT_LATER:
            raise Conflict(f"Campaign {campaign_id} is {campaign.state} and cannot be paused.")
        if campaign.paused_at is None:
            campaign.paused_at = scope.clock.now()
            scope.audit(session, "pause", f"campaign {campaign_id}")
    return occurrence(scope, campaign_id)


def resume(scope: Scope, campaign_id: int) -> Occurrence:
    """Let a run go on that was paused, within a minute. The pause does not make it late.

    Raises NotFound, and Conflict for one that is not paused.
    """
    with scope.records() as session:
        campaign = locked(scope, session, campaign_id)
        if campaign.paused_at is None:
            raise Conflict(f"Campaign {campaign_id} is not paused.")
        campaign.paused_at, campaign.resumed_at = None, scope.clock.now()
        scope.audit(session, "resume", f"campaign {campaign_id}")
    tasks.dispatch(scope)
    return occurrence(scope, campaign_id)
