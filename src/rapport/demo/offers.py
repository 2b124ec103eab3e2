"""The retailer's promotions: one for each way to find a reward and each kind of budget, and who redeems them.

Customers who came back get a letter with a code of their own. Whoever buys something afterwards redeems it at the till,
and some orders come with a code that everybody knows.
"""

from dataclasses import dataclass
from typing import Any

from rapport.access.scope import Scope
from rapport.demo.files import customer_id
from rapport.demo.world import Orders
from rapport.errors import Conflict, RapportError
from rapport.promotions import editing, tenants
from rapport.promotions.changing import commands_of
from rapport.redemptions import budgets, bulk, listing, pools, redeeming, stacking
from rapport.redemptions.asking import Request
from rapport.redemptions.definitions import CreatePool, SetBudgets, StackingRules

Json = dict[str, Any]

PROPERTIES: tuple[Json, ...] = (
    {"key": "lifecycleStage", "type": "string", "attribute": "LIFECYCLE_STAGE"},
    {"key": "country", "type": "string", "attribute": "COUNTRY"},
    {
        "key": "spentInAYear",
        "type": "number",
        "measure": {"history": "transactions", "measure": "sum", "window": {"days": 365}},
    },
)
BASKET = "basketTotal"
REWARD_TYPES: tuple[Json, ...] = (
    {"key": "gift", "name": "Gift", "category": "units", "constraints": {"max": 3}},
    {"key": "points", "name": "Loyalty points", "category": "units"},
    {"key": "delivery", "name": "Free delivery", "category": "amount"},
    {"key": "discount", "name": "Discount", "category": "amount", "constraints": {"max": 50}},
)
# The pool of the letters' own codes, which campaigns choose by this name.
LETTERS = "come-back-letters"
FEWEST_CODES, MOST_CODES, LENGTH = 1_000, 100_000, 9
# The codes that everybody knows: of how many orders one comes with it, and a remainder so that few come with two.
KNOWN = {"SAVE10": (12, 3), "SHIPFREE": (10, 7), "LOYAL": (15, 11), "WELCOME": (5, 1)}


@dataclass(frozen=True)
class Offer:
    """A promotion: its tiers are in order of priority, rules are those of stacking."""

    id: str
    name: str
    code: str
    tiers: tuple[Json, ...]
    budget: Json
    rules: Json | None = None


def _when(key: str, operator: str, value: Any, source: str = "customer") -> Json:
    return {"condition": {"type": "property", "source": source, "key": key, "operator": operator, "value": value}}


def _tier(name: str, branches: list[Json], reward: str, calculation: Json) -> Json:
    return {
        "id": name.lower().replace(" ", "-"),
        "name": name,
        "conditionTree": {"branches": branches},
        "rewards": [{"rewardType": reward, "calculation": calculation}],
    }


def _fixed(value: float) -> Json:
    return {"type": "fixed", "value": value}


def _percentage(of: str, percent: float, **bounds: float) -> Json:
    return {"type": "percentage", "of": of, "percent": percent, **bounds}


