"""Events 14, 13 and 1 of outside channels come before the scheduled time; of own channels when they are done."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import orjson
import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    outcomes,
    publish,
    recipients,
    tally,
)
from sqlalchemy import update
from sqlalchemy.orm import Session

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.cycle import tasks as campaign_tasks
from rapport.campaigns.delivery import handing_over, webhooks
from rapport.campaigns.delivery.engagements import SECRET_MEMBERS
from rapport.campaigns.measurement import interactions
from rapport.campaigns.measurement.interactions import ReportedInteraction
from rapport.campaigns.models import Webhook
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, clearance, processing
from rapport.channels import service as channels
from rapport.channels.models import Channel
from rapport.messaging import templates
from rapport.messaging.contactability import excluding, preferences, suppressions
from rapport.messaging.models import ExclusionReason
from rapport.notifications import service as notifications
from rapport.notifications.models import Delivery
from rapport.notifications.secret_members import with_secrets
from rapport.realtime.recording.pending_receipts import unfiled_receipts
from rapport.stores.records import Records
from rapport.stores.warehouse import Database
from rapport.stores.workflows import work

PUSH, DEAD_MAIL = 506, 600
ALL = {"include_all": True}
MORNING, EVENING = "10:00", "22:00"
# Berlin is an hour ahead of UTC in March.
AT_TEN, AT_NIGHT = datetime(2026, 3, 10, 9, tzinfo=UTC), datetime(2026, 3, 10, 21, tzinfo=UTC)
LISTENED = (1, 4, 5, 13)


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    with scope.records() as session:
        settings = {"campaigns": {"messages_per_day": 99, "retry_delays": [], "blast_minimum": 10}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    people = [customer(number, COUNTRY="NL" if number < 20 else "BE") for number in range(60)]
    add_profiles(scope, people)
    scope.warehouse.insert("customers", ["customer_id"], [[one["customer_id"]] for one in people])
    publish(scope)
    add_channels(scope, box.port)
    channels.create_channel(scope, "Push", "external", id=PUSH)
    wrong = {"host": "127.0.0.1", "port": box.port, "security": "starttls"}  # which this server does not offer
    channels.create_channel(scope, "Dead mail", "email", id=DEAD_MAIL, settings=wrong)
    templates.save_template(scope, DEAD_MAIL, "Hello", "Hi", "<p>Hi</p>", id=1)
    add_group(scope, "Dutch", "NL")
    add_group(scope, "Belgian", "BE")
    add_group(scope, "Nobody", "XX")
    add_action(scope, "Voucher", ("V10",))
    for event in LISTENED:
        notifications.register_listener(scope, event, "http://127.0.0.1:9/events")
    return scope


@pytest.fixture(autouse=True)
def morning(tenant: Scope, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("rapport.delivery.pacing.FIRST_REST", timedelta(seconds=0.2))  # by the clock outside
    tenant.clock.set(NOW)
    box.to.clear()
    yield
    for one in occurrences.occurrences(tenant, limit=1000):
        if one.state in ("awaiting clearance", "awaiting confirmation", "scheduled", "executing"):
            by_hand.cancel(tenant, one.id)


def processed(scope: Scope, *groups: Any, target_group: int = 1, state: str = "scheduled", **more: Any) -> int:
    series = add_series(scope, target_group, list(groups), **{"rules": ALL, "control_share": 0, **more})
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == state
    return number


def told(scope: Scope, number: int) -> list[tuple[int, int]]:
    """Event type and channel of the events of a campaign, in the order in which they were told."""
    found = []
    for row in reversed(notifications.deliveries(scope, limit=10_000)):
        body = orjson.loads(row.body)
        if body.get("CampaignID") == number:
            found.append((body["EventTypeID"], body.get("ChannelID", 0)))
    return found


def details(api: httpx.Client, number: int) -> dict[str, Any]:
    answer: dict[str, Any] = api.get("/current/actions/GetCampaignDetails", params={"CampaignID": number}).json()
    (listed,) = (
        row
        for day in (TODAY, TODAY + timedelta(days=5))
        for row in api.get("/current/actions/GetExecutedCampaignDetails", params={"Date": str(day)}).json()
        if row["CampaignID"] == number
    )
    assert {name: listed[name] for name in ("Status", "Error")} == {name: answer[name] for name in ("Status", "Error")}
    return answer


def test_two_times_on_two_channels_are_told_at_once_and_keep_their_times(tenant: Scope, api: httpx.Client) -> None:
    groups = [
        group(2, (EXTERNAL, 4), share=0.5, time=MORNING),
        group(2, (EXTERNAL, 5), (PUSH, 6), share=0.5, time=EVENING),
    ]
    number = processed(tenant, *groups)
    assert details(api, number)["Status"] == "Scheduled"
    assert campaign_tasks.execute_due(tenant) == 0  # nothing is due
    assert told(tenant, number) == [(13, EXTERNAL), (13, PUSH), (1, 0)]
    assert details(api, number)["Status"] == "Successful"
    query = {"CampaignID": number, "ChannelID": EXTERNAL, "$top": 1000}
    rows = api.get("/current/customers/GetCustomerSendDetailsByChannel", params=query).json()
    assert {(row["TemplateID"], row["ScheduledTime"]) for row in rows} == {
        (4, "2026-03-10 10:00:00"),
        (5, "2026-03-10 22:00:00"),
    }
    assert len(rows) == 20 and not outcomes(tenant, number)
    tenant.clock.set(AT_TEN)
    assert campaign_tasks.execute_due(tenant) == 1
    sent = {row[0] for row in outcomes(tenant, number)}
    assert sent == {row["CustomerID"] for row in rows if row["TemplateID"] == 4}
    assert occurrences.occurrence(tenant, number).state == "executing"
    tenant.clock.set(AT_NIGHT)
    assert campaign_tasks.execute_due(tenant) == 2
    found = occurrences.occurrence(tenant, number)
    assert found.state == "successful" and found.counts == tally(outcomes(tenant, number))
    assert told(tenant, number) == [(13, EXTERNAL), (13, PUSH), (1, 0)]  # nothing is told twice


def test_own_channels_are_told_when_they_are_done(tenant: Scope, api: httpx.Client, box: Mailbox) -> None:
    mail = processed(tenant, group(2, (EMAIL, 1), time=EVENING))
    mixed = processed(tenant, group(2, (EMAIL, 1), (EXTERNAL, 4), time=EVENING))
    assert campaign_tasks.execute_due(tenant) == 0 and not box.to
    assert told(tenant, mail) == [] and told(tenant, mixed) == [(13, EXTERNAL), (1, 0)]
    assert details(api, mail)["Status"] == "Scheduled" and details(api, mixed)["Status"] == "Successful"
    tenant.clock.set(AT_NIGHT - timedelta(seconds=1))
    assert campaign_tasks.execute_due(tenant) == 0 and not box.to  # mail leaves at its time, not before
    tenant.clock.set(AT_NIGHT)
    assert campaign_tasks.execute_due(tenant) == 3
    assert set(box.to.values()) == {2} and len(box.to) == 20
    assert sorted(told(tenant, mail)) == [(1, 0), (13, EMAIL)]
    assert sorted(told(tenant, mixed)) == [(1, 0), (13, EMAIL), (13, EXTERNAL)]
    assert details(api, mail)["Status"] == "Successful"


@pytest.mark.parametrize("first", [EXTERNAL, EMAIL])
def test_a_channel_that_failed_is_told_of_in_the_error(tenant: Scope, api: httpx.Client, first: int) -> None:
    number = processed(tenant, group(2, (first, 1), (DEAD_MAIL, 1), time=MORNING))
    campaign_tasks.execute_due(tenant)
    tenant.clock.set(AT_TEN)
    campaign_tasks.execute_due(tenant)
    assert sorted(told(tenant, number)) == [(1, 0), (13, first)]
    found = details(api, number)
    assert found["Status"] == "Successful"
    assert found["Error"].startswith(f"Channel {DEAD_MAIL}: ") and str(first) not in found["Error"]
    assert occurrences.occurrence(tenant, number).counts == {"sent": 20, "failed": 20}


def test_a_run_whose_channels_all_failed_has_failed(tenant: Scope, api: httpx.Client) -> None:
    number = processed(tenant, group(2, (DEAD_MAIL, 1), time=MORNING))
    tenant.clock.set(AT_TEN)
    campaign_tasks.execute_due(tenant)
    found = details(api, number)
    assert found["Status"] == "Failed" and found["Error"].startswith(f"Channel {DEAD_MAIL}: ")
    assert told(tenant, number) == []


@pytest.mark.parametrize("kind", ["email", "external"])
def test_a_unit_whose_channel_is_gone_ends_with_that_and_the_others_go_out(tenant: Scope, kind: str) -> None:
    gone = channels.create_channel(tenant, f"Gone {kind}", kind).id  # type: ignore[arg-type]
    templates.save_template(tenant, gone, "Hello", "Hi", "<p>Hi</p>", id=1)
    number = processed(tenant, group(2, (EXTERNAL, 4), (EMAIL, 1), (gone, 1), time=MORNING))
    with tenant.records() as session:
        session.query(Channel).filter_by(tenant_id=tenant.tenant_id, id=gone).delete()
    campaign_tasks.execute_due(tenant)
    tenant.clock.set(AT_TEN)
    campaign_tasks.execute_due(tenant)
    ended = occurrences.occurrence(tenant, number)
    assert (ended.state, ended.error) == ("successful", f"Channel {gone}: There is no channel {gone}.")
    assert ended.counts == {"sent": 40, "failed": 20}
    assert {row[-2:] for row in outcomes(tenant, number) if gone in row} == {("failed", f"There is no channel {gone}.")}


def test_an_empty_group_is_not_told(tenant: Scope, api: httpx.Client) -> None:
    number = processed(tenant, group(2, (EXTERNAL, 4), time=MORNING), target_group=3, state="not run")
    campaign_tasks.execute_due(tenant)
    assert told(tenant, number) == []
    found = details(api, number)
    assert (found["Status"], found["Error"]) == ("Failed", "The target group has no members.")
    # A recipient group without anybody does not hold up the channel's event.
    groups = [group(2, (EXTERNAL, 4), share=0.999999, time=MORNING), group(2, (EXTERNAL, 5), share=0.000001)]
    number = processed(tenant, *groups)
    assert {row[2] for row in recipients(tenant, number)} == {1}
    campaign_tasks.execute_due(tenant)
    assert told(tenant, number) == [(13, EXTERNAL), (1, 0)]


def test_a_list_is_told_on_the_day_of_processing_and_sent_after_the_lead_time(tenant: Scope, api: httpx.Client) -> None:
    number = processed(tenant, group(2, (EXTERNAL, 4), time=MORNING), lead_time=5, duration=3)
    campaign_tasks.execute_due(tenant)
    assert told(tenant, number) == [(13, EXTERNAL), (1, 0)]
    # Ended deliveries are dropped after a week: what was told then must not be told again at the send.
    with tenant.records() as session:
        session.query(Delivery).filter(Delivery.event_key.in_([f"13:{number}:{EXTERNAL}", f"1:{number}"])).delete()
    query = {"CampaignID": number, "ChannelID": EXTERNAL}
    times = api.get("/current/actions/GetExecutedCampaignChannelDetails", params=query).json()
    assert [row["ScheduledTime"] for row in times] == ["2026-03-15 10:00:00"]

    def targeted() -> set[tuple[str, str]]:
        rows = api.get("/current/customers/GetCurrentlyTargetedCustomers", params={"$top": 10_000}).json()
        return {(row["StartDate"], row["EndDate"]) for row in rows if row["CampaignID"] == number}

    for days, expected in ((0, set()), (4, set()), (5, {("2026-03-15", "2026-03-18")}), (9, set())):
        tenant.clock.set(NOW + timedelta(days=days))
        assert targeted() == expected
    tenant.clock.set(AT_TEN + timedelta(days=5))
    assert campaign_tasks.execute_due(tenant) == 1
    assert told(tenant, number) == [] and tally(outcomes(tenant, number)) == {"sent": 20}


def test_who_opts_out_after_the_event_leaves_the_list_at_its_time(tenant: Scope, api: httpx.Client) -> None:
    number = processed(tenant, group(2, (EXTERNAL, 4), time=EVENING))
    preferences.set_preference(tenant, EXTERNAL, ["C00001"], 2, None)
    campaign_tasks.execute_due(tenant)

    def listed() -> set[str]:
        query = {"CampaignID": number, "ChannelID": EXTERNAL, "$top": 1000}
        rows = api.get("/current/customers/GetCustomerSendDetailsByChannel", params=query).json()
        return {row["CustomerID"] for row in rows}

    everybody = {f"C{n:05d}" for n in range(20)}
    assert listed() == everybody - {"C00001"}  # between processing and the event
    # The vendor sends early to the third, who then unsubscribes; the second opts out before anything was sent.
    got = ReportedInteraction(number, EXTERNAL, 4, 4, "C00003", tenant.clock.now())
    assert interactions.add_interactions(tenant, [got], unfiled_receipts) == 1
    preferences.set_preference(tenant, EXTERNAL, ["C00002"], 2, None)
    assert listed() == everybody - {"C00001"}
    tenant.clock.set(AT_NIGHT)
    assert campaign_tasks.execute_due(tenant) == 1
    assert listed() == everybody - {"C00001", "C00002"}
    suppressed = {row[0] for row in outcomes(tenant, number) if row[2] == "suppressed"}
    assert suppressed == {"C00001", "C00002"}
    assert tally(outcomes(tenant, number)) == {"sent": 18, "suppressed": 2}
    assert occurrences.occurrence(tenant, number).state == "successful"
    preferences.set_preference(tenant, EXTERNAL, ["C00001", "C00002"], 1, None)
    suppressions.allow(tenant, "C00003", EXTERNAL)


def test_a_campaign_can_be_canceled_after_it_was_told(tenant: Scope, api: httpx.Client) -> None:
    webhooks.set_webhook(tenant, PUSH, "http://127.0.0.1:9/files", "pushes", 10_000, [])
    number = processed(tenant, group(2, (PUSH, 4), time=EVENING))
    campaign_tasks.execute_due(tenant)
    assert told(tenant, number) == [(14, PUSH), (13, PUSH), (1, 0)]
    (file,) = (
        orjson.loads(with_secrets(tenant.stores, SECRET_MEMBERS, tenant.tenant_id, 14, row.body))
        for row in notifications.deliveries(tenant, limit=10_000)
        if row.event_type_id == 14 and orjson.loads(row.body)["CampaignID"] == number
    )
    path = f"/v1/files/{file['BucketName']}/{file['MetadataFilePath']}"
    key = {"X-Decryption-Key": file["DecryptionKey"]}
    assert api.get(path, headers=key).status_code == 200
    by_hand.cancel(tenant, number)
    assert told(tenant, number) == [(14, PUSH), (13, PUSH), (1, 0), (4, 0)]
    assert tally(outcomes(tenant, number)) == {"skipped": 20}
    canceled = api.get("/current/customers/GetCanceledCampaignCustomers", params={"CampaignID": number}).json()
    assert {row["CustomerID"] for row in canceled} == {f"C{n:05d}" for n in range(20)}
    assert {(row["ActionID"], row["PromoCode"]) for row in canceled} == {(2, "V10")}
    answer = api.get("/current/actions/GetCampaignDetails", params={"CampaignID": number}).json()
    assert answer["Status"] == "Canceled"
    assert api.get(path, headers=key).status_code == 404
    tenant.clock.set(AT_NIGHT)
    assert campaign_tasks.execute_due(tenant) == 0
    webhooks.delete_webhook(tenant, PUSH)


def test_held_runs_are_told_when_they_may_go_on(tenant: Scope, api: httpx.Client) -> None:
    for _ in range(3):
        by_hand.cancel(tenant, processed(tenant, group(2, (EXTERNAL, 4), time=EVENING), target_group=2))
    with tenant.records() as session:
        settings = {"campaigns": {"messages_per_day": 1, "retry_delays": []}}
        session.execute(update(Tenant).where(Tenant.id == tenant.tenant_id).values(settings=settings))
    held = scope_of(tenant.stores, tenant.tenant_id)
    first = processed(held, group(2, (EXTERNAL, 4), time=EVENING), target_group=2)
    number = processed(held, group(2, (EXTERNAL, 4), time=EVENING), target_group=2, state="awaiting confirmation")
    with tenant.records() as session:
        session.execute(update(Tenant).where(Tenant.id == tenant.tenant_id).values(settings=tenant.settings))
    campaign_tasks.execute_due(tenant)
    assert told(tenant, first) == [(13, EXTERNAL), (1, 0)] and told(tenant, number) == []
    by_hand.confirm(tenant, number)
    campaign_tasks.execute_due(tenant)
    assert told(tenant, number) == [(13, EXTERNAL), (1, 0)]


def test_conditional_runs_are_told_after_the_clearance(tenant: Scope, api: httpx.Client) -> None:
    where = group(2, (EXTERNAL, 4), (EMAIL, 1), time=EVENING)
    number = processed(tenant, where, conditional=True, state="awaiting clearance")
    campaign_tasks.execute_due(tenant)
    assert told(tenant, number) == [(5, 0)]
    clearance.report(tenant, number, [("C00004", True), ("C00005", True)])
    tenant.clock.set(AT_NIGHT - timedelta(minutes=30))
    assert campaign_tasks.execute_due(tenant) == 0  # the deadline: half an hour before anything is sent
    assert told(tenant, number) == [(5, 0), (13, EXTERNAL), (1, 0)]
    query = {"CampaignID": number, "ChannelID": EXTERNAL}
    rows = api.get("/current/customers/GetCustomerSendDetailsByChannel", params=query).json()
    assert [row["CustomerID"] for row in rows] == ["C00004", "C00005"]
    assert api.get("/current/customers/GetProcessedCampaignCustomers", params=query).json() == []
    nobody = processed(tenant, where, conditional=True, state="awaiting clearance")
    tenant.clock.set(AT_NIGHT)
    campaign_tasks.execute_due(tenant)
    tenant.clock.set(AT_NIGHT + timedelta(hours=2))
    campaign_tasks.execute_due(tenant)
    assert occurrences.occurrence(tenant, nobody).state == "not run"
    assert told(tenant, nobody) == [(5, 0)]
    assert details(api, nobody)["Status"] == "Failed"


def test_a_list_that_cannot_be_made_ready_fails_alone(tenant: Scope, api: httpx.Client) -> None:
    webhooks.set_webhook(tenant, PUSH, "http://127.0.0.1:9/files", "pushes", 10_000, ["FIRST_NAME"])
    with tenant.records() as session:
        session.execute(update(Webhook).where(Webhook.tenant_id == tenant.tenant_id).values(attributes=["GONE"]))
    number = processed(tenant, group(2, (EXTERNAL, 4), (PUSH, 5), time=EVENING))
    campaign_tasks.execute_due(tenant)
    assert told(tenant, number) == [(13, EXTERNAL), (1, 0)]
    found = details(api, number)
    assert found["Status"] == "Successful" and found["Error"].startswith(f"Channel {PUSH}: ")
    assert "GONE" in found["Error"]
    tenant.clock.set(AT_NIGHT)
    campaign_tasks.execute_due(tenant)
    assert occurrences.occurrence(tenant, number).state == "successful"
    assert tally(outcomes(tenant, number)) == {"sent": 20, "failed": 20}
    assert details(api, number)["Error"] == found["Error"]
    webhooks.delete_webhook(tenant, PUSH)


def test_handing_over_again_tells_nothing_again(tenant: Scope) -> None:
    number = processed(tenant, group(2, (EXTERNAL, 4), (PUSH, 5), time=EVENING))
    units = handing_over.pulled_units(tenant, number)
    handing_over.prepare(tenant, units[0])  # and is killed
    assert handing_over.waiting(tenant) == [number] and told(tenant, number) == []
    for _ in range(2):
        handing_over.hand_over(tenant, number)
    tasks.dispatch(tenant)
    assert told(tenant, number) == [(13, EXTERNAL), (13, PUSH), (1, 0)]
    assert handing_over.waiting(tenant) == []


def test_whoever_is_excluded_after_the_list_was_handed_over_leaves_it(tenant: Scope, api: httpx.Client) -> None:
    number = processed(tenant, group(2, (EXTERNAL, 4), time=EVENING))
    campaign_tasks.execute_due(tenant)
    query = {"CampaignID": number, "ChannelID": EXTERNAL}
    path = "/current/customers/GetCustomerSendDetailsByChannel"
    before = [row["CustomerID"] for row in api.get(path, params=query).json()]
    assert "C00008" in before
    excluding.exclude(tenant, {"C00008": None}, ExclusionReason.SELF_EXCLUSION)
    tenant.clock.set(AT_NIGHT)
    campaign_tasks.execute_due(tenant)
    assert [row["CustomerID"] for row in api.get(path, params=query).json()] == [n for n in before if n != "C00008"]
    assert [row for row in outcomes(tenant, number) if row[0] == "C00008"] == [
        ("C00008", EXTERNAL, "suppressed", "under an exclusion")
    ]
    excluding.lift(tenant, "C00008")


class Killed(BaseException):
    """The process is gone."""


def test_stopped_after_any_write_nothing_is_lost_or_told_twice(tenant: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    webhooks.set_webhook(tenant, PUSH, "http://127.0.0.1:9/files", "pushes", 10_000, [])
    groups = [group(2, (EXTERNAL, 4), (PUSH, 5), share=0.5, time=MORNING), group(2, (PUSH, 6), share=0.5, time=EVENING)]
    number = processed(tenant, *groups)
    preferences.set_preference(tenant, PUSH, ["C00007"], 2, None)
    writes = count()
    execute, session = Database.execute, Records.session
    last = 0

    def executed(self: Database, sql: str, *args: Any, **bound: Any) -> None:
        execute(self, sql, *args, **bound)
        if next(writes) == last:
            raise Killed

    @contextmanager
    def committed(self: Records) -> Iterator[Session]:
        with session(self) as held:
            yield held
        if next(writes) == last:
            raise Killed

    def once() -> bool:
        nonlocal writes
        writes = count()
        with monkeypatch.context() as patched:
            patched.setattr(Database, "execute", executed)
            patched.setattr(Records, "session", committed)
            try:
                handing_over.hand_over(tenant, number)
            except Killed:
                return False
        return True

    everything = [(14, PUSH), (14, PUSH), (13, EXTERNAL), (13, PUSH), (1, 0)]
    while not once():
        assert told(tenant, number) in (everything[:0], everything[:1], everything[:2], everything)
        assert (handing_over.waiting(tenant) == [number]) == (told(tenant, number) != everything)
        last += 1
    assert last > 10
    assert told(tenant, number) == everything
    on_push = {row[0] for row in recipients(tenant, number) if row[1] == PUSH}
    assert on_push == {f"C{n:05d}" for n in range(20)} - {"C00007"}
    assert [row for row in outcomes(tenant, number) if row[1] == PUSH] == [
        ("C00007", PUSH, "suppressed", "channel preference")
    ]
    tenant.clock.set(AT_NIGHT)
    campaign_tasks.execute_due(tenant)
    assert occurrences.occurrence(tenant, number).state == "successful"
    preferences.set_preference(tenant, PUSH, ["C00007"], 1, None)
    webhooks.delete_webhook(tenant, PUSH)


def test_a_run_by_hand_is_told_by_the_work_that_processes_it(tenant: Scope) -> None:
    series = add_series(tenant, 1, [group(2, (EXTERNAL, 4), time=EVENING)], rules=ALL, control_share=0)
    found = by_hand.run_now(tenant, series.id, wait=True)
    assert work.exists(f"run:{tenant.tenant_id}:{found.id}")
    assert found.state == "scheduled" and told(tenant, found.id) == [(13, EXTERNAL), (1, 0)]
