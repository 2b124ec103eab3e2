"""Customers: whom campaigns addressed, and with what."""

from datetime import timedelta

from rapport.access.scope import Scope
from rapport.api.http.parameters import optional, required
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.api.wire.recipients import (
    DATE,
    DURATION,
    NOT_CONTROL,
    SEND_DATE,
    bind,
    campaigns,
    executed,
    executed_on,
    has_action,
    last_executed,
    listed,
    of_campaigns,
    of_campaigns_coded,
    send_ids,
    template_names,
)
from rapport.campaigns.models import CONTROL_ACTION_ID, Occurrence
from rapport.campaigns.states import RunState
from rapport.customers.writes import attribute_writes
from rapport.errors import NotFound

router = SectionRouter("Customers")

# For so long after a cancellation its customers can be read, so that promotions can be withdrawn.
CANCELED_FOR = timedelta(hours=2)

CAMPAIGN = required("CampaignID", "integer", "A campaign ID from an event or another function")
CONTROL = optional("IncludeControlGroup", "boolean", False, "Include control members, with ActionID 1 and ChannelID 0")
ONE_CHANNEL = optional("ChannelID", "integer", 0, "Only this channel; 0 means every channel")

ORDER = "customer_id, campaign_id, action_id, channel_id"
# A triggered campaign may reach a customer several times a day.
TIMED_ORDER = f"{ORDER}, scheduled_time"
ACTED = {"CustomerID": "string", "ActionID": "integer", "ChannelID": "integer"}
GROUPED = {"CustomerID": "string", "RecipientGroupID": "integer", "ActionID": "integer", "ChannelID": "integer"}
CODED = {"CustomerID": "string", "ActionID": "integer", "PromoCode": "string"}

TIME = "formatDateTime(scheduled_time, '%Y-%m-%d %H:%i:%S')"
CODES = """
    arrayStringConcat(
        arrayDistinct(arrayFilter(code -> code != '', splitByChar(',', arrayStringConcat(
            arrayMap(each -> each.2, arraySort(groupArray((channel_id, toString(promo_code))))), ',')))),
        ',')
"""


def _audience(values: Values) -> str:
    """The condition of ChannelID and IncludeControlGroup: control members have no channel."""
    if values.get("ChannelID"):
        return f"channel_id = {{ChannelID:UInt32}} AND {NOT_CONTROL}"
    return "1" if values.get("IncludeControlGroup") else NOT_CONTROL


def _running(scope: Scope, values: Values) -> Values | None:
    today = scope.today()
    last = Occurrence.send_date + Occurrence.duration
    return bind(values, executed(scope, Occurrence.send_date <= today, last >= today, listed(scope)))


def _ended(scope: Scope, values: Values) -> Values | None:
    """Campaigns whose execution date + duration is the day asked for, if that day has come."""
    if values["Date"] > scope.today():
        return None
    return bind(values, executed(scope, Occurrence.send_date + Occurrence.duration == values["Date"], listed(scope)))


def _executed_campaign(scope: Scope, values: Values) -> Values | None:
    return bind(values, executed(scope, Occurrence.id == values["CampaignID"]))


def _executed_on(scope: Scope, values: Values) -> Values | None:
    return bind(values, executed_on(scope, values["Date"]))


def _canceled(scope: Scope, values: Values) -> Values | None:
    recently = Occurrence.canceled_at > scope.clock.now() - CANCELED_FOR
    is_canceled = Occurrence.state == RunState.CANCELED
    return bind(values, campaigns(scope, Occurrence.id == values["CampaignID"], is_canceled, recently))


def _awaiting(scope: Scope, values: Values) -> Values | None:
    waits = Occurrence.state == RunState.AWAITING_CLEARANCE
    return bind(values, campaigns(scope, Occurrence.id == values["CampaignID"], waits))


def _of_target_group(scope: Scope, values: Values) -> Values | None:
    if values["Date"] > scope.today():
        return None
    group = Occurrence.target_group_id == values["TargetGroupID"]
    scheduled = (Occurrence.is_one_time.is_(False), Occurrence.is_triggered.is_(False))
    return bind(values, executed_on(scope, values["Date"], group, *scheduled))


def _one_time_campaign(scope: Scope, values: Values) -> Values | None:
    return bind(values, executed(scope, Occurrence.id == values["CampaignID"], Occurrence.is_one_time.is_(True)))


def _one_time_on(scope: Scope, values: Values) -> Values | None:
    return bind(values, executed_on(scope, values["Date"], Occurrence.is_one_time.is_(True)))


def _with_action(scope: Scope, values: Values) -> Values | None:
    condition = has_action(values["RecipientGroupID"], values["ActionID"])
    return bind(values, executed_on(scope, values["Date"], condition))


