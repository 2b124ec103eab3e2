"""Customers: what the model says of them - future values and product recommendations."""

from datetime import date, timedelta

from rapport.access.scope import Scope
from rapport.api.http.parameters import optional
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.api.wire.recipients import bind, executed, listed, of_campaigns
from rapport.campaigns.models import Occurrence
from rapport.customers import attributes, products
from rapport.customers.writes import attribute_writes
from rapport.errors import Invalid
from rapport.insight.stages import DORMANT

router = SectionRouter("Customers")

PAST_MONTH = timedelta(days=30)
FUTURE_VALUES = """
    SELECT customer_id AS CustomerID, round(future_value, 4) AS FutureValue
    FROM model_results
    WHERE data_date = {data_date:Date} AND lifecycle_stage_id != {dormant:UInt8} AND
"""
NAMED_CUSTOMER = "AND customer_id = {CustomerID:String}"
MODELLED = """
    SELECT customer_id, product_id, recommendation_type, priority
    FROM product_recommendations WHERE data_date = {data_date:Date}
"""


def _selector(scope: Scope, values: Values) -> Values | None:
    """One of the two selectors, and the newest data date."""
    by_attribute = values["CustomerAttribute"] is not None or values["CustomerAttributeValue"] is not None
    if (values["LifecycleStageID"] is not None) == by_attribute:
        raise Invalid("Give either LifecycleStageID or CustomerAttribute with CustomerAttributeValue.")
    if by_attribute and (values["CustomerAttribute"] is None or values["CustomerAttributeValue"] is None):
        raise Invalid("CustomerAttribute and CustomerAttributeValue must be given together.")
    newest = scope.data_date()
    return None if newest is None else {**values, "data_date": newest, "dormant": DORMANT}


def _future_values(scope: Scope, values: Values) -> str:
    if values["LifecycleStageID"] is not None:
        return f"{FUTURE_VALUES} lifecycle_stage_id IN {{LifecycleStageID:Array(UInt32)}}"
    (info,) = attributes.find(scope, [values["CustomerAttribute"]], "CustomerAttribute")
    return f"""{FUTURE_VALUES} customer_id IN (
        SELECT customer_id FROM profiles
        WHERE data_date = {{data_date:Date}} AND {attributes.equals(info, "{CustomerAttributeValue:String}")}
    )"""  # noqa: S608 - the attribute's column comes from the tenant's list


def _recommended_when(scope: Scope, values: Values) -> Values | None:
    """The range of suggestions in campaigns, the past month by default; else the newest data date."""
    named = values["CustomerID"]
    values = {**values, "CustomerID": attribute_writes.spelling(scope, named) or named if named else None}
    if not values["SuggestedInCampaign"]:
        newest = scope.data_date()
        return None if newest is None else {**values, "data_date": newest}
    first: date | None = values["StartDate"]
    last: date | None = values["EndDate"]
    if first and last and first > last:
        raise Invalid("StartDate must not be after EndDate.")
    end = last or max(scope.today(), first or date.min)
    begun = Occurrence.send_date.between(first or end - PAST_MONTH, end)
    return bind(values, executed(scope, begun, listed(scope)))


def _suggested(values: Values) -> str:
    """What campaigns put before customers, each product once."""
    return f"""
        SELECT customer_id, product_id, recommendation_type, min(campaign_products.priority) AS priority
        {of_campaigns(values, table="campaign_products")}
        GROUP BY customer_id, product_id, recommendation_type
    """


def _recommendations(scope: Scope, values: Values) -> str:
    named = NAMED_CUSTOMER if values["CustomerID"] else ""
    source = _suggested(values) if values["SuggestedInCampaign"] else MODELLED
    names = values["ProductAttributes"]
    shown = ", ".join(products.product_attribute_expressions(scope, names)) if names else ""
    return f"""
        SELECT
            customer_id AS CustomerID,
            recommended.product_id AS ProductID,
            toUInt8(recommendation_type) AS RecommendationType,
            if(empty(shown), arrayWithConstant({len(names or [])}, CAST(NULL AS Nullable(String))), shown)
                AS ProductAttributes,
            priority
        FROM ({source}) AS recommended
        LEFT JOIN (SELECT product_id, [{shown}] AS shown FROM products) AS product
            ON product.product_id = recommended.product_id
        WHERE 1 {named}
    """  # noqa: S608 - constants of this module and expressions over the products table


register(
    router,
    Read(
        "customers",
        "GetCustomerFutureValues",
        "The future values of customers of a lifecycle stage or with an attribute value",
        sql=_future_values,
        row={"CustomerID": "string", "FutureValue": "double"},
        order="CustomerID",
        params=(
            optional("LifecycleStageID", "integers", description="One stage ID, or several joined with ','"),
            optional("CustomerAttribute", "string", description="An attribute name", aliases=("CustomerAttributes",)),
            optional("CustomerAttributeValue", "string", description="The attribute's complete value, in any case"),
        ),
        prepare=_selector,
        description="Expected revenue of the next 12 months, as of the newest data date; Dormant customers have none.",
    ),
    Read(
        "customers",
        "GetCustomerProductRecommendations",
        "Product suggestions for customers: 1 replenishment, 2 recommendation",
        sql=_recommendations,
        row={
            "CustomerID": "string",
            "ProductID": "string",
            "RecommendationType": "integer",
            "ProductAttributes": "strings",
        },
        drop={"ProductAttributes": "ProductAttributes"},
        order="CustomerID, priority, RecommendationType, ProductID",
        params=(
            optional("CustomerID", "string", description="Only this customer"),
            optional("SuggestedInCampaign", "boolean", False, "Only products that campaigns suggested"),
            optional("StartDate", "date", description="With SuggestedInCampaign: from this execution date"),
            optional("EndDate", "date", description="With SuggestedInCampaign: to this execution date"),
            optional("ProductAttributes", "product names", description="Product attributes joined with ','"),
        ),
        prepare=_recommended_when,
        description="At most ten per customer, in the order of priority.",
    ),
)
