"""A message as one customer would get it, for previews and test messages."""

from pydantic import Field

from rapport.access.scope import Scope
from rapport.api.http.known import Body
from rapport.channels.messages import Content
from rapport.customers.writes import attribute_writes
from rapport.delivery import values as delivery_values
from rapport.errors import NotFound
from rapport.insight import recommended
from rapport.messaging.editions import Editions
from rapport.messaging.languages import LanguageTag
from rapport.messaging.models import Template
from rapport.messaging.tags.language import key_of

# Links of the right form by tag; whoever follows them changes nothing.
HARMLESS_LINKS = {
    "unsubscribe_url": "/unsubscribe/preview",
    "view_in_browser": "/view/preview",
    "preference_center": "/preferences/preview",
}
SAMPLE = "Q1001"


class Sample(Body):
    """The customer whose values are used, and the values that only a campaign or an event would provide."""

    customer_id: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        examples=["Q1001"],
        description="The customer whose values are used; null: only defaults",
    )
    values: dict[str, str | None] = Field(
        {},
        examples=[{"FIRST_NAME": "Kim", "EVENT:price": "12.50", "TRANS:ORDER_ID": "A-1009"}],
        description="Values that replace those of the customer",
    )
    language: LanguageTag | None = Field(
        None, examples=["de"], description="The language to show; null: that of the customer or of the values"
    )
    promo_code: str = Field("", max_length=1000, examples=["SPRING10"])
    products: list[str] = Field([], max_length=50, examples=[["Rain jacket"]])
    recommended_products: int = Field(
        0, ge=0, le=20, description="The number of recommended products of the customer to insert if products is empty"
    )


def rendered(scope: Scope, template: Template, sample: Sample) -> Content:
    """The message of a sample; nothing is sent, and its link unsubscribes nobody. Raises NotFound for the customer."""
    customer_id = SAMPLE
    values: dict[str, str | None] = {}
    products = sample.products
    editions = Editions(scope, template)
    if sample.customer_id is not None:
        customer_id = _spelled(scope, sample.customer_id)
        names = set(editions.attributes)
        values = delivery_values.attribute_values(scope, [customer_id], names).get(customer_id, {})
        products = products or recommended.recommended(scope, customer_id, sample.recommended_products)
    sample_values = {key_of(name): value for name, value in sample.values.items()}
    extra = {"promo_code": sample.promo_code, "products": products, "template_id": str(template.id)}
    extra |= {name: f"{scope.stores.settings.links_url}{path}" for name, path in HARMLESS_LINKS.items()}
    chosen = {**values, **sample_values}
    edition = editions.of(chosen) if sample.language is None else editions.in_language(sample.language)
    return edition.render(customer_id, chosen, extra, scope.now_local())


def _spelled(scope: Scope, customer_id: str) -> str:
    spelling = attribute_writes.spelling(scope, customer_id)
    if spelling is None:
        raise NotFound(f"There is no customer {customer_id}.")
    return spelling
