"""What the retailer's marketers set up: channels, templates, actions, target groups and campaigns."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from rapport.access import service as access
from rapport.access.scope import Scope
from rapport.audiences import groups as audience_groups
from rapport.campaigns import definitions
from rapport.campaigns.schemas import ActionBody, FrequencyCap, Group, GroupChannel, Schedule, SeriesBody, SeriesRules
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.demo.offers import LETTERS
from rapport.demo.site import ALLOWED, SHOP_PATH, Site, set_up_site
from rapport.messaging import templates as messaging_templates
from rapport.messaging.topics import brand_groups, topics
from rapport.messaging.topics.topics import TopicContent

Definition = dict[str, Any]


def _is(attribute: str, operator: str, value: Any = None) -> Definition:
    condition = {"attribute": attribute, "operator": operator}
    return condition if value is None else {**condition, "value": value}


def _orders(days: int, operator: str = "greater_or_equal", value: float = 1) -> Definition:
    return {"history": "transactions", "window": {"days": days}, "operator": operator, "value": value}


def _stage(*names: str) -> Definition:
    return _is("LIFECYCLE_STAGE", "in", list(names))


# Name, definition; a group's id is its place from 1, and a definition may name an earlier group.
TARGET_GROUPS: tuple[tuple[str, Definition], ...] = (
    ("Do not disturb", {"any": [_is("IS_BLOCKED", "equals", "Yes"), _is("IS_TEST", "equals", "Yes")]}),
    ("New this month", {"all": [_stage("New"), {"not": {"group": 1}}]}),
    ("Active, high value", {"all": [_stage("Active"), _is("VALUE_SEGMENT_ID", "less_or_equal", 2)]}),
    (
        "Active, at risk",
        {"all": [_stage("Active", "New", "Reactivated"), _is("CHURN_PROBABILITY_PERCENTILE", "top_percent", 25)]},
    ),
    ("Lapsed buyers", {"all": [_stage("Churn"), _is("NUMBER_OF_ORDERS", "greater_or_equal", 2)]}),
    ("Came back", _stage("Reactivated")),
    ("Prospects", {"all": [_stage("Dormant"), _is("DORMANT_TYPE", "is_not_empty")]}),
    ("Coffee and tea", _is("FAVORITE_CATEGORY", "in", ["Coffee", "Tea"])),
    ("Big baskets, Benelux and Germany", {"all": [_is("COUNTRY", "in", ["NL", "DE"]), _orders(365, value=3)]}),
    ("Bought this week", _orders(7)),
    ("Visited, did not buy", {"all": [{"history": "activity", "window": {"days": 7}}, {"not": _orders(7)}]}),
    ("Opted in by mail", {"all": [_is("IS_OPTIN", "equals", "Yes"), _is("ALLOW_EMAIL", "equals", "Yes")]}),
)

# Name, promo codes, chance of an extra order that the action really gives a recipient: from help to harm.
ACTIONS: tuple[tuple[str, list[str], float], ...] = (
    ("Welcome gift", ["WELCOME"], 0.05),
    ("Free delivery week", ["SHIPFREE"], 0.02),
    ("10% voucher", ["SAVE10"], 0.06),
    ("15% voucher", ["SAVE15"], 0.09),
    ("Early access", [], 0.0),
    ("Products for you", [], 0.01),
    ("Apology voucher", ["SORRY5"], -0.03),
)


# What a voucher costs for each customer that it is sent to, in euros; the shop's till does not tell which are redeemed.
COSTS = {"Free delivery week": 0.2, "10% voucher": 0.5, "15% voucher": 1.2}

# Share of the customers whom no campaign writes to.
HOLD_OUT = 0.05

BRAND = "Calluna"

# Subject, text, page of the shop that it leads to, and in which words.
MAILS = {
    "welcome": (
        "Welcome, [%FIRST_NAME:friend%]",
        "a gift is waiting for you. Your code is <strong>[%PROMO_CODE%]</strong>.",
        "gift",
        "Get your gift",
    ),
    "voucher": (
        "A discount, just for you",
        "use the code <strong>[%PROMO_CODE%]</strong> by Sunday.",
        "offers",
        "See the offers",
    ),
    "products": (
        "Chosen for you",
        "you may like these products:</p>[%PRODUCTS:our new arrivals%]<p>All of them are in stock.",
        "new",
        "See the products",
    ),
    "thanks": (
        "Thank you for your order",
        "we have packed it: [%EVENT.items%] items for [%EVENT.order_total%] euros.",
        "orders",
        "Track your parcel",
    ),
}
LETTER = (
    '[%IF:VIEW_IN_BROWSER%]<p><small><a href="[%VIEW_IN_BROWSER%]">View in browser</a></small></p>[%END:IF%]'
    '<p><img src="{shop}/logo.svg" alt="Calluna" width="120" height="32"></p>'
    "<p>Hello [%FIRST_NAME:there%],</p><p>{said}</p>"
    '<p><a href="{shop}/{page}" style="display:inline-block;background:#2f5d50;color:#fff;padding:8px 16px">{link}</a>'
    "</p>"
    '<p><small><a href="{shop}/help">Help</a> | <a href="[%PREFERENCE_CENTER%]">Choose what you get</a> | '
    '<a href="[%UNSUBSCRIBE_URL%]">Unsubscribe</a></small></p>'
)
TOPICS = (
    TopicContent("Offers", "Vouchers and sales", "About once a week"),
    TopicContent("New products", "What is new in your favourite categories", "Twice a month"),
    TopicContent("Your orders", "Confirmations and parcels", mandatory=True),
)


@dataclass(frozen=True)
class DemoChannels:
    """Where the retailer reaches people: (channel id, template id) by channel and purpose."""

    email: int
    sms: int
    templates: dict[str, int]
    site: Site
    brand_id: str  # of the brand group


def set_up(scope: Scope, first_day: date) -> DemoChannels:
    """Create everything the demo runs on; series begin on first_day."""
    access.allow_sender_domain(scope, "example.com")
    hold_out = {"share": HOLD_OUT, "start_date": first_day.isoformat()}
    access.update_tenant(scope, {"settings": {"campaigns": {"hold_out": hold_out}}})
    sender = {"from_address": "hello@example.com", "from_name": "Calluna", "bounce_domain": "bounces.example.com"}
    brand = brands.create_brand(scope, BRAND, settings=sender)
    email = channels.create_channel(scope, "Email", "email", settings={"brand_id": brand.id, "tracking": True})
    sms = channels.create_channel(scope, "SMS", "external", address_attribute="MOBILE_NUMBER")
    site = set_up_site(scope)
    reached = {15: [email.id], 490: [site.push], 493: [sms.id], 495: [site.inbox]}
    preferences = brand_groups.create_brand_group(scope, BRAND, reached)
    demo_channels = DemoChannels(email.id, sms.id, _templates(scope, email.id, sms.id), site, preferences.id)
    for topic in TOPICS:
        topics.create_topic(scope, preferences.id, topic)
    for name, codes, _ in ACTIONS:
        cost = {"amount": COSTS[name], "per": "sent"} if name in COSTS else None
        action = {"name": name, "promo_codes": codes, "cost": cost}
        definitions.create_action(scope, ActionBody.model_validate(action))
    for priority, (name, definition) in enumerate(TARGET_GROUPS, start=1):
        audience_groups.create_target_group(scope, name, definition, priority)
    for body in series(demo_channels, first_day):
        definitions.create_series(scope, body)
    return demo_channels


def _templates(scope: Scope, email: int, sms: int) -> dict[str, int]:
    shop = f"{scope.stores.settings.links_url}{SHOP_PATH}"
    mail_templates = {
        name: messaging_templates.create_template(
            scope, email, name.title(), subject, LETTER.format(shop=shop, said=said, page=page, link=link)
        ).id
        for name, (subject, said, page, link) in MAILS.items()
    }
    text = "[%FIRST_NAME:Hello%], [%PROMO_CODE:a surprise%] is waiting in your account."
    return mail_templates | {"sms": messaging_templates.create_template(scope, sms, "Reminder", text=text).id}


def _group(action: int, share: float, *messages: tuple[int, int, str], promo_codes: list[str] | None = None) -> Group:
    reached = [GroupChannel(channel_id=c, template_id=t, send_time=at) for c, t, at in messages]
    return Group(action_id=action, share=share, channels=reached, promo_codes=promo_codes)


def series(demo_channels: DemoChannels, first_day: date) -> list[SeriesBody]:
    """The retailer's series: recurring and once, test/control, A/B, A/B/n, two channels, self-optimising."""
    mail = {name: (demo_channels.email, template, "09:30") for name, template in demo_channels.templates.items()}
    text = (demo_channels.sms, demo_channels.templates["sms"], "11:00")
    site = demo_channels.site
    in_inbox = (site.inbox, site.welcome, "09:30")
    daily = Schedule(kind="daily", start_date=first_day)
    every_other = Schedule(kind="daily", start_date=first_day, every=2)
    weekly = Schedule(kind="weekly", start_date=first_day, weekdays=[2, 5])
    monthly = Schedule(kind="monthly", start_date=first_day, days=[1, 15])
    cron = Schedule(kind="cron", start_date=first_day, cron="0 10 * * 1,3,5")
    cap = FrequencyCap(messages=3, days=7)
    capped = SeriesRules(exclude_target_group_ids=[1], frequency_cap=cap)

    def build(name: str, target: int, schedule: Schedule, *groups: Group, **more: Any) -> Any:
        kinds = {1: "Test/Control", 2: "A/B"}
        kind = kinds.get(len(groups), "A/B/n")
        members = {"rules": capped, "control_share": 0.2, "duration": 5} | more
        return SeriesBody(
            name=name,
            target_group_id=target,
            campaign_type=kind,
            schedule=schedule,
            groups=list(groups),
            **members,
        )

    return [
        build("Welcome", 2, daily, _group(2, 1.0, mail["welcome"], in_inbox), duration=7, tags=["onboarding"]),
        build("Keep the best", 3, weekly, _group(6, 1.0, text), tags=["loyalty"], goal={"kind": "value"}),
        build("Hold on", 4, every_other, _group(4, 0.5, text), _group(5, 0.5, text), tags=["retention"]),
        build(
            "Win back",
            5,
            daily,
            _group(3, 1 / 3, text),
            _group(4, 1 / 3, text),
            _group(5, 1 / 3, mail["voucher"], text),
            split="thompson",
            goal={"kind": "value"},
            tags=["retention", "win-back"],
            notes="the split learns",
        ),
        build("Good to see you", 6, daily, _group(3, 1.0, mail["voucher"], promo_codes=[LETTERS]), duration=3),
        build("Prospects in spring", 7, monthly, _group(2, 1.0, text)),
        build(
            "For coffee drinkers",
            8,
            cron,
            _group(7, 1.0, mail["products"]),
            products=3,
            tags=["products"],
            goal={"kind": "category", "category": "Coffee"},
        ),
        build("Thank you", 10, every_other, _group(6, 1.0, text), control_share=0.1, duration=2),
        build(
            "Still thinking?", 11, daily, _group(3, 0.5, text), _group(4, 0.5, text), duration=2, goal={"kind": "click"}
        ),
    ]


