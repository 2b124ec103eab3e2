"""Conditional runs: the request, the reports, the decision at the deadline and what follows, against plain Python."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
)
from clearance_run import DEADLINE, decided, expected, found, on_hold
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import scheduler, tasks
from rapport.campaigns.cycle import tasks as campaign_tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, clearance, clearance_deadline, processing
from rapport.campaigns.runs.guard import past_sizes
from rapport.errors import Invalid
from rapport.notifications import service as notifications

ALL = {"include_all": True}


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    with scope.records() as session:
        given_settings = {"campaigns": {"messages_per_day": 99, "retry_delays": []}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=given_settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(40)])
    publish(scope)
    add_channels(scope, box.port)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher", ("V10",))
    for event in (1, 4, 5, 13):
        notifications.register_listener(scope, event, "http://127.0.0.1:9/events")
    return scope


@pytest.fixture(autouse=True)
def fresh(tenant: Scope, box: Mailbox) -> Iterator[None]:
    tenant.clock.set(NOW)
    box.to.clear()
    yield
    for one in occurrences.occurrences(tenant, limit=1000):
        if one.state in ("planned", "awaiting clearance", "awaiting confirmation", "scheduled"):
            by_hand.cancel(tenant, one.id)


def processed(scope: Scope, *places: tuple[int, int], time: str | None = "12:00", **more: Any) -> int:
    series = add_series(scope, 1, [group(2, *places, time=time)], conditional=True, rules=ALL, **more)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "awaiting clearance"
    return number


def told(scope: Scope, number: int) -> list[dict[str, Any]]:
    bodies = [orjson.loads(row.body) for row in notifications.deliveries(scope, limit=1000)]
    mine = [body for body in bodies if body.get("CampaignID") == number]
    return sorted(mine, key=lambda body: (body["EventTypeID"], body.get("ChannelID", 0)))


def test_a_run_is_cleared_on_every_channel_and_then_goes_out_like_any_other(
    tenant: Scope, box: Mailbox, api: httpx.Client
) -> None:
    number = processed(tenant, (EXTERNAL, 4), (EMAIL, 1), control_share=0.25)
    asked = told(tenant, number)
    assert asked == [
        {
            "EventTypeID": 5,
            "TimeStamp": "2026-03-10 08:30",
            "CampaignID": number,
            "ClearanceRequiredBy": "2026-03-10 11:30:00",
        }
    ]
    before = recipients(tenant, number)
    customers = sorted({row[0] for row in before if row[1]})
    control = {row[0] for row in before if not row[1]}
    listed = api.get("/current/customers/GetProcessedCampaignCustomers", params={"CampaignID": number}).json()
    assert listed == [{"CustomerID": who, "ActionID": 2, "PromoCode": "V10"} for who in customers]
    calls = [
        [(who, n % 3 > 0) for n, who in enumerate(customers[:-5])],
        [(customers[1].lower(), False), (customers[0].upper(), False), (customers[0], True)],
        [("stranger", True), (min(control), True)],
    ]
    for call in calls:
        clearance.report(tenant, number, call, datetime(2026, 3, 10, 9))
    verdicts = decided(customers, calls)
    cleared = {who for who, reason in verdicts.items() if not reason}
    assert customers[0] in cleared and customers[1] not in cleared
    tally = Counter(verdicts.values())
    home = f"/manage/v1/campaigns/{number}"
    standing = api.get(f"{home}/clearance").json()
    assert standing == {
        "campaign_id": number,
        "state": "awaiting clearance",
        "clearance_by": "2026-03-10T10:30:00Z",
        "cleared_at": None,
        "customers": len(customers),
        "approved": tally[""],
        "refused": tally["refused"],
        "unreported": tally["not cleared"],
        "unknown": 2,
    }
    assert api.get(home).json()["clearance"] == standing
    assert api.get(f"{home}/customers/{customers[1]}").json()["explanation"] == [
        f"Waits for approval on channel {channel} until 2026-03-10 11:30:00: refused so far."
        for channel in (EMAIL, EXTERNAL)
    ]
    tenant.clock.set(DEADLINE - timedelta(seconds=1))
    assert campaign_tasks.execute_due(tenant) == 0
    assert occurrences.occurrence(tenant, number).state == "awaiting clearance"
    tenant.clock.set(DEADLINE)
    assert campaign_tasks.execute_due(tenant) == 0
    assert occurrences.occurrence(tenant, number).state == "scheduled"
    assert recipients(tenant, number) == [row for row in before if row[0] in cleared or not row[1]]
    assert api.get("/current/customers/GetProcessedCampaignCustomers", params={"CampaignID": number}).json() == []
    late = api.get(f"{home}/clearance").json()
    assert late == {**standing, "state": "scheduled", "cleared_at": "2026-03-10T10:30:00Z"}

    tenant.clock.set(DEADLINE + timedelta(minutes=30))
    assert campaign_tasks.execute_due(tenant) == 2
    assert {address.split("@")[0].upper() for address in box.to} == cleared
    done = occurrences.occurrence(tenant, number)
    out = [(who, c, "excluded", why) for who, why in verdicts.items() if why for c in (EMAIL, EXTERNAL)]
    sent = [(who, EMAIL, "sent", "") for who in cleared] + [(who, EXTERNAL, "sent", "listed") for who in cleared]
    kept = [(who, 0, "control", "") for who in control]
    assert outcomes(tenant, number) == sorted([*out, *sent, *kept])
    assert (done.state, done.test_size) == ("successful", len(cleared))
    assert done.counts == {"control": len(control), "excluded": len(out), "sent": len(sent)}
    assert sum(done.counts.values()) == done.targeted
    assert [(body["EventTypeID"], body.get("ChannelID")) for body in told(tenant, number)[:-1]] == [
        (1, None),
        (5, None),
        (13, EMAIL),
    ]
    for function, channel in (("GetCustomerSendDetailsByChannel", EMAIL), ("GetCustomerExecutionDetailsByCampaign", 0)):
        given_ids = {"CampaignID": number, "ChannelID": channel or EXTERNAL}
        rows = api.get(f"/current/customers/{function}", params=given_ids).json()
        assert [row["CustomerID"] for row in rows] == sorted(cleared)
    assert api.get(f"{home}/customers/{customers[1]}").json()["explanation"][0] == (
        f"Excluded on channel {EMAIL}: the external system refused the customer."
    )
    assert api.get(f"{home}/customers/{customers[-1]}").json()["explanation"][0] == (
        f"Excluded on channel {EMAIL}: nobody approved the customer before the deadline."
    )
    sizes = {one["recipient_group_id"]: one["customers"] for one in api.get(f"{home}/results").json()["groups"]}
    assert sizes == {0: len(control), 1: len(customers)}, "all who were assigned compare with control"


def test_silence_means_no(tenant: Scope) -> None:
    number = processed(tenant, (EXTERNAL, 4), control_share=0.25)
    size = occurrences.occurrence(tenant, number).test_size
    tenant.clock.set(DEADLINE)
    campaign_tasks.execute_due(tenant)
    done = occurrences.occurrence(tenant, number)
    assert (done.state, done.error) == ("not run", "No customer was approved before the deadline.")
    assert done.counts == {"control": 40 - size, "excluded": size} and done.targeted == 40
    assert {row[1] for row in recipients(tenant, number)} == {0}
    tenant.clock.set(DEADLINE + timedelta(hours=1))
    assert campaign_tasks.execute_due(tenant) == 0 and [body["EventTypeID"] for body in told(tenant, number)] == [5]


def test_a_late_run_leaves_time_for_the_review_and_sends_later(tenant: Scope, api: httpx.Client) -> None:
    """Processed at 08:30:20 with sends at 09:00 and 18:00: asked until 09:01, sent from 09:31 on."""
    tenant.clock.set(NOW + timedelta(seconds=20))
    places = [(EXTERNAL, 4, "09:00"), (EMAIL, 1, "18:00")]
    reached = [{"channel_id": c, "template_id": t, "send_time": at} for c, t, at in places]
    series = add_series(
        tenant,
        1,
        [{"action_id": 2, "share": 1.0, "channels": reached}],
        conditional=True,
        rules=ALL,
        control_share=0.25,
    )
    number = by_hand.run_now(tenant, series.id, wait=True).id
    found_run = occurrences.occurrence(tenant, number)
    assert found_run.clearance_by == datetime(2026, 3, 10, 8, 1, tzinfo=UTC)
    assert told(tenant, number)[0]["ClearanceRequiredBy"] == "2026-03-10 09:01:00"
    times = {row.channel_id: row.scheduled_time for row in occurrences.channel_rows(tenant, number)}
    assert times == {EXTERNAL: datetime(2026, 3, 10, 9, 31), EMAIL: datetime(2026, 3, 10, 18)}
    who = next(row[0] for row in recipients(tenant, number) if row[1])
    shown = api.get(f"/manage/v1/campaigns/{number}/customers/{who}").json()["places"]
    assert [place["scheduled_time"] for place in shown] == ["2026-03-10 18:00:00", "2026-03-10 09:31:00"]
    clearance.report(tenant, number, [(who, True)])
    tenant.clock.set(found_run.clearance_by)
    assert campaign_tasks.execute_due(tenant) == 0
    rows = api.get(
        "/current/customers/GetCustomerSendDetailsByChannel", params={"CampaignID": number, "ChannelID": EXTERNAL}
    ).json()
    assert rows == [{"CustomerID": who, "TemplateID": 4, "ScheduledTime": "2026-03-10 09:31:00"}]
    sql = (
        "SELECT DISTINCT toString(scheduled_time) FROM campaign_recipients"
        " WHERE campaign_id = {c:UInt32} AND channel_id = 0"
    )
    assert tenant.warehouse.rows(sql, c=number) == [("2026-03-10 09:31:00",)]
    tenant.clock.set(datetime(2026, 3, 10, 8, 31, tzinfo=UTC))
    assert campaign_tasks.execute_due(tenant) == 1


def test_a_run_that_the_guard_stopped_is_asked_about_when_it_is_confirmed(tenant: Scope) -> None:
    with tenant.records() as session:
        session.execute(
            update(Tenant).where(Tenant.id == tenant.tenant_id).values(settings={"campaigns": {"messages_per_day": 1}})
        )
    strict = scope_of(tenant.stores, tenant.tenant_id)
    series = add_series(strict, 1, [group(2, (EXTERNAL, 4), (EMAIL, 1))], conditional=True, rules=ALL, control_share=0)
    number = plan_next_run(strict, series.id, TODAY)
    processing.prepare_members(strict, number, DATA_DATE)
    assert processing.process(strict, number, DATA_DATE) == "awaiting confirmation" and not told(strict, number)
    with pytest.raises(Invalid, match="is awaiting confirmation and does not wait for clearance"):
        clearance.report(strict, number, [("C00001", True)])
    strict.clock.set(NOW + timedelta(hours=3))
    asked = by_hand.confirm(strict, number)
    assert asked.state == "awaiting clearance" and asked.clearance_by == NOW + timedelta(hours=3, minutes=30)
    with tenant.records() as session:
        session.execute(update(Tenant).where(Tenant.id == tenant.tenant_id).values(settings=tenant.settings))


def test_what_cannot_be_reported_is_refused_with_its_reason(tenant: Scope) -> None:
    plain = add_series(tenant, 1, [group(2, (EXTERNAL, 4))], rules=ALL, control_share=0)
    other = plan_next_run(tenant, plain.id, TODAY)
    number = on_hold(tenant, ["A", "B"])
    for campaign, statuses, sentence in [
        (999_999, [("A", True)], "CampaignID 999999 is not a campaign."),
        (other, [("A", True)], "is not conditional"),
        (number, [(str(n), True) for n in range(10_001)], "must not have more than 10000 customers"),
    ]:
        with pytest.raises(Invalid, match=sentence):
            clearance.report(tenant, campaign, statuses)
    clearance.report(tenant, number, [])
    tenant.clock.set(DEADLINE)
    with pytest.raises(Invalid, match=r"The deadline of campaign \d+ has passed"):
        clearance.report(tenant, number, [("A", True)])
    clearance_deadline.clear(tenant, number)
    tenant.clock.set(NOW)  # a clock that is behind changes nothing once the decision was made
    with pytest.raises(Invalid, match="has passed"):
        clearance.report(tenant, number, [("A", True)])
    assert clearance.clearance(tenant, number).unreported == 2
    canceled = on_hold(tenant, ["A"])
    by_hand.cancel(tenant, canceled)
    with pytest.raises(Invalid, match="is canceled and does not wait for clearance"):
        clearance.report(tenant, canceled, [("A", True)])
    kept = "SELECT count() FROM campaign_clearances WHERE campaign_id IN {c:Array(UInt32)}"
    assert tenant.warehouse.value(kept, c=[other, number, canceled]) == 0
    with pytest.raises(Exception, match="is not conditional: it does not wait for approval"):
        clearance.clearance(tenant, other)


def test_ten_thousand_at_a_time(tenant: Scope) -> None:
    customers = [f"X{n}" for n in range(25_000)]
    number = on_hold(tenant, customers)
    for first in range(0, 25_000, 10_000):
        clearance.report(tenant, number, [(who.lower(), who[-1] != "7") for who in customers[first : first + 10_000]])
    standing = clearance.clearance(tenant, number)
    assert (standing.customers, standing.approved, standing.refused) == (25_000, 22_500, 2_500)
    tenant.clock.set(DEADLINE)
    clearance_deadline.clear(tenant, number)
    done = occurrences.occurrence(tenant, number)
    assert (done.state, done.test_size, done.counts) == ("scheduled", 22_500, {"excluded": 2_500})


IDS = ["anna", "Ben", "CÉLIA", "Ḍora", "emil-9", "Ωmega"]
IDS_IN_ANY_CASE = st.sampled_from([*IDS, *(one.upper() for one in IDS), *(one.lower() for one in IDS), "nobody"])
CALLS = st.lists(st.lists(st.tuples(IDS_IN_ANY_CASE, st.booleans()), max_size=6), max_size=5)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS, channels=st.sampled_from([(505,), (505, 504)]), again=st.booleans())
def test_any_reports_come_to_the_last_status_of_each(
    tenant: Scope, calls: list[list[tuple[str, bool]]], channels: tuple[int, ...], again: bool
) -> None:
    tenant.clock.set(NOW)
    number = on_hold(tenant, IDS, ["kept"], channels)
    for call in calls:
        clearance.report(tenant, number, call)
    tenant.clock.set(DEADLINE)
    clearance_deadline.clear(tenant, number)
    if again:
        clearance_deadline.clear(tenant, number)
    assert found(tenant, number) == expected(IDS, calls, 1, channels)


def test_two_deciders_and_many_reporters_at_once_lose_nothing_accepted(tenant: Scope) -> None:
    customers = [f"R{n:03d}" for n in range(400)]
    number = on_hold(tenant, customers)
    accepted: list[str] = []
    refused: list[str] = []

    def reporter(first: int) -> None:
        for who in customers[first::4]:
            try:
                clearance.report(tenant, number, [(who, True)])
            except Invalid:
                refused.append(who)
            else:
                accepted.append(who)

    threads = [threading.Thread(target=reporter, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while len(accepted) < 20:
        threading.Event().wait(0.002)
    tenant.clock.set(DEADLINE)
    deciders = [threading.Thread(target=clearance_deadline.clear, args=(tenant, number)) for _ in range(2)]
    for thread in deciders:
        thread.start()
    for thread in [*threads, *deciders]:
        thread.join()
    assert accepted and refused
    result = found(tenant, number)
    assert [who for who, _ in result["left"]] == sorted(accepted)
    assert [row[0] for row in result["out"]] == sorted(refused) and {row[3] for row in result["out"]} == {"not cleared"}


def test_canceling_while_waiting_and_while_the_decision_is_under_way(tenant: Scope) -> None:
    waits = on_hold(tenant, ["A", "B"], ["C"])
    clearance.report(tenant, waits, [("A", True)])
    done = by_hand.cancel(tenant, waits)
    assert done.state == "canceled" and done.counts == {"control": 1, "skipped": 2}
    begun = on_hold(tenant, ["A", "B"], ["C"])
    clearance.report(tenant, begun, [("A", True)])
    tenant.clock.set(DEADLINE)
    assert clearance_deadline._end_reports(tenant, begun)  # and the decider was killed then
    done = by_hand.cancel(tenant, begun)
    assert done.state == "canceled" and done.counts == {"control": 1, "skipped": 1, "excluded": 1}
    assert outcomes(tenant, begun) == [
        ("A", 505, "skipped", "canceled"),
        ("B", 505, "excluded", "not cleared"),
        ("C", 0, "control", ""),
    ]
    tenant.clock.set(DEADLINE + timedelta(hours=1))
    clearance_deadline.clear(tenant, begun)
    assert occurrences.occurrence(tenant, begun).state == "canceled"


def test_a_decision_that_fails_holds_up_nothing_else_and_is_an_alarm(
    tenant: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = on_hold(tenant, ["A"]), on_hold(tenant, ["B"])
    clearance.report(tenant, good, [("B", True)])
    whole = clearance_deadline._leave_out

    def broken(scope: Scope, run: Any) -> None:
        if run.id == bad:
            raise OSError("the disk is full")
        whole(scope, run)

    monkeypatch.setattr(clearance_deadline, "_leave_out", broken)
    tenant.clock.set(DEADLINE + timedelta(minutes=31))
    tasks._due(tenant)
    assert occurrences.occurrence(tenant, good).state == "scheduled"
    assert f"Campaign {bad} waits for the decision on its clearance." in scheduler.overdue(tenant)
    monkeypatch.undo()
    tasks._due(tenant)
    assert occurrences.occurrence(tenant, bad).state == "not run"
    assert f"Campaign {bad} waits for the decision on its clearance." not in scheduler.overdue(tenant)


def test_later_runs_are_measured_by_whom_was_asked_about(tenant: Scope) -> None:
    number = processed(tenant, (EXTERNAL, 4), control_share=0)
    clearance.report(tenant, number, [("C00001", True)])
    tenant.clock.set(DEADLINE)
    clearance_deadline.clear(tenant, number)
    done = occurrences.occurrence(tenant, number)
    assert done.test_size == 1
    later = occurrences.occurrence(tenant, plan_next_run(tenant, done.series_id, TODAY))
    assert past_sizes(tenant, later)[0] == 40
