"""A small tenant whose campaigns are known row by row, so that every answer can be worked out in plain Python."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.campaigns.models import Action, Occurrence, OccurrenceChannel
from rapport.campaigns.states import EXECUTED_STATES
from rapport.channels.models import Channel
from rapport.messaging.models import Template

NOW = datetime(2026, 3, 10, 10, 0, tzinfo=UTC)
TODAY = date(2026, 3, 10)
DATA_DATE = date(2026, 3, 9)
EMAIL, SMS, PUSH = 504, 505, 506


@dataclass(frozen=True)
class Place:
    group: int
    action: int
    channel: int
    template: int
    promo: str = ""
    time: datetime = datetime(2026, 3, 10, 9, 15)
    send_id: str = ""
    list_id: int | None = None


@dataclass(frozen=True)
class Sent:
    """A row of campaign_recipients."""

    day: date
    campaign: int
    customer: str
    channel: int
    group: int
    action: int
    template: int
    target_group: int
    promo: str
    time: datetime
    end: date

    @property
    def start(self) -> date:
        """The day on which its campaign is sent."""
        return campaign(self.campaign).sent


@dataclass
class Campaign:
    id: int
    group: int
    day: date
    state: str
    places: tuple[Place, ...]
    duration: int = 5
    one_time: bool = False
    control: int = 4
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def executed(self) -> bool:
        return self.state in EXECUTED_STATES

    @property
    def sent(self) -> date:
        """The day on which it is sent."""
        return self.day + timedelta(days=int(self.more.get("lead_time", 0)))

    @property
    def told(self) -> bool:
        """Whether event 1 has been told."""
        return self.state in ("successful", "executing")


CAMPAIGNS = (
    Campaign(
        1, 31, TODAY, "successful",
        (
            Place(1, 12, EMAIL, 9, "QX-B,QX-A", send_id="K4R7Q", list_id=77),
            Place(1, 12, SMS, 17, "QX-B,QX-C", datetime(2026, 3, 10, 16, 30)),
            Place(2, 13, EMAIL, 11, "", send_id="Z9"),
        ),
        more={"tags": ["retention", "q2"], "notes": "Ünïcode \"note\"", "is_recurrence": True},
    ),
    Campaign(2, 31, TODAY, "scheduled", (Place(1, 12, EMAIL, 9, "QX-D"), Place(2, 15, PUSH, 3)), duration=3),
    Campaign(3, 44, date(2026, 3, 5), "successful", (Place(1, 12, EMAIL, 9, "A1"), Place(2, 13, SMS, 17, "A2"))),
    Campaign(
        4, 44, date(2026, 3, 6), "failed", (Place(1, 13, SMS, 18),), duration=7,
        more={"error": "channel did not answer", "lead_time": 1, "campaign_type": "A/B"},
    ),
    Campaign(
        5, 31, TODAY, "canceled", (Place(1, 12, EMAIL, 9, "C1,C2"), Place(1, 12, SMS, 17, "C2,C3")),
        more={"canceled_at": NOW - timedelta(minutes=119)},
    ),
    Campaign(6, 31, TODAY, "canceled", (Place(1, 12, EMAIL, 9),), more={"canceled_at": NOW - timedelta(minutes=121)}),
    Campaign(
        7, 44, TODAY, "awaiting clearance", (Place(1, 12, EMAIL, 9, "W1"), Place(1, 12, SMS, 17, "W2")),
        more={"conditional": True},
    ),
    Campaign(8, 0, TODAY, "successful", (Place(1, 14, SMS, 17), Place(1, 14, EMAIL, 10)), one_time=True),
    Campaign(9, 0, TODAY, "executing", (Place(1, 14, SMS, 17),), one_time=True),
    Campaign(10, 31, date(2026, 3, 12), "scheduled", (Place(1, 12, EMAIL, 9),)),
    Campaign(11, 31, date(2026, 3, 1), "successful", (Place(1, 12, EMAIL, 9),), duration=3),
    Campaign(12, 44, TODAY, "not run", (), more={"error": "The target group has no members."}),
    Campaign(13, 44, TODAY, "executing", (Place(1, 12, EMAIL, 9, "QX-A"),), control=0),
    Campaign(14, 0, date(2026, 3, 8), "canceled", (Place(1, 14, EMAIL, 9),), one_time=True, more={"canceled_at": NOW}),
)  # fmt: skip

CUSTOMERS = (
    [f"C{n:03}" for n in range(40)]
    + [f"anna-{n}" for n in range(25)]
    + ["Ölaf", "zoë 💌", 'O\'Neil "x"', "back\\slash", "Mixed-Case", "a/b;c,d%20", "7", "007"]
)


def _recipients() -> list[Sent]:
    """Everybody in at most one group of a campaign; some reached on a part of the group's channels only."""
    chance, rows = random.Random(7), []
    for campaign in CAMPAIGNS:
        chosen = chance.sample(CUSTOMERS, 34)
        end = campaign.sent + timedelta(days=campaign.duration)
        common = (campaign.group, "", datetime(campaign.day.year, campaign.day.month, campaign.day.day), end)
        for customer in chosen[: campaign.control]:
            target, promo, time, last = common
            rows.append(Sent(campaign.day, campaign.id, customer, 0, 0, 1, 0, target, promo, time, last))
        groups = sorted({place.group for place in campaign.places})
        for number, customer in enumerate(chosen[campaign.control :]):
            for place in campaign.places:
                reached = place.channel == EMAIL or chance.random() < 0.6 or len(campaign.places) == 1
                if place.group == groups[number % len(groups)] and reached:
                    rows.append(
                        Sent(campaign.day, campaign.id, customer, place.channel, place.group, place.action,
                             place.template, campaign.group, place.promo, place.time, end)
                    )  # fmt: skip
    return rows


