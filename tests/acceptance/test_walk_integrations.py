"""Every function of External System Integration but the gateway's on a lived demo, against independent SQL."""

from collections.abc import Callable
from typing import Any

import pytest
from lived import Demo
from sqlalchemy import text

Check = Callable[[Demo], None]
WALKED: dict[str, Check] = {}
SMS = 505


def function(*names: str) -> Callable[[Check], Check]:
    """Declare a check of functions."""

    def declare(check: Check) -> Check:
        WALKED.update(dict.fromkeys(names, check))
        return check

    return declare


def read(demo: Demo, name: str, **query: Any) -> Any:
    answer = demo.client.get(f"/Integrations/{name}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def write(demo: Demo, name: str, body: Any, **query: Any) -> None:
    answer = demo.client.post(f"/current/integrations/{name}", json=body, params=query)
    assert (answer.status_code, answer.content) == (200, b""), answer.text


def records(demo: Demo, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with demo.scope.stores.records.engine.connect() as connection:
        rows = connection.execute(text(sql), {"t": demo.scope.tenant_id, **values})
        return [tuple(row) for row in rows]


def a_place(demo: Demo) -> tuple[int, int, int, int]:
    """Campaign, channel, template and group of the demo's largest list of texts."""
    sql = """
        SELECT campaign_id, channel_id, template_id, recipient_group_id FROM campaign_channels
        WHERE tenant_id = :t AND channel_id = :c AND state = 'successful' ORDER BY recipients DESC, campaign_id LIMIT 1
    """
    campaign, channel, template, group = records(demo, sql, c=SMS)[0]
    return campaign, channel, template, group


@function("GetChannelTemplates", "GetChannelTemplateDetails", "AddChannelTemplates", "DeleteChannelTemplates")
def templates(demo: Demo) -> None:
    sql = "SELECT id, name, text FROM templates WHERE tenant_id = :t AND channel_id = :c ORDER BY id"
    before = records(demo, sql, c=SMS)
    assert before
    write(demo, "AddChannelTemplates", [{"TemplateID": 900, "TemplateName": "Walked"}], ChannelID=SMS)
    found = [(row["TemplateID"], row["TemplateName"]) for row in read(demo, "GetChannelTemplates", ChannelID=SMS)]
    assert found == [row[:2] for row in before] + [(900, "Walked")]
    details = read(demo, "GetChannelTemplateDetails", ChannelID=SMS, TemplateID=before[0][0])
    assert [row["TemplateContent"] for row in details] == [before[0][2]]
    write(demo, "DeleteChannelTemplates", [{"ChannelID": SMS, "TemplateID": 900}])
    assert records(demo, sql, c=SMS) == before


@function("AddChannelApps", "DeleteChannelApps")
def apps(demo: Demo) -> None:
    sql = "SELECT app_id, name FROM channel_apps WHERE tenant_id = :t AND channel_id = :c"
    write(demo, "AddChannelApps", [{"AppID": "walk", "AppName": "Walked"}], ChannelID=SMS)
    assert records(demo, sql, c=SMS) == [("walk", "Walked")]
    write(demo, "DeleteChannelApps", [{"ChannelID": SMS, "AppID": "walk"}])
    assert records(demo, sql, c=SMS) == []


@function("GetPromotions", "AddPromotions", "DeletePromotions")
def promotions(demo: Demo) -> None:
    sql = "SELECT promo_code, name FROM registered_promotions WHERE tenant_id = :t"
    before = records(demo, sql)
    decided = records(demo, "SELECT code, name FROM promotions WHERE tenant_id = :t AND status = 'active'")
    drawn = records(demo, "SELECT id, name FROM code_pools WHERE tenant_id = :t AND kind = 'unique' AND is_active")
    assert len(decided) == 5 and len(drawn) == 1
    write(demo, "AddPromotions", [{"PromoCode": "WALK1", "PromotionName": "Walked"}])
    found = [(row["PromoCode"], row["PromotionName"]) for row in read(demo, "GetPromotions")]
    assert found == sorted([*before, *decided, *drawn, ("WALK1", "Walked")])
    write(demo, "DeletePromotions", [{"PromoCode": "WALK1"}])
    assert sorted(records(demo, sql)) == sorted(before)


@function("GetActivityEventList")
def events(demo: Demo) -> None:
    truth = records(demo, "SELECT id, name, parameters FROM event_types WHERE tenant_id = :t ORDER BY id")
    found = [
        (row["EventID"], row["EventName"], [one["ParameterName"] for one in row["Parameters"]])
        for row in read(demo, "GetActivityEventList")
    ]
    assert truth and found == truth


@function("UpdateCampaignMetrics")
def metrics(demo: Demo) -> None:
    campaign, channel, template, _ = a_place(demo)
    row = {"CampaignID": campaign, "ChannelID": channel, "TemplateID": template, "MetricID": 9}
    sql = "SELECT metric_id, value FROM campaign_metrics WHERE tenant_id = :t AND campaign_id = :c AND template_id = :n"
    before = dict(records(demo, sql, c=campaign, n=template))
    for value in (4, 3):
        write(demo, "UpdateCampaignMetrics", [{**row, "MetricValue": value}])
    assert (9, 3) in records(demo, sql, c=campaign, n=template)
    results = demo.client.get(f"/manage/v1/campaigns/{campaign}/results").json()
    assert [one["totals"]["bounced"] for one in results["metrics"] if one["template_id"] == template] == [3]
    write(demo, "UpdateCampaignMetrics", [{**row, "MetricValue": before.get(9, 0)}])  # as the vendor told it


@function("UpdateCampaignInteractions")
def interactions(demo: Demo) -> None:
    campaign, channel, template, group = a_place(demo)
    recipients = """
        SELECT customer_id FROM campaign_recipients
        WHERE campaign_id = {c:UInt32} AND channel_id = {h:UInt32} AND recipient_group_id = {g:UInt16}
        ORDER BY customer_id LIMIT 5
    """
    some = [who for (who,) in demo.scope.warehouse.rows(recipients, c=campaign, h=channel, g=group)]
    body = {
        "CampaignID": campaign,
        "ChannelID": channel,
        "TemplateID": template,
        "EventID": 5,
        "InteractionDate": str(demo.today),
        "CustomerIDs": [*map(str.lower, some), "nobody"],
    }
    for _ in range(2):
        write(demo, "UpdateCampaignInteractions", body)
    sql = """
        SELECT customer_id, channel_id, template_id, recipient_group_id FROM campaign_interactions
        WHERE campaign_id = {c:UInt32} AND event_id = 5 ORDER BY customer_id
    """
    found = demo.scope.warehouse.rows(sql, c=campaign)
    assert len(some) == 5 and found == [(who, channel, template, group) for who in some]


@function("UpdateCustomerPromotionStatus")
def promotion_status(demo: Demo) -> None:
    """The demo's campaigns are not conditional; tests of clearance and flows clear some that are."""
    body = {"CampaignID": a_place(demo)[0], "PromosUpdated": [{"CustomerID": "C0000003", "Status": True}]}
    answer = demo.client.post("/current/integrations/UpdateCustomerPromotionStatus", json=body)
    assert answer.status_code == 400 and "is not conditional" in answer.json()
    assert demo.scope.warehouse.value("SELECT count() FROM campaign_clearances") == 0


@function("SetCustomerChannelPreference")
def preferences(demo: Demo) -> None:
    for mode in (2, 1):
        body = {"ChannelID": SMS, "CustomerIDs": ["c0000003"], "CommunicationMode": mode, "AppID": None}
        write(demo, "SetCustomerChannelPreference", body)
        sql = """
            SELECT channel_id, app_id, mode FROM channel_preferences
            WHERE tenant_id = :t AND customer_key = 'c0000003'
        """
        assert records(demo, sql) == [(SMS, "", mode)]


@pytest.mark.parametrize("check", dict.fromkeys(WALKED.values()), ids=lambda check: check.__name__)
def test_function(demo: Demo, check: Check) -> None:
    check(demo)


def test_every_operation_is_walked(demo: Demo) -> None:
    paths = demo.client.get("/openapi.json").json()["paths"]
    served = {path.rsplit("/", 1)[1] for path in paths if path.startswith("/current/integrations/")}
    assert served == set(WALKED) and len(WALKED) == 14
