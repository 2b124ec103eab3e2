"""Random customers, written to the real engine and kept as Facts, and random conditions over them."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from rapport.access.scope import Scope
from rapport.conditions import Column, Facts, Kind, Schema
from rapport.conditions.histories.activity import Event
from rapport.conditions.histories.campaigns import CampaignReceipt
from rapport.conditions.histories.interactions import Interaction
from rapport.conditions.histories.transactions import Item, Transaction

ZONE = ZoneInfo("Europe/Berlin")
DATA_DATE = date(2026, 3, 29)  # clocks go forward in Berlin; today is the day after
TODAY = DATA_DATE + timedelta(days=1)
SERIES = {1: [11, 12], 2: [21]}
SERIES_OF = {campaign: series for series, campaigns in SERIES.items() for campaign in campaigns}
CAMPAIGN_DAYS = {
    11: date(2026, 2, 27),
    12: date(2026, 3, 1),
    21: date(2026, 3, 28),
    31: DATA_DATE,
    32: TODAY,
    33: date(2025, 10, 26),
}
CATEGORIES = {"P1": "Shoes", "p2": "Straße", "P3": "", "P4": "SHOES"}

COLUMNS = {
    "T_LOW": ("LowCardinality(Nullable(String))", Kind.TEXT),
    "T_TEXT": ("Nullable(String)", Kind.TEXT),
    "T_INT": ("Nullable(Int32)", Kind.INTEGER),
    "T_BIG": ("Nullable(Int64)", Kind.INTEGER),
    "T_PERCENTILE": ("Nullable(Int32)", Kind.INTEGER),
    "T_DECIMAL": ("Nullable(Decimal(19, 4))", Kind.DECIMAL),
    "T_FLOAT": ("Nullable(Float64)", Kind.FLOAT),
    "T_DATE": ("Nullable(Date32)", Kind.DATE),
    "T_TIME": ("Nullable(DateTime('UTC'))", Kind.TIME),
    "T_INSTANT": ("Nullable(DateTime64(3, 'UTC'))", Kind.INSTANT),
    "T_FLAG": ("Nullable(Bool)", Kind.BOOLEAN),
    "T_TEXTS": ("Array(String)", Kind.TEXTS),
    "T_NUMBERS": ("Array(Float64)", Kind.NUMBERS),
}
SCHEMA = Schema(
    {name: Column(name, kind, name == "T_PERCENTILE") for name, (_, kind) in COLUMNS.items()},
    DATA_DATE,
    ZONE,
    campaigns_of=lambda series: SERIES.get(series, []),
)

TEXTS = ["", "de", "DE", "De ", "Straße", "STRASSE", "ΟΔΟΣ", "οδος", "İstanbul", "istanbul", "ÅNGSTRÖM", "日本", "é"]
TEXTS += ["a'b\\c%_", "\t", "{c0:String}"]
DAYS = [
    date(1930, 2, 28),
    date(1996, 2, 29),
    date(2000, 3, 30),
    date(2025, 10, 26),
    date(2026, 2, 27),
    date(2026, 3, 1),
    date(2026, 3, 28),
    DATA_DATE,
    TODAY,
    date(2026, 4, 6),
    date(2031, 1, 1),
]
HOURS = [(0, 0), (0, 30), (1, 59), (2, 0), (2, 30), (3, 0), (12, 0), (23, 59)]
NUMBERS = [Decimal(text) for text in ("-3", "0", "0.1", "0.3", "0.30005", "1", "2.5", "10", "90", "91", "1000000")]


def walls() -> list[datetime]:
    """Wall-clock times, those about a clock change among them, that every column type can hold."""
    return [datetime(d.year, d.month, d.day, h, m) for d in DAYS if 1970 < d.year < 2100 for h, m in HOURS]


def instants() -> list[datetime]:
    """Instants just before, at and after the local midnights and both clock changes."""
    edges = [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2025, 10, 26, 1, tzinfo=UTC)]
    edges += [datetime(d.year, d.month, d.day, tzinfo=ZONE).astimezone(UTC) for d in DAYS if 1970 < d.year < 2100]
    return [edge + timedelta(milliseconds=step) for edge in edges for step in (-3_600_000, -1, 0, 1, 3_600_000)]


WALLS, INSTANTS = walls(), instants()
VALUES: dict[Kind, list[Any]] = {
    Kind.TEXT: TEXTS,
    Kind.INTEGER: [-3, 0, 1, 2, 3, 10, 90, 91, 1_000_000],
    Kind.DECIMAL: [round(value, 4) for value in NUMBERS],
    Kind.FLOAT: [float(value) for value in NUMBERS],
    Kind.DATE: DAYS,
    Kind.TIME: WALLS,
    Kind.INSTANT: INSTANTS,
    Kind.BOOLEAN: [True, False],
}


def value(rng: random.Random, kind: Kind) -> Any:
    if kind in (Kind.TEXTS, Kind.NUMBERS):
        pool = TEXTS[1:] if kind is Kind.TEXTS else VALUES[Kind.FLOAT]
        return rng.choices(pool, k=rng.randint(0, 3))
    return None if rng.random() < 0.2 else rng.choice(VALUES[kind])


class World:
    """Facts of customers whose rows were written. Its repr is short, for a failing example shows it."""

    def __init__(self, facts: dict[str, Facts]) -> None:
        self.facts = facts

    def __repr__(self) -> str:
        return f"World({len(self.facts)} customers)"


def make(scope: Scope, seed: int, customers: int) -> World:
    """Write random customers into the tenant's warehouse and give their facts."""
    rng = random.Random(seed)
    for name, (type_name, _) in COLUMNS.items():
        scope.warehouse.execute(f"ALTER TABLE profiles ADD COLUMN IF NOT EXISTS {name} {type_name}")
    facts = {f"Cü{i}": one(rng, f"Cü{i}") for i in range(customers)}
    write(scope, facts)
    return World({customer: known(fact) for customer, fact in facts.items()})


