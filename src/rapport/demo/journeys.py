"""The retailer's journeys: a welcome in two steps, the rescue of a basket, the way back of buyers, and birthdays."""

from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.triggered import definitions as triggered
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.demo.site import SHOP_PATH
from rapport.demo.story import CART, FREE_DELIVERY, LETTER, DemoChannels
from rapport.journeys import definitions
from rapport.journeys.schemas import JourneyBody
from rapport.messaging.templates import create_template

# The target groups and actions of the story, by their numbers.
DO_NOT_DISTURB, NEW, LAPSED = 1, 2, 5
WELCOME_GIFT, FREE_DELIVERY_WEEK, TEN_PERCENT, EARLY_ACCESS = 2, 3, 4, 6
DAY = 24 * 60
BOUGHT_AGAIN = {"history": "transactions", "window": {"days": 30}, "operator": "greater_or_equal", "value": 2}
WISHES = (
    "Happy birthday, [%FIRST_NAME:friend%]",
    "it is your birthday: the first of our new coffees is yours to choose before everybody else.",
    "gift",
    "Choose your coffee",
)


def set_up(scope: Scope, demo_channels: DemoChannels) -> None:
    """Create the messages and the journeys, in which customers come from now on."""
    messages = {
        body["name"]: triggered.create_triggered(scope, TriggeredBody.model_validate(body)).id
        for body in _messages(demo_channels, _wishes(scope, demo_channels.email))
    }
    for body in _journeys(messages):
        definitions.create_journey(scope, JourneyBody.model_validate(body))


def _wishes(scope: Scope, email: int) -> int:
    subject, said, page, link = WISHES
    shop = f"{scope.stores.settings.links_url}{SHOP_PATH}"
    letter = LETTER.format(shop=shop, said=said, page=page, link=link)
    return create_template(scope, email, "Birthday", subject, letter).id


def _messages(demo_channels: DemoChannels, wishes: int) -> list[dict[str, Any]]:
    """What the journeys send: triggered campaigns that no event sets off."""
    mails = {name: (demo_channels.email, template) for name, template in demo_channels.templates.items()}
    texts = {"free delivery": (demo_channels.sms, FREE_DELIVERY), "cart": (demo_channels.sms, CART)}
    return [
        _message("Welcome mail", WELCOME_GIFT, mails["welcome"]),
        _message("Welcome voucher", TEN_PERCENT, mails["voucher"]),
        _message("Basket reminder", FREE_DELIVERY_WEEK, mails["voucher"], texts["cart"]),
        _message("Last call for the basket", TEN_PERCENT, texts["cart"]),
        _message("Come back: voucher", TEN_PERCENT, mails["voucher"]),
        _message("Come back: free delivery", FREE_DELIVERY_WEEK, texts["free delivery"]),
        _message("Birthday wishes", EARLY_ACCESS, (demo_channels.email, wishes)),
    ]


def _message(name: str, action: int, *reached: tuple[int, int]) -> dict[str, Any]:
    """A message on the first of the channels that reaches the customer."""
    channels = [{"channel_id": channel, "template_id": template} for channel, template in reached]
    return {
        "name": name,
        "trigger": {"kind": "journey"},
        "groups": [{"action_id": action, "channels": channels, "channel_choice": "first_reachable"}],
        "rules": {"exclude_target_group_ids": [DO_NOT_DISTURB]},
        "re_entry": "unlimited",
        "tags": ["journey"],
    }


def _journeys(messages: dict[str, int]) -> list[dict[str, Any]]:
    bought = {"events": [{"event": "checkout_completed"}]}
    return [
        {
            "name": "Welcome series",
            "entry": {"kind": "group", "target_group_id": NEW},
            "hold_out_share": 0.1,
            "steps": [
                {"id": "welcome", "kind": "message", "campaign_id": messages["Welcome mail"], "next": "day"},
                {"id": "day", "kind": "wait", "minutes": DAY, "next": "bought"},
                {
                    "id": "bought",
                    "kind": "split",
                    "branches": [{"customer_conditions": BOUGHT_AGAIN, "next": "buys"}],
                    "next": "voucher",
                },
                {"id": "buys", "kind": "exit", "reason": "bought again"},
                {"id": "voucher", "kind": "message", "campaign_id": messages["Welcome voucher"]},
            ],
        },
        {
            "name": "Cart rescue",
            "entry": {"kind": "event", "match": {"event": "add_to_cart"}},
            "re_entry": {"times": 1, "days": 7},
            "exit": bought,
            "steps": [
                {"id": "hour", "kind": "wait", "minutes": 60, "next": "reminder"},
                {"id": "reminder", "kind": "message", "campaign_id": messages["Basket reminder"], "next": "evening"},
                {"id": "evening", "kind": "wait_until", "time": "18:00", "next": "last_call"},
                {"id": "last_call", "kind": "message", "campaign_id": messages["Last call for the basket"]},
            ],
        },
        {
            "name": "Win-back",
            "entry": {"kind": "group", "target_group_id": LAPSED},
            "re_entry": {"times": 1, "days": 180},
            "hold_out_share": 0.1,
            "exit": bought,
            "steps": [
                {
                    "id": "offer",
                    "kind": "test",
                    "metric": "orders",
                    "window_minutes": 7 * DAY,
                    "decide_after_minutes": 60 * DAY,
                    "branches": [{"share": 0.5, "next": "voucher"}, {"share": 0.5, "next": "delivery"}],
                },
                {"id": "voucher", "kind": "message", "campaign_id": messages["Come back: voucher"]},
                {"id": "delivery", "kind": "message", "campaign_id": messages["Come back: free delivery"]},
            ],
        },
        {
            "name": "Birthday",
            "entry": {"kind": "date", "attribute": "DATE_OF_BIRTH", "time": "09:00"},
            "re_entry": {"times": 1, "days": 300},
            "steps": [{"id": "wishes", "kind": "message", "campaign_id": messages["Birthday wishes"]}],
        },
    ]
