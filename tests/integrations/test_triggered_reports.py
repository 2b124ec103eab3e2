"""Reports on triggered campaigns: at once after event 11 as well as later, of whoever got them and nobody else."""

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
import trigger_world as triggers
from senders import Sender, metric, stamp, stored
from sqlalchemy import select
from sqlalchemy.orm import Session
from trigger_world import NOW, PUSH, SMS, TEMPLATE
from vendor_world import stored as interactions

from rapport.access.models import AuditEntry
from rapport.access.scope import Scope
from rapport.api.wire import integrations_reports
from rapport.campaigns.measurement.received import Received
from rapport.campaigns.models import Series
from rapport.customers import event_types
from rapport.messaging.contactability import preferences
from rapport.realtime.events.names import Names
from rapport.realtime.matching import releasing
from rapport.realtime.recording.pending_receipts import unfiled_receipts
from rapport.realtime.recording.warehouse_batches import file_batch
from rapport.realtime.states import FiringState

BOTH = [{"channel_id": SMS, "template_id": TEMPLATE}, {"channel_id": PUSH, "template_id": TEMPLATE}]
CLICKED = 3


@pytest.fixture(scope="module")
def world(scope: Scope) -> Iterator[Scope]:
    people = [{"customer_id": f"C{number}"} for number in range(20)]
    triggers.fill(scope, [*people, {"customer_id": "Blocked", "IS_BLOCKED": "yes"}])
    triggers.channel(scope, PUSH, "Push")
    event_types.declare_event_type(scope, "deposit", {})
    yield scope
    scope.clock.set(None)


@pytest.fixture
def now(world: Scope) -> Scope:
    """Half past ten, with nothing left from the test before."""
    triggers.file(world)
    world.clock.set(NOW)
    return world


def fire(scope: Scope, event: str, people: Sequence[str], **more: Any) -> Series:
    """A trigger to SMS and push that these customers have just met; nothing of it is filed."""
    group = {"action_id": 2, "channels": BOTH}
    made = triggers.trigger(scope, {"kind": "simple", "event": event}, groups=[group], **more)
    for who in people:
        triggers.event(scope, event, who)
    triggers.process(scope)
    return made


def day_of(scope: Scope, series: Series) -> int:
    (number,) = {one.campaign_id for one in triggers.firings(scope, series)}
    return number


def report(api: httpx.Client, campaign: int, people: Sequence[str], channel: int = SMS) -> None:
    place = {"CampaignID": campaign, "ChannelID": channel, "TemplateID": TEMPLATE, "EventID": CLICKED}
    body = {**place, "InteractionDate": "2026-03-10", "CustomerIDs": list(people)}
    answer = api.post("/current/integrations/UpdateCampaignInteractions", json=body)
    assert (answer.status_code, answer.content) == (200, b""), answer.text


def who_did(scope: Scope, campaign: int) -> list[tuple[str, int]]:
    """Customer and channel of what is stored of a campaign."""
    return [one[:2] for one in interactions(scope, campaign)]


def passed_over(scope: Scope, campaign: int) -> int:
    """How many the last report on a campaign named who did not get it."""
    mine = select(AuditEntry).where(
        AuditEntry.tenant_id == scope.tenant_id,
        AuditEntry.action == "interactions",
        AuditEntry.object == f"campaign {campaign}",
    )
    with scope.records() as session:
        return int(session.scalars(mine.order_by(AuditEntry.id.desc()).limit(1)).one().details["not_recipients"])


def test_a_report_at_once_after_event_11_counts(now: Scope, integrations_api: httpx.Client, api: httpx.Client) -> None:
    series = fire(now, "add_to_cart", ["c1", "C2"])
    told = [one for one in triggers.told(now, series) if one["channelID"] == SMS]
    assert [one["customerID"] for one in told] == ["C1", "C2"]
    assert {one.state for one in triggers.firings(now, series)} == {"done"}  # nothing is filed
    campaign = told[0]["campaignID"]
    report(integrations_api, campaign, [one["customerID"] for one in told])
    row = (SMS, TEMPLATE, 1, 2, CLICKED, "2026-03-10", "", "api")
    assert interactions(now, campaign) == [("C1", *row), ("C2", *row)]
    triggers.file(now)
    assert {one.state for one in triggers.firings(now, series)} == {FiringState.FILED}
    report(integrations_api, campaign, ["C1", "c2", "C3"])
    assert interactions(now, campaign) == [("C1", *row), ("C2", *row)] and passed_over(now, campaign) == 1
    query = {"Date": "2026-03-10", "ChannelID": SMS, "EventID": CLICKED}
    for wanted in (True, False):  # functions by date tell of triggered campaigns where the tenant wants it
        settings = {"settings": {"campaigns": {"list_triggered": wanted}}}
        assert api.patch("/manage/v1/tenants/current", json=settings).status_code == 200
        read = integrations_api.get("/current/customers/GetCampaignInteractionCustomers", params=query).json()
        clicked = [one["CustomerID"] for one in read if one["CampaignID"] == campaign]
        assert clicked == (["C1", "C2"] if wanted else [])
    groups = api.get(f"/manage/v1/campaigns/{campaign}/results").json()["groups"]
    assert groups[1]["interactions"] == {"clicked": 2}