def _last_action(scope: Scope, values: Values) -> Values | None:
    customer = attribute_writes.spelling(scope, values["CustomerID"])
    if customer is None:
        raise NotFound(f"There is no customer {values['CustomerID']!r}.")
    return bind({**values, "CustomerID": customer}, last_executed(scope, customer))


def _with_send_ids(scope: Scope, values: Values) -> Values | None:
    parameters = _executed_campaign(scope, values)
    return parameters and {**parameters, **send_ids(scope, values["CampaignID"])}


def _with_template_names(scope: Scope, values: Values) -> Values | None:
    parameters = _executed_campaign(scope, values)
    return parameters and {**parameters, **template_names(scope, values["CampaignID"])}


def _coded(scope: Scope, values: Values) -> str:
    """A row a customer and action, with the promo codes of all its channels."""
    return f"""
        SELECT customer_id AS CustomerID, action_id AS ActionID, {CODES} AS PromoCode
        {of_campaigns_coded(scope, values, NOT_CONTROL)} GROUP BY customer_id, action_id"""


def _acted(scope: Scope, values: Values) -> str:
    """A row a customer, action and channel of each campaign."""
    return f"""
        SELECT customer_id AS CustomerID, recipient_group_id AS RecipientGroupID,
            action_id AS ActionID, channel_id AS ChannelID
        {of_campaigns(values, _audience(values))}"""


def _acted_without_group(scope: Scope, values: Values) -> str:
    return f"""
        SELECT customer_id AS CustomerID, action_id AS ActionID, channel_id AS ChannelID
        {of_campaigns(values, _audience(values))}"""


def _targeted(scope: Scope, values: Values) -> str:
    return f"""
        SELECT customer_id AS CustomerID, campaign_id AS CampaignID, action_id AS ActionID,
            {SEND_DATE} AS StartDate, {SEND_DATE} + {DURATION} AS EndDate
        {of_campaigns(values, NOT_CONTROL)}"""


def _last(scope: Scope, values: Values) -> str:
    return f"""
        SELECT action_id AS ActionID, {SEND_DATE} AS Date, {DURATION} AS Duration, target_group_id AS TargetGroupID
        {of_campaigns(values, "customer_id = {CustomerID:String}", NOT_CONTROL)}"""


def _ended_actions(scope: Scope, values: Values) -> str:
    return f"""
        SELECT customer_id AS CustomerID, action_id AS ActionID, channel_id AS ChannelID,
            {SEND_DATE} AS Date, {DURATION} AS Duration, target_group_id AS TargetGroupID
        {of_campaigns(values, NOT_CONTROL)}"""


def _by_action(scope: Scope, values: Values) -> str:
    chosen = ["action_id = {ActionID:UInt32}"]
    if values["ActionID"] != CONTROL_ACTION_ID:  # control members are in no recipient group
        chosen.append("recipient_group_id = {RecipientGroupID:UInt32}")
    return f"SELECT customer_id AS CustomerID {of_campaigns(values, *chosen)}"


def _sends(scope: Scope, values: Values) -> str:
    key = "concat(toString(recipient_group_id), ' ', toString(channel_id), ' ', toString(template_id))"
    return f"""
        SELECT customer_id AS CustomerID, channel_id AS ChannelID, {TIME} AS ScheduledTime,
            transform({key}, {{send_places:Array(String)}}, {{send_ids:Array(String)}}, '') AS SendID,
            template_id AS TemplateID
        {of_campaigns(values, NOT_CONTROL)}"""


def _sends_of_channel(scope: Scope, values: Values) -> str:
    return f"""
        SELECT customer_id AS CustomerID, template_id AS TemplateID, {TIME} AS ScheduledTime
        {of_campaigns(values, "channel_id = {ChannelID:UInt32}", NOT_CONTROL)}"""


def _executions(scope: Scope, values: Values) -> str:
    key = "concat(toString(channel_id), ' ', toString(template_id))"
    return f"""
        SELECT customer_id AS CustomerID, action_id AS ActionID, channel_id AS ChannelID, template_id AS TemplateID,
            transform({key}, {{template_places:Array(String)}}, {{template_names:Array(String)}}, '') AS TemplateName,
            {TIME} AS ScheduleTime, promo_code AS PromoCode
        {of_campaigns_coded(scope, values, _audience(values))}"""


