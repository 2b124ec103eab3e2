"""Actions on the wire: every function's whole answer against the rows that were put in."""

from typing import Any

import httpx
import pytest
from campaign_world import CAMPAIGNS, EMAIL, SMS, TODAY, Campaign, campaign

from rapport.access.scope import Scope

pytestmark = pytest.mark.usefixtures("world")


def ask(api: httpx.Client, function: str, **params: Any) -> Any:
    answer = api.get(f"/current/actions/{function}", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-length"] == str(len(answer.content))
    return answer.json()


def of_group(group: int, day: Any = TODAY) -> list[Campaign]:
    return [
        each for each in CAMPAIGNS if each.group == group and each.sent == day and each.executed and not each.one_time
    ]


def codes(each: Campaign, group: int, action: int) -> str:
    found: list[str] = []
    for place in sorted(each.places, key=lambda place: place.channel):
        if (place.group, place.action) == (group, action) and place.promo:
            found += [code for code in place.promo.split(",") if code not in found]
    return ",".join(found)


def promo_rows(campaigns: list[Campaign]) -> list[dict[str, Any]]:
    return [
        {
            "TargetGroupID": each.group,
            "RecipientGroupID": group,
            "ActionID": action,
            "PromoCode": codes(each, group, action),
        }
        for each in sorted(campaigns, key=lambda each: (each.group, each.id))
        for group, action in sorted({(place.group, place.action) for place in each.places})
    ]


def without(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != name} for row in rows]


def test_all_actions(api: httpx.Client) -> None:
    assert ask(api, "GetAllActions") == [
        {"ActionID": 12, "ActionName": "Spring voucher 5"},
        {"ActionID": 13, "ActionName": "Free delivery"},
        {"ActionID": 14, "ActionName": "Straße & co"},
        {"ActionID": 15, "ActionName": "free Delivery"},
    ]
    assert [row["ActionID"] for row in ask(api, "GetAllActions", **{"$top": 2, "$skip": 1})] == [13, 14]


def test_action_names_and_ids(api: httpx.Client) -> None:
    assert ask(api, "GetActionID", ActionName="spring VOUCHER 5") == {"ActionID": 12}
    assert ask(api, "GetActionID", ActionName="FREE delivery") == {"ActionID": 13}
    assert ask(api, "GetActionID", ActionName="Straße & co") == {"ActionID": 14}
    assert ask(api, "GetActionName", ActionID=14) == {"ActionName": "Straße & co"}
    assert ask(api, "GetActionName", ActionID=1) == {"ActionName": "DN"}
    for function, params in (("GetActionID", {"ActionName": "spring"}), ("GetActionName", {"ActionID": 99})):
        answer = api.get(f"/Actions/{function}", params=params)
        assert (answer.status_code, type(answer.json())) == (404, str)


def test_actions_by_target_group(api: httpx.Client) -> None:
    pairs = sorted({(place.group, place.action) for each in of_group(31) for place in each.places})
    assert pairs == [(1, 12), (2, 13), (2, 15)]
    expected = [{"RecipientGroupID": group, "ActionID": action} for group, action in pairs]
    assert ask(api, "GetActionsByTargetGroup", TargetGroupID=31, Date=TODAY) == expected
    assert ask(api, "GetActionsByTargetGroup", TargetGroupID=0, Date=TODAY) == []
    assert ask(api, "GetActionsByTargetGroup", TargetGroupID=31, Date="2026-03-02") == []


def test_action_details_by_target_group(api: httpx.Client) -> None:
    rows = sorted(
        {
            (place.group, place.action, place.channel, each.duration, each.more.get("lead_time", 0))
            for each in of_group(31)
            for place in each.places
        }
    )
    assert ask(api, "GetActionDetailsByTargetGroup", TargetGroupID=31, Date=f"{TODAY}T00:00:00Z") == [
        {"RecipientGroupID": group, "ActionID": action, "Duration": days, "LeadTime": lead, "ChannelID": channel}
        for group, action, channel, days, lead in rows
    ]


def test_promo_codes(api: httpx.Client) -> None:
    executed = [each for each in CAMPAIGNS if each.executed and each.sent == TODAY and not each.one_time]
    assert ask(api, "GetPromoCodes", Date=TODAY) == promo_rows(executed)
    assert ask(api, "GetPromoCodesByCampaign", CampaignID=1) == [
        {"RecipientGroupID": 1, "ActionID": 12, "PromoCode": "QX-B,QX-A,QX-C"},
        {"RecipientGroupID": 2, "ActionID": 13, "PromoCode": ""},
    ]
    assert ask(api, "GetPromoCodesByCampaign", CampaignID=999) == []
    expected = without(promo_rows(of_group(31)), "TargetGroupID")
    assert ask(api, "GetPromoCodesByTargetGroup", TargetGroupID=31, Date=TODAY) == expected
    assert (
        ask(api, "GetPromoCodesByTargetGroup", TargetGroupID=31, Date=TODAY, **{"$top": 2, "$skip": 1}) == expected[1:3]
    )
    assert ask(api, "GetPromoCodesByTargetGroup", TargetGroupID=31, Date=TODAY, **{"$skip": 99}) == []


