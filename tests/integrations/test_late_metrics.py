"""Metric events of vendors that tell of a day on which there was no campaign yet."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from senders import Sender, handle, logged, metric, reasons, stamp
from senders import stored as waiting
from vendor_world import AB, NOW, SMS, fill, stored

from rapport.access.scope import Scope
from rapport.realtime.events.names import Names
from rapport.realtime.recording.warehouse_batches import file_batch


@pytest.fixture(scope="module")
def vendor(scope: Scope, base_url: str) -> Iterator[Sender]:
    fill(scope)
    made = Sender(base_url, scope)
    yield made
    made.client.close()
    scope.clock.set(None)


def clicked(customer: str, days: int, **place: Any) -> dict[str, Any]:
    """A click so many days ago."""
    where = {"campaign_id": AB, "channel_id": SMS, "template_id": 11, **place}
    return metric(customer=customer, event="sms_clicked", timestamp=stamp(NOW - timedelta(days=days)), context=where)


def test_what_is_older_than_the_campaign_or_of_another_group_is_a_warning(vendor: Sender, scope: Scope) -> None:
    given = [clicked("C00", 0), clicked("C02", 3), clicked("C04", 4), clicked("C06", 0, recipient_group_id=2)]
    assert vendor.vendor(given).status_code == 200
    handle(scope)
    while waiting(scope):
        file_batch(scope, Names())
    told = [(row[0], row[6]) for row in stored(scope, AB)]
    assert told == [("C00", "2026-03-12"), ("C02", "2026-03-09")]  # the campaign is of the 10th: a day to spare
    warnings = {who: reasons(logged(scope, person=who, status="warning")) for who in ("c00", "c02", "c04", "c06")}
    assert (
        "InteractionDate must be a day from 2026-03-09 to 2026-03-13 for campaign 1, not 2026-03-08." in warnings["c04"]
    )
    said = "RecipientGroupID: recipient group 2 of campaign 1 does not use template 11 on channel 505."
    assert said in warnings["c06"]
    assert not any("must be" in one or "does not" in one for who in ("c00", "c02") for one in warnings[who])
