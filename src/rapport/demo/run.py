"""The demo from beginning to end: a world, its data imported day by day, the actual pipeline, its results."""

import tempfile
import time as stopwatch
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant, tenants
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import daily, tasks
from rapport.campaigns.runs import by_hand
from rapport.campaigns.schemas import GroupChannel, OneTimeBody
from rapport.customers.importing import imports
from rapport.demo import betting, files, journeys, offers, story
from rapport.demo.live import Live
from rapport.demo.mail_readers import MailReaders
from rapport.demo.mailbox import Mailbox, caught_mail
from rapport.demo.outside import OutsideSystems, outside_systems
from rapport.demo.site import Site
from rapport.demo.world import HISTORY_DAYS, Orders, Refund, World
from rapport.stores import Stores
from rapport.stores.local.unsynced import unsynced

Tell = Callable[[int, int], None]
ZONE = "Europe/Amsterdam"
# The last days of a demo are lived in real time too: visits to the shop, triggers, what the vendor reports.
REAL_TIME_DAYS = 3
# So many customers bet on games, too.
BETTING = 150

RECIPIENTS = """
    SELECT campaign_id, customer_id, action_id FROM campaign_recipients
    WHERE execution_date = {day:Date} AND action_id > 1
    ORDER BY campaign_id, customer_id, channel_id
"""


@dataclass(frozen=True)
class DemoResult:
    """What a newcomer needs to go on."""

    tenant_id: int
    data_dir: str
    admin_key: str
    integrations_key: str
    transactional_key: str
    last_data_date: str
    customers: int
    campaigns: int
    messages: int
    events: int
    firings: int
    server_token: str
    trigger_id: int
    shoppers: list[str]
    brand_id: str
    sports_brand_id: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The members of the JSON answer."""
        return asdict(self)


def run_demo(
    stores: Stores,
    customers: int = 6000,
    days: int = 7,
    seed: int = 7,
    tell: Tell | None = None,
    outside: OutsideSystems | None = None,
    given_mailbox: Mailbox | None = None,
) -> DemoResult:
    """Simulate a retailer in a new tenant: its last data date is the day before the clock's today.

    Its outside systems are those that are given and go on, or some that end with the demo and sign off; so is its
    mail server.
    """
    began = stopwatch.monotonic()
    today = stores.clock.today(ZoneInfo(ZONE))
    world = World(customers, today - timedelta(days=1), days, seed)
    scope = create_tenant(stores, _free_name(stores), ZONE, "EUR")
    api_keys = {kind: keys.create_key(scope, f"demo {kind}", "demo@example.com", kind)[1] for kind in keys.ACCESS_TYPES}
    with ExitStack() as parts:
        parts.callback(stores.clock.set, None)
        parts.enter_context(unsynced(scope.warehouse))
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="rapport-demo-")))
        box = parts.enter_context(caught_mail(stores, given_mailbox, seed))
        systems = outside or parts.enter_context(outside_systems(stores.settings))
        live = parts.enter_context(Live(scope, world, systems, api_keys["Admin"], seed))
        retailer = Retailer(scope, world, folder, live, box)
        _live_through(retailer, days, tell or (lambda done, total: None))
        stores.clock.set(None)
        sports_brand_id = _take_bets(scope, customers, seed)
        trigger_id, shoppers = live.to_try(retailer.demo_channels.site.inbox)
        messages = box.messages
        if outside is None:
            live.sign_off()
    return DemoResult(
        tenant_id=scope.tenant_id,
        data_dir=str(stores.settings.data_dir),
        admin_key=api_keys["Admin"],
        integrations_key=api_keys["Integrations"],
        transactional_key=api_keys["Transactional"],
        last_data_date=str(scope.data_date()),
        customers=customers,
        campaigns=len(occurrences.occurrences(scope, limit=100_000)),
        messages=messages,
        events=live.shop.sent,
        firings=live.firings(),
        server_token=live.shop.server_token,
        trigger_id=trigger_id,
        shoppers=shoppers,
        brand_id=retailer.demo_channels.brand_id,
        sports_brand_id=sports_brand_id,
        seconds=round(stopwatch.monotonic() - began, 1),
    )


def _live_through(retailer: "Retailer", days: int, tell: Tell) -> None:
    """The history, the first day's set-up, and the days one after the other."""
    scope, world = retailer.scope, retailer.world
    retailer.load_history()
    _be(scope, scope.stores, world.date_of(HISTORY_DAYS), time(4))
    daily.run_cycle(scope, world.date_of(HISTORY_DAYS - 1))
    offers.set_up(scope, len(world.people))
    retailer.demo_channels = story.set_up(scope, world.date_of(HISTORY_DAYS + 1))
    retailer.live_side.set_up(retailer.demo_channels)
    for number, day in enumerate(range(HISTORY_DAYS, world.days)):
        tell(number, days)
        retailer.live(day)
    tell(days, days)


