"""Which campaigns a read of recipients is about: found in the records, bound so that the warehouse reads by key.

campaign_recipients is ordered by (execution_date, campaign_id, customer_id, channel_id). With the
dates and campaigns bound, one campaign is read in the order of its customers and no further than
the page; several are read whole, nothing else is.
"""

from datetime import date
from typing import NamedTuple

from sqlalchemy import and_, exists, or_, select, true
from sqlalchemy.sql.elements import ColumnElement

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.api.http.parameters import required
from rapport.api.reads import Values
from rapport.campaigns.models import CONTROL_ACTION_ID, Occurrence, OccurrenceChannel
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import EXECUTED_STATES, RunState
from rapport.messaging.models import Template

DATE = required("Date", "date", "Execution date: the day on which campaigns are sent, lead time days after processing")
# One thread reads in the order of the key at half the cost of two; rows of a customer are side by side.
IN_ORDER = "max_threads = 1, optimize_aggregation_in_order = 1"
ONE_CAMPAIGN = "{day} = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}"
CAMPAIGNS = "{day} IN {{execution_dates:Array(Date)}} AND campaign_id IN {{campaigns:Array(UInt32)}}"
# What ONE_CAMPAIGN and CAMPAIGNS bind.
BOUND = {"execution_date", "campaign", "execution_dates", "campaigns"}
NOT_CONTROL = f"action_id != {CONTROL_ACTION_ID}"
SEND_DATE = "transform(campaign_id, {campaigns:Array(UInt32)}, {send_dates:Array(Date)}, toDate(0))"
DURATION = "transform(campaign_id, {campaigns:Array(UInt32)}, {durations:Array(UInt32)}, 0)"


class Campaign(NamedTuple):
    """A campaign that a read is about, duration in days; and the tenant's newest data date.

    Rows of the warehouse are found by execution_date; answers tell send_date.
    """

    id: int
    execution_date: date
    send_date: date
    duration: int
    data_date: date | None


def executed(scope: Scope, *conditions: ColumnElement[bool]) -> list[Campaign]:
    """Executed campaigns that meet conditions over Occurrence, by id."""
    return campaigns(scope, Occurrence.state.in_(EXECUTED_STATES), *conditions)


def executed_on(scope: Scope, day: date, *conditions: ColumnElement[bool]) -> list[Campaign]:
    """Executed campaigns that functions by date list of a day, by id."""
    return executed(scope, Occurrence.send_date == day, listed(scope), *conditions)


def listed(scope: Scope) -> ColumnElement[bool]:
    """Which campaigns functions by date or target group list: triggered ones only where the tenant wants them."""
    return true() if tenant_settings(scope, CampaignSettings).list_triggered else Occurrence.is_triggered.is_(False)


def campaigns(scope: Scope, *conditions: ColumnElement[bool]) -> list[Campaign]:
    """Campaigns in any state, by id."""
    days = (Occurrence.execution_date, Occurrence.send_date, Occurrence.duration)
    statement = (
        select(Occurrence.id, *days, Tenant.last_data_date)
        .join(Tenant, Tenant.id == Occurrence.tenant_id)
        .order_by(Occurrence.id)
    )
    statement = statement.where(Occurrence.tenant_id == scope.tenant_id, *conditions)
    with scope.stores.records.reading() as connection:
        return [Campaign(*row) for row in connection.execute(statement)]


def has_action(recipient_group_id: int, action_id: int) -> ColumnElement[bool]:
    """Campaigns with a recipient group that got an action; for the control action those with a control group."""
    if action_id == CONTROL_ACTION_ID:
        return Occurrence.control_size > 0
    return exists().where(
        and_(
            OccurrenceChannel.tenant_id == Occurrence.tenant_id,
            OccurrenceChannel.campaign_id == Occurrence.id,
            OccurrenceChannel.recipient_group_id == recipient_group_id,
            OccurrenceChannel.action_id == action_id,
        )
    )


