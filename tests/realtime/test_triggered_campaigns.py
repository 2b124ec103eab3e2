"""A triggered campaign's day, as everything that reads campaigns shows it, and its results."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
import trigger_world as world
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.audiences import groups as audience_groups
from rapport.audiences import membership
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.cycle.daily import _trigger_groups
from rapport.campaigns.delivery import completion
from rapport.campaigns.measurement import results, series_results
from rapport.campaigns.models import Series
from rapport.campaigns.schemas import ActionBody, CodeCost
from rapport.realtime.closing_days import close_days
from rapport.realtime.matching import releasing
from rapport.realtime.models import Firing
from rapport.realtime.recording.ended_firings import file_ended
from rapport.realtime.states import FiringState

PEOPLE = 120
PUSH = 506
DURATION = 3


@pytest.fixture(scope="module")
def series(scope: Scope) -> Series:
    """Two groups and control; firings of a day at many times, of some customers twice, all filed."""
    people = [{"customer_id": f"C{n:03}", "COUNTRY": "NL" if n % 2 else "BE"} for n in range(PEOPLE)]
    world.fill(scope, [*people, {"customer_id": "Blocked", "IS_BLOCKED": "yes"}])
    world.channel(scope, PUSH, "Push")
    groups = [
        {"action_id": 2, "share": 0.5, "channels": [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]},
        {
            "action_id": 2,
            "share": 0.5,
            "promo_codes": ["A1", "B2"],
            "channels": [
                {"channel_id": world.SMS, "template_id": world.TEMPLATE},
                {"channel_id": PUSH, "template_id": world.TEMPLATE},
            ],
        },
    ]
    made = world.trigger(
        scope, groups=groups, campaign_type="A/B", control_share=0.3, duration=DURATION, visitors=True, notes="note"
    )
    chance = random.Random(5)
    for n in range(PEOPLE):
        world.event(scope, "add_to_cart", f"c{n:03}", minutes=chance.randrange(8) * 75)
    for n in range(0, PEOPLE, 10):
        world.event(scope, "add_to_cart", f"C{n:03}", minutes=600 + n % 20)
    world.event(scope, "add_to_cart", "Blocked", minutes=75)
    world.event(scope, "add_to_cart", visitor="V1", minutes=75)
    world.process_in_time(scope)
    world.file(scope, some=17)
    return made


def day_of(scope: Scope, series: Series) -> int:
    (found,) = occurrences.occurrences(scope, series.id)
    return found.id


def addressed(scope: Scope, series: Series) -> list[Firing]:
    """Firings of customers that went out."""
    return [one for one in world.firings(scope, series) if one.outcome == "sent" and not one.is_visitor]


def list_triggered(api: httpx.Client, wanted: bool) -> None:
    """Whether functions by date list triggered campaigns."""
    settings = {"settings": {"campaigns": {"list_triggered": wanted}}}
    assert api.patch("/manage/v1/tenants/current", json=settings).status_code == 200


def wall(one: Firing) -> str:
    return f"{one.fired_at + timedelta(hours=1):%Y-%m-%d %H:%M:%S}"


def channels_of(one: Firing) -> list[int]:
    return [world.SMS] if one.recipient_group_id == 1 else [world.SMS, PUSH]


def test_every_firing_is_in_the_accounts_once(scope: Scope, series: Series) -> None:
    found = world.firings(scope, series)
    assert {one.state for one in found} == {FiringState.FILED}
    (day,) = occurrences.occurrences(scope, series.id)
    units = sum(len(channels_of(one)) if one.outcome == "sent" else 1 for one in found)
    sent = sum(len(channels_of(one)) for one in found if one.outcome == "sent")
    control = sum(one.outcome == "control" for one in found)
    assert day.counts == {"sent": sent, "control": control, "excluded": 1} == completion.counts_of(scope, day)
    assert day.targeted == units == sum(day.counts.values())
    customers = {one.customer_id for one in found if not one.is_visitor and one.outcome == "sent"}
    held = {one.customer_id for one in found if not one.is_visitor and one.outcome == "control"}
    assert (day.test_size, day.control_size) == (len(customers), len(held))
    rows = {(row.recipient_group_id, row.channel_id): row.recipients for row in occurrences.channel_rows(scope, day.id)}
    expected = dict.fromkeys(rows, 0)
    for one in addressed(scope, series):
        for channel in channels_of(one):
            expected[one.recipient_group_id, channel] += 1
    assert rows == expected
    for one in found:
        one.state = FiringState.DONE  # as a filer that was killed before it had marked them would see them
    file_ended(scope, found)
    (after,) = occurrences.occurrences(scope, series.id)
    assert (after.targeted, after.counts, after.test_size) == (day.targeted, day.counts, day.test_size)
    assert completion.counts_of(scope, after) == day.counts


def test_a_filing_that_was_killed_between_the_engines_is_finished(scope: Scope, series: Series) -> None:
    other = world.trigger(scope, {"kind": "simple", "event": "level_up"})
    scope.clock.set(world.NOW)
    world.event(scope, "level_up", "C001")
    world.process(scope)
    (one,) = world.firings(scope, other)
    sql = "INSERT INTO campaign_recipients (execution_date, campaign_id, customer_id, channel_id, firing_id) VALUES "
    day = world.NOW.date().isoformat()
    scope.warehouse.execute(f"{sql} ('{day}', {one.campaign_id}, 'C001', {world.SMS}, {one.id})")
    world.file(scope)
    (found,) = occurrences.occurrences(scope, other.id)
    assert (found.targeted, found.counts) == (1, {"sent": 1})
    count = "SELECT count() FROM campaign_recipients WHERE campaign_id = {id:UInt32}"
    assert scope.warehouse.value(count, id=found.id) == 1


def test_the_reads_of_actions(scope: Scope, series: Series, api: httpx.Client) -> None:
    number = day_of(scope, series)
    details = api.get("/current/actions/GetCampaignDetails", params={"CampaignID": number}).json()
    (day,) = occurrences.occurrences(scope, series.id)
    assert details == {
        "TargetGroupID": 0,
        "CampaignType": "A/B",
        "Duration": DURATION,
        "LeadTime": 0,
        "Notes": "note",
        "IsMultiChannel": True,
        "IsRecurrence": True,
        "Status": "Successful",
        "Error": "",
        "Tags": [],
        "Channels": [{"Id": world.SMS, "Name": "SMS"}, {"Id": PUSH, "Name": "Push"}],
        "TestGroupSize": day.test_size,
        "ControlGroupSize": day.control_size,
    }
    for wanted in (False, True):
        list_triggered(api, wanted)
        executed = api.get("/current/actions/GetExecutedCampaignDetails", params={"Date": "2026-03-10"}).json()
        assert (number in [one["CampaignID"] for one in executed]) == wanted
    places = {"CampaignID": number, "ChannelID": PUSH}
    found = api.get("/current/actions/GetExecutedCampaignChannelDetails", params=places).json()
    assert {(place["TemplateID"], place["SendID"]) for place in found} == {(world.TEMPLATE, f"{number}G2C2")}
    pushed = {wall(one) for one in addressed(scope, series) if one.recipient_group_id == 2}
    assert [place["ScheduledTime"] for place in found] == sorted(pushed)
    codes = api.get("/current/actions/GetPromoCodesByCampaign", params={"CampaignID": number}).json()
    assert [(one["RecipientGroupID"], one["PromoCode"]) for one in codes] == [(1, "FREE5"), (2, "A1,B2")]
    groups = api.get("/current/groups/GetTargetGroupsByDate", params={"Date": "2026-03-10"})
    assert (groups.json() if groups.status_code == 200 else []) == []


def test_the_reads_of_customers(scope: Scope, series: Series, api: httpx.Client) -> None:
    number = day_of(scope, series)

    def read(function: str, **params: Any) -> list[dict[str, Any]]:
        answer = api.get(f"/current/customers/{function}", params=params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    sends = read("GetCustomerSendDetailsByChannel", ChannelID=world.SMS, CampaignID=number)
    expected = sorted((one.customer_id, world.TEMPLATE, wall(one)) for one in addressed(scope, series))
    assert sorted((one["CustomerID"], one["TemplateID"], one["ScheduledTime"]) for one in sends) == expected
    details = read("GetCustomerExecutionDetailsByCampaign", CampaignID=number, ChannelID=PUSH)
    second = sorted(one.customer_id for one in addressed(scope, series) if one.recipient_group_id == 2)
    assert [one["CustomerID"] for one in details] == second
    assert {one["PromoCode"] for one in details} == {"A1,B2"}
    list_triggered(api, True)
    acted = read("GetCustomerActionDetailsByDate", Date="2026-03-10", **{"$top": 1000})
    mine = {(one["CustomerID"], one["ChannelID"]) for one in acted if one["ActionID"] == 2}
    assert {(one.customer_id, channel) for one in addressed(scope, series) for channel in channels_of(one)} <= mine
    control = read("GetCustomersByAction", RecipientGroupID=0, ActionID=1, Date="2026-03-10")
    known = [one for one in world.firings(scope) if not one.is_visitor]  # of all triggers that day
    held = {one.customer_id for one in known if one.outcome == "control"}
    assert {one["CustomerID"] for one in control} == held
    last = api.get("/current/customers/GetCustomerLastActionExecuted", params={"CustomerID": second[-1]}).json()
    assert (last["ActionID"], last["Date"], last["Duration"]) == (2, "2026-03-10", DURATION)


def test_the_management_api_tells_of_the_day(scope: Scope, series: Series, api: httpx.Client) -> None:
    number = day_of(scope, series)
    shown = api.get(f"/manage/v1/campaigns/{number}").json()
    assert shown["is_triggered"] and shown["series_id"] == series.id and sum(shown["counts"].values()) > PEOPLE
    why = api.get(f"/manage/v1/campaigns/{number}/customers/blocked").json()
    assert why["explanation"] == ["Excluded: blocked."]
    assert "has not fired" in api.get(f"/manage/v1/campaigns/{number}/customers/nobody").json()["explanation"][0]
    outcomes = api.get(f"/manage/v1/campaigns/{number}/outcomes", params={"outcome": "excluded"}).json()
    assert [one["customer_id"] for one in outcomes] == ["Blocked"]
    listed = api.get(f"/manage/v1/triggers/{series.id}/firings", params={"customer_id": "c000"}).json()
    assert [one["customer_id"] for one in listed] == ["C000", "C000"]
    assert api.post(f"/manage/v1/campaigns/{number}/cancel").status_code == 409


def test_results_run_from_each_firing_on(scope: Scope, series: Series) -> None:
    number = day_of(scope, series)
    chance = random.Random(8)
    bought: list[tuple[str, datetime, float, str]] = []
    for n in range(PEOPLE):
        for _ in range(chance.randrange(4)):
            at = datetime(2026, 3, 10, 8) + timedelta(minutes=chance.randrange(7 * 24 * 60))
            bought.append((f"C{n:03}", at, chance.randrange(1, 90), chance.choice(["order", "order", "bonus"])))
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "type"]
    rows = [[str(i), who, at.replace(tzinfo=UTC), amount, kind] for i, (who, at, amount, kind) in enumerate(bought)]
    scope.warehouse.insert("transactions", columns, rows)
    found = results.results(scope, number)
    assert [row.recipient_group_id for row in found.groups] == [0, 1, 2]
    began: dict[str, datetime] = {}
    group: dict[str, int] = {}
    for one in world.firings(scope, series):
        if one.outcome in ("sent", "control") and not one.is_visitor:
            local = (one.fired_at + timedelta(hours=1)).replace(tzinfo=None)
            began[one.customer_id] = min(local, began.get(one.customer_id, local))
            group[one.customer_id] = one.recipient_group_id
    for row in found.groups:
        members = [who for who, number in group.items() if number == row.recipient_group_id]
        values = dict.fromkeys(members, 0.0)
        orders = dict.fromkeys(members, 0)
        for who, at, amount, kind in bought:
            if who in values and kind == "order" and began[who] <= at < began[who] + timedelta(days=DURATION):
                values[who] += amount
                orders[who] += 1
        assert row.customers == len(members)
        assert row.responders == sum(count > 0 for count in orders.values())
        assert row.value == pytest.approx(sum(values.values()))
    assert found.groups[1].against_control is not None
    assert series_results.series_results(scope, series).runs == 0  # the window is open
    with scope.records() as session:
        before = scope.data_date()
        session.execute(update(Tenant).values(last_data_date=date(2026, 4, 1)).where(Tenant.id == scope.tenant_id))
    whole = series_results.series_results(scope, series)
    with scope.records() as session:
        session.execute(update(Tenant).values(last_data_date=before).where(Tenant.id == scope.tenant_id))
    for row, other in zip(whole.groups, found.groups[1:], strict=True):
        assert (row.customers, row.responders, row.value) == (other.customers, other.responders, other.value)
    assert whole.control_responders == found.groups[0].responders
    assert found.window_end == datetime(2026, 3, 11) + timedelta(days=DURATION)


def test_whoever_the_gateway_refused_counts_in_the_group_of_the_hash(scope: Scope, series: Series) -> None:
    groups = [
        {"action_id": 2, "share": 0.5, "channels": [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]}
        for _ in range(2)
    ]
    asked = world.trigger(
        scope, {"kind": "simple", "event": "purchase"}, groups=groups, campaign_type="A/B", conditional=True
    )
    scope.clock.set(world.NOW)
    for n in range(40):
        world.event(scope, "purchase", f"C{n:03}")
    world.process(scope)
    placed = {one.id: one.recipient_group_id for one in world.firings(scope, asked)}
    with scope.records() as session:
        for number in placed:
            if number % 2:
                releasing.refuse(scope, session, number, "excluded", "gateway: not allowed")
        releasing.release(scope, session, list(placed))
    world.file(scope)
    (found,) = [results.results(scope, day.id) for day in occurrences.occurrences(scope, asked.id)]
    sizes = {row.recipient_group_id: row.customers for row in found.groups}
    assert sizes == {0: 0, **{group: list(placed.values()).count(group) for group in (1, 2)}}


def test_vouchers_of_a_triggered_campaign_cost_what_was_redeemed(scope: Scope, series: Series) -> None:
    cost = CodeCost(amount=3)
    action = definitions.create_action(scope, ActionBody(name="Paid", promo_codes=["Trig"], cost=cost))
    group = {"action_id": action.id, "channels": [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]}
    paid = world.trigger(scope, {"kind": "simple", "event": "level_up"}, groups=[group], control_share=0.4)
    scope.clock.set(world.NOW)
    for n in range(40):
        world.event(scope, "level_up", f"C{n:03}")
    world.process(scope)
    world.file(scope)
    sent = [one.customer_id for one in world.firings(scope, paid) if one.outcome == "sent"]
    held = [one.customer_id for one in world.firings(scope, paid) if one.outcome == "control"]
    assert len(sent) > 10 and len(held) > 5
    at, columns = (
        world.NOW + timedelta(days=1),
        ["transaction_id", "customer_id", "transaction_time", "amount", "promo_code"],
    )
    used = [*((who, "TRIG") for who in sent[:7]), *((who, "other") for who in sent[7:]), (held[0], "trig")]
    rows = [[f"paid{n}", who, at, 20.0, code] for n, (who, code) in enumerate(used)]
    scope.warehouse.insert("transactions", columns, rows)
    try:
        found = results.results(scope, day_of(scope, paid))
    finally:
        scope.warehouse.execute("DELETE FROM transactions WHERE startsWith(transaction_id, 'paid')")
    assert [row.cost for row in found.groups] == [3.0, 21.0]


def test_a_day_is_closed_when_it_is_over_and_all_is_filed(scope: Scope, series: Series) -> None:
    number = day_of(scope, series)
    scope.clock.set(datetime(2026, 3, 10, 22, 59, tzinfo=UTC))
    close_days(scope)
    assert occurrences.occurrence(scope, number).state == "executing"
    scope.clock.set(datetime(2026, 3, 10, 23, 1, tzinfo=UTC))
    late = world.trigger(scope, {"kind": "simple", "event": "page_view"})
    scope.clock.set(world.NOW)
    world.event(scope, "page_view", "C005")
    world.process(scope)
    scope.clock.set(datetime(2026, 3, 10, 23, 1, tzinfo=UTC))
    close_days(scope)
    closed = occurrences.occurrence(scope, number)
    assert (closed.state, closed.finished_at) == ("successful", scope.clock.now())
    assert {row.state for row in occurrences.channel_rows(scope, number)} == {"successful"}
    (waiting,) = occurrences.occurrences(scope, late.id)
    assert waiting.state == "executing"
    world.file(scope)
    close_days(scope)
    assert occurrences.occurrence(scope, waiting.id).state == "successful"


def test_the_daily_cycle_renews_the_groups_of_triggers(scope: Scope, series: Series) -> None:
    definition = {"attribute": "COUNTRY", "operator": "equals", "value": "NL"}
    group = audience_groups.create_target_group(scope, "The Dutch", definition, None).id
    world.trigger(scope, customer_conditions={"not": {"group": group}})
    assert membership.newest_snapshots(scope, [group]) == {group: world.DATA_DATE}, "as soon as a trigger asks"
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY"], [[date(2026, 3, 10), "C000", "NL"]])
    _trigger_groups(scope.tenant_id, "2026-03-10")
    assert membership.newest_snapshots(scope, [group]) == {group: date(2026, 3, 10)}
    assert membership.members(scope, group, date(2026, 3, 10), 10) == ["C000"]
