"""The real time of the demo: the shop, the vendor of texts and the bonus system, and the workers step by step.

The clock of a demo jumps from one part of a day to the next, so what would come about meanwhile is
carried out before each jump: by the same code that does it in a server, only when it is told to.
"""

import time as stopwatch
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from types import TracebackType
from typing import Any, Self

import httpx
from sqlalchemy import Select, func, select

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.tenant_limits import change_limits
from rapport.campaigns.delivery.engagements import SECRET_MEMBERS
from rapport.campaigns.triggered import definitions
from rapport.customers import event_types
from rapport.demo import offers, story
from rapport.demo.files import allows_push, customer_id, customer_index
from rapport.demo.outside import EVENTS, GATEWAY, OutsideSystems
from rapport.demo.server import served
from rapport.demo.vendor import Vendor
from rapport.demo.visits import EVENTS as DEFINED
from rapport.demo.visits import Shop
from rapport.demo.world import World
from rapport.notifications import service as notifications
from rapport.notifications.deliverer import Deliverer
from rapport.realtime import gateways
from rapport.realtime.closing_days import close_days
from rapport.realtime.gateway_worker import Decider
from rapport.realtime.matching import trials
from rapport.realtime.matching.processor import Processor
from rapport.realtime.models import ACCEPTED, HANDLED, AcceptedEvent, Firing
from rapport.realtime.recording.warehouse_writer import Filer
from rapport.realtime.sending import Sender
from rapport.realtime.states import FiringState
from rapport.stores.workers.base import running

PATIENCE_SECONDS = 60.0
# Days of a demo pass in seconds, so the vendor calls more often than one that lives them.
CALLS = 100_000
# An event with which a newcomer can try the first trigger.
TRIAL: tuple[str, dict[str, int]] = ("checkout_completed", {"order_total": 80, "items": 2})
# So many customers a newcomer can be in the shop. Those with a message in their inbox come first.
MOST_SHOPPERS = 6
WITH_MESSAGES = """
    SELECT customer_id FROM campaign_recipients WHERE channel_id = {channel:UInt32} AND action_id > 1
    GROUP BY customer_id ORDER BY max(execution_date) DESC, customer_id LIMIT 60
"""


