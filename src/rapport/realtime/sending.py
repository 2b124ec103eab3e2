"""The messages of firings as the sender takes them: what campaign and event say, and when a firing has ended."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from prometheus_client import Counter
from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.models import Occurrence
from rapport.campaigns.publishing import firings
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.triggered import definitions, runs
from rapport.channels.messages import Origin
from rapport.delivery.content import Draft
from rapport.delivery.models import Source, State
from rapport.delivery.outbox import Claim, Settled
from rapport.delivery.sources import CampaignMessages
from rapport.delivery.worker import Sender as DeliverySender
from rapport.realtime.matching.releasing import conclude
from rapport.realtime.models import Firing
from rapport.stores import Stores

MESSAGES = Counter("rapport_firing_messages_total", "Messages of triggered campaigns by what became of them", ["state"])


class FiringMessages(CampaignMessages):
    """Firings as a source of messages."""

    def drafts(self, scope: Scope, claims: Sequence[Claim]) -> Mapping[Origin, list[tuple[Claim, Draft]]]:
        """By campaign, recipient group and template; the firings of a person who was erased meanwhile are gone."""
        fired = _firings(scope, claims)
        days = {
            day.id: day
            for day in runs.occurrences_by_id(scope, sorted({firing.campaign_id for firing in fired.values()}))
        }
        events = definitions.trigger_events(scope, {firing.series_id for firing in fired.values()})
        together: dict[Origin, list[tuple[Claim, Draft]]] = defaultdict(list)
        for claim in claims:
            if firing := fired.get(claim.source_id):
                of_event = event_values(events.get(firing.series_id, ""), firing.parameters)
                of_promotions = firings.rewards_in(firing.customer_id, firing.rewards).tags
                extra = {"promo_code": claim.promo_code, **of_event, **of_promotions}
                visitor_id = firing.customer_id if firing.is_visitor else ""
                draft = Draft(claim.message_id, claim.customer_id, extra, visitor_id)
                together[_origin(claim, days[firing.campaign_id])].append((claim, draft))
        return together

    def retry_delays(self, scope: Scope) -> Sequence[float]:
        """As of campaigns."""
        return tenant_settings(scope, CampaignSettings).retry_delays

    def is_late(self, scope: Scope, claim: Claim) -> bool:
        """Whether it fired longer ago than the tenant lets messages be late."""
        fired = _firings(scope, [claim])
        hours = tenant_settings(scope, CampaignSettings).wait_hours
        return not fired or scope.clock.now() - fired[claim.source_id].fired_at > timedelta(hours=hours)

    def note(self, scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
        """End those firings whose last message has ended."""
        for ended in settled:
            MESSAGES.labels("retried" if ended.state is State.PENDING else ended.state).inc()
        over = [ended.claim.source_id for ended in settled if ended.state is not State.PENDING]
        conclude(scope, session, over)


class Sender(DeliverySender):
    """Sends what firings have to say."""

    name = "sender"

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, Source.FIRING, FiringMessages())


def _firings(scope: Scope, claims: Sequence[Claim]) -> dict[int, Firing]:
    ids = {claim.source_id for claim in claims}
    with scope.reads() as session:
        query = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.id.in_(ids))
        return {firing.id: firing for firing in session.scalars(query)}


def _origin(claim: Claim, day: Occurrence) -> Origin:
    return Origin(
        channel_id=claim.channel_id,
        campaign_id=day.id,
        template_id=claim.template_id,
        recipient_group_id=claim.recipient_group_id,
        action_id=claim.action_id,
        delivery_date=day.execution_date.isoformat(),
    )


def event_values(event: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """What an event said, as tags of templates ask for it: by parameter, and by event and parameter."""
    texts = {name: _text(value) for name, value in parameters.items() if value is not None}
    prefixes = ("", f"{event}:") if event else ("",)
    return {f"event:{prefix}{name}": text for prefix in prefixes for name, text in texts.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
