"""Every function of the contract's first four files on a lived demo, against independent SQL."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from time import monotonic, sleep
from typing import Any

import pytest
from lived import Demo
from sqlalchemy import text

Check = Callable[[Demo], None]
EXECUTED = "('scheduled', 'executing', 'successful', 'failed')"
# What functions that ask by date list: triggered campaigns are read by their number.
LISTED = f"state IN {EXECUTED} AND NOT is_triggered"
WALKED: dict[str, Check] = {}


def function(*names: str) -> Callable[[Check], Check]:
    """Declare a check of functions of the wire."""

    def declare(check: Check) -> Check:
        for name in names:
            WALKED[name] = check
        return check

    return declare


def call(demo: Demo, path: str, **query: Any) -> Any:
    named = {name.replace("_", "$") if name.startswith("_") else name: value for name, value in query.items()}
    answer = demo.client.get(f"/current/{path}", params=named)
    assert answer.status_code == 200, (path, answer.status_code, answer.text)
    return answer.json()


def pages(demo: Demo, path: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := call(demo, path, _top=700, _skip=len(found), **query):
        found += page
    return found


def records(demo: Demo, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with demo.scope.stores.records.engine.connect() as connection:
        rows = connection.execute(text(sql), {"t": demo.scope.tenant_id, **values})
        return [tuple(row) for row in rows]


def rows(demo: Demo, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    return demo.scope.warehouse.rows(sql, **values)


def tuples(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[name] for name in names) for row in found)


def a_campaign(demo: Demo, where: str = "true") -> dict[str, Any]:
    """The largest campaign of the last day that fits."""
    found = records(
        demo,
        f"""SELECT id, target_group_id, duration FROM campaigns WHERE tenant_id = :t AND execution_date = :d
            AND state IN {EXECUTED} AND test_size > 0 AND {where} ORDER BY targeted DESC, id LIMIT 1""",
        d=demo.today,
    )
    assert found, where
    return dict(zip(("id", "group", "duration"), found[0], strict=True))


@function("GetLastDataUpdate")
def last_update(demo: Demo) -> None:
    assert call(demo, "general/GetLastDataUpdate") == {"Date": demo.result.last_data_date}


@function("RegisterEventListener", "UnregisterEventListener", "GetRegisteredEventListeners")
def listeners(demo: Demo) -> None:
    body = {"EventTypeID": 3, "ListenerURL": "http://127.0.0.1:9/daily?x=1"}
    answer = demo.client.post("/current/general/RegisterEventListener", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    assert call(demo, "general/GetRegisteredEventListeners") == [{**body, "ChannelID": None}]
    answer = demo.client.post("/General/UnRegisterEventListener", json={"eventtypeid": 3})
    assert (answer.status_code, answer.content) == (200, b"")
    assert call(demo, "general/GetRegisteredEventListeners") == []


@function("GetApiKeyInfo")
def key_info(demo: Demo) -> None:
    info = call(demo, "apikey/GetApiKeyInfo")
    assert (info["Nickname"], info["AccessType"], info["Status"]) == ("demo Admin", "Admin", "Active")
    assert info["TenantID"] == demo.scope.tenant_id


@function("login")
def login(demo: Demo) -> None:
    from rapport.access.users import create_user

    settings = demo.scope.stores.settings
    settings.legacy_login = True
    try:
        create_user(demo.scope, f"walker{demo.scope.tenant_id}", "a long pass phrase")
        body = {"UserName": f"walker{demo.scope.tenant_id}", "Password": "a long pass phrase"}
        token = demo.client.post("/current/general/login", json=body).json()
        headers = {"Authorization-Token": token, "X-API-KEY": ""}
        answer = demo.client.get("/current/general/GetLastDataUpdate", headers=headers)
        assert answer.json() == {"Date": demo.result.last_data_date}
    finally:
        settings.legacy_login = False


@function("GetCustomerAttributeList")
def attribute_list(demo: Demo) -> None:
    names = {row["RealFieldName"] for row in call(demo, "model/GetCustomerAttributeList")}
    hidden = {"data_date", "customer_id"}
    columns = {
        name
        for (name,) in rows(
            demo, "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'profiles'"
        )
    } - hidden
    assert names == columns


@function("GetLifecycleStageList")
def stages(demo: Demo) -> None:
    found = {row["StageID"]: row["StageName"] for row in call(demo, "model/GetLifecycleStageList")}
    profile = rows(
        demo,
        "SELECT DISTINCT LIFECYCLE_STAGE_ID, LIFECYCLE_STAGE FROM profiles WHERE data_date = {d:Date}",
        d=demo.data_date,
    )
    assert len(profile) >= 4
    assert dict(profile).items() <= found.items()


@function("GetMicrosegmentList")
def microsegments(demo: Demo) -> None:
    found = {row["MicrosegmentID"]: row for row in call(demo, "model/GetMicrosegmentList")}
    truth = rows(
        demo,
        """SELECT microsegment_id, any(lifecycle_stage_id), avg(future_value) FROM model_results
           WHERE data_date = {d:Date} AND microsegment_id > 0 GROUP BY microsegment_id""",
        d=demo.data_date,
    )
    assert len(truth) > 5
    for number, stage, value in truth:
        assert found[number]["LifecycleStageID"] == stage
        assert found[number]["FutureValue"] == pytest.approx(value, abs=0.01)
        assert 0 <= found[number]["ChurnRate"] <= 1


MOVED = """
    SELECT b.customer_id, a.{0}, b.{0} FROM
    (SELECT * FROM model_results WHERE data_date = {{first:Date}}) AS a
    JOIN (SELECT * FROM model_results WHERE data_date = {{last:Date}}) AS b ON a.customer_id = b.customer_id
    WHERE a.{0} != b.{0}
