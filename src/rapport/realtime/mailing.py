"""The messages of firings as they leave: what the campaign and the event say of each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns import service as campaigns
from rapport.channels import service as channels
from rapport.delivery import service as delivery
from rapport.errors import RapportError
from rapport.messaging import service as messaging
from rapport.realtime.models import Firing
from rapport.stores.workers.leader import FAULTS


@dataclass(frozen=True)
class Claimed:
    """A message that is this process's to send. attempts counts the present try too."""

    tenant_id: int
    firing_id: int
    channel_id: int
    template_id: int
    action_id: int
    promo_code: str
    message_id: str
    attempts: int


def write(scope: Scope, channel: channels.Channel, claimed: Sequence[Claimed]) -> dict[Claimed, delivery.Written]:
    """What is sent on a channel for each of these, or why nothing is."""
    firings = _firings(scope, claimed)  # those of a person who was erased meanwhile are gone
    days = {day.id: day for day in campaigns.of_ids(scope, sorted({firing.campaign_id for firing in firings.values()}))}
    together: dict[messaging.Origin, list[Claimed]] = defaultdict(list)
    for claim in claimed:
        if firing := firings.get(claim.firing_id):
            together[_origin(claim, firing, days[firing.campaign_id])].append(claim)
    written: dict[Claimed, delivery.Written] = {}
    for origin, claims in together.items():
        drafts = [_draft(claim, firings[claim.firing_id]) for claim in claims]
        try:
            with scope.records() as session:
                messages = delivery.write(scope, session, channel, origin, drafts)
        except FAULTS:
            raise
        except RapportError as error:  # of this template; others are sent
            messages = {claim.message_id: _failed(claim, error.message) for claim in claims}
        written |= {claim: messages[claim.message_id] for claim in claims}
    return written


def _firings(scope: Scope, claimed: Sequence[Claimed]) -> dict[int, Firing]:
    ids = {claim.firing_id for claim in claimed}
    with scope.reads() as session:
        wanted = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.id.in_(ids))
        return {firing.id: firing for firing in session.scalars(wanted)}


def _origin(claim: Claimed, firing: Firing, day: campaigns.Occurrence) -> messaging.Origin:
    return messaging.Origin(
        channel_id=claim.channel_id,
        campaign_id=day.id,
        template_id=claim.template_id,
        recipient_group_id=firing.recipient_group_id,
        action_id=claim.action_id,
        delivery_date=day.execution_date.isoformat(),
    )


def _draft(claim: Claimed, firing: Firing) -> delivery.Draft:
    extra = {"promo_code": claim.promo_code, **event_values(firing.parameters)}
    return delivery.Draft(claim.message_id, "" if firing.is_visitor else firing.customer_id, extra)


def _failed(claim: Claimed, reason: str) -> channels.Receipt:
    return channels.Receipt(claim.message_id, "failed", reason, permanent=True)


def event_values(parameters: Mapping[str, Any]) -> dict[str, str]:
    """What an event said, as placeholders of templates take it."""
    return {f"event.{name}": _text(value) for name, value in parameters.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