def one(rng: random.Random, customer: str) -> Facts:
    def some(make_one: Any) -> list[Any]:
        return [make_one(rng) for _ in range(rng.choice([0, 0, 1, 2, 4]))]

    return Facts(
        customer,
        TODAY,
        {name: value(rng, kind) for name, (_, kind) in COLUMNS.items()},
        {
            "transactions": some(transaction),
            "activity": some(event),
            "campaigns": receipts(rng),
            "interactions": some(interaction),
        },
        frozenset(rng.sample([1, 2, 3], rng.randint(0, 3))),
        frozenset(rng.sample([1, 2], rng.randint(0, 2))),
    )


def known(facts: Facts) -> Facts:
    """The facts of a segment: nothing after the data date is looked at, though it is there."""
    return replace(facts, known_through=DATA_DATE)


def transaction(rng: random.Random) -> Transaction:
    items = [
        Item(product, rng.choice([1, 2, 0.5]), rng.choice([0.1, 0.2, 19.99]), CATEGORIES[product], rng.random() < 0.2)
        for product in rng.choices(list(CATEGORIES), k=rng.randint(0, 3))
    ]
    return Transaction(
        rng.choice(WALLS),
        rng.choice([0.1, 0.2, 0.3, 19.99, 0, -5, 100]),
        rng.choice(["order", "Order", "deposit", "Refund", "bonus"]),
        rng.choice(["", "paid", "Canceled"]),
        rng.choice(["web", "Web", "app", ""]),
        rng.choice(["", "SPRING", "spring"]),
        items,
        rng.choice([{}, {"page": "Home"}, {"page": "CART", "Page": "x"}]),
    )


def event(rng: random.Random) -> Event:
    properties = rng.choice([{}, {"page": "Home"}, {"page": "cart", "size": "L"}])
    return Event(rng.choice([7, 8]), rng.choice(INSTANTS), properties)


def receipts(rng: random.Random) -> list[CampaignReceipt]:
    """A campaign runs on one day and addresses a customer once a channel, or as control once."""
    found = []
    for campaign in rng.sample(sorted(CAMPAIGN_DAYS), rng.randint(0, 4)):
        day, series, action = CAMPAIGN_DAYS[campaign], SERIES_OF.get(campaign, 0), rng.choice([1, 2, 3])
        if action == 1:
            found.append(CampaignReceipt(day, campaign, 1, 0, series, 0, sent=False))
        else:
            channels = rng.sample([502, 504], rng.randint(1, 2))
            found += [CampaignReceipt(day, campaign, action, one, series, 5, rng.random() < 0.6) for one in channels]
    return found