"""


@function("GetMicrosegmentChangers")
def microsegment_changers(demo: Demo) -> None:
    found = pages(demo, "model/GetMicrosegmentChangers", CustomerAttributes="COUNTRY;EMAIL")
    before = demo.data_date - timedelta(days=1)
    truth = rows(demo, MOVED.format("microsegment_id"), first=before, last=demo.data_date)
    moved = [row for row in found if row["InitialMicrosegmentID"] is not None and row["FinalMicrosegmentID"]]
    assert tuples(moved, "CustomerID", "InitialMicrosegmentID", "FinalMicrosegmentID") == sorted(
        row for row in truth if row[1] and row[2]
    )
    assert truth
    countries = dict(rows(demo, "SELECT customer_id, COUNTRY FROM customers"))
    assert all(row["CustomerAttributes"][0] == countries[row["CustomerID"]] for row in found)


@function("GetAllActions", "GetActionID", "GetActionName")
def actions(demo: Demo) -> None:
    truth = records(demo, "SELECT id, name FROM actions WHERE tenant_id = :t")
    assert tuples(call(demo, "actions/GetAllActions"), "ActionID", "ActionName") == sorted(truth)
    for number, name in truth:
        assert call(demo, "actions/GetActionID", ActionName=name.upper()) == {"ActionID": number}
        assert call(demo, "actions/GetActionName", ActionID=number) == {"ActionName": name}
    assert call(demo, "actions/GetActionName", ActionID=1) == {"ActionName": "DN"}


CHANNELS = f"""
    SELECT DISTINCT c.target_group_id, h.recipient_group_id, h.action_id, c.duration, c.lead_time, h.channel_id,
        h.promo_code, c.id
    FROM campaigns AS c JOIN campaign_channels AS h ON h.tenant_id = c.tenant_id AND h.campaign_id = c.id
    WHERE c.tenant_id = :t AND c.execution_date = :d AND c.state IN {EXECUTED} AND NOT c.is_triggered
