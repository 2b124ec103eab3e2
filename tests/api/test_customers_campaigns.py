"""Customers of campaigns on the wire: every function's whole answer against the rows that were put in."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from campaign_world import (
    CAMPAIGNS,
    EMAIL,
    INTERACTIONS,
    NOW,
    PRODUCTS,
    RECIPIENTS,
    SMS,
    TODAY,
    Sent,
    attributes,
    campaign,
)

from rapport.access.scope import Scope

pytestmark = pytest.mark.usefixtures("world")
Row = dict[str, Any]


def ask(api: httpx.Client, function: str, **params: Any) -> list[Row]:
    answer = api.get(f"/current/customers/{function}", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-length"] == str(len(answer.content))
    rows: list[Row] = answer.json()
    return rows


def sent(chosen: Callable[[Sent], bool], control: bool = False, executed: bool = True) -> list[Sent]:
    """Recipients in the order of the wire: customer (by bytes), campaign, action, channel."""
    rows = [
        row
        for row in RECIPIENTS
        if chosen(row) and (control or row.action != 1) and (campaign(row.campaign).executed or not executed)
    ]
    return sorted(rows, key=lambda row: (row.customer.encode(), row.campaign, row.action, row.channel))


def once(rows: Iterable[Row]) -> list[Row]:
    found: list[Row] = []
    for row in rows:
        if row not in found:
            found.append(row)
    return found


def acted(row: Sent) -> Row:
    return {"CustomerID": row.customer, "ActionID": row.action, "ChannelID": row.channel}


def grouped(row: Sent) -> Row:
    return {**acted(row), "RecipientGroupID": row.group}


def coded(number: int) -> list[Row]:
    promos: dict[tuple[str, int], list[str]] = {}
    for row in sent(lambda row: row.campaign == number, executed=False):
        found = promos.setdefault((row.customer, row.action), [])
        found += [code for code in row.promo.split(",") if code and code not in found]
    return [{"CustomerID": c, "ActionID": a, "PromoCode": ",".join(p)} for (c, a), p in promos.items()]


def test_currently_targeted(api: httpx.Client) -> None:
    def runs(row: Sent) -> bool:
        return row.start <= TODAY <= row.end

    expected = once(
        {
            "CustomerID": row.customer,
            "CampaignID": row.campaign,
            "ActionID": row.action,
            "StartDate": row.start.isoformat(),
            "EndDate": row.end.isoformat(),
        }
        for row in sent(runs)
    )
    assert {row["CampaignID"] for row in expected} == {1, 2, 3, 4, 8, 9, 13}
    assert ask(api, "GetCurrentlyTargetedCustomers") == expected


def test_canceled_campaign_for_two_hours(api: httpx.Client, world: Scope) -> None:
    expected = coded(5)
    assert {row["PromoCode"] for row in expected} == {"C1,C2", "C1,C2,C3"}
    assert ask(api, "GetCanceledCampaignCustomers", CampaignID=5) == expected
    for number in (6, 1, 7, 999):
        assert ask(api, "GetCanceledCampaignCustomers", CampaignID=number) == []
    world.clock.set(NOW + timedelta(minutes=2))
    try:
        assert ask(api, "GetCanceledCampaignCustomers", CampaignID=5) == []
    finally:
        world.clock.set(NOW)


def test_processed_campaign_awaiting_clearance(api: httpx.Client) -> None:
    expected = coded(7)
    assert {row["PromoCode"] for row in expected} == {"W1", "W1,W2"}
    assert ask(api, "GetProcessedCampaignCustomers", CampaignID=7) == expected
    for number in (1, 5, 999):
        assert ask(api, "GetProcessedCampaignCustomers", CampaignID=number) == []
    found = ask(api, "GetProcessedCampaignCustomers", CampaignID=7, CustomerAttributes="country;EMAIL")
    assert found == [
        {**row, "CustomerAttributes": [attributes(row["CustomerID"])[1], attributes(row["CustomerID"])[0]]}
        for row in expected
    ]


def test_last_action(api: httpx.Client) -> None:
    met = set()
    for customer in ("C001", "C002", "anna-3", "Mixed-Case", "Ölaf", 'O\'Neil "x"', "back\\slash", "a/b;c,d%20"):
        mine = sent(lambda row, customer=customer: row.customer == customer and row.start <= TODAY)  # type: ignore[misc]
        rows = [row for row in mine if campaign(row.campaign).told]
        last = max(rows, key=lambda row: (row.start, row.campaign, -row.channel), default=None)
        met.add(last is not None)
        for spelling in (customer, customer.upper(), customer.lower()):
            answer = api.get("/Customers/GetCustomerLastActionExecuted", params={"CustomerID": spelling})
            if last is None:
                assert answer.status_code == 404
                assert answer.json() == f"No action was executed for the customer {spelling!r}."
                continue
            assert answer.json() == {
                "ActionID": last.action,
                "Date": last.start.isoformat(),
                "Duration": campaign(last.campaign).duration,
                "TargetGroupID": last.target_group,
            }
    assert True in met
    answer = api.get("/Customers/GetCustomerLastActionExecuted", params={"CustomerID": "nobody"})
    assert (answer.status_code, answer.json()) == (404, "There is no customer 'nobody'.")


def test_a_known_customer_without_actions_has_no_last_one(api: httpx.Client, world: Scope) -> None:
    world.warehouse.insert("customers", ["customer_id"], [("Fresh",), ("FRESH",)])
    answer = api.get("/Customers/GetCustomerLastActionExecuted", params={"CustomerID": "fresh"})
    assert (answer.status_code, answer.json()) == (404, "No action was executed for the customer 'fresh'.")


def test_an_exact_spelling_wins_over_another_case(api: httpx.Client, world: Scope) -> None:
    world.warehouse.insert("customers", ["customer_id"], [("c001",)])
    path = "/Customers/GetCustomerLastActionExecuted"
    assert api.get(path, params={"CustomerID": "C001"}).status_code == 200
    assert api.get(path, params={"CustomerID": "c001"}).status_code == 404
    world.warehouse.execute("DELETE FROM customers WHERE customer_id = 'c001'")


@pytest.mark.parametrize("channel", [None, 0, EMAIL, SMS])
@pytest.mark.parametrize("control", [None, "TRUE", "False"])
def test_actions_by_target_group(api: httpx.Client, channel: int | None, control: str | None) -> None:
    def chosen(row: Sent) -> bool:
        return row.target_group == 31 and row.start == TODAY and (not channel or row.channel == channel)

    rows = sent(chosen, control == "TRUE")
    params = {"TargetGroupID": 31, "Date": TODAY, "ChannelID": channel, "IncludeControlGroup": control}
    assert ask(api, "GetCustomerActionsByTargetGroup", **params) == [acted(row) for row in rows]
    if not channel:
        assert (1 in {row.action for row in rows}) == (control == "TRUE")
    for spelling in ("IncludeRecipientGroupID", "IncludeRecipientGroupIDs"):
        answer = ask(api, "GetCustomerActionsByTargetGroup", **params, **{spelling: "true"})
        assert answer == [grouped(row) for row in rows]


def test_actions_by_target_group_in_the_future_or_of_none(api: httpx.Client) -> None:
    assert ask(api, "GetCustomerActionsByTargetGroup", TargetGroupID=31, Date="2026-03-12") == []
    assert ask(api, "GetCustomerActionsByTargetGroup", TargetGroupID=0, Date=TODAY) == []
    assert ask(api, "GetCustomerActionsByTargetGroup", TargetGroupID=999, Date=TODAY) == []


def test_one_time_actions_by_campaign(api: httpx.Client) -> None:
    for params, rows in (
        ({}, sent(lambda row: row.campaign == 8)),
        ({"IncludeControlGroup": "true"}, sent(lambda row: row.campaign == 8, control=True)),
        ({"ChannelID": SMS}, sent(lambda row: row.campaign == 8 and row.channel == SMS)),
        ({"ChannelID": SMS, "IncludeControlGroup": "true"}, sent(lambda row: row.campaign == 8 and row.channel == SMS)),
    ):
        found = ask(api, "GetCustomerOneTimeActionsByCampaign", CampaignID=8, **params)
        assert found == [grouped(row) for row in rows]
    for number in (1, 14, 999):
        assert ask(api, "GetCustomerOneTimeActionsByCampaign", CampaignID=number) == []


def test_one_time_actions_by_date(api: httpx.Client) -> None:
    rows = sent(lambda row: campaign(row.campaign).one_time and row.start == TODAY)
    assert len({row.campaign for row in rows}) == 2
    assert ask(api, "GetCustomerOneTimeActionsByDate", Date=TODAY) == [acted(row) for row in rows]
    with_control = sent(lambda row: campaign(row.campaign).one_time and row.start == TODAY, control=True)
    found = ask(api, "GetCustomerOneTimeActionsByDate", Date=TODAY, IncludeControlGroup="true")
    assert found == [acted(row) for row in with_control]
    by_channel = ask(api, "GetCustomerOneTimeActionsByDate", Date=TODAY, ChannelID=EMAIL)
    assert by_channel == [acted(row) for row in rows if row.channel == EMAIL]
    assert ask(api, "GetCustomerOneTimeActionsByDate", Date="2026-03-08") == []


@pytest.mark.parametrize(
    ("group", "action", "day"), [(1, 12, TODAY), (2, 13, date(2026, 3, 5)), (1, 1, TODAY), (2, 12, TODAY)]
)
def test_customers_by_action(api: httpx.Client, group: int, action: int, day: date) -> None:
    rows = sent(
        lambda row: row.start == day and row.action == action and (action == 1 or row.group == group), control=True
    )
    names = sorted({row.customer for row in rows}, key=str.encode)
    if (group, action) == (1, 12):
        assert len(rows) > len(names) and len({row.campaign for row in rows}) == 3
    params = {"RecipientGroupID": group, "ActionID": action, "Date": day}
    assert ask(api, "GetCustomersByAction", **params) == [{"CustomerID": name} for name in names]
    found = ask(api, "GetCustomersByAction", **params, CustomerAttributes="EMAIL; Country ;registration_date")
    assert found == [{"CustomerID": name, "CustomerAttributes": attributes(name)} for name in names]


def test_actions_ended_by_date(api: httpx.Client, world: Scope) -> None:
    for day in (TODAY, date(2026, 3, 4), date(2026, 3, 13), date(2026, 3, 15)):
        rows = sent(lambda row, day=day: row.end == day)  # type: ignore[misc]
        assert rows
        expected = [
            {
                **acted(row),
                "Date": row.start.isoformat(),
                "Duration": campaign(row.campaign).duration,
                "TargetGroupID": row.target_group,
            }
            for row in rows
        ]
        assert ask(api, "GetCustomersActionEndedByDate", Date=day) == ([] if day > TODAY else expected)
        world.clock.set(NOW + (day - TODAY))
        try:
            assert ask(api, "GetCustomersActionEndedByDate", Date=day) == expected
        finally:
            world.clock.set(NOW)


def test_send_details_by_campaign(api: httpx.Client) -> None:
    places = {(each.id, p.group, p.channel, p.template): p.send_id for each in CAMPAIGNS for p in each.places}
    for number in (1, 3, 2):
        expected = [
            {
                "CustomerID": row.customer,
                "ChannelID": row.channel,
                "ScheduledTime": row.time.strftime("%Y-%m-%d %H:%M:%S"),
                "SendID": places[number, row.group, row.channel, row.template],
                "TemplateID": row.template,
            }
            for row in sent(lambda row, number=number: row.campaign == number)  # type: ignore[misc]
        ]
        assert ask(api, "GetCustomerSendDetailsByCampaign", CampaignID=number, IncludeTemplateIDs="True") == expected
        bare = [{key: value for key, value in row.items() if key != "TemplateID"} for row in expected]
        assert ask(api, "GetCustomerSendDetailsByCampaign", CampaignID=number) == bare
    for number in (5, 7, 12, 999):
        assert ask(api, "GetCustomerSendDetailsByCampaign", CampaignID=number) == []


def test_send_details_by_channel(api: httpx.Client) -> None:
    for channel in (EMAIL, SMS, 1, 0):
        expected = [
            {
                "CustomerID": row.customer,
                "TemplateID": row.template,
                "ScheduledTime": row.time.strftime("%Y-%m-%d %H:%M:%S"),
                "CustomerAttributes": attributes(row.customer)[:1],
            }
            for row in sent(lambda row, channel=channel: row.campaign == 1 and row.channel == channel)  # type: ignore[misc]
        ]
        params = {"CampaignID": 1, "ChannelID": channel, "CustomerAttributes": "EMAIL;"}
        assert ask(api, "GetCustomerSendDetailsByChannel", **params) == expected


def test_execution_details(api: httpx.Client) -> None:
    names = {(EMAIL, 9): "Hello", (EMAIL, 11): 'Bye, "x"', (SMS, 17): "Short"}
    for number in (1, 3, 4):
        for channel in (None, 0, SMS):
            expected = [
                {
                    **acted(row),
                    "TemplateID": row.template,
                    "TemplateName": names.get((row.channel, row.template), ""),
                    "ScheduleTime": row.time.strftime("%Y-%m-%d %H:%M:%S"),
                    "PromoCode": row.promo,
                }
                for row in sent(lambda row, number=number: row.campaign == number)  # type: ignore[misc]
                if not channel or row.channel == channel
            ]
            found = ask(api, "GetCustomerExecutionDetailsByCampaign", CampaignID=number, ChannelID=channel)
            assert found == expected
    assert ask(api, "GetCustomerExecutionDetailsByCampaign", CampaignID=5) == []


def test_action_details_by_date(api: httpx.Client) -> None:
    for day in (TODAY, date(2026, 3, 6), date(2026, 2, 1)):
        rows = sent(lambda row, day=day: row.start == day)  # type: ignore[misc]
        assert ask(api, "GetCustomerActionDetailsByDate", Date=day) == [grouped(row) for row in rows]


def products(chosen: Callable[[int], bool]) -> list[tuple[str, int, int, str]]:
    rows = [row for row in PRODUCTS if chosen(row[1]) and campaign(row[1]).executed]
    return sorted(rows, key=lambda row: (row[0].encode(), *row[1:]))


def test_products_of_campaigns(api: httpx.Client) -> None:
    rows = products(lambda number: campaign(number).day == TODAY)
    assert {row[1] for row in rows} == {1, 13}
    expected = [{"CustomerID": c, "CampaignID": number, "ProductID": sku} for c, number, _, sku in rows]
    assert ask(api, "GetCustomerProductDetailsByDate", Date=TODAY) == expected
    assert ask(api, "GetCustomerProductDetailsByDate", Date="2026-03-06") == []
    of_one = [{"CustomerID": c, "ProductID": sku} for c, _, _, sku in products(lambda number: number == 13)]
    for function in ("GetCustomerProductDetailsByCampaign", "GetCustomerProductsByCampaign"):
        assert ask(api, function, CampaignID=13) == of_one
    assert ask(api, "GetCustomerProductDetailsByCampaign", CampaignID=5) == []
    both = ask(api, "GetCustomerProductDetailsByCampaign", CampaignID=13, CustomerAttributes="EMAIL")
    assert both == [{**row, "CustomerAttributes": attributes(row["CustomerID"])[:1]} for row in of_one]


def test_interaction_customers(api: httpx.Client) -> None:
    for channel in (EMAIL, SMS, 0):
        for event in (2, 3, 7, 0):
            for day in (TODAY, date(2026, 3, 5)):
                keys = sorted(
                    {
                        (customer.encode(), number, template)
                        for number, customer, at_channel, template, _, _, kind, _ in INTERACTIONS
                        if campaign(number).day == day and kind == event and channel in (0, at_channel)
                    }
                )
                found = ask(api, "GetCampaignInteractionCustomers", Date=day, ChannelID=channel, EventID=event)
                assert found == [{"CustomerID": c.decode(), "CampaignID": n, "TemplateID": t} for c, n, t in keys]
    named = ask(
        api, "GetCampaignInteractionCustomers", Date=TODAY, ChannelID=EMAIL, EventID=2, CustomerAttributes="EMAIL"
    )
    assert [row["CustomerAttributes"] for row in named] == [attributes(row["CustomerID"])[:1] for row in named]


def test_channel_interactions(api: httpx.Client) -> None:
    row = ("Date", "CampaignID", "RecipientGroupID", "ActionID", "ChannelID", "TemplateID", "EventID")
    whole = [
        ("2026-03-10", 1, 1, 12, EMAIL, 9, 2),
        ("2026-03-10", 1, 1, 12, SMS, 17, 3),
        ("2026-03-10", 3, 1, 12, EMAIL, 9, 4),
        ("2026-03-11", 13, 1, 12, EMAIL, 9, 2),
        ("2026-03-11", 1, 1, 12, EMAIL, 9, 3),
    ]
    for start, end, channel, rows in (
        ("2026-03-05", "2026-03-10", 0, whole),
        ("2026-03-06", "2026-03-10", None, [each for each in whole if each[1] != 3]),
        ("2026-03-05", "2026-03-09", 0, [each for each in whole if each[1] == 3]),
        ("2026-03-05", "2026-03-10", SMS, [each for each in whole if each[4] == SMS]),
    ):
        for customer in ("C001", "c001"):
            params = {"CustomerID": customer, "StartDate": start, "EndDate": end, "ChannelID": channel}
            found = ask(api, "GetCustomerChannelInteractions", **params)
            assert found == [dict(zip(row, each, strict=True)) for each in rows]
    nobody = {"CustomerID": "nobody", "StartDate": "2026-01-01", "EndDate": "2026-12-31"}
    assert ask(api, "GetCustomerChannelInteractions", **nobody) == []


INTEGRATIONS = {
    "GetCustomerOneTimeActionsByCampaign": {"CampaignID": 8},
    "GetCustomerSendDetailsByChannel": {"CampaignID": 1, "ChannelID": EMAIL},
    "GetCustomerExecutionDetailsByCampaign": {"CampaignID": 1},
    "GetCampaignInteractionCustomers": {"Date": TODAY, "ChannelID": EMAIL, "EventID": 2},
    "GetCustomerChannelInteractions": {"CustomerID": "C001", "StartDate": "2026-03-05", "EndDate": "2026-03-10"},
}


def test_integrations_keys_see_the_third_party_list(integrations_api: httpx.Client) -> None:
    for function, params in INTEGRATIONS.items():
        answer = integrations_api.get(f"/Customers/{function}", params=params)
        assert (answer.status_code, bool(answer.json())) == (200, True)
    for function in (
        "GetCurrentlyTargetedCustomers", "GetCanceledCampaignCustomers", "GetProcessedCampaignCustomers",
        "GetCustomerLastActionExecuted", "GetCustomerActionsByTargetGroup", "GetCustomerOneTimeActionsByDate",
        "GetCustomersByAction", "GetCustomersActionEndedByDate", "GetCustomerSendDetailsByCampaign",
        "GetCustomerActionDetailsByDate", "GetCustomerProductDetailsByDate", "GetCustomerProductDetailsByCampaign",
    ):  # fmt: skip
        answer = integrations_api.get(f"/Customers/{function}")
        assert (answer.status_code, function in answer.json()) == (403, True)


def test_attributes_of_recommended_products(api: httpx.Client) -> None:
    params = {"CampaignID": 13, "ProductAttributes": '"name,CATEGORY;product_id"'}
    expected = []
    for customer, _, _, sku in products(lambda number: number == 13):
        number = int(sku.removeprefix("SKU-"))
        known = number < 4
        shown = [f"Product {number}", "toys" if number else None, sku] if known else [None, None, None]
        expected.append({"CustomerID": customer, "ProductID": sku, "ProductAttributes": shown})
    assert {row["ProductAttributes"][1] for row in expected} == {"toys", None}
    assert ask(api, "GetCustomerProductDetailsByCampaign", **params) == expected
    both = ask(api, "GetCustomerProductDetailsByCampaign", **params, CustomerAttributes="EMAIL")
    assert both == [{**row, "CustomerAttributes": attributes(row["CustomerID"])[:1]} for row in expected]
    by_date = ask(api, "GetCustomerProductDetailsByDate", Date=TODAY, ProductAttributes="name")
    assert {row["CampaignID"] for row in by_date} == {1, 13}
    answer = api.get("/Customers/GetCustomerProductDetailsByDate", params={"Date": TODAY, "ProductAttributes": "shoe"})
    assert (answer.status_code, answer.json()) == (
        400,
        "ProductAttributes names 'shoe', which is not a product attribute.",
    )