def details(each: Campaign) -> dict[str, Any]:
    statuses = {"successful": "Successful", "failed": "Failed", "not run": "Failed", "canceled": "Canceled"}
    status = statuses.get(each.state, "Successful" if each.told else "Scheduled")
    return {
        "TargetGroupID": each.group,
        "CampaignType": each.more.get("campaign_type", "Test/Control"),
        "Duration": each.duration,
        "LeadTime": each.more.get("lead_time", 0),
        "Notes": each.more.get("notes", ""),
        "IsMultiChannel": len({place.channel for place in each.places}) > 1,
        "IsRecurrence": each.more.get("is_recurrence", False),
        "Status": status,
        "Error": each.more.get("error", "") if status == "Failed" else "",
        "Tags": each.more.get("tags", []),
    }


def test_executed_campaign_details(api: httpx.Client) -> None:
    for day in (TODAY, campaign(4).sent, campaign(4).day):
        listed = [each for each in CAMPAIGNS if (each.executed or each.state == "not run") and each.sent == day]
        assert bool(listed) == (day != campaign(4).day)
        expected = [{"CampaignID": each.id, **details(each)} for each in listed]
        assert ask(api, "GetExecutedCampaignDetails", Date=day) == expected
    assert ask(api, "GetExecutedCampaignDetails", Date="1999-01-01") == []


@pytest.mark.parametrize("number", [each.id for each in CAMPAIGNS])
def test_campaign_details_in_every_state(api: httpx.Client, world: Scope, number: int) -> None:
    each = campaign(number)
    names = {EMAIL: "Email", SMS: "SMS"}
    sizes = world.warehouse.row(
        """SELECT uniqExactIf(customer_id, action_id != 1), uniqExactIf(customer_id, action_id = 1)
           FROM campaign_recipients WHERE campaign_id = {id:UInt32}""",
        id=number,
    )
    assert sizes is not None
    assert ask(api, "GetCampaignDetails", CampaignID=number) == {
        **details(each),
        "Channels": [{"Id": i, "Name": names.get(i, "")} for i in sorted({place.channel for place in each.places})],
        "TestGroupSize": sizes[0],
        "ControlGroupSize": sizes[1],
    }


def test_unknown_campaigns_are_404_where_one_is_told_of(api: httpx.Client) -> None:
    for function, params in (
        ("GetCampaignDetails", {}),
        ("GetExecutedCampaignChannelDetails", {"ChannelID": EMAIL}),
    ):
        answer = api.get(f"/current/actions/{function}", params={"CampaignID": 999, **params})
        assert (answer.status_code, "campaign" in answer.json()) == (404, True)


def test_execution_channels(api: httpx.Client) -> None:
    assert ask(api, "GetExecutionChannels") == [
        {"ChannelId": EMAIL, "ChannelID": EMAIL, "ChannelName": "Email"},
        {"ChannelId": SMS, "ChannelID": SMS, "ChannelName": "SMS"},
    ]


def test_executed_campaigns_by_channel(api: httpx.Client) -> None:
    for channel in (EMAIL, SMS, 1):
        expected = [
            {"CampaignID": each.id}
            for each in CAMPAIGNS
            if each.executed and each.sent == TODAY and channel in {place.channel for place in each.places}
        ]
        assert ask(api, "GetExecutedCampaignsByChannel", channelId=channel, date=TODAY) == expected


def test_executed_campaign_channel_details(api: httpx.Client) -> None:
    assert ask(api, "GetExecutedCampaignChannelDetails", CampaignID=1, ChannelID=EMAIL) == [
        {"ListID": 77, "SendID": "K4R7Q", "TemplateID": 9, "ScheduledTime": "2026-03-10 09:15:00"},
        {"SendID": "Z9", "TemplateID": 11, "ScheduledTime": "2026-03-10 09:15:00"},
    ]
    assert ask(api, "GetExecutedCampaignChannelDetails", CampaignID=1, ChannelID=999) == []
    assert ask(api, "GetExecutedCampaignChannelDetails", CampaignID=5, ChannelID=EMAIL) == []


def test_integrations_keys_see_three_functions(integrations_api: httpx.Client) -> None:
    allowed = {
        "GetCampaignDetails": {"CampaignID": 1},
        "GetExecutedCampaignChannelDetails": {"CampaignID": 1, "ChannelID": EMAIL},
        "GetExecutedCampaignsByChannel": {"ChannelID": EMAIL, "Date": TODAY},
    }
    for function, params in allowed.items():
        assert integrations_api.get(f"/Actions/{function}", params=params).status_code == 200
    for function in ("GetAllActions", "GetActionName", "GetExecutionChannels", "GetPromoCodes"):
        answer = integrations_api.get(f"/Actions/{function}")
        assert (answer.status_code, function in answer.json()) == (403, True)