"""


@function("GetActionsByTargetGroup", "GetActionDetailsByTargetGroup", "GetPromoCodesByTargetGroup")
def actions_by_group(demo: Demo) -> None:
    group = a_campaign(demo, "target_group_id > 0")["group"]
    truth = [row for row in records(demo, CHANNELS, d=demo.today) if row[0] == group]
    query = {"TargetGroupID": group, "Date": demo.today}
    found = call(demo, "actions/GetActionsByTargetGroup", **query)
    assert tuples(found, "RecipientGroupID", "ActionID") == sorted({row[1:3] for row in truth})
    found = call(demo, "actions/GetActionDetailsByTargetGroup", **query)
    names = ("RecipientGroupID", "ActionID", "Duration", "LeadTime", "ChannelID")
    assert tuples(found, *names) == sorted({row[1:6] for row in truth})
    found = call(demo, "actions/GetPromoCodesByTargetGroup", **query)
    codes = {(row[7], row[1], row[2], row[6]) for row in truth}
    assert tuples(found, "RecipientGroupID", "ActionID", "PromoCode") == sorted(row[1:] for row in codes)


@function("GetPromoCodes", "GetPromoCodesByCampaign")
def promo_codes(demo: Demo) -> None:
    truth = {(row[7], row[0], row[1], row[2], row[6]) for row in records(demo, CHANNELS, d=demo.today) if row[0]}
    found = call(demo, "actions/GetPromoCodes", Date=demo.today)
    assert tuples(found, "TargetGroupID", "RecipientGroupID", "ActionID", "PromoCode") == sorted(
        row[1:] for row in truth
    )
    campaign = a_campaign(demo, "target_group_id > 0")["id"]
    found = call(demo, "actions/GetPromoCodesByCampaign", CampaignID=campaign)
    assert tuples(found, "RecipientGroupID", "ActionID", "PromoCode") == sorted(
        row[2:] for row in truth if row[0] == campaign
    )


@function("GetExecutedCampaignDetails", "GetCampaignDetails")
def campaign_details(demo: Demo) -> None:
    truth = records(
        demo,
        f"""SELECT id, target_group_id, campaign_type, duration, is_multi_channel, is_recurrence, test_size,
                control_size FROM campaigns WHERE tenant_id = :t AND execution_date = :d
                AND ({LISTED} OR state = 'not run')""",
        d=demo.today,
    )
    names = ("CampaignID", "TargetGroupID", "CampaignType", "Duration", "IsMultiChannel", "IsRecurrence")
    found = call(demo, "actions/GetExecutedCampaignDetails", Date=demo.today)
    assert tuples(found, *names) == sorted(row[:6] for row in truth)
    assert len(truth) >= 4
    assert {row["Status"] for row in found if row["Error"] != "The target group has no members."} == {"Successful"}
    for row in truth:
        details = call(demo, "actions/GetCampaignDetails", CampaignID=row[0])
        assert tuple(details[name] for name in (*names[1:], "TestGroupSize", "ControlGroupSize")) == row[1:]
        sizes = rows(
            demo,
            """SELECT uniqExactIf(customer_id, action_id > 1), uniqExactIf(customer_id, action_id = 1)
               FROM campaign_recipients WHERE campaign_id = {c:UInt32}""",
            c=row[0],
        )
        assert (details["TestGroupSize"], details["ControlGroupSize"]) == sizes[0]


@function("GetExecutionChannels")
def channels(demo: Demo) -> None:
    truth = records(demo, "SELECT id, name FROM channels WHERE tenant_id = :t")
    found = call(demo, "actions/GetExecutionChannels")
    assert tuples(found, "ChannelId", "ChannelName") == tuples(found, "ChannelID", "ChannelName") == sorted(truth)


@function("GetExecutedCampaignsByChannel", "GetExecutedCampaignChannelDetails")
def by_channel(demo: Demo) -> None:
    truth = records(demo, CHANNELS, d=demo.today)
    for channel in (504, 505):
        found = call(demo, "actions/GetExecutedCampaignsByChannel", ChannelID=channel, Date=demo.today)
        ids = sorted({row[7] for row in truth if row[5] == channel})
        assert ids and [row["CampaignID"] for row in found] == ids
        found = call(demo, "actions/GetExecutedCampaignChannelDetails", CampaignID=ids[0], ChannelID=channel)
        times = records(
            demo,
            """SELECT DISTINCT template_id, to_char(scheduled_time, 'YYYY-MM-DD HH24:MI:SS') FROM campaign_channels
               WHERE tenant_id = :t AND campaign_id = :c AND channel_id = :h""",
            c=ids[0],
            h=channel,
        )
        assert set(tuples(found, "TemplateID", "ScheduledTime")) == set(times)


@function("GetTargetGroupsByDate", "GetTargetGroupID", "GetTargetGroupName", "GetTargetGroupDetails")
def target_groups(demo: Demo) -> None:
    truth = records(demo, "SELECT id, name, priority FROM target_groups WHERE tenant_id = :t")
    found = call(demo, "groups/GetTargetGroupDetails")
    assert tuples(found, "TargetGroupID", "TargetGroupName", "TargetGroupPriority") == sorted(truth)
    for number, name, _ in truth:
        assert call(demo, "groups/GetTargetGroupName", TargetGroupID=number) == {"TargetGroupName": name}
        assert call(demo, "groups/GetTargetGroupID", TargetGroupName=name) == {"TargetGroupID": number}
    found = call(demo, "groups/GetTargetGroupsByDate", Date=demo.today)
    assert [row["TargetGroupID"] for row in found] == sorted(
        {r[0] for r in records(demo, CHANNELS, d=demo.today)} - {0}
    )


@function("GetValueSegments", "GetValueSegmentID", "GetValueSegmentName", "GetCustomersByValueSegment")
def value_segments(demo: Demo) -> None:
    segments = call(demo, "segments/GetValueSegments")
    means = []
    for segment in segments:
        number, name = segment["ValueSegmentID"], segment["ValueSegmentName"]
        assert call(demo, "segments/GetValueSegmentID", ValueSegmentName=name) == {"ValueSegmentID": number}
        assert call(demo, "segments/GetValueSegmentName", ValueSegmentID=number) == {"ValueSegmentName": name}
        query = {"ValueSegmentID": number, "Date": demo.data_date, "CustomerAttributes": "FUTURE_VALUE"}
        found = pages(demo, "segments/GetCustomersByValueSegment", **query)
        truth = rows(
            demo,
            "SELECT customer_id FROM model_results WHERE data_date = {d:Date} AND value_segment_id = {s:UInt8}",
            d=demo.data_date,
            s=number,
        )
        assert [row["CustomerID"] for row in found] == sorted(customer for (customer,) in truth)
        means.append(sum(float(row["CustomerAttributes"][0]) for row in found) / len(found))
    assert len(means) >= 3
    assert means == sorted(means, reverse=True)


@function("GetValueSegmentChangers")
def value_segment_changers(demo: Demo) -> None:
    first = demo.data_date - timedelta(days=3)
    found = pages(demo, "segments/GetValueSegmentChangers", StartDate=first, EndDate=demo.data_date)
    truth = [
        row
        for row in rows(demo, MOVED.format("value_segment_id"), first=first, last=demo.data_date)
        if row[1] and row[2]
    ]
    names = ("CustomerID", "InitialValueSegmentID", "FinalValueSegmentID")
    assert truth
    assert tuples([row for row in found if row[names[1]] and row[names[2]]], *names) == sorted(truth)


@function("GetCurrentlyTargetedCustomers")
def currently_targeted(demo: Demo) -> None:
    found = pages(demo, "customers/GetCurrentlyTargetedCustomers")
    running = {
        row[0]: (row[1], row[2])
        for row in records(
            demo,
            f"""SELECT id, execution_date, execution_date + duration FROM campaigns WHERE tenant_id = :t
                AND {LISTED} AND execution_date + duration >= :d""",
            d=demo.today,
        )
    }
    truth = {
        (customer, campaign, action, *(str(day) for day in running[campaign]))
        for customer, campaign, action in rows(
            demo, "SELECT customer_id, campaign_id, action_id FROM campaign_recipients WHERE action_id > 1"
        )
        if campaign in running
    }
    names = ("CustomerID", "CampaignID", "ActionID", "StartDate", "EndDate")
    assert tuples(found, *names) == sorted(truth)
    assert len(truth) > 50


@function("GetCanceledCampaignCustomers", "GetProcessedCampaignCustomers")
def held_and_canceled(demo: Demo) -> None:
    from rapport.campaigns import definitions
    from rapport.campaigns.runs import by_hand
    from rapport.campaigns.schemas import SeriesBody

    body = definitions.body_of(definitions.series(demo.scope, 2)) | {"name": "On hold", "conditional": True}
    schedule = {"kind": "once", "start_date": str(demo.today)}
    reached = [{"channel_id": 505, "template_id": 1, "send_time": "23:59"}]
    body |= {"schedule": schedule, "rules": {"include_all": True}, "groups": [{"action_id": 4, "channels": reached}]}
    held = definitions.create_series(demo.scope, SeriesBody(**body))
    found = by_hand.run_now(demo.scope, held.id, wait=True)
    truth = [
        (customer, 4)
        for (customer,) in rows(
            demo,
            "SELECT customer_id FROM campaign_recipients WHERE campaign_id = {c:UInt32} AND action_id > 1",
            c=found.id,
        )
    ]
    answer = pages(demo, "customers/GetProcessedCampaignCustomers", CampaignID=found.id)
    assert truth and tuples(answer, "CustomerID", "ActionID") == sorted(truth)
    assert {row["PromoCode"] for row in answer} == {"SAVE10"}
    by_hand.cancel(demo.scope, found.id)
    answer = pages(demo, "customers/GetCanceledCampaignCustomers", CampaignID=found.id)
    assert tuples(answer, "CustomerID", "ActionID") == sorted(truth)


@function("GetCustomerLastActionExecuted")
def last_action(demo: Demo) -> None:
    runs = {
        row[0]: row[1:]
        for row in records(
            demo, f"SELECT id, execution_date, duration FROM campaigns WHERE tenant_id = :t AND state IN {EXECUTED}"
        )
    }
    truth: dict[str, tuple[Any, ...]] = {}
    for customer, campaign, group in rows(
        demo, "SELECT customer_id, campaign_id, target_group_id FROM campaign_recipients WHERE action_id > 1"
    ):
        if campaign in runs:
            truth[customer] = max(truth.get(customer, ()), (runs[campaign][0], campaign, group))
    assert len(truth) > 20
    for customer in sorted(truth)[:20]:
        day, campaign, group = truth[customer]
        found = call(demo, "customers/GetCustomerLastActionExecuted", CustomerID=customer)
        expected = (str(day), group, runs[campaign][1])
        assert (found["Date"], found["TargetGroupID"], found["Duration"]) == expected


RECEIVED = """
    SELECT customer_id, recipient_group_id, action_id, channel_id, campaign_id, target_group_id, template_id,
        formatDateTime(scheduled_time, '%Y-%m-%d %H:%i:%S'), promo_code
    FROM campaign_recipients WHERE execution_date = {d:Date}
