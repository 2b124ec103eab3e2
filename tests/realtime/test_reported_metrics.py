"""What vendors report as metric events is seen like what they report by UpdateCampaignInteractions."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from senders import Sender, handle, logged, metric, reasons, stamp, stored

sys.path.append(str(Path(__file__).parents[1] / "integrations"))

import vendor_world as world

from rapport.access.scope import Scope
from rapport.campaigns.measurement import interactions
from rapport.campaigns.measurement.interactions import ReportedInteraction
from rapport.realtime.events.names import Names
from rapport.realtime.recording.pending_receipts import unfiled_receipts
from rapport.realtime.recording.warehouse_batches import file_batch


@pytest.fixture(scope="module")
def vendor(scope: Scope, base_url: str) -> Iterator[Sender]:
    world.fill(scope)
    made = Sender(base_url, scope)
    yield made
    made.client.close()
    scope.clock.set(None)


def report(vendor: Sender, *events: dict[str, Any]) -> None:
    answer = vendor.vendor(list(events))
    assert answer.status_code == 200, answer.text
    handle(vendor.scope)
    names = Names()
    while stored(vendor.scope):
        file_batch(vendor.scope, names)


def of(customer: str, event: str, minutes: int = 0, **place: Any) -> dict[str, Any]:
    known = {"campaign_id": world.AB, "channel_id": world.SMS, "template_id": 11}
    at = stamp(world.NOW - timedelta(minutes=minutes))
    return metric(customer=customer, event=event, timestamp=at, context=known | place)


def test_metrics_of_a_campaign_are_interactions_of_its_recipients(
    vendor: Sender, scope: Scope, api: httpx.Client
) -> None:
    report(
        vendor,
        of("c00", "sms_clicked"),
        of("C00", "SMS Click", minutes=5),  # the same once more
        of("C02", "message.bounced", campaignId="1", CampaignID=None),
        of("C04", "unsubscribe"),
        of("C06", "delivered", appId="acme-ios"),
        of("nobody", "clicked"),
        of("C08", "clicked", campaign_id=99),
    )
    expected = [
        ("C00", world.SMS, 11, 1, 12, 3, "2026-03-12", "", "metric"),
        ("C02", world.SMS, 11, 1, 12, 7, "2026-03-12", "", "metric"),
        ("C04", world.SMS, 11, 1, 12, 4, "2026-03-12", "", "metric"),
        ("C06", world.SMS, 11, 1, 12, 1, "2026-03-12", "acme-ios", "metric"),
    ]
    assert [one for one in world.stored(scope, world.AB) if one[0] != "C10"] == expected
    query = {"Date": str(world.DAY), "ChannelID": world.SMS, "EventID": 3}
    seen = api.get("/current/customers/GetCampaignInteractionCustomers", params=query).json()
    assert [(one["CustomerID"], one["CampaignID"]) for one in seen] == [("C00", world.AB)]
    # Whoever reported it by call too reported the same thing.
    again = ReportedInteraction(world.AB, world.SMS, 11, 3, "C00", world.NOW)
    assert interactions.add_interactions(scope, [again], unfiled_receipts) == 0
    assert "CampaignID: there is no campaign 99." in reasons(logged(scope, person="c08"))
    count = "SELECT count() FROM activity_events WHERE origin = 'metric' AND customer_id != 'C10'"
    assert scope.warehouse.value(count) == 7


def test_a_repeated_report_counts_once(vendor: Sender, scope: Scope) -> None:
    before = len(world.stored(scope, world.AB))
    one = of("C10", "sms_opened") | {"metadata": {"eventId": "report-1"}}
    report(vendor, one)
    report(vendor, one, of("C10", "sms_opened"))
    assert len(world.stored(scope, world.AB)) == before + 1
    assert scope.warehouse.value("SELECT count() FROM activity_events WHERE customer_id = 'C10'") == 2