def bind(values: Values, executed_campaigns: list[Campaign]) -> Values | None:
    """Values with campaigns, their send dates and durations (days) bound, None when there are none."""
    if not executed_campaigns:
        return None
    parameters = {
        **values,
        "campaigns": [row.id for row in executed_campaigns],
        "send_dates": [row.send_date for row in executed_campaigns],
        "durations": [row.duration for row in executed_campaigns],
        "profile_date": executed_campaigns[0].data_date,
    }
    if len(executed_campaigns) == 1:
        return {
            **parameters,
            "$settings": IN_ORDER,
            "campaign": executed_campaigns[0].id,
            "execution_date": executed_campaigns[0].execution_date,
        }
    return {**parameters, "execution_dates": sorted({row.execution_date for row in executed_campaigns})}


def of_campaigns(
    values: Values, *conditions: str, table: str = "campaign_recipients", day: str = "execution_date"
) -> str:
    """FROM and WHERE: the rows of bound campaigns that meet conditions; day is their column of processing days."""
    campaign_condition = ONE_CAMPAIGN if "campaign" in values else CAMPAIGNS
    where = " AND ".join((campaign_condition.format(day=day), *conditions))
    return f"FROM {table} WHERE {where}"


def of_campaigns_coded(scope: Scope, values: Values, *conditions: str) -> str:
    """The same, where recipients of unique promo codes have codes of their own for promo_code."""
    recipients = of_campaigns(values, *conditions)
    codes = of_campaigns(values, table="campaign_codes")
    if not scope.warehouse.rows(f"SELECT 1 {codes} LIMIT 1", **{name: values[name] for name in BOUND & values.keys()}):
        return recipients
    return f"""
        FROM (
            SELECT recipient.* REPLACE (
                if(own.promo_code = '', toString(recipient.promo_code), own.promo_code) AS promo_code
            )
            FROM (SELECT * {recipients}) AS recipient
            LEFT ANY JOIN (SELECT campaign_id, customer_id, channel_id, promo_code {codes}) AS own
                ON own.campaign_id = recipient.campaign_id AND own.customer_id = recipient.customer_id
                AND own.channel_id = recipient.channel_id
        )"""  # noqa: S608 - constants


def last_executed(scope: Scope, customer_id: str) -> list[Campaign]:
    """The newest campaign that gave a customer an action; the higher id on a tie.

    Only campaigns whose Status is Successful, from the day on which they are sent: mail of this evening does
    not count before it has left, what outside channels send this evening does once it was handed over.
    """
    addressed = f"""
        SELECT DISTINCT campaign_id FROM campaign_recipients
        WHERE customer_id = {{id:String}} AND execution_date <= {{today:Date}} AND {NOT_CONTROL}
    """  # noqa: S608 - a constant
    ids = [int(row[0]) for row in scope.warehouse.rows(addressed, id=customer_id, today=scope.today())]
    is_executed = or_(Occurrence.state == RunState.SUCCESSFUL, Occurrence.executed_at.is_not(None))
    begun = and_(is_executed, Occurrence.state != RunState.FAILED, Occurrence.send_date <= scope.today())
    return sorted(executed(scope, Occurrence.id.in_(ids), begun), key=lambda row: (row.send_date, row.id))[-1:]


def send_ids(scope: Scope, campaign_id: int) -> Values:
    """The send IDs of a campaign by 'group channel template', as two arrays to bind."""
    columns = (OccurrenceChannel.recipient_group_id, OccurrenceChannel.channel_id, OccurrenceChannel.template_id)
    statement = select(*columns, OccurrenceChannel.send_id).where(
        OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id
    )
    with scope.stores.records.reading() as connection:
        rows = connection.execute(statement).all()
    return {
        "send_places": [f"{row[0]} {row[1]} {row[2]}" for row in rows] or [""],
        "send_ids": [row.send_id for row in rows] or [""],
    }


def template_names(scope: Scope, campaign_id: int) -> Values:
    """The names of a campaign's templates by 'channel template', as two arrays to bind."""
    statement = (
        select(Template.channel_id, Template.id, Template.name)
        .join(
            OccurrenceChannel,
            and_(
                OccurrenceChannel.tenant_id == Template.tenant_id,
                OccurrenceChannel.channel_id == Template.channel_id,
                OccurrenceChannel.template_id == Template.id,
            ),
        )
        .where(Template.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id)
        .distinct()
    )
    with scope.stores.records.reading() as connection:
        rows = connection.execute(statement).all()
    return {
        "template_places": [f"{row.channel_id} {row.id}" for row in rows] or [""],
        "template_names": [row.name for row in rows] or [""],
    }