def interaction(rng: random.Random) -> Interaction:
    campaign = rng.choice([11, 12, 21, 31])
    return Interaction(rng.choice(INSTANTS), rng.choice([2, 3, 4, 7]), campaign, 2, 504, SERIES_OF.get(campaign, 0), 5)


def write(scope: Scope, facts: dict[str, Facts]) -> None:
    insert = scope.warehouse.insert
    names = list(COLUMNS)
    rows = [(DATA_DATE, c, *(stored(f.attributes[name]) for name in names)) for c, f in facts.items()]
    insert("profiles", ["data_date", "customer_id", *names], rows)
    insert("products", ["product_id", "name", "category"], [(p, p, category) for p, category in CATEGORIES.items()])
    write_transactions(scope, facts)
    insert(
        "activity_events",
        ["event_id", "event_type_id", "customer_id", "event_at", "properties"],
        [
            (f"{c}{i}", e.event_type, c, e.at, e.properties)
            for c, f in facts.items()
            for i, e in enumerate(f.histories["activity"])
        ],
    )
    write_campaigns(scope, facts)
    groups = [(DATA_DATE, group, c) for c, f in facts.items() for group in f.groups]
    insert("target_group_members", ["data_date", "target_group_id", "customer_id"], groups)
    insert("customer_lists", ["list_id", "customer_id"], [(one, c) for c, f in facts.items() for one in f.lists])


def stored(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def write_transactions(scope: Scope, facts: dict[str, Facts]) -> None:
    transactions, items = [], []
    for c, f in facts.items():
        for i, t in enumerate(f.histories["transactions"]):
            at = stored(t.time)
            transactions.append((f"{c}-{i}", c, at, t.type, t.amount, t.status, t.platform, t.promo_code, t.properties))
            for line, item in enumerate(t.items):
                told = (item.product_id, item.quantity, item.unit_price, int(item.is_return))
                items.append((f"{c}-{i}", line, c, at, *told))
    shared = ["customer_id", "transaction_time"]
    columns = ["transaction_id", *shared, "type", "amount", "status", "platform", "promo_code", "properties"]
    scope.warehouse.insert("transactions", columns, transactions)
    columns = ["transaction_id", "line_number", *shared, "product_id", "quantity", "unit_price", "is_return"]
    scope.warehouse.insert("transaction_items", columns, items)


def processed(one: CampaignReceipt) -> date:
    """The day of processing: of some campaigns days before they are sent."""
    return one.execution_date - timedelta(days=one.campaign % 3 * 30)


def sent_at(one: CampaignReceipt) -> datetime:
    return datetime.combine(one.execution_date, time(23, 30), UTC)


def write_campaigns(scope: Scope, facts: dict[str, Facts]) -> None:
    seen = [(c, receipt) for c, f in facts.items() for receipt in f.histories["campaigns"]]
    recipients = [
        (processed(r), r.campaign, c, r.channel, 1, r.action, r.template, 1, "", sent_at(r), DATA_DATE) for c, r in seen
    ]
    columns = "execution_date campaign_id customer_id channel_id recipient_group_id action_id template_id "
    columns += "target_group_id"
    more = ["promo_code", "scheduled_time", "end_date"]
    scope.warehouse.insert("campaign_recipients", [*columns.split(), *more], recipients)
    outcomes = [(processed(r), r.campaign, c, r.channel, "sent" if r.sent else "failed") for c, r in seen]
    columns = "execution_date campaign_id customer_id channel_id outcome"
    scope.warehouse.insert("campaign_outcomes", columns.split(), outcomes)
    rows = [
        (DATA_DATE, i.campaign, c, i.channel, i.template, 1, i.action, i.event, i.at)
        for c, f in facts.items()
        for i in f.histories["interactions"]
    ]
    columns = "delivery_date campaign_id customer_id channel_id template_id recipient_group_id action_id event_id "
    columns += "interaction_at"
    scope.warehouse.insert("campaign_interactions", columns.split(), rows)