register(
    router,
    Read(
        "customers",
        "GetCurrentlyTargetedCustomers",
        "Customers in running campaigns, one row per customer and campaign",
        sql=_targeted,
        row={
            "CustomerID": "string",
            "CampaignID": "integer",
            "ActionID": "integer",
            "StartDate": "string",
            "EndDate": "string",
        },
        order="customer_id, campaign_id, action_id",
        once_by="customer_id, campaign_id, action_id",
        prepare=_running,
        description="A campaign runs from its execution date, the day on which it is sent, to execution date + "
        "duration. "
        "Leaves out control, canceled campaigns and, unless the tenant lists them, triggered campaigns.",
    ),
    Read(
        "customers",
        "GetCanceledCampaignCustomers",
        "Customers of a campaign that was canceled in the last two hours, with action and promo codes",
        sql=_coded,
        row=CODED,
        order="customer_id, action_id",
        params=(CAMPAIGN,),
        prepare=_canceled,
    ),
    Read(
        "customers",
        "GetProcessedCampaignCustomers",
        "Customers of a conditional campaign that awaits approval",
        sql=_coded,
        row=CODED,
        order="customer_id, action_id",
        params=(CAMPAIGN,),
        prepare=_awaiting,
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomerLastActionExecuted",
        "The latest action executed for one customer; 404 for a customer without any",
        sql=_last,
        row={"ActionID": "integer", "Date": "string", "Duration": "integer", "TargetGroupID": "integer"},
        order="channel_id",
        params=(required("CustomerID", "string", "A customer, in any case"),),
        prepare=_last_action,
        once_by="campaign_id",
        single=True,
        missing="No action was executed for the customer {CustomerID!r}.",
        description="Campaigns whose Status is Successful count, from the day on which they are sent.",
    ),
    Read(
        "customers",
        "GetCustomerActionsByTargetGroup",
        "Customers of one target group on one day with action and channel",
        sql=_acted,
        row=GROUPED,
        drop={"RecipientGroupID": "IncludeRecipientGroupID"},
        order=ORDER,
        params=(
            required("TargetGroupID", "integer", "A target group, see GetTargetGroupsByDate"),
            DATE,
            ONE_CHANNEL,
            CONTROL,
            optional(
                "IncludeRecipientGroupID", "boolean", False, "Add RecipientGroupID", ("IncludeRecipientGroupIDs",)
            ),
        ),
        prepare=_of_target_group,
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomerOneTimeActionsByCampaign",
        "Customers of a one-time campaign with group, action and channel",
        sql=_acted,
        row=GROUPED,
        order=ORDER,
        params=(CAMPAIGN, CONTROL, ONE_CHANNEL),
        prepare=_one_time_campaign,
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomerOneTimeActionsByDate",
        "Customers and actions of all one-time campaigns executed on one day",
        sql=_acted_without_group,
        row=ACTED,
        order=ORDER,
        params=(DATE, CONTROL, ONE_CHANNEL),
        prepare=_one_time_on,
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomersByAction",
        "Customers of one recipient group and action on one day",
        sql=_by_action,
        row={"CustomerID": "string"},
        order="customer_id",
        once_by="customer_id",
        params=(
            required("RecipientGroupID", "integer", "A recipient group; ignored for the control action"),
            required("ActionID", "integer", "An action; 1 lists the control group"),
            DATE,
        ),
        prepare=_with_action,
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomersActionEndedByDate",
        "Customers whose action ended on one day (execution date + duration), to withdraw promotions",
        sql=_ended_actions,
        row={**ACTED, "Date": "string", "Duration": "integer", "TargetGroupID": "integer"},
        order=ORDER,
        params=(required("Date", "date", "The day on which actions ended; a future day has no rows"),),
        prepare=_ended,
    ),
    Read(
        "customers",
        "GetCustomerSendDetailsByCampaign",
        "Customers of one campaign with channel, scheduled time and send ID",
        sql=_sends,
        row={
            "CustomerID": "string",
            "ChannelID": "integer",
            "ScheduledTime": "string",
            "SendID": "string",
            "TemplateID": "integer",
        },
        drop={"TemplateID": "IncludeTemplateIDs"},
        order=TIMED_ORDER,
        params=(CAMPAIGN, optional("IncludeTemplateIDs", "boolean", False, "Add TemplateID", ("IncludeTemplateID",))),
        prepare=_with_send_ids,
    ),
    Read(
        "customers",
        "GetCustomerSendDetailsByChannel",
        "Recipients of one campaign on one channel with template and scheduled time",
        sql=_sends_of_channel,
        row={"CustomerID": "string", "TemplateID": "integer", "ScheduledTime": "string"},
        order=TIMED_ORDER,
        params=(required("ChannelID", "integer", "The execution channel of the caller"), CAMPAIGN),
        prepare=_executed_campaign,
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomerExecutionDetailsByCampaign",
        "Customers of one campaign with action, channel, template, time and promo codes",
        sql=_executions,
        row={
            **ACTED,
            "TemplateID": "integer",
            "TemplateName": "string",
            "ScheduleTime": "string",
            "PromoCode": "string",
        },
        order=TIMED_ORDER,
        params=(CAMPAIGN, ONE_CHANNEL),
        prepare=_with_template_names,
        max_page="max_execution_page",
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomerActionDetailsByDate",
        "Customers with group, action and channel of everything executed on one day",
        sql=_acted,
        row=GROUPED,
        order=ORDER,
        params=(DATE,),
        prepare=_executed_on,
    ),
)
