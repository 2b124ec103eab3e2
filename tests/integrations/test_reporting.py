"""What vendors report over the wire is what the reads and results tell; limits and roles; nothing half-written."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, select
from vendor_world import AB, DAY, EARLY, EMAIL, GROUPS, MEMBERS, PUSH, SMS, WAITING, fill, group_of, stored

from rapport.access import keys
from rapport.access.models import AuditEntry
from rapport.access.scope import Scope
from rapport.campaigns.models import CampaignMetric
from rapport.messaging.contactability import preferences
from rapport.messaging.contactability.purposes import Purpose
from rapport.messaging.models import ChannelPreference, Suppression

HOME = "/current/integrations"
METRIC = {"ChannelID": SMS, "CampaignID": AB, "TemplateID": 11, "MetricID": 0, "MetricValue": 640}
INTERACTIONS = {
    "CampaignID": AB,
    "ChannelID": SMS,
    "InteractionDate": "2026-03-11",
    "TemplateID": 11,
    "EventID": 3,
    "RecipientGroupID": 1,
    "CustomerIDs": ["C00"],
    "AppID": None,
}
STATUS = {
    "TimeStamp": "2026-03-12 10:05:00",
    "CampaignID": WAITING,
    "PromosUpdated": [{"CustomerID": "C00", "Status": True}],
}
PREFERENCE = {"ChannelID": SMS, "CustomerIDs": ["C00"], "CommunicationMode": 2, "AppID": None}
BODIES: dict[str, Any] = {
    "UpdateCampaignMetrics": [METRIC],
    "UpdateCampaignInteractions": INTERACTIONS,
    "UpdateCustomerPromotionStatus": STATUS,
    "SetCustomerChannelPreference": PREFERENCE,
}
# Access types that may call each function: both, or Admin only.
BOTH = {
    "GetChannelTemplates",
    "GetChannelTemplateDetails",
    "AddChannelTemplates",
    "DeleteChannelTemplates",
    "AddChannelApps",
    "DeleteChannelApps",
    "UpdateCampaignMetrics",
    "UpdateCampaignInteractions",
    "SetCustomerChannelPreference",
}
ADMIN = {"GetPromotions", "AddPromotions", "DeletePromotions", "UpdateCustomerPromotionStatus"}


@pytest.fixture(scope="module")
def world(scope: Scope) -> Iterator[Scope]:
    fill(scope)
    yield scope
    scope.clock.set(None)


@pytest.fixture(autouse=True)
def empty(world: Scope) -> None:
    world.warehouse.execute("TRUNCATE TABLE campaign_interactions")
    with world.records() as session:
        for table in (CampaignMetric, ChannelPreference, Suppression):
            session.execute(delete(table).where(table.tenant_id == world.tenant_id))


def post(api: httpx.Client, function: str, body: Any) -> httpx.Response:
    return api.post(f"{HOME}/{function}", json=body)


def done(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.content) == (200, b""), answer.text


def refused(answer: httpx.Response, said: str) -> None:
    assert answer.status_code == 400 and said in answer.json(), answer.text


def test_interactions_are_told_by_reads_and_results(
    world: Scope, api: httpx.Client, integrations_api: httpx.Client
) -> None:
    given = {**INTERACTIONS, "CustomerIDs": ["C00", "c01", "C02", "held-1", "nobody"], "AppID": "acme-ios"}
    lower = {name.lower(): value for name, value in given.items() if name != "RecipientGroupID"}
    for body in (given, lower, {**given, "CustomerIDs": ["C02"], "EventID": 1}):
        done(post(integrations_api, "UpdateCampaignInteractions", body))
    done(integrations_api.post("/Integrations/updatecampaigninteractions", json=given))
    clicked = ["C00", "C01", "C02"]
    read = "/current/customers/GetCampaignInteractionCustomers"
    query = {"Date": str(DAY), "ChannelID": SMS, "EventID": 3}
    expected = [{"CustomerID": who, "CampaignID": AB, "TemplateID": GROUPS[group_of(who)][1][SMS]} for who in clicked]
    assert integrations_api.get(read, params=query).json() == expected
    read = "/current/customers/GetCustomerChannelInteractions"
    query = {"CustomerID": "c01", "StartDate": str(DAY), "EndDate": str(DAY)}
    assert integrations_api.get(read, params=query).json() == [
        {
            "Date": "2026-03-11",
            "CampaignID": AB,
            "RecipientGroupID": 2,
            "ActionID": 13,
            "ChannelID": SMS,
            "TemplateID": 12,
            "EventID": 3,
        }
    ]
    groups = api.get(f"/manage/v1/campaigns/{AB}/results").json()["groups"]
    assert [group["interactions"] for group in groups] == [{}, {"delivered": 1, "clicked": 2}, {"clicked": 1}]
    with world.records() as session:
        last = select(AuditEntry).where(AuditEntry.tenant_id == world.tenant_id).order_by(AuditEntry.id.desc()).limit(1)
        entry = session.scalars(last).one()
    assert (entry.action, entry.object, entry.details) == (
        "interactions",
        f"campaign {AB}",
        {"new": 0, "not_recipients": 2},
    )


def test_metrics_are_totals_of_which_the_last_counts(
    world: Scope, api: httpx.Client, integrations_api: httpx.Client
) -> None:
    rows = [METRIC, {**METRIC, "MetricID": 1, "MetricValue": 612}, {**METRIC, "ChannelID": PUSH, "TemplateID": 40}]
    done(post(integrations_api, "UpdateCampaignMetrics", rows))
    renamed = {name.upper(): value for name, value in METRIC.items()}
    again = [{**METRIC, "MetricValue": 1}, {**renamed, "METRICVALUE": 650}, {**METRIC, "CampaignID": EARLY}]
    done(post(integrations_api, "UpdateCampaignMetrics", again))
    metrics = api.get(f"/manage/v1/campaigns/{AB}/results").json()["metrics"]
    assert [(one["channel_id"], one["template_id"], one["totals"]) for one in metrics] == [
        (SMS, 11, {"sent": 650, "delivered": 612}),
        (PUSH, 40, {"sent": 640}),
    ]
    assert [one["totals"] for one in api.get(f"/manage/v1/campaigns/{EARLY}/results").json()["metrics"]] == [
        {"sent": 640}
    ]
    for number in (2, 3, 4, 5, 6, 9):
        done(post(integrations_api, "UpdateCampaignMetrics", [{**METRIC, "MetricID": number, "MetricValue": 0}]))
    totals = api.get(f"/manage/v1/campaigns/{AB}/results").json()["metrics"][0]["totals"]
    names = ["sent", "delivered", "opened", "clicked", "unsubscribed", "dropped", "spam report", "bounced"]
    assert list(totals) == names


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"MetricID": 10}, "MetricID must be one of"),
        ({"MetricID": 99}, "MetricID must be one of"),
        ({"MetricID": "sent"}, "[1].MetricID"),
        ({"MetricValue": -1}, "[1].MetricValue"),
        ({"MetricValue": None}, "[1].MetricValue"),
        ({"MetricValue": 2**31}, "[1].MetricValue"),
        ({"CampaignID": 99}, "there is no campaign 99"),
        ({"CampaignID": WAITING}, "was not executed"),
        ({"ChannelID": EMAIL}, "does not use channel 504"),
        ({"TemplateID": 99}, "does not use template 99"),
    ],
)
def test_one_bad_metric_refuses_all(world: Scope, api: httpx.Client, change: dict[str, Any], said: str) -> None:
    refused(post(api, "UpdateCampaignMetrics", [METRIC, {**METRIC, **change}]), said)
    with world.records() as session:
        count = select(func.count()).select_from(CampaignMetric).where(CampaignMetric.tenant_id == world.tenant_id)
        assert session.scalar(count) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"InteractionDate": None}, "InteractionDate"),
        ({"InteractionDate": "14.03.2026"}, "InteractionDate must be a date as YYYY-MM-DD"),
        ({"InteractionDate": "2026-02-30"}, "InteractionDate must be a date as YYYY-MM-DD"),
        ({"InteractionDate": "2026-03-14"}, "InteractionDate must be a day from"),
        ({"InteractionDate": "0001-01-01"}, "InteractionDate must be a day from"),
        ({"InteractionDate": "9999-12-31"}, "InteractionDate must be a day from"),
        (
            {"InteractionDate": "2026-03-08"},
            "InteractionDate must be a day from 2026-03-09 to 2026-03-13 for campaign 1, not 2026-03-08.",
        ),
        ({"EventID": 8}, "EventID must be one of"),
        ({"EventID": -1}, "EventID must be one of"),
        ({"CampaignID": 99}, "there is no campaign 99"),
        ({"CampaignID": WAITING}, "was not executed"),
        ({"ChannelID": EMAIL}, "does not use channel 504"),
        ({"TemplateID": 99}, "does not use template 99"),
        ({"RecipientGroupID": 3}, "has no recipient group 3"),
        ({"RecipientGroupID": 2}, "RecipientGroupID: recipient group 2 of campaign 1 does not use template 11"),
        ({"CustomerIDs": None}, "CustomerIDs"),
        ({"CustomerIDs": ["C00", ""]}, "CustomerIDs[1]: must not be blank."),
        ({"CustomerIDs": ["C00", " \t"]}, "CustomerIDs[1]: must not be blank."),
        ({"CustomerIDs": ["C00", "x" * 256]}, "CustomerIDs[1]"),
        ({"CustomerIDs": ["C00", "a\0b"]}, "CustomerIDs[1]"),
        ({"CustomerIDs": ["C00"] * 10_001}, "CustomerIDs"),
    ],
)
def test_bad_interactions_write_nothing(world: Scope, api: httpx.Client, change: dict[str, Any], said: str) -> None:
    refused(post(api, "UpdateCampaignInteractions", {**INTERACTIONS, **change}), said)
    without = {name: value for name, value in INTERACTIONS.items() if name not in change}
    if "RecipientGroupID" not in change:
        refused(post(api, "UpdateCampaignInteractions", without), f"{next(iter(change))} is required.")
    assert stored(world, AB) == []


def test_the_days_of_a_campaign_are_from_the_day_before_it_to_tomorrow(world: Scope, api: httpx.Client) -> None:
    days = ["2026-03-09", "2026-03-13"]
    for day in days:
        done(post(api, "UpdateCampaignInteractions", {**INTERACTIONS, "InteractionDate": day}))
    assert [row[6] for row in stored(world, AB)] == days


def test_blanks_at_the_edges_of_an_id_are_no_part_of_it(world: Scope, api: httpx.Client) -> None:
    given = {**INTERACTIONS, "CustomerIDs": [" C00", "c02\t", "\u00a0C04 ", "C06", "x" * 255 + " "]}
    done(post(api, "UpdateCampaignInteractions", given))
    assert [row[0] for row in stored(world, AB)] == ["C00", "C02", "C04", "C06"]
    done(post(api, "SetCustomerChannelPreference", {**PREFERENCE, "CustomerIDs": [" C00 "]}))
    assert preferences.unreachable(world, SMS, ["C00"]) == {"C00": "channel preference"}
    statuses = [{"CustomerID": "\nC00 ", "Status": True}]
    done(post(api, "UpdateCustomerPromotionStatus", {**STATUS, "PromosUpdated": statuses}))
    assert world.warehouse.rows("SELECT customer_id, status FROM campaign_clearances") == [("C00", 1)]
    world.warehouse.execute("TRUNCATE TABLE campaign_clearances")
    blank = {**STATUS, "PromosUpdated": [{"CustomerID": "  ", "Status": True}]}
    refused(post(api, "UpdateCustomerPromotionStatus", blank), "PromosUpdated[0].CustomerID: must not be blank.")


def test_ten_thousand_customers_in_one_call(world: Scope, api: httpx.Client) -> None:
    body = {**INTERACTIONS, "CustomerIDs": [*MEMBERS, *(f"unknown-{n}" for n in range(10_000 - len(MEMBERS)))]}
    done(post(api, "UpdateCampaignInteractions", body))
    assert [row[0] for row in stored(world, AB)] == sorted(MEMBERS)


def test_two_reporters_at_once(world: Scope, api: httpx.Client) -> None:
    def report(offset: int) -> None:
        for start in range(0, len(MEMBERS), 3):
            part = [MEMBERS[(start + offset + n) % len(MEMBERS)] for n in range(5)]
            done(post(api, "UpdateCampaignInteractions", {**INTERACTIONS, "CustomerIDs": part}))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(report, (0, 1, 5, 9)))
    assert [row[0] for row in stored(world, AB)] == sorted(MEMBERS)


def test_preferences_of_fifty_thousand(world: Scope, integrations_api: httpx.Client) -> None:
    many = [f"Person-{n}" for n in range(50_000)]
    done(post(integrations_api, "SetCustomerChannelPreference", {**PREFERENCE, "CustomerIDs": many}))
    refused(
        post(integrations_api, "SetCustomerChannelPreference", {**PREFERENCE, "CustomerIDs": [*many, "x"]}), "50000"
    )
    assert preferences.unreachable(world, SMS, ["PERSON-49999", "x"]) == {"PERSON-49999": "channel preference"}


def test_preferences_overwrite_and_ignore_case(world: Scope, integrations_api: httpx.Client) -> None:
    lower = {name.lower(): value for name, value in PREFERENCE.items()}
    asked = ["C00", "7", "Later"]
    done(post(integrations_api, "SetCustomerChannelPreference", {**lower, "customerids": ["c00", 7, "later"]}))
    assert set(preferences.unreachable(world, SMS, asked)) == set(asked)
    done(post(integrations_api, "SetCustomerChannelPreference", {**PREFERENCE, "CommunicationMode": 1}))
    assert set(preferences.unreachable(world, SMS, asked)) == {"7", "Later"}
    done(post(integrations_api, "SetCustomerChannelPreference", {**PREFERENCE, "ChannelID": PUSH, "AppID": 12}))
    assert preferences.unreachable(world, PUSH, asked) == {}
    assert set(preferences.unreachable(world, PUSH, asked, Purpose("12"))) == {"C00"}
    done(post(integrations_api, "SetCustomerChannelPreference", {**PREFERENCE, "CustomerIDs": None}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"CommunicationMode": 0}, "CommunicationMode must be 1"),
        ({"CommunicationMode": 3}, "CommunicationMode must be 1"),
        ({"CommunicationMode": "out"}, "CommunicationMode"),
        ({"CommunicationMode": None}, "CommunicationMode"),
        ({"ChannelID": 999}, "there is no channel 999"),
        ({"CustomerIDs": ["C01", ""]}, "CustomerIDs[1]"),
        ({"CustomerIDs": "C01"}, "CustomerIDs"),
    ],
)
def test_bad_preferences_write_nothing(world: Scope, api: httpx.Client, change: dict[str, Any], said: str) -> None:
    refused(post(api, "SetCustomerChannelPreference", {**PREFERENCE, **change}), said)
    assert preferences.unreachable(world, SMS, ["C00", "C01"]) == {}


def test_statuses_are_kept_for_the_clearance(world: Scope, api: httpx.Client) -> None:
    more = [{"customerid": 5, "status": False}]
    done(post(api, "UpdateCustomerPromotionStatus", {**STATUS, "PromosUpdated": [*STATUS["PromosUpdated"], *more]}))
    done(post(api, "UpdateCustomerPromotionStatus", {**STATUS, "TimeStamp": None, "PromosUpdated": []}))
    rows = world.warehouse.rows("SELECT customer_id, status FROM campaign_clearances ORDER BY customer_id")
    assert rows == [("5", 0), ("C00", 1)]
    world.warehouse.execute("TRUNCATE TABLE campaign_clearances")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"CampaignID": 99}, "99"),
        ({"CampaignID": AB}, "not conditional"),
        ({"CampaignID": "three"}, "CampaignID"),
        ({"TimeStamp": "yesterday"}, "TimeStamp must be a time"),
        ({"TimeStamp": "9999-01-01 00:00:00"}, "TimeStamp must be a time"),
        ({"PromosUpdated": None}, "PromosUpdated"),
        ({"PromosUpdated": [*STATUS["PromosUpdated"], {"CustomerID": "x"}]}, "PromosUpdated[1].Status is required."),
        ({"PromosUpdated": [{"CustomerID": "x", "Status": "yes"}]}, "PromosUpdated[0].Status"),
        ({"PromosUpdated": [{"CustomerID": "x", "Status": 1}]}, "PromosUpdated[0].Status"),
        ({"PromosUpdated": [{"CustomerID": "x", "Status": True}] * 10_001}, "PromosUpdated"),
    ],
)
def test_bad_statuses_write_nothing(world: Scope, api: httpx.Client, change: dict[str, Any], said: str) -> None:
    refused(post(api, "UpdateCustomerPromotionStatus", {**STATUS, **change}), said)
    assert world.warehouse.value("SELECT count() FROM campaign_clearances") == 0


@pytest.mark.parametrize("function", BODIES)
def test_limits_shapes_and_verbs(world: Scope, api: httpx.Client, function: str) -> None:
    url, body = f"{HOME}/{function}", BODIES[function]
    assert api.get(url).status_code == 405 and api.delete(url).status_code == 405
    assert httpx.post(f"{api.base_url}{url}", json=body).status_code == 401
    text = api.post(url, content=b"{}", headers={"Content-Type": "text/plain"})
    assert (text.status_code, text.json()) == (400, "Content-Type must be application/json.")
    if isinstance(body, list):
        refused(post(api, function, body * 101), "100")
        refused(post(api, function, {}), "array")
        done(post(api, function, []))
    else:
        refused(post(api, function, [body]), "object")
        refused(post(api, function, {}), "is required.")


def test_who_may_call_what(world: Scope, api: httpx.Client, integrations_api: httpx.Client) -> None:
    """An allowed call gets past the key: to its own complaint about a body or parameter, or an answer."""
    _, secret = keys.create_key(world, "t", "t@example.com", "Transactional")
    transactional = httpx.Client(base_url=api.base_url, headers={"X-API-KEY": secret}, timeout=60)
    with transactional:
        for function in [*BOTH, *ADMIN, "GetActivityEventList"]:
            call = (lambda c, f: c.get(f"{HOME}/{f}")) if function.startswith("Get") else (lambda c, f: post(c, f, "x"))
            expected = {call(api, function).status_code, call(transactional, function).status_code}
            assert expected <= {200, 400}, function
            vendor = call(integrations_api, function).status_code
            assert vendor in ({200, 400} if function in BOTH else {403}), function


def test_the_rate_limit_holds_here_too(world: Scope, api: httpx.Client) -> None:
    _, secret = keys.create_key(world, "slow", "slow@example.com", "Integrations", rate_limit=2)
    with httpx.Client(base_url=api.base_url, headers={"X-API-KEY": secret}, timeout=60) as slow:
        codes = [post(slow, "UpdateCampaignMetrics", []).status_code for _ in range(4)]
    assert codes == [200, 200, 429, 429]
