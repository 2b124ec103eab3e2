"""Actions: actions by name and group, promo codes, executed campaigns and their channels (all from the records)."""

# ruff: noqa: S608 - every part of these statements is a constant of this module

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.api.http.parameters import Parameter, required
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.api.wire.recipients import DATE
from rapport.campaigns.ab_tests import UNDECIDED
from rapport.campaigns.models import CONTROL_ACTION_ID, CONTROL_ACTION_NAME, Occurrence
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import EXECUTED_STATES, Portion, RunState
from rapport.errors import NotFound

router = SectionRouter("Actions")

CAMPAIGN = required("CampaignID", "integer", "A campaign ID from an event or another function")
CHANNEL = required("ChannelID", "integer", "An execution channel, see GetExecutionChannels")
TARGET_GROUP = required("TargetGroupID", "integer", "A target group, see GetTargetGroupsByDate")

# Successful begins with event 1, not with the last message: that may leave hours after a list was handed over.
STATUSES = {
    RunState.SUCCESSFUL: "Successful",
    RunState.FAILED: "Failed",
    RunState.NOT_RUN: "Failed",
    RunState.CANCELED: "Canceled",
}
STATUS = "CASE {} WHEN campaign.executed_at IS NOT NULL THEN 'Successful' ELSE 'Scheduled' END".format(
    " ".join(f"WHEN campaign.state = '{state}' THEN '{status}'" for state, status in STATUSES.items())
)
EXECUTED = ", ".join(f"'{state}'" for state in EXECUTED_STATES)
# Of these the wire tells what went wrong, in a part or in the whole: a failed run is as worth knowing as another.
TOLD = f"{EXECUTED}, '{RunState.NOT_RUN}'"
# What functions by date or target group list of a day.
ON_DATE = "campaign.send_date = :Date AND (:list_triggered OR NOT campaign.is_triggered)"

# What the groups of executed campaigns got on each channel. Control members are in no group.
PLACES = """
    FROM campaigns AS campaign
    JOIN campaign_channels AS group_channel
        ON group_channel.tenant_id = campaign.tenant_id AND group_channel.campaign_id = campaign.id
"""
WAS_EXECUTED = f"WHERE campaign.tenant_id = :tenant_id AND campaign.state IN ({EXECUTED})"
GIVEN = f"{PLACES} {WAS_EXECUTED}"
# A triggered campaign is sent at the times of its firings, a scheduled one as it was planned.
FIRED_AT = """
    LEFT JOIN unnest(CAST(:groups AS int[]), CAST(:templates AS int[]), CAST(:times AS timestamp[]))
        AS fired (recipient_group_id, template_id, at)
        ON fired.recipient_group_id = group_channel.recipient_group_id AND fired.template_id = group_channel.template_id
"""
# Not yet for those who wait for the winner of an A/B test.
HAS_TEMPLATE = f"NOT (group_channel.portion = {int(Portion.REST)} AND group_channel.template_id = {UNDECIDED})"
FIRED_TIMES = """
    SELECT DISTINCT recipient_group_id, template_id, toString(scheduled_time) FROM campaign_recipients
    WHERE execution_date = {day:Date} AND campaign_id = {campaign:UInt32} AND channel_id = {channel:UInt32}
"""
SCHEDULED = "NOT (campaign.is_one_time OR campaign.is_triggered)"
OF_GROUP = f"campaign.target_group_id = :TargetGroupID AND {SCHEDULED} AND {ON_DATE}"

# The codes of a group's action over all its channels, each once in the order of channels, joined with ','.
CODES = """
    (
        SELECT coalesce(string_agg(code, ',' ORDER BY place), '')
        FROM (
            SELECT code, min(ARRAY[other.channel_id, position]) AS place
            FROM campaign_channels AS other,
                unnest(string_to_array(other.promo_code, ',')) WITH ORDINALITY AS codes (code, position)
            WHERE other.tenant_id = group_channel.tenant_id AND other.campaign_id = group_channel.campaign_id
              AND other.recipient_group_id = group_channel.recipient_group_id
              AND other.action_id = group_channel.action_id
            GROUP BY code
        ) AS codes
    )
"""
PROMO_ORDER = "campaign.target_group_id, campaign.id, group_channel.recipient_group_id, group_channel.action_id"
PROMO_CODES = f"""
    SELECT DISTINCT ON ({PROMO_ORDER})
        campaign.target_group_id AS "TargetGroupID",
        group_channel.recipient_group_id AS "RecipientGroupID",
        group_channel.action_id AS "ActionID",
        {CODES} AS "PromoCode"
"""
PROMO_ROW = {"RecipientGroupID": "integer", "ActionID": "integer", "PromoCode": "string"}