def _take_bets(scope: Scope, customers: int, seed: int) -> str:
    """Have some of the customers bet on the games of a second brand, open from now on; the id of its brand group."""
    ids = [files.customer_id(number) for number in range(0, customers, max(1, customers // BETTING))][:BETTING]
    return betting.set_up(scope, betting.BettingWorld(ids, scope.clock.now(), seed), "Calluna Bets")


def _free_name(stores: Stores) -> str:
    names = {tenant.name for tenant in tenants(stores)}
    return next(name for n in range(1, len(names) + 2) if (name := f"Calluna demo {n}") not in names)


def _be(scope: Scope, stores: Stores, day: date, at: time) -> None:
    """Stand the clock at a wall-clock time of the tenant."""
    stores.clock.set(scope.instant(datetime.combine(day, at)))


class Retailer:
    """The simulated company: delivers a day's files, lets the pipeline run, reacts to what was sent."""

    def __init__(self, scope: Scope, world: World, folder: Path, live_side: Live, box: Mailbox) -> None:
        self.scope = scope
        self.world = world
        self.folder = folder
        self.live_side = live_side
        self.box, self.mail_readers = box, MailReaders(scope)
        self.till = offers.Till(scope)
        self.caused: list[tuple[int, int]] = []  # orders that campaigns cause: customer, day
        self.placed = 0
        self.refunds: list[Refund] = []  # that are still to come
        self.demo_channels = story.DemoChannels(0, 0, {}, Site(0, 0, 0, 0, 0), "")

    def load_history(self) -> None:
        """Everything up to the day before the first day that is lived."""
        world, folder = self.world, self.folder
        self._import("products", files.write_products(world, folder / "products.csv"))
        registered = np.flatnonzero(world.people.registered < HISTORY_DAYS)
        self._import("customers", files.write_customers(world, registered, folder / "customers.csv"), "full")
        self._import_orders(world.orders_before(HISTORY_DAYS), "history", HISTORY_DAYS - 1)

    def live(self, day: int) -> None:
        """A day's orders and their codes, the morning after with its cycle and sends, and how people react to them."""
        stores, morning = self.scope.stores, self.world.date_of(day + 1)
        in_real_time = day >= self.world.days - REAL_TIME_DAYS
        if day == self.world.days - REAL_TIME_DAYS:
            journeys.set_up(self.scope, self.demo_channels)
        orders = self.world.orders_of_day(day, self.caused)
        self.till.redeem(orders, self.placed + 1)
        _be(self.scope, stores, morning, time(5))
        self._deliver(day, orders)
        daily.run_cycle(self.scope, self.world.date_of(day))
        for hour in (time(10, 30), time(12), time(17)):
            _be(self.scope, stores, morning, hour)
            if hour == time(12):
                self._run_by_hand(day)
                tasks.execute_due(self.scope)
            elif in_real_time:
                self.live_side.part_of_day(day + 1)
        if in_real_time:
            _be(self.scope, stores, morning, time(19))
            self.live_side.end_of_day()
        _be(self.scope, stores, morning, time(22))
        self._react(day + 1)

    def _deliver(self, day: int, orders: Orders) -> None:
        world, tag = self.world, str(self.world.date_of(day))
        registered = np.flatnonzero(world.people.registered == day)
        people = files.write_customers(world, registered, self.folder / f"customers-{tag}.csv")
        visits = files.write_activity(world, orders, day, self.folder / f"activity-{tag}.csv")
        with ThreadPoolExecutor(2, "files") as systems:  # the shop sends orders, its web site everything else
            importing = systems.submit(self._import_orders, orders, tag, day)
            if len(registered):
                self._import("customers", people)
            self._import("activity", visits)
            importing.result()

    def _import_orders(self, orders: Orders, tag: str, day: int) -> None:
        if not len(orders.customer):
            return
        self.refunds += self.world.sent_back(orders, self.placed + 1)
        paid = [refund for refund in self.refunds if refund[2] <= day]
        self.refunds = [refund for refund in self.refunds if refund[2] > day]
        head, lines = files.write_orders(self.world, orders, self.placed + 1, self.folder, tag, paid)
        self.placed += len(orders.customer)
        self._import("transactions", head)
        self._import("items", lines)

    def _import(self, kind: str, path: Path, mode: str = "incremental") -> None:
        imports.import_file(self.scope, kind, path, mode=mode)
        path.unlink()

    def _run_by_hand(self, day: int) -> None:
        """Twice in a demo somebody apologises to a few dozen customers by hand."""
        if (self.world.days - day) not in (2, 4):
            return
        chosen = np.flatnonzero(self.world.people.registered < day)[day % 7 :: max(1, len(self.world.people) // 60)]
        sms = self.demo_channels.sms
        reached = [GroupChannel(channel_id=sms, template_id=self.demo_channels.templates["sms"], send_time="11:30")]
        body = OneTimeBody(
            name=f"Late parcels of {self.world.date_of(day)}",
            customer_ids=[files.customer_id(int(i)) for i in chosen],
            action_id=8,
            channels=reached,
            control_share=0.1,
        )
        by_hand.one_time(self.scope, body, wait=True)

    def _react(self, day: int) -> None:
        """What people do with today's mail, and the orders that everything sent today causes from now on."""
        self.mail_readers.do(self.box.deeds())
        recipients = self.scope.warehouse.rows(RECIPIENTS, day=self.world.date_of(day))
        if not recipients:
            return
        lifts = {number: lift for number, (_, _, lift) in enumerate(story.ACTIONS, start=2)}
        people = {(campaign_id, customer): lifts[action] for campaign_id, customer, action in recipients}
        indexes = np.array([files.customer_index(customer) for _, customer in people], dtype=np.int64)
        lift = np.array(list(people.values()))
        customers, when = self.world.responses(indexes, lift, day, window=3)
        self.caused += [(int(c), int(d)) for c, d in zip(customers, when, strict=True) if d < self.world.days]
