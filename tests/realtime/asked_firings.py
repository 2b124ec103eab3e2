"""Firings of triggered campaigns, made by hand: what becomes of them is under test, not why they fired."""

import itertools
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from rapport.access.scope import Scope
from rapport.campaigns import definitions as campaign_definitions
from rapport.campaigns.models import Occurrence
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions, runs
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.messaging import templates
from rapport.realtime.models import Firing
from rapport.realtime.states import FiringState

SMS, TEMPLATE = 505, 11
NUMBERS = itertools.count(1)


def campaign(
    scope: Scope, codes: Sequence[str] = ("FREE5",), places: Any = None, action: str = "", **more: Any
) -> Occurrence:
    """A triggered campaign's day: one group, on an external channel unless told otherwise, conditional."""
    if not channels.channels(scope):
        channels.create_channel(scope, "SMS", "external")
        templates.save_template(scope, SMS, "Spring offer EN", id=TEMPLATE)
    if event_types.event_type_named(scope, "level_up") is None:
        event_types.declare_event_type(scope, "level_up", {"level": "Number"})
    number = next(NUMBERS)
    offer = ActionBody(name=action or f"Free rounds {number}", promo_codes=list(codes))
    action_id = campaign_definitions.create_action(scope, offer).id
    reached = places or [{"channel_id": SMS, "template_id": TEMPLATE}]
    body = {
        "name": f"Level up {number}",
        "trigger": {"kind": "simple", "event": "level_up"},
        "groups": [{"action_id": action_id, "channels": reached}],
        "control_share": 0,
        "visitors": True,
        "conditional": True,
        "notes": "spring push",
        "tags": ["spring", "vip"],
    }
    series = definitions.create_triggered(scope, TriggeredBody.model_validate(body | more))
    return runs.occurrence_of_day(scope, series, scope.today())


def fire(scope: Scope, of: Occurrence, *customer_ids: str, is_visitor: bool = False, **more: Any) -> list[int]:
    """Firings that wait for the gateway's verdict unless told otherwise, one a customer; their ids."""
    given = {"state": FiringState.ASKING, "fired_at": datetime.now(UTC), "parameters": {"level": 7}} | more
    with scope.records() as session:
        made = [
            Firing(
                tenant_id=scope.tenant_id,
                series_id=of.series_id,
                campaign_id=of.id,
                event_key=f"{time.time_ns()}/{number}",
                person=f"v:{customer_id}" if is_visitor else customer_id.lower(),
                customer_id=customer_id,
                is_visitor=is_visitor,
                recipient_group_id=1,
                **given,
            )
            for number, customer_id in enumerate(customer_ids)
        ]
        session.add_all(made)
        session.flush()
        session.execute(select(func.pg_notify("rapport_firings", "")))
        return [one.id for one in made]


def firing(scope: Scope, firing_id: int) -> Firing:
    """A firing as it is now."""
    with scope.records() as session:
        return session.get_one(Firing, firing_id)


def open_firings(scope: Scope) -> int:
    """How many of the tenant's firings still wait for a verdict."""
    with scope.records() as session:
        wanted = select(Firing.id).where(Firing.tenant_id == scope.tenant_id, Firing.state == FiringState.ASKING)
        return len(session.scalars(wanted).all())


def outcomes(scope: Scope, firing_ids: Sequence[int]) -> list[tuple[str, str]]:
    """Outcome and reason of firings, in order."""
    with scope.records() as session:
        found = {one.id: one for one in session.scalars(select(Firing).where(Firing.id.in_(firing_ids)))}
    return [(found[one].outcome, found[one].reason) for one in firing_ids]
