"""What the shop of the stored backup is asked: by an earlier release before the backup, by a later one after a restore.

Both ask at the same instant of the tenant's clock, while nothing moves.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

DATA = Path(__file__).parent / "data"
BACKUP, ANSWERS = DATA / "schema-0042.rapport", DATA / "schema-0042.json"
SHOP = "Earlier"
NOW = datetime(2026, 3, 10, 7, 30, tzinfo=UTC)  # 08:30 in Berlin
EVENING = datetime(2026, 3, 10, 19, 0, tzinfo=UTC)
MAIL, SMS = 504, 505
# Series and campaigns in the order in which they are made.
SENT, HALF, LATER = 1, 2, 3
# What the backup is signed with and its secrets are sealed with: known to everybody, for it holds nobody's data.
BACKUP_KEY, SECRET_KEY = (hashlib.sha256(f"tests of backups: {use}".encode()).hexdigest() for use in ("sign", "seal"))
SECRETS = re.compile(r"whsec_[A-Za-z0-9+/=]+")

YESTERDAY, TODAY = "2026-03-09", "2026-03-10"
PERIOD = {"StartDate": "2026-03-07", "EndDate": TODAY}
ATTRIBUTES = {"CustomerAttributes": "COUNTRY;LEVEL;LIFECYCLE_STAGE;FUTURE_VALUE"}
CURRENT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("general/GetLastDataUpdate", {}),
    ("general/GetRegisteredEventListeners", {}),
    ("model/GetLifecycleStageList", {}),
    ("model/GetMicrosegmentList", {}),
    ("model/GetMicrosegmentChangers", {**PERIOD, **ATTRIBUTES}),
    ("customers/GetCustomerFutureValues", {"LifecycleStageID": 2}),
    ("customers/GetCustomerProductRecommendations", {"CustomerID": "P020"}),
    ("customers/GetCurrentlyTargetedCustomers", {}),
    ("customers/GetCustomerLastActionExecuted", {"CustomerID": "P031"}),
    ("customers/GetCustomerActionsByTargetGroup", {"TargetGroupID": 2, "Date": YESTERDAY, **ATTRIBUTES}),
    ("customers/GetCustomersByAction", {"RecipientGroupID": 1, "ActionID": 2, "Date": YESTERDAY}),
    ("customers/GetCustomerSendDetailsByCampaign", {"CampaignID": SENT, "IncludeTemplateIDs": True}),
    ("customers/GetCustomerSendDetailsByChannel", {"CampaignID": SENT, "ChannelID": SMS, **ATTRIBUTES}),
    ("customers/GetCustomerExecutionDetailsByCampaign", {"CampaignID": SENT}),
    ("customers/GetCustomerActionDetailsByDate", {"Date": YESTERDAY}),
    ("customers/GetCustomerAttributeChangers", {"ChangedCustomerAttribute": "LIFECYCLE_STAGE", **PERIOD}),
    ("customers/GetCustomersActivityEventAttributes", {"EventID": 2001, **PERIOD}),
    ("customers/GetProcessedCampaignCustomers", {"CampaignID": HALF, **ATTRIBUTES}),
    ("customers/GetCustomerChannelInteractions", {"CustomerID": "P031", **PERIOD}),
    ("segments/GetValueSegments", {}),
    ("segments/GetCustomersByValueSegment", {"ValueSegmentID": 1, "Date": YESTERDAY}),
    ("actions/GetAllActions", {}),
    ("actions/GetActionsByTargetGroup", {"TargetGroupID": 2, "Date": YESTERDAY}),
    ("actions/GetPromoCodesByCampaign", {"CampaignID": SENT}),
    ("actions/GetExecutedCampaignDetails", {"Date": YESTERDAY}),
    ("actions/GetCampaignDetails", {"CampaignID": SENT}),
    ("actions/GetExecutionChannels", {}),
    ("actions/GetExecutedCampaignChannelDetails", {"CampaignID": SENT, "ChannelID": MAIL}),
    ("groups/GetTargetGroupsByDate", {"Date": YESTERDAY}),
    ("groups/GetTargetGroupDetails", {}),
    ("integrations/GetChannelTemplates", {"ChannelID": SMS}),
    ("integrations/GetPromotions", {}),
    ("integrations/GetActivityEventList", {}),
)
MANAGED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tenants/current", {}),
    ("attributes", {"limit": 500}),
    ("imports", {}),
    ("load-checks", {}),
    ("lifecycle-stages", {}),
    ("value-segments", {}),
    ("actions", {}),
    ("series", {}),
    (f"series/{SENT}", {}),
    (f"series/{SENT}/results", {}),
    ("campaigns", {}),
    (f"campaigns/{SENT}", {}),
    (f"campaigns/{SENT}/outcomes", {"limit": 500}),
    (f"campaigns/{HALF}", {}),
    (f"campaigns/{HALF}/outcomes", {"limit": 500}),
    ("cycles", {}),
    ("channels", {}),
    ("templates", {}),
    (f"channels/{MAIL}/templates/1", {}),
    ("listeners", {}),
    ("suppressions", {}),
    ("suppressions/of-address", {"address": "stranger@example.com"}),
    ("target-groups", {}),
    ("target-groups/1/members", {"data_date": YESTERDAY, "limit": 500}),
    ("users", {}),
    ("keys", {}),
    ("event-types", {}),
    ("triggers", {}),
    ("triggers/4/firings", {"limit": 500}),
    ("triggers/5/firings", {}),
    ("triggers/6/firings", {}),
    ("triggers/7/firings", {}),
    ("promotions", {}),
    ("gateway", {}),
    ("summary", {"first": "2026-03-07", "last": YESTERDAY}),
)


def answers(base_url: str, key: str) -> dict[str, Any]:
    """Status and body of every read, in which a digest stands for each secret."""
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=60) as client:
        return {name: [answer.status_code, json.loads(_digested(answer.text))] for name, answer in _asked(client)}


def _digested(body: str) -> str:
    return SECRETS.sub(lambda secret: f"digest {hashlib.sha256(secret[0].encode()).hexdigest()[:16]}", body)


def lines(found: dict[str, Any]) -> str:
    """JSON with a line for each answer, so that what differs is seen."""
    said = {name: json.dumps(value, ensure_ascii=False) for name, value in found.items()}
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {value}" for name, value in said.items()) + "\n}\n"


def _asked(client: httpx.Client) -> Iterator[tuple[str, httpx.Response]]:
    for folder, reads in (("/current", CURRENT), ("/manage/v1", MANAGED)):
        for path, parameters in reads:
            said = "&".join(f"{name}={value}" for name, value in parameters.items() if name not in ATTRIBUTES)
            yield f"{path}?{said}" if said else path, client.get(f"{folder}/{path}", params=parameters)
