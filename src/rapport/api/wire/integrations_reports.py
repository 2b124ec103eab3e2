"""External System Integration: what outside systems report of campaigns and of customers."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Depends
from pydantic import BeforeValidator, Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.bodies import (
    Count,
    CustomerID,
    Listed,
    Number,
    Whole,
    WireModel,
    documented,
    documented_array,
    parse,
    parse_array,
    raw_body,
)
from rapport.api.http.parameters import KINDS
from rapport.api.sections import SectionRouter
from rapport.api.wire.integrations import MOST, NO_NULL, NOTHING, OptionalAppID
from rapport.campaigns.measurement import interactions
from rapport.campaigns.measurement import metrics as campaign_metrics
from rapport.campaigns.measurement.interactions import INTERACTIONS, ReportedInteraction
from rapport.campaigns.measurement.metrics import METRICS, ReportedMetric
from rapport.campaigns.runs import clearance
from rapport.errors import Invalid
from rapport.messaging.contactability import preferences
from rapport.realtime.recording.pending_receipts import unfiled_receipts

router = SectionRouter("External System Integration")

MOST_CUSTOMERS, MOST_PREFERENCES = 10_000, 50_000
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)

Text = Annotated[str, Field(pattern=NO_NULL)]


def _absent(value: object) -> object:
    return None if value == "" else value


def _listed(names: dict[int, str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in names.items())


class MetricBody(WireModel):
    """The running total of one kind of thing that happened with a template of a campaign on a channel."""

    channel_id: Number = Field(alias="ChannelID")
    campaign_id: Number = Field(alias="CampaignID")
    template_id: Count = Field(alias="TemplateID")
    metric_id: Whole = Field(alias="MetricID", description=_listed(METRICS))
    value: Count = Field(alias="MetricValue")


class InteractionsBody(WireModel):
    """The customers who had one kind of interaction with a campaign on a day."""

    campaign_id: Number = Field(alias="CampaignID")
    channel_id: Number = Field(alias="ChannelID")
    day: Text = Field(
        alias="InteractionDate",
        description="YYYY-MM-DD, from the day before the campaign to tomorrow",
        json_schema_extra={"format": "date"},
    )
    template_id: Count = Field(alias="TemplateID")
    event_id: Whole = Field(alias="EventID", description=_listed(INTERACTIONS))
    group: Number | None = Field(
        None, alias="RecipientGroupID", description="A group of the campaign; customers always count in their own group"
    )
    customer_ids: Listed[CustomerID] = Field(alias="CustomerIDs", max_length=MOST_CUSTOMERS)
    app_id: OptionalAppID = Field(None, alias="AppID")


class PromoStatus(WireModel):
    """Whether a customer is approved."""

    customer_id: CustomerID = Field(alias="CustomerID")
    status: bool = Field(alias="Status", strict=True)


class PromotionStatusBody(WireModel):
    """Which customers of a conditional campaign are approved."""

    timestamp: Annotated[Text | None, BeforeValidator(_absent)] = Field(
        None, alias="TimeStamp", description="The caller's time, YYYY-MM-DD HH:MM:SS; for information"
    )
    campaign_id: Number = Field(alias="CampaignID")
    statuses: Listed[PromoStatus] = Field(alias="PromosUpdated", max_length=MOST_CUSTOMERS)


class PreferenceBody(WireModel):
    """How customers may be contacted on a channel."""

    channel_id: Number = Field(alias="ChannelID")
    customer_ids: list[CustomerID] | None = Field(None, alias="CustomerIDs", max_length=MOST_PREFERENCES)
    mode: Whole = Field(alias="CommunicationMode", description="1 may be contacted, 2 opted out")
    app_id: OptionalAppID = Field(None, alias="AppID", description="Only of this app; null: of the whole channel")


def _write(
    function: str, summary: str, extra: dict[str, Any]
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Serve a function that answers nothing."""
    return router.post(
        f"/current/integrations/{function}",
        summary=summary,
        operation_id=function,
        response_class=Response,
        responses=NOTHING,
        openapi_extra=extra,
    )