class Live:
    """What runs in real time for as long as the block does."""

    def __init__(self, scope: Scope, world: World, outside: OutsideSystems, admin_key: str, seed: int) -> None:
        self._scope, self._world, self._outside, self._admin_key, self._seed = scope, world, outside, admin_key, seed
        self._parts = ExitStack()
        self._processor, self._filer = Processor(scope.stores), Filer(scope.stores)

    def __enter__(self) -> Self:
        """Serve the API, deliver, ask and send."""
        self._base_url = self._parts.enter_context(served(self._scope.stores))
        stores = self._scope.stores
        self._parts.enter_context(running(Deliverer(stores, SECRET_MEMBERS), Decider(stores), Sender(stores)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all of it."""
        self._parts.close()

    def _client(self, key: str = "") -> httpx.Client:
        """A client of the API; events are sent without a key."""
        headers = {"X-API-KEY": key} if key else {}
        return self._parts.enter_context(httpx.Client(base_url=self._base_url, headers=headers, timeout=60))

    def set_up(self, demo_channels: story.DemoChannels) -> None:
        """Define events, triggers and promo codes; let the vendor and the bonus system in."""
        for name, parameters in DEFINED.items():
            event_types.declare_event_type(self._scope, name, parameters)
        own = {offer.code for offer in offers.OFFERS}
        codes = [
            {"PromoCode": code, "PromotionName": name}
            for name, promo_codes, _ in story.ACTIONS
            for code in promo_codes
            if code not in own
        ]
        admin = self._client(self._admin_key)
        admin.post("/current/integrations/AddPromotions", json=codes).raise_for_status()
        change_limits(self._scope, {"calls": CALLS})
        _, key = keys.create_key(self._scope, "Text vendor", "texts@example.com", "Integrations", rate_limit=CALLS)
        self._vendor = Vendor(self._client(key), self._outside, demo_channels.sms, self._seed)
        self._vendor.sign_up(story.VENDOR_TEMPLATES)
        self._outside.secrets[EVENTS] = [listener.secret for listener in notifications.listeners(self._scope)]
        gateway = {"url": self._outside.url(GATEWAY)}
        admin.put("/triggered_conditional_execution_gateway", json=gateway).raise_for_status()
        self._outside.secrets[GATEWAY] = [gateways.rotate_secret(self._scope).secret]
        for body in story.triggers(demo_channels):
            definitions.create_triggered(self._scope, body)
        self.shop = Shop(self._scope, self._world, self._client(), self._seed)

    def part_of_day(self, day: int) -> None:
        """What was due by now, then the visits of the last minutes and what they come to."""
        self.catch_up()
        self.shop.visits(day)
        self.catch_up()

    def catch_up(self) -> None:
        """Evaluate what was accepted, fire what is due, and wait until gateways and mail servers have answered."""
        while self._events(ACCEPTED):
            self._processor.drain(self._scope.tenant_id)
        self._processor.due(self._scope.tenant_id)
        self._until(lambda: not self._firings(FiringState.ASKING, FiringState.SENDING))

    def end_of_day(self) -> None:
        """Bring what has happened into the accounts, and let the vendor report."""
        self.catch_up()
        self._until(lambda: not notifications.deliveries(self._scope, state="pending", limit=1))
        self._file()
        at = self._scope.clock.now().astimezone(self._scope.time_zone)
        self._vendor.report(at, self._scope.tenant_id, self.shop.vendor_token)
        self.catch_up()
        self._file()

    def _file(self) -> None:
        while self._events(HANDLED) or self._firings(FiringState.DONE):
            self._filer.file_all()
        close_days(self._scope)

    def sign_off(self) -> None:
        """Take the outside systems out again, when they end with the demo."""
        self._vendor.sign_off()
        gateways.delete_gateway(self._scope)

    def to_try(self, inbox: int) -> tuple[int, list[str]]:
        """A trigger, and customers to whom the trial event would bring something; else just the first customer.

        inbox is the channel of the site's inbox. They may all be sent push messages.
        """
        first, *_ = definitions.triggered(self._scope)
        written_to = [str(key) for (key,) in self._scope.warehouse.rows(WITH_MESSAGES, channel=inbox)]
        people = [customer_id(number) for number in range(len(self._world.people))]
        fitting = (
            customer
            for customer in dict.fromkeys([*written_to, *people])
            if allows_push(customer_index(customer))
            and trials.try_event(self._scope, first.id, *TRIAL, customer, "").outcome == FiringState.SENDING
        )
        return first.id, list(islice(fitting, MOST_SHOPPERS)) or people[:1]

    def firings(self) -> int:
        """How many firings there have been."""
        return self._firings()

    def _firings(self, *states: str) -> int:
        """How many firings there are, in some of these states when told."""
        statement = select(func.count()).select_from(Firing).where(Firing.tenant_id == self._scope.tenant_id)
        return self._number(statement.where(Firing.state.in_(states)) if states else statement)

    def _events(self, *states: int) -> int:
        """How many accepted events there are in some states."""
        mine = AcceptedEvent.tenant_id == self._scope.tenant_id
        return self._number(select(func.count()).where(mine, AcceptedEvent.state.in_(states)))

    def _number(self, statement: Select[Any]) -> int:
        with self._scope.stores.records.reading() as connection:
            return int(connection.scalar(statement) or 0)

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        end = stopwatch.monotonic() + PATIENCE_SECONDS
        while not condition():
            if stopwatch.monotonic() > end:
                raise TimeoutError("the demo's outside systems have not answered")
            stopwatch.sleep(0.02)