# Templates of the texting vendor by its own numbers; triggered campaigns use them.
FREE_DELIVERY, CART = 21, 22
VENDOR_TEMPLATES = {FREE_DELIVERY: "Free delivery today", CART: "Your basket waits"}


def triggers(demo_channels: DemoChannels) -> list[TriggeredBody]:
    """The retailer's triggered campaigns: on an order, on a repeated look, on a basket that was left behind, and when
    a browser may be written to.
    """
    site = demo_channels.site
    thanks = [(demo_channels.email, demo_channels.templates["thanks"]), (site.inbox, site.thanks)]
    voucher, mail = 4, {"channel_id": demo_channels.email, "template_id": demo_channels.templates["voucher"]}
    built: list[dict[str, Any]] = [
        {
            "name": "Thank you for your order",
            "trigger": {
                "kind": "simple",
                "event": "checkout_completed",
                "conditions": {"attribute": "order_total", "operator": "greater_or_equal", "value": 20},
            },
            "groups": [_now(6, *thanks)],
            "re_entry": "unlimited",
            "tags": ["service"],
        },
        {
            "name": "Looks at it again and again",
            "trigger": {"kind": "repeated", "event": "product_viewed", "times": 3, "window_minutes": 60},
            "customer_conditions": _is("COUNTRY", "in", ["NL", "DE", "FR", "GB"]),
            "groups": [_now(3, (demo_channels.sms, FREE_DELIVERY))],
            "control_share": 0.2,
            "duration": 3,
            "re_entry": {"times": 1, "days": 3},
        },
        {
            "name": "Basket left behind",
            "trigger": {
                "kind": "sequence",
                "event": "add_to_cart",
                "closing": [{"event": "checkout_completed"}],
                "restart": [{"event": "add_to_cart"}],
                "window_minutes": 45,
            },
            "campaign_type": "A/B",
            "groups": [
                {"action_id": voucher, "share": 0.5, "channels": [mail]},
                {**_now(voucher, (demo_channels.sms, CART)), "share": 0.5},
            ],
            "rules": {"exclude_target_group_ids": [1]},
            "quiet_hours": {"start": "22:00", "end": "08:00"},
            "conditional": True,
            "duration": 5,
            "tags": ["basket"],
            "notes": "the bonus system has its say",
        },
        {
            "name": "Messages in the browser",
            "trigger": {"kind": "simple", "event": ALLOWED},
            "groups": [_now(6, (site.push, site.hello))],
            "re_entry": "unlimited",
            "tags": ["service"],
        },
    ]
    return [TriggeredBody.model_validate(body) for body in built]


def _now(action: int, *messages: tuple[int, int]) -> dict[str, Any]:
    reached = [{"channel_id": channel, "template_id": template} for channel, template in messages]
    return {"action_id": action, "channels": reached}