@_write(
    "UpdateCampaignMetrics",
    "Report totals of a campaign per channel and template",
    documented_array(
        MetricBody,
        [
            {"ChannelID": 505, "CampaignID": 7731, "TemplateID": 11, "MetricID": 0, "MetricValue": 640},
            {"ChannelID": 505, "CampaignID": 7731, "TemplateID": 11, "MetricID": 1, "MetricValue": 612},
        ],
        MOST,
    ),
)
def update_campaign_metrics(
    principal: Principal = Depends(caller("UpdateCampaignMetrics")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 100 totals; a later report of a total replaces the earlier one."""
    metrics = parse_array(MetricBody, body, MOST)
    rows = [
        ReportedMetric(metric.campaign_id, metric.channel_id, metric.template_id, metric.metric_id, metric.value)
        for metric in metrics
    ]
    campaign_metrics.set_metrics(principal.scope, rows)
    return Response()


@_write(
    "UpdateCampaignInteractions",
    "Report which customers interacted with a campaign",
    documented(
        InteractionsBody,
        {
            "CampaignID": 7731,
            "ChannelID": 505,
            "InteractionDate": "2025-03-14",
            "TemplateID": 11,
            "EventID": 3,
            "RecipientGroupID": 1,
            "CustomerIDs": ["Q1001", "Q1002"],
            "AppID": "acme-ios",
        },
    ),
)
def update_campaign_interactions(
    principal: Principal = Depends(caller("UpdateCampaignInteractions")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 10,000 customers. A kind of interaction counts once per customer and day, however often it is reported.

    Customers who did not get the campaign on the channel are ignored. EventID 4, 6 and 7 also suppress the customers
    on the channel.
    """
    report = parse(InteractionsBody, body)
    interactions.check_event(report.event_id)
    at = _instant(principal.scope, report.campaign_id, report.day)
    key = (report.campaign_id, report.channel_id, report.template_id, report.event_id)
    rows = [
        ReportedInteraction(*key, customer_id, at, report.group, report.app_id or "")
        for customer_id in report.customer_ids
    ]
    interactions.add_interactions(principal.scope, rows, unfiled_receipts)
    return Response()


def _instant(scope: Scope, campaign_id: int, text: str) -> datetime:
    """The beginning of a day of the tenant on which a campaign's customers can have done something. Raises Invalid."""
    day: date = KINDS["date"][0]("InteractionDate", text)
    interactions.check_interaction_date(scope, campaign_id, day)
    return scope.instant(datetime(day.year, day.month, day.day))


@_write(
    "UpdateCustomerPromotionStatus",
    "Approve or refuse customers of a conditional campaign",
    documented(
        PromotionStatusBody,
        {
            "TimeStamp": "2025-03-14 08:05:00",
            "CampaignID": 7731,
            "PromosUpdated": [{"CustomerID": "Q1001", "Status": True}, {"CustomerID": "Q1002", "Status": False}],
        },
    ),
)
def update_customer_promotion_status(
    principal: Principal = Depends(caller("UpdateCustomerPromotionStatus")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 10,000 customers per call, any number of calls until ClearanceRequiredBy. Customers who are never
    reported are not approved.
    """
    report = parse(PromotionStatusBody, body)
    statuses = [(entry.customer_id, entry.status) for entry in report.statuses]
    clearance.report(principal.scope, report.campaign_id, statuses, _timestamp(report.timestamp))
    return Response()


def _timestamp(text: str | None) -> datetime | None:
    """The caller's time as it reads. Raises Invalid."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.strip()).replace(tzinfo=None)
    except ValueError as error:
        raise Invalid(f"TimeStamp must be a time as YYYY-MM-DD HH:MM:SS, not {text!r}.") from error
    if not EARLIEST <= time.date() <= LATEST:
        raise Invalid(f"TimeStamp must be a time from {EARLIEST} to {LATEST}, not {text!r}.")
    return time


@_write(
    "SetCustomerChannelPreference",
    "Store whether customers may be contacted on a channel",
    documented(
        PreferenceBody,
        {"ChannelID": 505, "CustomerIDs": ["Q1001", "Q1002"], "CommunicationMode": 2, "AppID": "acme-ios"},
    ),
)
def set_customer_channel_preference(
    principal: Principal = Depends(caller("SetCustomerChannelPreference")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 50,000 customers, known or not. The last call counts. Customers who opted out get no campaign on the
    channel.
    """
    preference = parse(PreferenceBody, body)
    preferences.set_preference(
        principal.scope, preference.channel_id, preference.customer_ids or [], preference.mode, preference.app_id
    )
    return Response()