RECIPIENTS = _recipients()
PRODUCTS = [(customer, campaign, priority, f"SKU-{(number * 7 + priority) % 5}")
            for campaign in (1, 5, 13) for number, customer in enumerate(CUSTOMERS[:9])
            for priority in range(1, 2 + number % 3)]  # fmt: skip
# (campaign, customer, channel, template, group, action, event, instant)
INTERACTIONS = [
    (1, "C001", EMAIL, 9, 1, 12, 2, datetime(2026, 3, 10, 8, 20, tzinfo=UTC)),
    (1, "C001", EMAIL, 9, 1, 12, 2, datetime(2026, 3, 10, 9, 20, tzinfo=UTC)),
    (1, "C001", EMAIL, 9, 1, 12, 3, datetime(2026, 3, 10, 23, 30, tzinfo=UTC)),  # the 11th in Berlin
    (1, "C001", SMS, 17, 1, 12, 3, datetime(2026, 3, 10, 9, 0, tzinfo=UTC)),
    (1, "anna-3", EMAIL, 11, 2, 13, 2, datetime(2026, 3, 10, 9, 0, tzinfo=UTC)),
    (13, "C001", EMAIL, 9, 1, 12, 2, datetime(2026, 3, 11, 9, 0, tzinfo=UTC)),
    (3, "C001", EMAIL, 9, 1, 12, 4, datetime(2026, 3, 10, 9, 0, tzinfo=UTC)),
    (3, "Mixed-Case", SMS, 17, 2, 13, 7, datetime(2026, 3, 5, 9, 0, tzinfo=UTC)),
]


def campaign(number: int) -> Campaign:
    """A campaign by its id."""
    return next(each for each in CAMPAIGNS if each.id == number)


def profile(number: int) -> tuple[Any, ...]:
    """EMAIL, COUNTRY, REGISTRATION_DATE of the n-th customer; every seventh has no profile."""
    return (
        f"p{number}@example.com",
        None if number % 5 == 0 else ("DE", "AT")[number % 2],
        date(2020, 1, 1 + number % 28),
    )


def attributes(customer: str) -> list[str | None]:
    """EMAIL, COUNTRY, REGISTRATION_DATE of a customer as the wire shows them."""
    number = CUSTOMERS.index(customer)
    if number % 7 == 0:
        return [None, None, None]
    email, country, registered = profile(number)
    return [email, country, registered.isoformat()]


