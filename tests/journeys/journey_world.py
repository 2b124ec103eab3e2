"""A tenant with journeys: what the tests of journeys begin with."""

from typing import Any

from sqlalchemy import select
from trigger_world import fired, trigger

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.journeys import definitions
from rapport.journeys import following as _following  # noqa: F401 - journeys follow events
from rapport.journeys.models import Journey, JourneyMember
from rapport.journeys.schemas import JourneyBody

SIGN_UP = {"kind": "event", "match": {"event": "page_view"}}
DAY = 24 * 60


def message(scope: Scope) -> Series:
    return trigger(scope, {"kind": "journey"})


def journey(scope: Scope, *steps: dict[str, Any], **more: Any) -> Journey:
    body = {"name": "Welcome", "entry": SIGN_UP, "steps": list(steps), **more}
    return definitions.create_journey(scope, JourneyBody.model_validate(body))


def members(scope: Scope, of_journey: Journey) -> dict[str, JourneyMember]:
    query = select(JourneyMember).where(
        JourneyMember.tenant_id == scope.tenant_id, JourneyMember.journey_id == of_journey.id
    )
    with scope.records() as session:
        return {member.customer_id: member for member in session.scalars(query.order_by(JourneyMember.id))}


def customers(scope: Scope, campaign: Series) -> list[str]:
    return [customer for customer, outcome, _ in fired(scope, campaign) if outcome == "sent"]


def after_an_hour(campaign: Series) -> tuple[dict[str, Any], ...]:
    """Steps: a message after an hour."""
    return (
        {"id": "pause", "kind": "wait", "minutes": 60, "next": "late"},
        {"id": "late", "kind": "message", "campaign_id": campaign.id},
    )