SET_UP = f"""
    campaign.target_group_id AS "TargetGroupID",
    campaign.campaign_type AS "CampaignType",
    campaign.duration AS "Duration",
    campaign.lead_time AS "LeadTime",
    campaign.notes AS "Notes",
    campaign.is_multi_channel AS "IsMultiChannel",
    campaign.is_recurrence AS "IsRecurrence",
    {STATUS} AS "Status",
    CASE WHEN campaign.state IN ({TOLD}) THEN campaign.error ELSE '' END AS "Error",
    campaign.tags AS "Tags"
"""
SET_UP_ROW = {
    "TargetGroupID": "integer",
    "CampaignType": "string",
    "Duration": "integer",
    "LeadTime": "integer",
    "Notes": "string",
    "IsMultiChannel": "boolean",
    "IsRecurrence": "boolean",
    "Status": "string",
    "Error": "string",
    "Tags": "strings",
}
CAMPAIGN_CHANNELS = """
    (
        SELECT coalesce(json_agg(used ORDER BY used."Id"), '[]'::json)
        FROM (
            SELECT DISTINCT group_channel.channel_id AS "Id", coalesce(channel.name, '') AS "Name"
            FROM campaign_channels AS group_channel
            LEFT JOIN channels AS channel
                ON channel.tenant_id = group_channel.tenant_id AND channel.id = group_channel.channel_id
            WHERE group_channel.tenant_id = campaign.tenant_id AND group_channel.campaign_id = campaign.id
        ) AS used
    )
"""


def _with_times(scope: Scope, values: Values) -> Values:
    """A prepare: the values, with when a triggered campaign was sent on the channel. Raises NotFound."""
    with scope.reads() as session:
        campaign = session.get(Occurrence, (scope.tenant_id, values["CampaignID"]))
    if campaign is None:
        raise NotFound(f"There is no campaign of the CampaignID {values['CampaignID']}.")
    parameters = {"day": campaign.execution_date, "campaign": campaign.id, "channel": values["ChannelID"]}
    rows = scope.warehouse.rows(FIRED_TIMES, **parameters) if campaign.is_triggered else []
    fired = {name: [row[n] for row in rows] for n, name in enumerate(("groups", "templates", "times"))}
    return {**values, **fired}


def _with_setting(scope: Scope, values: Values) -> Values:
    """A prepare of functions by date: the values, with whether triggered campaigns are listed."""
    return {**values, "list_triggered": tenant_settings(scope, CampaignSettings).list_triggered}


def _read(function: str, summary: str, sql: str, row: dict[str, str], order: str, *params: Parameter) -> Read:
    prepare = _with_setting if DATE in params else None
    return Read("actions", function, summary, sql, row, order, params, engine="records", prepare=prepare)


