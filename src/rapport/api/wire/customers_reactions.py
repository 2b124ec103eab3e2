"""Customers: the products campaigns put before them, and what they did with the messages."""

from datetime import date, timedelta

from rapport.access.scope import Scope
from rapport.api.http.parameters import optional, required
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.api.wire.recipients import DATE, bind, campaigns, executed, executed_on, listed, of_campaigns
from rapport.campaigns.models import Occurrence
from rapport.conditions.interaction_codes import FIRST_OF_OTHERS
from rapport.conditions.send_days import LONGEST_LEAD
from rapport.customers import products
from rapport.customers.writes import attribute_writes
from rapport.errors import Invalid

router = SectionRouter("Customers")

PRODUCT_ATTRIBUTES = optional("ProductAttributes", "product names", description="Product attributes joined with ','")
INTERACTIONS = """
    SELECT
        min(toDate(interaction_at, {time_zone:String})) AS Date,
        campaign_id AS CampaignID,
        recipient_group_id AS RecipientGroupID,
        action_id AS ActionID,
        channel_id AS ChannelID,
        template_id AS TemplateID,
        event_id AS EventID
"""
REACTIONS = f"event_id < {FIRST_OF_OTHERS}"
REACTED_TO = f"""
    SELECT DISTINCT campaign_id FROM campaign_interactions
    WHERE delivery_date BETWEEN {{first:Date}} AND {{last:Date}} AND customer_id = {{customer:String}} AND {REACTIONS}
"""  # noqa: S608 - of constants
KIND = "campaign_id, recipient_group_id, action_id, channel_id, template_id, event_id"


def _of_date(scope: Scope, values: Values) -> Values | None:
    return bind(values, executed_on(scope, values["Date"]))


def _of_campaign(scope: Scope, values: Values) -> Values | None:
    return bind(values, executed(scope, Occurrence.id == values["CampaignID"]))


def _products(scope: Scope, values: Values) -> str:
    columns = "customer_id, campaign_id, priority, product_id"
    recommended = f"SELECT {columns} {of_campaigns(values, table='campaign_products')}"
    selected = "customer_id AS CustomerID, campaign_id AS CampaignID, recommended.product_id AS ProductID"
    names = values["ProductAttributes"]
    if not names:
        return f"SELECT {selected} FROM ({recommended}) AS recommended"  # noqa: S608 - constants only
    expressions = products.product_attribute_expressions(scope, names)
    described = ", ".join(f"{value} AS p{i}" for i, value in enumerate(expressions))
    shown = ", ".join(f"product.p{i}" for i in range(len(expressions)))
    return f"""
        SELECT {selected}, [{shown}] AS ProductAttributes
        FROM ({recommended}) AS recommended
        LEFT JOIN (SELECT product_id AS described_id, {described} FROM products) AS product
            ON product.described_id = recommended.product_id"""  # noqa: S608 - no caller's text


def _delivered(scope: Scope, values: Values) -> Values | None:
    """Campaigns of the delivery date asked for, also those that were canceled after it began."""
    return bind(values, campaigns(scope, Occurrence.send_date == values["Date"], listed(scope)))


def _of_interactions(values: Values, *conditions: str) -> str:
    """FROM and WHERE: the interactions of bound campaigns, whose delivery_date is the day of processing."""
    chosen = (*conditions, REACTIONS)
    if values["ChannelID"]:
        chosen = (*chosen, "channel_id = {ChannelID:UInt32}")
    return of_campaigns(values, *chosen, table="campaign_interactions", day="delivery_date")


def _reacted(scope: Scope, values: Values) -> str:
    return f"""
        SELECT customer_id AS CustomerID, campaign_id AS CampaignID, template_id AS TemplateID
        {_of_interactions(values, "event_id = {EventID:UInt32}")}"""


def _reacted_to(scope: Scope, values: Values) -> Values | None:
    """The campaigns of the range that a customer reacted to."""
    first, last = values["StartDate"], values["EndDate"]
    if first > last:
        raise Invalid("StartDate must not be after EndDate.")
    customer = attribute_writes.spelling(scope, values["CustomerID"]) or values["CustomerID"]
    lead = min(timedelta(days=LONGEST_LEAD), first - date.min)
    parameters = {"first": first - lead, "last": last, "customer": customer}
    ids = [int(number) for (number,) in scope.warehouse.rows(REACTED_TO, **parameters)]
    reacted_campaigns = campaigns(
        scope, Occurrence.id.in_(ids), Occurrence.send_date.between(first, last), listed(scope)
    )
    return bind({**values, "CustomerID": customer, "time_zone": scope.time_zone.key}, reacted_campaigns)


def _interactions(scope: Scope, values: Values) -> str:
    return f"{INTERACTIONS} {_of_interactions(values, 'customer_id = {CustomerID:String}')} GROUP BY {KIND}"


register(
    router,
    Read(
        "customers",
        "GetCustomerProductDetailsByDate",
        "Products that campaigns of one date recommended, by customer",
        sql=_products,
        row={"CustomerID": "string", "CampaignID": "integer", "ProductID": "string", "ProductAttributes": "strings"},
        drop={"ProductAttributes": "ProductAttributes"},
        order="customer_id, campaign_id, priority, product_id",
        params=(DATE, PRODUCT_ATTRIBUTES),
        prepare=_of_date,
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomerProductDetailsByCampaign",
        "Products that one campaign recommended, by customer",
        sql=_products,
        row={"CustomerID": "string", "ProductID": "string", "ProductAttributes": "strings"},
        drop={"ProductAttributes": "ProductAttributes"},
        order="customer_id, campaign_id, priority, product_id",
        params=(required("CampaignID", "integer", "A campaign that recommends products"), PRODUCT_ATTRIBUTES),
        prepare=_of_campaign,
        customers=True,
    ),
    Read(
        "customers",
        "GetCampaignInteractionCustomers",
        "Customers who did one kind of interaction with campaigns delivered on one date through one channel",
        sql=_reacted,
        row={"CustomerID": "string", "CampaignID": "integer", "TemplateID": "integer"},
        order="customer_id, campaign_id, template_id",
        once_by="customer_id, campaign_id, template_id",
        params=(
            required("Date", "date", "Delivery date of the campaigns"),
            required("ChannelID", "integer", "The execution channel; 0 means every channel"),
            required("EventID", "integer", "2 opened, 3 clicked, 4 unsubscribed, 5 dropped, 6 spam report, 7 bounced"),
        ),
        prepare=_delivered,
        customers=True,
    ),
    Read(
        "customers",
        "GetCustomerChannelInteractions",
        "One customer's interactions with the campaigns sent in a range of dates, one row per kind",
        sql=_interactions,
        row={
            "Date": "string",
            **dict.fromkeys(
                ("CampaignID", "RecipientGroupID", "ActionID", "ChannelID", "TemplateID", "EventID"), "integer"
            ),
        },
        order=f"Date, event_id, {KIND}",
        params=(
            required("CustomerID", "string", "A customer, in any case"),
            required("StartDate", "date", "First execution date"),
            required("EndDate", "date", "Last execution date, included"),
            optional("ChannelID", "integer", 0, "Only this channel; 0 means every channel"),
        ),
        prepare=_reacted_to,
        paged=False,
        description="Date is the day of the first interaction of the kind in the tenant's time zone. Scheduled "
        "campaigns only, unless the tenant lists triggered ones.",
    ),
)
