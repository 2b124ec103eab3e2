"""Soft bounces suppress nobody, until an address has had them on many days without a delivery in between."""

from datetime import UTC, datetime, timedelta

import pytest
import vendor_world as world
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.messaging.contactability import suppressions
from rapport.realtime.recording import vendor_metrics
from rapport.realtime.recording.handled_event import FiledEvent
from rapport.realtime.states import Origin

NAMES = [customer for customer in world.MEMBERS if world.group_of(customer) == 1]


@pytest.fixture(scope="module")
def vendor(scope: Scope) -> Scope:
    world.fill(scope)
    with scope.records() as session:
        values = {"messaging": {"soft_bounces": 3, "soft_bounce_days": 10}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=values))
    return scope_of(scope.stores, scope.tenant_id)


def tell(scope: Scope, event: str, customer: str, days: int, **parameters: object) -> None:
    """A metric event of a customer so many days after the campaign's."""
    at = world.NOW + timedelta(days=days)
    scope.clock.set(at)
    place = {"campaign_id": world.AB, "channel_id": world.SMS, "template_id": 11}
    vendor_metrics.interactions(scope, [filed(event, customer, at, {**place, **parameters})])


def filed(event: str, customer: str, at: datetime, parameters: dict[str, object]) -> FiledEvent:
    made = dict.fromkeys(FiledEvent.__dataclass_fields__, "")
    made |= {"event": event, "customer_id": customer, "event_at": at.astimezone(UTC), "parameters": parameters}
    return FiledEvent(**{**made, "origin": Origin.METRIC})  # type: ignore[arg-type]


def suppressed(scope: Scope, customer: str) -> bool:
    return customer.lower() in {one.customer_id.lower() for one in suppressions.list_suppressions(scope, limit=1000)}


def test_a_soft_bounce_suppresses_nobody(vendor: Scope) -> None:
    for day in (0, 0, 0, 1):
        tell(vendor, "sms_soft_bounced", NAMES[0], day)
    tell(vendor, "sms_bounced", NAMES[0], 1, bounce_type="Transient")
    assert not suppressed(vendor, NAMES[0])


def test_many_days_with_soft_bounces_do(vendor: Scope) -> None:
    for day in (0, 4, 9):
        assert not suppressed(vendor, NAMES[1])
        tell(vendor, "sms_soft_bounced", NAMES[1], day)
    assert suppressed(vendor, NAMES[1])


def test_a_delivery_in_between_begins_anew(vendor: Scope) -> None:
    for day, event in enumerate(["soft_bounce", "soft_bounce", "delivered", "soft_bounce", "soft_bounce"]):
        tell(vendor, f"sms_{event}", NAMES[2], day)
    assert not suppressed(vendor, NAMES[2])
    tell(vendor, "sms_soft_bounce", NAMES[2], 5)
    assert suppressed(vendor, NAMES[2])


def test_days_that_are_long_past_do_not_count(vendor: Scope) -> None:
    for day in (0, 1, 12, 13):
        tell(vendor, "sms_soft_bounce", NAMES[3], day)
    assert not suppressed(vendor, NAMES[3])


def test_a_hard_bounce_suppresses_at_once(vendor: Scope) -> None:
    tell(vendor, "sms_hard_bounce", NAMES[4], 0)
    assert suppressed(vendor, NAMES[4])