register(
    router,
    _read(
        "GetAllActions",
        "Every action: its ID and name",
        'SELECT id AS "ActionID", name AS "ActionName" FROM actions WHERE tenant_id = :tenant_id',
        {"ActionID": "integer", "ActionName": "string"},
        "id",
    ),
    _read(
        "GetActionsByTargetGroup",
        "Recipient groups and their actions for one target group on one execution date",
        f"""
        SELECT DISTINCT group_channel.recipient_group_id AS "RecipientGroupID", group_channel.action_id AS "ActionID"
        {GIVEN} AND {OF_GROUP}""",
        {"RecipientGroupID": "integer", "ActionID": "integer"},
        '"RecipientGroupID", "ActionID"',
        TARGET_GROUP,
        DATE,
    ),
    Read(
        "actions",
        "GetActionID",
        "The ID of an action by its full name, in any case",
        engine="records",
        sql=f"""
            SELECT id AS "ActionID"
            FROM (
                SELECT id, name FROM actions WHERE tenant_id = :tenant_id
                UNION ALL SELECT {CONTROL_ACTION_ID}, '{CONTROL_ACTION_NAME}'
            ) AS named
            WHERE lower(name) = lower(:ActionName)""",
        row={"ActionID": "integer"},
        order="id",
        params=(required("ActionName", "string", "The whole name"),),
        single=True,
        missing="There is no action of the ActionName {ActionName!r}.",
    ),
    Read(
        "actions",
        "GetActionName",
        "The name of an action by its ID",
        engine="records",
        sql=f"""
            SELECT name AS "ActionName"
            FROM (
                SELECT id, name FROM actions WHERE tenant_id = :tenant_id
                UNION ALL SELECT {CONTROL_ACTION_ID}, '{CONTROL_ACTION_NAME}'
            ) AS named
            WHERE id = :ActionID""",
        row={"ActionName": "string"},
        order="id",
        params=(required("ActionID", "integer", "An action; 1 is the control action"),),
        single=True,
        missing="There is no action of the ActionID {ActionID}.",
    ),
    _read(
        "GetActionDetailsByTargetGroup",
        "Actions, duration, lead time and channels for one target group on one execution date",
        f"""
        SELECT DISTINCT
            group_channel.recipient_group_id AS "RecipientGroupID",
            group_channel.action_id AS "ActionID",
            campaign.duration AS "Duration",
            campaign.lead_time AS "LeadTime",
            group_channel.channel_id AS "ChannelID"
        {GIVEN} AND {OF_GROUP}""",
        dict.fromkeys(("RecipientGroupID", "ActionID", "Duration", "LeadTime", "ChannelID"), "integer"),
        '"RecipientGroupID", "ActionID", "ChannelID", "Duration", "LeadTime"',
        TARGET_GROUP,
        DATE,
    ),
    _read(
        "GetPromoCodes",
        "Promo codes of the target groups' campaigns executed on one date",
        f"{PROMO_CODES} {GIVEN} AND NOT campaign.is_one_time AND {ON_DATE}",
        {"TargetGroupID": "integer", **PROMO_ROW},
        PROMO_ORDER,
        DATE,
    ),
    _read(
        "GetPromoCodesByCampaign",
        "Recipient groups, actions and promo codes of one campaign",
        f"""
        SELECT DISTINCT
            group_channel.recipient_group_id AS "RecipientGroupID",
            group_channel.action_id AS "ActionID",
            {CODES} AS "PromoCode"
        FROM campaign_channels AS group_channel
        WHERE group_channel.tenant_id = :tenant_id AND group_channel.campaign_id = :CampaignID""",
        PROMO_ROW,
        '"RecipientGroupID", "ActionID"',
        CAMPAIGN,
    ),
    _read(
        "GetPromoCodesByTargetGroup",
        "Recipient groups, actions and promo codes for one target group on one execution date",
        f"""
        SELECT "RecipientGroupID", "ActionID", "PromoCode"
        FROM ({PROMO_CODES}, campaign.id AS campaign_id {GIVEN} AND {OF_GROUP}) AS coded""",
        PROMO_ROW,
        'campaign_id, "RecipientGroupID", "ActionID"',
        TARGET_GROUP,
        DATE,
    ),
    _read(
        "GetExecutedCampaignDetails",
        "Settings and outcome of every campaign executed on one date, and of those that failed or were not run",
        f"""
        SELECT campaign.id AS "CampaignID", {SET_UP} FROM campaigns AS campaign
        WHERE campaign.tenant_id = :tenant_id AND {ON_DATE} AND campaign.state IN ({TOLD})""",
        {"CampaignID": "integer", **SET_UP_ROW},
        "campaign.id",
        DATE,
    ),
    Read(
        "actions",
        "GetCampaignDetails",
        "Settings and outcome of one campaign",
        engine="records",
        sql=f"""
            SELECT {SET_UP}, {CAMPAIGN_CHANNELS} AS "Channels",
                campaign.test_size AS "TestGroupSize", campaign.control_size AS "ControlGroupSize"
            FROM campaigns AS campaign WHERE campaign.tenant_id = :tenant_id AND campaign.id = :CampaignID""",
        row={**SET_UP_ROW, "Channels": "objects", "TestGroupSize": "integer", "ControlGroupSize": "integer"},
        order="campaign.id",
        params=(CAMPAIGN,),
        single=True,
        missing="There is no campaign of the CampaignID {CampaignID}.",
    ),
    _read(
        "GetExecutionChannels",
        "The execution channels of the tenant",
        """
        SELECT id AS "ChannelId", id AS "ChannelID", name AS "ChannelName"
        FROM channels WHERE tenant_id = :tenant_id""",
        {"ChannelId": "integer", "ChannelID": "integer", "ChannelName": "string"},
        "id",
    ),
    _read(
        "GetExecutedCampaignsByChannel",
        "Campaigns executed through one channel on one date",
        f"""
        SELECT DISTINCT campaign.id AS "CampaignID"
        {GIVEN} AND {ON_DATE} AND group_channel.channel_id = :ChannelID""",
        {"CampaignID": "integer"},
        "campaign.id",
        CHANNEL,
        DATE,
    ),
    Read(
        "actions",
        "GetExecutedCampaignChannelDetails",
        "Templates, times and send IDs of one executed campaign on one channel, one row each",
        engine="records",
        sql=f"""
            SELECT DISTINCT
                group_channel.list_id AS "ListID",
                group_channel.send_id AS "SendID",
                group_channel.template_id AS "TemplateID",
                to_char(coalesce(fired.at, group_channel.scheduled_time), 'YYYY-MM-DD HH24:MI:SS') AS "ScheduledTime"
            {PLACES} {FIRED_AT} {WAS_EXECUTED} AND campaign.id = :CampaignID AND group_channel.channel_id = :ChannelID
                AND (fired.at IS NOT NULL OR NOT campaign.is_triggered) AND {HAS_TEMPLATE}""",
        row={"ListID": "integer?", "SendID": "string", "TemplateID": "integer", "ScheduledTime": "string"},
        order='"TemplateID", "ScheduledTime", "SendID", "ListID"',
        params=(CAMPAIGN, CHANNEL),
        prepare=_with_times,
        omit_nulls=True,
    ),
)