def test_so_does_a_metric_event(now: Scope, base_url: str) -> None:
    campaign = day_of(now, fire(now, "level_up", ["C4", "C5"]))
    vendor = Sender(base_url, now)

    def tell(*people: str) -> None:
        where = {"campaign_id": campaign, "channel_id": SMS, "template_id": TEMPLATE}
        events = [metric(customer=one, event="sms_clicked", timestamp=stamp(NOW), context=where) for one in people]
        assert vendor.vendor(events).status_code == 200
        triggers.process(now)
        while stored(now):  # its event is filed before the firing is
            file_batch(now, Names())

    tell("c4", "C6", "nobody")
    assert who_did(now, campaign) == [("C4", SMS)] and passed_over(now, campaign) == 2
    triggers.file(now)
    tell("c4", "C5", "C6", "nobody")
    assert who_did(now, campaign) == [("C4", SMS), ("C5", SMS)] and passed_over(now, campaign) == 2
    vendor.client.close()


def test_whoever_did_not_get_it_is_passed_over_before_and_after_filing(
    now: Scope, integrations_api: httpx.Client, api: httpx.Client
) -> None:
    preferences.set_preference(now, SMS, ["C9"], 2, None)
    series = fire(now, "purchase", ["C7", "C8", "C9", "C10", "Blocked"], conditional=True)
    campaign = day_of(now, series)
    named = ["C7", "C8", "C9", "C10", "C11", "Blocked", "nobody"]
    report(integrations_api, campaign, named)
    assert who_did(now, campaign) == [] and passed_over(now, campaign) == len(named)  # the gateway has not said
    waiting = {one.customer_id: one.id for one in triggers.firings(now, series) if one.state == "asking"}
    with now.records() as session:
        releasing.refuse(now, session, waiting["C8"], "excluded", "gateway: not allowed")
        releasing.release(now, session, [waiting["C7"], waiting["C9"]])
    for filed in (False, True):
        if filed:
            triggers.file(now)
        for channel, got in ((SMS, ["C7"]), (PUSH, ["C7", "C9"])):  # C10 is still asked about
            report(integrations_api, campaign, named, channel)
            assert [who for who, place in who_did(now, campaign) if place == channel] == got
            assert passed_over(now, campaign) == len(named) - len(got)
    groups = api.get(f"/manage/v1/campaigns/{campaign}/results").json()["groups"]
    assert groups[1]["interactions"] == {"clicked": 2}


def test_control_is_passed_over(now: Scope, integrations_api: httpx.Client) -> None:
    people = [f"C{number}" for number in range(20)]
    series = fire(now, "page_view", people, control_share=0.5)
    campaign = day_of(now, series)
    got = sorted(one.customer_id for one in triggers.firings(now, series) if one.outcome == "sent")
    assert 0 < len(got) < len(people)
    report(integrations_api, campaign, people, PUSH)
    assert who_did(now, campaign) == [(who, PUSH) for who in got]
    assert passed_over(now, campaign) == len(people) - len(got)


def test_whoever_is_filed_amid_a_report_is_found(
    now: Scope, integrations_api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = day_of(now, fire(now, "deposit", ["C12"]))

    def filed_just_before(scope: Scope, session: Session, *place: Any) -> list[Received]:
        """The lookup in the records, from which the filer takes the firing just before."""
        triggers.file(scope)
        return unfiled_receipts(scope, session, *place)

    monkeypatch.setattr(integrations_reports, "unfiled_receipts", filed_just_before)
    report(integrations_api, campaign, ["C12"])
    assert who_did(now, campaign) == [("C12", SMS)]