OFFERS = (
    Offer(
        "welcome",
        "Welcome gift",
        "WELCOME",
        (_tier("New customers", [_when("lifecycleStage", "equals", "New")], "gift", _fixed(1)),),
        {"of": "audience", "period": "lifetime", "limit": 2_000},
    ),
    Offer(
        "free-delivery",
        "Free delivery",
        "SHIPFREE",
        (
            _tier("Nearby", [_when("country", "in", ["NL", "DE"])], "delivery", _fixed(4.95)),
            _tier("Further away", [], "delivery", _fixed(9.95)),
        ),
        {"of": "customer", "period": "weekly", "limit": 1},
    ),
    Offer(
        "save-10",
        "10% off",
        "SAVE10",
        (
            _tier(
                "Baskets from 20 euros",
                [_when(BASKET, "greaterThanOrEquals", 20, "session")],
                "discount",
                _percentage(BASKET, 10, max=20),
            ),
        ),
        {"of": "redemptions", "period": "daily", "limit": 100},
        {"group": "discounts"},
    ),
    Offer(
        "loyal",
        "Points for a year",
        "LOYAL",
        (
            _tier(
                "Good customers",
                [_when("spentInAYear", "greaterThanOrEquals", 300)],
                "points",
                _percentage("spentInAYear", 100, max=1000),
            ),
        ),
        {"of": "reward", "rewardType": "points", "period": "monthly", "limit": 50_000},
        {"isExclusive": True},
    ),
    Offer(
        "come-back",
        "Good to see you",
        "COMEBACK",
        (
            _tier(
                "Known for long",
                [_when("spentInAYear", "greaterThan", 0)],
                "discount",
                _percentage("spentInAYear", 2, min=3, max=15),
            ),
            _tier("Everyone else", [], "discount", _fixed(3)),
        ),
        {"of": "reward", "rewardType": "discount", "period": "monthly", "limit": 2_500},
        {"group": "discounts"},
    ),
)


def set_up(scope: Scope, customers: int) -> None:
    """Create the promotions with their budgets, and the codes of the letters."""
    definitions: list[Json] = [
        {"type": "create", "id": "calluna", "name": "Calluna"},
        {"type": "setCustomerPropertySchema", "properties": list(PROPERTIES)},
        {"type": "setSessionPropertySchema", "properties": [{"key": BASKET, "type": "number"}]},
        {"type": "setRewardTypes", "rewardTypes": list(REWARD_TYPES)},
        {"type": "activate"},
    ]
    tenants.change_tenant(scope, None, commands_of(definitions, tenants.COMMANDS))
    for offer in OFFERS:
        commands: list[Json] = [
            {"type": "create", "name": offer.name, "code": offer.code},
            {"type": "setPromotionTiers", "promotionTiers": list(offer.tiers)},
            {"type": "activate"},
        ]
        editing.change_promotion(scope, offer.id, commands_of(commands, editing.COMMANDS))
        budgets.set_budgets(scope, offer.id, SetBudgets.model_validate({"budgets": [offer.budget]}))
        if offer.rules:
            stacking.set_rules(scope, offer.id, StackingRules.model_validate(offer.rules))
    letters = {"id": LETTERS, "name": "Good to see you, by letter", "type": "unique", "promotionId": "come-back"}
    pools.create_pool(scope, CreatePool.model_validate(letters))
    bulk.generate(scope, LETTERS, min(MOST_CODES, max(FEWEST_CODES, 2 * customers)), LENGTH, "BACK-")


class Till:
    """Where the codes of orders are redeemed."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def redeem(self, orders: Orders, first_number: int) -> None:
        """Redeem what the customers of these orders have; a code that is refused stays what it was."""
        own = self._own_codes()
        requests = []
        for place, index in enumerate(orders.customer):
            number, customer = first_number + place, customer_id(int(index))
            codes = [code for code, (each, rest) in KNOWN.items() if number % each == rest]
            if letter := own.pop(customer.lower(), None):
                codes.append(letter)
            requests += [_request(f"O{number:08d}", customer, code, float(orders.amount[place])) for code in codes]
        for answer in redeeming.redeem_each(self._scope, requests):
            # The till says why a code is refused, and the customer pays without it.
            if isinstance(answer, RapportError) and not isinstance(answer, Conflict):
                raise answer

    def _own_codes(self) -> dict[str, str]:
        """Codes of letters that were sent and not redeemed, by their customers."""
        everything = listing.codes(self._scope, LETTERS, "", MOST_CODES)
        return {
            row["customer_id"]: row["code"] for row in everything if row["customer_id"] and not row["redemption_id"]
        }


def _request(order: str, customer: str, code: str, total: float) -> Request:
    return Request(f"{order}-{code}", code, customer, {BASKET: total}, order_id=order)
