"""The retailer's web site as Rapport knows it: its app with the keys of web push, and the channels that reach it."""

from dataclasses import dataclass

from rapport.access.scope import Scope
from rapport.apps import definitions as apps
from rapport.channels import service as channels
from rapport.messaging.templates import create_template

# Where the shop is on the server of the demo, for links of messages to lead somewhere.
SHOP_PATH = "/demo/shop"
# The event by which the shop reports that somebody has allowed messages in a browser.
ALLOWED = "messages_allowed"


@dataclass(frozen=True)
class Site:
    """The channels by which the site reaches customers, and their templates."""

    inbox: int
    push: int
    welcome: int  # templates of the inbox
    thanks: int
    hello: int  # a template of push


def set_up_site(scope: Scope) -> Site:
    """Create the app of the site, its inbox and its web push, with their templates."""
    shop = f"{scope.stores.settings.links_url}{SHOP_PATH}"
    app = apps.create_app(scope, "Web shop", {"icon_url": f"{shop}/icon.svg"}, for_web=True).app
    inbox = channels.create_channel(scope, "Inbox", "inbox").id
    push_settings = {"app_id": app.id, "contact": "mailto:hello@example.com"}
    push = channels.create_channel(scope, "Web push", "push", settings=push_settings).id
    welcome = create_template(
        scope,
        inbox,
        "Welcome",
        "Welcome, [%FIRST_NAME:friend%]",
        text="A gift is waiting for you. Your code is [%PROMO_CODE%].",
        details={"url": f"{shop}/gift"},
    )
    thanks = create_template(
        scope,
        inbox,
        "Thanks",
        "Thank you for your order",
        text="We are packing your order of [%EVENT.order_total%] euros.",
        details={"url": f"{shop}/orders"},
    )
    hello = create_template(
        scope,
        push,
        "Hello",
        "Hello, [%FIRST_NAME:friend%]",
        text="From now on, Calluna can write to you here.",
        details={"url": f"{shop}/offers"},
    )
    return Site(inbox, push, welcome.id, thanks.id, hello.id)
