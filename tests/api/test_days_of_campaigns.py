"""On which days functions of the wire list campaigns: lead time, triggered ones, those that failed or did not run.

The clock is moved over the days from the processing to the end of a campaign; what is right is worked out from
the plan by hand.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.campaigns.models import Action, Occurrence, OccurrenceChannel

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
PROCESSED = date(2026, 11, 29)
SENT = date(2026, 12, 4)  # five days of lead time
ENDED = date(2026, 12, 7)  # three days of duration
SMS, EMAIL = 505, 504
LATER, FIRED, PLAIN, BY_HAND, EMPTY, BROKEN, CANCELED = range(1, 8)
# Campaign: series, target group, lead time, duration, state, kind, error.
CAMPAIGNS: dict[int, dict[str, Any]] = {
    LATER: {"target_group_id": 31, "lead_time": 5, "duration": 3, "state": "scheduled", "executed_at": NOON},
    FIRED: {"target_group_id": 0, "duration": 3, "state": "executing", "is_triggered": True, "executed_at": NOON},
    PLAIN: {"target_group_id": 44, "duration": 8, "state": "successful", "executed_at": NOON},
    BY_HAND: {"target_group_id": 0, "duration": 2, "state": "successful", "is_one_time": True, "executed_at": NOON},
    EMPTY: {"target_group_id": 31, "duration": 3, "state": "not run", "error": "The target group has no members."},
    BROKEN: {"target_group_id": 44, "lead_time": 1, "duration": 3, "state": "failed", "error": "No server answers."},
    CANCELED: {"target_group_id": 31, "duration": 3, "state": "canceled", "canceled_at": NOON, "executed_at": NOON},
}
TIMES = (datetime(2026, 11, 29, 10, 30), datetime(2026, 11, 29, 17), datetime(2026, 11, 29, 17, 0, 1))
# Campaign, customer, channel, group, action, template, time.
SENDS = [
    (LATER, "A", SMS, 1, 12, 7, datetime(2026, 12, 4, 10)),
    (LATER, "B", SMS, 2, 13, 8, datetime(2026, 12, 4, 22)),
    (FIRED, "A", SMS, 1, 12, 7, TIMES[0]),
    (FIRED, "B", SMS, 1, 12, 7, TIMES[1]),
    (FIRED, "C", SMS, 2, 13, 8, TIMES[1]),
    (FIRED, "A", SMS, 1, 12, 7, TIMES[2]),
    (FIRED, "D", SMS, 1, 12, 7, TIMES[0]),
    (PLAIN, "A", EMAIL, 1, 14, 3, datetime(2026, 11, 29, 9)),
    (BY_HAND, "B", SMS, 1, 12, 7, datetime(2026, 11, 29, 11)),
    (CANCELED, "C", SMS, 1, 12, 7, datetime(2026, 11, 29, 11)),
]
CONTROL = [(LATER, "K"), (FIRED, "L"), (PLAIN, "K")]
CODES = {12: "TWELVE", 13: "THIRTEEN", 14: ""}


def day_of(campaign: int) -> date:
    return PROCESSED + timedelta(days=CAMPAIGNS[campaign].get("lead_time", 0))


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope) -> Scope:
    number = scope.tenant_id
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == number).values(last_data_date=date(2026, 11, 28)))
        for action in CODES:
            session.add(Action(tenant_id=number, id=action, name=f"Action {action}", created_at=NOON))
        for campaign, values in CAMPAIGNS.items():
            common = {"tenant_id": number, "id": campaign, "series_id": campaign, "execution_date": PROCESSED}
            session.add(Occurrence(**common, campaign_type="Test/Control", **values))
            places = {(group, channel, template, action) for c, _, channel, group, action, template, _ in SENDS
                      if c == campaign}  # fmt: skip
            for group, channel, template, action in places:
                times = [one[6] for one in SENDS if one[0] == campaign and one[3] == group]
                place = {"recipient_group_id": group, "channel_id": channel, "template_id": template}
                given = {"action_id": action, "promo_code": CODES[action], "send_id": f"{campaign}G{group}C1"}
                row = {"tenant_id": number, "campaign_id": campaign, "scheduled_time": min(times), **place, **given}
                session.add(OccurrenceChannel(**row))
    names = ["execution_date", "campaign_id", "customer_id", "channel_id", "recipient_group_id", "action_id",
             "template_id", "target_group_id", "promo_code", "scheduled_time", "end_date"]  # fmt: skip
    rows = [
        (PROCESSED, c, who, channel, group, action, template, CAMPAIGNS[c]["target_group_id"], CODES[action],
         at.replace(tzinfo=UTC), day_of(c) + timedelta(days=CAMPAIGNS[c]["duration"]))
        for c, who, channel, group, action, template, at in SENDS
    ]  # fmt: skip
    rows += [
        (PROCESSED, c, who, 0, 0, 1, 0, CAMPAIGNS[c]["target_group_id"], "", NOON, day_of(c)) for c, who in CONTROL
    ]
    scope.warehouse.insert("campaign_recipients", names, rows)
    scope.warehouse.insert("customers", ["customer_id"], [(name,) for name in "ABCDKL"])
    names = ["delivery_date", "campaign_id", "customer_id", "channel_id", "template_id", "recipient_group_id",
             "action_id", "event_id", "interaction_at"]  # fmt: skip
    done = {LATER: datetime(2026, 12, 4, 11, tzinfo=UTC), FIRED: NOON, PLAIN: NOON}
    acted = [(PROCESSED, c, who, channel, template, group, action, 3, done[c])
             for c, who, channel, group, action, template, at in SENDS if c in done and who == "A"]  # fmt: skip
    scope.warehouse.insert("campaign_interactions", names, acted)
    products = ["execution_date", "campaign_id", "customer_id", "priority", "product_id", "recommendation_type"]
    scope.warehouse.insert("campaign_products", products, [(PROCESSED, LATER, "A", 1, "SKU", 2)])
    return scope


@pytest.fixture(autouse=True)
def noon(tenant: Scope) -> Iterator[None]:
    tenant.clock.set(NOON)
    yield


@pytest.fixture(params=[False, True], ids=["scheduled only", "triggered too"])
def triggered(request: pytest.FixtureRequest, api: httpx.Client) -> bool:
    chosen = {"settings": {"campaigns": {"list_triggered": request.param}}}
    assert api.patch("/manage/v1/tenants/current", json=chosen).status_code == 200
    return bool(request.param)


def be(scope: Scope, day: date) -> None:
    scope.clock.set(NOON + (day - PROCESSED))


def ask(api: httpx.Client, path: str, **params: Any) -> Any:
    answer = api.get(f"/current/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def of(rows: list[dict[str, Any]], name: str = "CampaignID") -> list[Any]:
    return [row[name] for row in rows]


def test_executed_campaigns_of_a_day(api: httpx.Client, triggered: bool) -> None:
    def listed(function: str, day: date, **params: Any) -> list[Any]:
        return of(ask(api, f"actions/{function}", Date=day, **params))

    today = [FIRED, PLAIN, BY_HAND, EMPTY] if triggered else [PLAIN, BY_HAND, EMPTY]
    assert listed("GetExecutedCampaignDetails", PROCESSED) == today
    assert listed("GetExecutedCampaignDetails", PROCESSED + timedelta(days=1)) == [BROKEN]
    assert listed("GetExecutedCampaignDetails", SENT) == [LATER]
    assert listed("GetExecutedCampaignsByChannel", PROCESSED, ChannelID=SMS) == (
        [FIRED, BY_HAND] if triggered else [BY_HAND]
    )
    assert listed("GetExecutedCampaignsByChannel", SENT, ChannelID=SMS) == [LATER]
    assert of(ask(api, "groups/GetTargetGroupsByDate", Date=PROCESSED), "TargetGroupID") == [44]
    assert of(ask(api, "groups/GetTargetGroupsByDate", Date=SENT), "TargetGroupID") == [31]
    assert ask(api, "actions/GetActionsByTargetGroup", Date=PROCESSED, TargetGroupID=31) == []
    given = [{"RecipientGroupID": 1, "ActionID": 12}, {"RecipientGroupID": 2, "ActionID": 13}]
    assert ask(api, "actions/GetActionsByTargetGroup", Date=SENT, TargetGroupID=31) == given
    details = ask(api, "actions/GetActionDetailsByTargetGroup", Date=SENT, TargetGroupID=31)
    assert {(row["Duration"], row["LeadTime"]) for row in details} == {(3, 5)}


def test_status_and_error_are_the_same_in_both_functions(api: httpx.Client, triggered: bool) -> None:
    expected = {
        LATER: ("Successful", ""),
        PLAIN: ("Successful", ""),
        BY_HAND: ("Successful", ""),
        EMPTY: ("Failed", "The target group has no members."),
        BROKEN: ("Failed", "No server answers."),
    } | ({FIRED: ("Successful", "")} if triggered else {})
    rows = [
        row
        for day in (PROCESSED, PROCESSED + timedelta(days=1), SENT)
        for row in ask(api, "actions/GetExecutedCampaignDetails", Date=day)
    ]
    assert {row["CampaignID"]: (row["Status"], row["Error"]) for row in rows} == expected
    for row in rows:
        one = ask(api, "actions/GetCampaignDetails", CampaignID=row["CampaignID"])
        assert {name: one[name] for name in row if name != "CampaignID"} == {k: v for k, v in row.items() if k in one}
    assert ask(api, "actions/GetCampaignDetails", CampaignID=CANCELED)["Status"] == "Canceled"


def test_promo_codes_are_of_target_groups(api: httpx.Client, triggered: bool) -> None:
    fired = [(0, 1, 12, "TWELVE"), (0, 2, 13, "THIRTEEN")] if triggered else []
    names = ("TargetGroupID", "RecipientGroupID", "ActionID", "PromoCode")
    rows = [tuple(row[name] for name in names) for row in ask(api, "actions/GetPromoCodes", Date=PROCESSED)]
    assert rows == [*fired, (44, 1, 14, "")]
    rows = [tuple(row[name] for name in names) for row in ask(api, "actions/GetPromoCodes", Date=SENT)]
    assert rows == [(31, 1, 12, "TWELVE"), (31, 2, 13, "THIRTEEN")]
    of_group = ask(api, "actions/GetPromoCodesByTargetGroup", Date=SENT, TargetGroupID=31)
    assert of(of_group, "PromoCode") == ["TWELVE", "THIRTEEN"]
    assert of(ask(api, "actions/GetPromoCodesByCampaign", CampaignID=FIRED), "PromoCode") == ["TWELVE", "THIRTEEN"]


def test_targeted_from_the_send_day_to_the_end(api: httpx.Client, tenant: Scope, triggered: bool) -> None:
    for day in (PROCESSED + timedelta(days=n) for n in range(11)):
        be(tenant, day)
        rows = ask(api, "customers/GetCurrentlyTargetedCustomers")
        assert rows == sorted(rows, key=lambda row: (row["CustomerID"], row["CampaignID"]))
        expected = set()
        for c, who, *_ in SENDS:
            first, last = day_of(c), day_of(c) + timedelta(days=CAMPAIGNS[c]["duration"])
            if c not in (CANCELED,) and (triggered or c != FIRED) and first <= day <= last:
                expected.add((who, c, str(first), str(last)))
        assert {(r["CustomerID"], r["CampaignID"], r["StartDate"], r["EndDate"]) for r in rows} == expected
        assert (LATER in of(rows)) == (SENT <= day <= ENDED)


def test_actions_end_once_and_not_before_they_begin(api: httpx.Client, tenant: Scope, triggered: bool) -> None:
    ends: dict[tuple[int, str], list[date]] = {}
    for day in (PROCESSED + timedelta(days=n) for n in range(11)):
        be(tenant, day)
        for row in ask(api, "customers/GetCustomersActionEndedByDate", Date=day):
            began = date.fromisoformat(row["Date"])
            assert began + timedelta(days=row["Duration"]) == day
            ends.setdefault((row["TargetGroupID"], row["CustomerID"]), []).append(day)
    assert ends[31, "A"] == ends[31, "B"] == [ENDED]
    assert ends[44, "A"] == [date(2026, 12, 7)]
    assert ends[0, "B"][0] == date(2026, 12, 1)  # by hand
    assert ((0, "D") in ends) == triggered


def test_customers_of_a_day(api: httpx.Client, tenant: Scope, triggered: bool) -> None:
    def customers(function: str, day: date, **params: Any) -> set[str]:
        return set(of(ask(api, f"customers/{function}", Date=day, **params), "CustomerID"))

    be(tenant, ENDED)
    fired = {"A", "B", "C", "D"} if triggered else set()
    assert customers("GetCustomerActionDetailsByDate", PROCESSED) == {"A", "B"} | fired
    assert customers("GetCustomerActionDetailsByDate", SENT) == {"A", "B"}
    by_action = {"RecipientGroupID": 1, "ActionID": 12}
    assert customers("GetCustomersByAction", PROCESSED, **by_action) == {"B"} | (fired - {"C"})
    assert customers("GetCustomersByAction", SENT, **by_action) == {"A"}
    assert customers("GetCustomerActionsByTargetGroup", PROCESSED, TargetGroupID=31) == set()
    assert customers("GetCustomerActionsByTargetGroup", SENT, TargetGroupID=31) == {"A", "B"}
    assert customers("GetCustomerOneTimeActionsByDate", PROCESSED) == {"B"}
    assert customers("GetCustomerProductDetailsByDate", PROCESSED) == set()
    assert customers("GetCustomerProductDetailsByDate", SENT) == {"A"}
    for start, end, found in ((PROCESSED, PROCESSED, []), (PROCESSED, SENT, ["SKU"]), (SENT, SENT, ["SKU"])):
        params = {"SuggestedInCampaign": "true", "StartDate": start, "EndDate": end}
        assert of(ask(api, "customers/GetCustomerProductRecommendations", **params), "ProductID") == found


def test_interactions_by_delivery_date(api: httpx.Client, tenant: Scope, triggered: bool) -> None:
    be(tenant, ENDED)

    def delivered(day: date, channel: int = 0) -> list[int]:
        params = {"Date": day, "ChannelID": channel, "EventID": 3}
        return of(ask(api, "customers/GetCampaignInteractionCustomers", **params))

    assert delivered(PROCESSED) == ([FIRED, PLAIN] if triggered else [PLAIN])
    assert (delivered(SENT), delivered(SENT, SMS), delivered(SENT, EMAIL)) == ([LATER], [LATER], [])

    def between(first: date, last: date, channel: int = 0) -> list[int]:
        params = {"CustomerID": "a", "StartDate": first, "EndDate": last, "ChannelID": channel}
        return sorted(of(ask(api, "customers/GetCustomerChannelInteractions", **params)))

    assert between(PROCESSED, PROCESSED) == ([FIRED, PLAIN] if triggered else [PLAIN])
    assert between(PROCESSED, SENT) == ([LATER, FIRED, PLAIN] if triggered else [LATER, PLAIN])
    assert between(SENT, SENT) == between(SENT, date(9999, 12, 31), SMS) == [LATER]
    assert between(date(1, 1, 1), PROCESSED, EMAIL) == [PLAIN]


def test_functions_by_campaign_answer_for_triggered_ones(api: httpx.Client) -> None:
    params = {"CampaignID": FIRED, "ChannelID": SMS}
    for function in ("GetCustomerSendDetailsByChannel", "GetCustomerExecutionDetailsByCampaign"):
        assert of(ask(api, f"customers/{function}", **params), "CustomerID") == ["A", "A", "B", "C", "D"]
    assert len(ask(api, "customers/GetCustomerSendDetailsByCampaign", CampaignID=FIRED)) == 5


def test_a_triggered_campaign_has_a_row_for_every_template_and_time(api: httpx.Client) -> None:
    def row(group: int, template: int, time: str) -> dict[str, Any]:
        return {"SendID": f"{FIRED}G{group}C1", "TemplateID": template, "ScheduledTime": f"2026-11-29 {time}"}

    def details(**params: Any) -> Any:
        return ask(api, "actions/GetExecutedCampaignChannelDetails", **params)

    times = ((1, 7, "10:30:00"), (1, 7, "17:00:00"), (1, 7, "17:00:01"), (2, 8, "17:00:00"))
    expected = [row(*one) for one in times]
    assert details(CampaignID=FIRED, ChannelID=SMS) == expected
    assert details(CampaignID=FIRED, ChannelID=SMS, **{"$top": 2, "$skip": 1}) == expected[1:3]
    sends = ask(api, "customers/GetCustomerSendDetailsByChannel", CampaignID=FIRED, ChannelID=SMS)
    assert {(one["TemplateID"], one["ScheduledTime"]) for one in sends} == {
        (one["TemplateID"], one["ScheduledTime"]) for one in expected
    }
    assert details(CampaignID=FIRED, ChannelID=EMAIL) == []
    assert of(details(CampaignID=LATER, ChannelID=SMS), "ScheduledTime") == [
        "2026-12-04 10:00:00",
        "2026-12-04 22:00:00",
    ]


def test_the_last_action_of_a_customer(api: httpx.Client, tenant: Scope) -> None:
    def last(customer: str) -> Any:
        return ask(api, "customers/GetCustomerLastActionExecuted", CustomerID=customer)

    # On the day of processing what is sent five days later has not been executed.
    assert last("A") == {"ActionID": 14, "Date": str(PROCESSED), "Duration": 8, "TargetGroupID": 44}
    be(tenant, SENT - timedelta(days=1))
    assert last("A")["ActionID"] == 14
    be(tenant, SENT)
    assert last("A") == {"ActionID": 12, "Date": str(SENT), "Duration": 3, "TargetGroupID": 31}
    assert last("C") == {"ActionID": 13, "Date": str(PROCESSED), "Duration": 3, "TargetGroupID": 0}
    answer = api.get("/current/customers/GetCustomerLastActionExecuted", params={"CustomerID": "K"})
    assert (answer.status_code, answer.json()) == (404, "No action was executed for the customer 'K'.")