"""


def received(demo: Demo, day: Any) -> list[tuple[Any, ...]]:
    return rows(demo, RECEIVED, d=day)


@function("GetCustomerActionsByTargetGroup", "GetCustomerActionDetailsByDate", "GetCustomersByAction")
def customer_actions(demo: Demo) -> None:
    day = demo.today
    everybody = [row for row in received(demo, day) if executed(demo, row[4])]
    group = a_campaign(demo, "target_group_id > 0")["group"]
    query = {"TargetGroupID": group, "Date": day, "IncludeRecipientGroupID": "TRUE"}
    names = ("CustomerID", "RecipientGroupID", "ActionID", "ChannelID")
    found = pages(demo, "customers/GetCustomerActionsByTargetGroup", **query)
    assert tuples(found, *names) == sorted(row[:4] for row in everybody if row[5] == group and row[2] > 1)
    found = pages(demo, "customers/GetCustomerActionsByTargetGroup", **query, IncludeControlGroup="true")
    assert tuples(found, *names) == sorted(row[:4] for row in everybody if row[5] == group)
    found = pages(demo, "customers/GetCustomerActionDetailsByDate", Date=day)
    assert tuples(found, *names) == sorted(row[:4] for row in everybody if row[2] > 1)
    recipient_group, action = next(row[1:3] for row in everybody if row[2] > 1)
    query = {"RecipientGroupID": recipient_group, "ActionID": action, "Date": day}
    found = pages(demo, "customers/GetCustomersByAction", **query, CustomerAttributes="country;first_name")
    truth = sorted({row[0] for row in everybody if row[1:3] == (recipient_group, action)})
    assert [row["CustomerID"] for row in found] == truth
    profile = {c: [a, b] for c, a, b in rows(demo, "SELECT customer_id, COUNTRY, FIRST_NAME FROM customers")}
    assert all(row["CustomerAttributes"] == profile[row["CustomerID"]] for row in found)


def executed(demo: Demo, campaign: int) -> bool:
    sql = f"SELECT 1 FROM campaigns WHERE tenant_id = :t AND id = :c AND {LISTED}"
    return bool(records(demo, sql, c=campaign))


@function("GetCustomerOneTimeActionsByCampaign", "GetCustomerOneTimeActionsByDate")
def one_time(demo: Demo) -> None:
    campaign, day = records(
        demo, "SELECT id, execution_date FROM campaigns WHERE tenant_id = :t AND is_one_time ORDER BY id LIMIT 1"
    )[0]
    truth = [row for row in received(demo, day) if row[4] == campaign]
    query = {"CampaignID": campaign, "IncludeControlGroup": "True"}
    found = pages(demo, "customers/GetCustomerOneTimeActionsByCampaign", **query)
    assert tuples(found, "CustomerID", "RecipientGroupID", "ActionID", "ChannelID") == sorted(row[:4] for row in truth)
    assert {row[2] for row in truth} == {1, 8}
    found = pages(demo, "customers/GetCustomerOneTimeActionsByDate", Date=day)
    assert tuples(found, "CustomerID", "ActionID", "ChannelID") == sorted(
        (row[0], row[2], row[3]) for row in truth if row[2] > 1
    )


@function("GetCustomersActionEndedByDate")
def ended(demo: Demo) -> None:
    truth = {
        row[0]: row[1:]
        for row in records(
            demo,
            f"""SELECT id, to_char(execution_date, 'YYYY-MM-DD'), duration, target_group_id FROM campaigns
                WHERE tenant_id = :t AND {LISTED} AND execution_date + duration = :d""",
            d=demo.data_date,
        )
    }
    expected = [
        (customer, action, channel, *truth[campaign])
        for customer, action, channel, campaign in rows(
            demo, "SELECT customer_id, action_id, channel_id, campaign_id FROM campaign_recipients WHERE action_id > 1"
        )
        if campaign in truth
    ]
    found = pages(demo, "customers/GetCustomersActionEndedByDate", Date=demo.data_date)
    names = ("CustomerID", "ActionID", "ChannelID", "Date", "Duration", "TargetGroupID")
    assert expected and tuples(found, *names) == sorted(expected)


@function(
    "GetCustomerSendDetailsByCampaign", "GetCustomerSendDetailsByChannel", "GetCustomerExecutionDetailsByCampaign"
)
def send_details(demo: Demo) -> None:
    campaign = a_campaign(demo, "is_multi_channel")["id"] if demo_has_multi(demo) else a_campaign(demo)["id"]
    truth = [row for row in received(demo, demo.today) if row[4] == campaign and row[2] > 1]
    query = {"CampaignID": campaign, "IncludeTemplateIDs": "true"}
    found = pages(demo, "customers/GetCustomerSendDetailsByCampaign", **query)
    names = ("CustomerID", "ChannelID", "ScheduledTime", "TemplateID")
    assert tuples(found, *names) == sorted((row[0], row[3], row[7], row[6]) for row in truth)
    found = pages(demo, "customers/GetCustomerSendDetailsByChannel", CampaignID=campaign, ChannelID=505)
    assert tuples(found, "CustomerID", "TemplateID", "ScheduledTime") == sorted(
        (row[0], row[6], row[7]) for row in truth if row[3] == 505
    )
    found = pages(demo, "customers/GetCustomerExecutionDetailsByCampaign", CampaignID=campaign)
    names = ("CustomerID", "ActionID", "ChannelID", "TemplateID", "ScheduleTime", "PromoCode")
    assert tuples(found, *names) == sorted((row[0], row[2], row[3], row[6], row[7], row[8]) for row in truth)


def demo_has_multi(demo: Demo) -> bool:
    sql = f"""SELECT 1 FROM campaigns WHERE tenant_id = :t AND execution_date = :d AND is_multi_channel
              AND test_size > 0 AND state IN {EXECUTED}"""
    return bool(records(demo, sql, d=demo.today))


@function("GetCustomerProductDetailsByDate", "GetCustomerProductDetailsByCampaign")
def product_details(demo: Demo) -> None:
    truth = rows(demo, "SELECT execution_date, customer_id, campaign_id, product_id FROM campaign_products")
    day = max(row[0] for row in truth)
    found = pages(demo, "customers/GetCustomerProductDetailsByDate", Date=day, ProductAttributes="category,brand")
    assert tuples(found, "CustomerID", "CampaignID", "ProductID") == sorted(row[1:] for row in truth if row[0] == day)
    shelf = {p: [c, b] for p, c, b in rows(demo, "SELECT product_id, category, brand FROM products")}
    assert all(row["ProductAttributes"] == shelf[row["ProductID"]] for row in found)
    campaign = found[0]["CampaignID"]
    found = pages(demo, "customers/GetCustomerProductDetailsByCampaign", CampaignID=campaign)
    assert tuples(found, "CustomerID", "ProductID") == sorted((r[1], r[3]) for r in truth if r[2] == campaign)


@function("GetCustomerProductRecommendations")
def recommendations(demo: Demo) -> None:
    truth = rows(
        demo,
        "SELECT customer_id, product_id, recommendation_type FROM product_recommendations WHERE data_date = {d:Date}",
        d=demo.data_date,
    )
    found = pages(demo, "customers/GetCustomerProductRecommendations")
    assert tuples(found, "CustomerID", "ProductID", "RecommendationType") == sorted(truth)
    assert {row[2] for row in truth} == {1, 2}
    customer = truth[0][0]
    one = call(demo, "customers/GetCustomerProductRecommendations", CustomerID=customer.lower())
    assert {row["CustomerID"] for row in one} == {customer}
    assert len(one) <= 10


@function("GetCustomerFutureValues")
def future_values(demo: Demo) -> None:
    found = pages(demo, "customers/GetCustomerFutureValues", LifecycleStageID="2,3")
    truth = rows(
        demo,
        """SELECT customer_id, future_value FROM model_results
           WHERE data_date = {d:Date} AND lifecycle_stage_id IN (2, 3)""",
        d=demo.data_date,
    )
    assert [row["CustomerID"] for row in found] == sorted(customer for customer, _ in truth)
    values = dict(truth)
    assert all(row["FutureValue"] == pytest.approx(values[row["CustomerID"]], abs=0.005) for row in found)
    assert sum(values.values()) > 0
    query = {"CustomerAttribute": "COUNTRY", "CustomerAttributeValue": "nl"}
    dutch = {row["CustomerID"] for row in pages(demo, "customers/GetCustomerFutureValues", **query)}
    assert dutch and dutch <= {c for (c,) in rows(demo, "SELECT customer_id FROM customers WHERE COUNTRY = 'NL'")}


@function("GetCustomersActivityEventAttributes")
def activity(demo: Demo) -> None:
    number = records(demo, "SELECT id FROM event_types WHERE tenant_id = :t AND name = 'cart'")[0][0]
    query = {"EventID": number, "StartDate": demo.data_date, "EndDate": demo.data_date}
    found = pages(demo, "customers/GetCustomersActivityEventAttributes", **query)
    first = demo.scope.instant(datetime.combine(demo.data_date, time()))
    truth = rows(
        demo,
        """SELECT customer_id, properties['cart_total'] FROM activity_events WHERE event_type_id = {e:UInt32}
           AND event_at >= {a:DateTime64(3, 'UTC')} AND event_at < {a:DateTime64(3, 'UTC')} + INTERVAL 1 DAY""",
        e=number,
        a=first,
    )
    carts = [
        (row["CustomerID"], next(a["Value"] for a in row["EventAttributes"] if a["Name"] == "cart_total"))
        for row in found
    ]
    assert truth and sorted(carts) == sorted(truth)


@function("GetCampaignInteractionCustomers", "GetCustomerChannelInteractions")
def interactions(demo: Demo) -> None:
    scheduled = [one for (one,) in records(demo, "SELECT id FROM campaigns WHERE tenant_id = :t AND NOT is_triggered")]
    truth = rows(
        demo,
        """SELECT DISTINCT customer_id, campaign_id, template_id FROM campaign_interactions
           WHERE delivery_date = {d:Date} AND channel_id = 505 AND event_id = 2 AND campaign_id IN {s:Array(UInt32)}""",
        d=demo.today,
        s=scheduled,
    )
    query = {"Date": demo.today, "ChannelID": 505, "EventID": 2}
    found = pages(demo, "customers/GetCampaignInteractionCustomers", **query)
    assert truth and tuples(found, "CustomerID", "CampaignID", "TemplateID") == sorted(truth)
    customer = truth[0][0]
    query = {"CustomerID": customer, "StartDate": demo.data_date - timedelta(days=30), "EndDate": demo.today}
    found = call(demo, "customers/GetCustomerChannelInteractions", **query, ChannelID=0)
    truth = rows(
        demo,
        """SELECT DISTINCT campaign_id, recipient_group_id, action_id, channel_id, template_id, event_id
           FROM campaign_interactions WHERE customer_id = {c:String} AND campaign_id IN {s:Array(UInt32)}""",
        c=customer,
        s=scheduled,
    )
    names = ("CampaignID", "RecipientGroupID", "ActionID", "ChannelID", "TemplateID", "EventID")
    assert tuples(found, *names) == sorted(truth)


@function("Attributes")
def profile(demo: Demo) -> None:
    answer = demo.client.get("/Customers/c0000003/Attributes")
    found = {row["RealFieldName"]: row for row in answer.json()}
    email, registered, stage = rows(
        demo,
        """SELECT EMAIL, formatDateTime(REGISTRATION_DATE, '%m/%d/%Y 00:00:00'), LIFECYCLE_STAGE FROM profiles
           WHERE data_date = {d:Date} AND customer_id = 'C0000003'""",
        d=demo.data_date,
    )[0]
    assert (found["EMAIL"]["Value"], found["LIFECYCLE_STAGE"]["Value"]) == (email, stage)
    assert found["REGISTRATION_DATE"]["Value"] == registered


@function("GetCustomerAttributeChangers")
def attribute_changers(demo: Demo) -> None:
    found = pages(demo, "customers/GetCustomerAttributeChangers", ChangedCustomerAttribute="LIFECYCLE_STAGE")
    truth = rows(
        demo,
        """SELECT b.customer_id, a.LIFECYCLE_STAGE, b.LIFECYCLE_STAGE FROM
           (SELECT * FROM profiles WHERE data_date = {first:Date}) AS a
           JOIN (SELECT * FROM profiles WHERE data_date = {last:Date}) AS b ON a.customer_id = b.customer_id
           WHERE a.LIFECYCLE_STAGE != b.LIFECYCLE_STAGE""",
        first=demo.data_date - timedelta(days=1),
        last=demo.data_date,
    )
    known = [row for row in found if row["InitialCustomerAttribute"] is not None]
    names = ("CustomerID", "InitialCustomerAttribute", "FinalCustomerAttribute")
    assert truth and tuples(known, *names) == sorted(truth)


@function("AddCustomerAttribute", "UpdateCustomerAttributes", "RemoveCustomerPII")
def writes(demo: Demo) -> None:
    body = {"Name": "LOYALTY_TIER", "Type": "VARCHAR(10)", "DefaultValue": "Basic"}
    assert demo.client.post("/current/customers/AddCustomerAttribute", json=body).status_code in (200, 202)

    def value(customer: str, name: str) -> Any:
        found = demo.client.get(f"/Customers/{customer}/Attributes").json()
        return next((row["Value"] for row in found if row["RealFieldName"] == name), "absent")

    def until(customer: str, name: str, wanted: Any) -> None:
        end = monotonic() + 60
        while value(customer, name) != wanted:
            assert monotonic() < end, (name, value(customer, name))
            sleep(0.1)

    until("C0000005", "LOYALTY_TIER", "Basic")
    change = {"CustomerID": "C0000005", "Attributes": [{"RealFieldName": "LOYALTY_TIER", "Value": "Gold"}]}
    answer = demo.client.post("/Customers/UpdateCustomerAttributes", json={"CustomerNewAttributesValuesList": [change]})
    assert answer.status_code in (200, 202)
    until("C0000005", "LOYALTY_TIER", "Gold")
    assert value("C0000006", "LOYALTY_TIER") == "Basic"
    answer = demo.client.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["C0000009", "nobody"]})
    assert answer.json() == {"FailedCustomerIDs": ["nobody"]}
    end = monotonic() + 60
    while value("C0000009", "EMAIL") == "c0000009@example.com":
        assert monotonic() < end
        sleep(0.1)


@pytest.mark.parametrize("check", dict.fromkeys(WALKED.values()), ids=lambda check: check.__name__)
def test_function(demo: Demo, check: Check) -> None:
    check(demo)


def test_every_operation_is_walked(demo: Demo) -> None:
    """The functions of the OpenAPI's wire sections of this walk are exactly those above."""
    paths = demo.client.get("/openapi.json").json()["paths"]
    own = [path for path in paths if path.startswith("/current/") or path.endswith("/Attributes")]
    others = ("/current/integrations/", "/current/optimail/", "/current/optitext/", "/current/transactionalmail/")
    served = {path.rsplit("/", 1)[1] for path in own if not path.startswith(others)}
    assert served - set(WALKED) <= {"UpsertCustomer"}
    assert len(WALKED) == 57