def _fill_records(scope: Scope) -> None:
    tenant = scope.tenant_id
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == tenant).values(last_data_date=DATA_DATE))
        for number, name in {
            12: "Spring voucher 5",
            13: "Free delivery",
            14: "Straße & co",
            15: "free Delivery",
        }.items():
            # A name may come again when the first one of it is archived.
            archived = number == 13
            session.add(Action(tenant_id=tenant, id=number, name=name, archived=archived, created_at=NOW))
        for number, name in {EMAIL: "Email", SMS: "SMS"}.items():
            session.add(
                Channel(tenant_id=tenant, id=number, name=name, kind="external", address_attribute="EMAIL",
                        permission_attribute=None, settings={}, created_at=NOW)
            )  # fmt: skip
        for channel, number, name in (
            (EMAIL, 9, "Hello"),
            (EMAIL, 11, 'Bye, "x"'),
            (SMS, 17, "Short"),
            (SMS, 9, "Other"),
        ):
            session.add(
                Template(tenant_id=tenant, channel_id=channel, id=number, name=name, created_at=NOW, updated_at=NOW)
            )
        for each in CAMPAIGNS:
            session.add(_occurrence(tenant, each))
            session.add_all(_channel(tenant, each, place) for place in each.places)


def _occurrence(tenant: int, each: Campaign) -> Occurrence:
    rows = [row for row in RECIPIENTS if row.campaign == each.id]
    values: dict[str, Any] = {"campaign_type": "Test/Control", **each.more}
    return Occurrence(
        tenant_id=tenant, id=each.id, series_id=each.id, execution_date=each.day, state=each.state,
        executed_at=NOW if each.told else None,
        target_group_id=each.group, duration=each.duration, is_one_time=each.one_time,
        is_multi_channel=len({place.channel for place in each.places}) > 1,
        test_size=len({row.customer for row in rows if row.action != 1}),
        control_size=len({row.customer for row in rows if row.action == 1}), plan=_plan(each), **values,
    )  # fmt: skip


def _plan(each: Campaign) -> dict[str, Any]:
    groups = []
    for number in sorted({place.group for place in each.places}):
        places = [place for place in each.places if place.group == number]
        channels = [{"channel_id": place.channel, "template_id": place.template} for place in places]
        groups.append({"action_id": places[0].action, "share": 1.0, "channels": channels})
    return {"name": f"Campaign {each.id}", "groups": groups, "control_share": 0.2, "rules": {}}


def _channel(tenant: int, each: Campaign, place: Place) -> OccurrenceChannel:
    return OccurrenceChannel(
        tenant_id=tenant, campaign_id=each.id, recipient_group_id=place.group, channel_id=place.channel,
        template_id=place.template, action_id=place.action, promo_code=place.promo, scheduled_time=place.time,
        send_id=place.send_id, list_id=place.list_id,
    )  # fmt: skip


def _fill_warehouse(scope: Scope) -> None:
    warehouse = scope.warehouse
    warehouse.insert("customers", ["customer_id"], [(customer,) for customer in CUSTOMERS])
    warehouse.insert(
        "profiles",
        ["data_date", "customer_id", "EMAIL", "COUNTRY", "REGISTRATION_DATE"],
        [(DATA_DATE, customer, *profile(n)) for n, customer in enumerate(CUSTOMERS) if n % 7]
        + [(date(2026, 3, 8), customer, "old", "XX", None) for customer in CUSTOMERS],
    )
    columns = ["execution_date", "campaign_id", "customer_id", "channel_id", "recipient_group_id", "action_id",
               "template_id", "target_group_id", "promo_code", "scheduled_time", "end_date"]  # fmt: skip
    rows = [(*tuple(vars(row).values())[:9], row.time.replace(tzinfo=UTC), row.end) for row in RECIPIENTS]
    random.shuffle(rows)
    for part in (rows[::3], rows[1::3], rows[2::3]):
        warehouse.insert("campaign_recipients", columns, part)
    warehouse.insert(
        "campaign_products",
        ["execution_date", "campaign_id", "customer_id", "priority", "product_id", "recommendation_type"],
        [
            (campaign(number).day, number, customer, priority, product, 2)
            for customer, number, priority, product in PRODUCTS
        ],
    )
    warehouse.insert("products", ["product_id", "name", "category"],
                     [(f"SKU-{n}", f"Product {n}", "toys" if n else "") for n in range(4)])  # fmt: skip
    warehouse.insert(
        "campaign_interactions",
        ["delivery_date", "campaign_id", "customer_id", "channel_id", "template_id", "recipient_group_id", "action_id",
         "event_id", "interaction_at"],
        [(campaign(c).day, c, customer, channel, template, group, action, event, at)
         for c, customer, channel, template, group, action, event, at in INTERACTIONS],
    )  # fmt: skip


def fill(scope: Scope) -> None:
    """Put everything into a tenant."""
    _fill_records(scope)
    _fill_warehouse(scope)
