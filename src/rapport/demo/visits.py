"""What people do today in the retailer's shop on the web and in its app, sent as its servers and SDKs send it."""

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import orjson

from rapport.access.scope import Scope
from rapport.demo.files import customer_id, product_id
from rapport.demo.site import ALLOWED
from rapport.demo.world import CATEGORIES, Ints, World
from rapport.realtime.events import tokens

# Name and parameters of the events that the retailer's developers define.
EVENTS = {
    "product_viewed": {"sku": "String", "category": "String", "price": "Number"},
    "add_to_cart": {"sku": "String", "price": "Number", "cart_total": "Number"},
    "checkout_completed": {"order_total": "Number", "items": "Number"},
    ALLOWED: {},
    **dict.fromkeys(
        ("sms_delivered", "sms_clicked"), dict.fromkeys(("campaign_id", "channel_id", "template_id"), "Number")
    ),
}
# One known customer of so many is seen in a part of the day, and beside every few of them a stranger.
SEEN, STRANGERS = 220, 4
FEWEST, MOST = 8, 300
# How many visits are sent at a time: what comes together is stored in one transaction.
AT_ONCE = 8
# Parts of all visits: looks around, looks a lot, leaves a cart behind, buys.
KINDS, SHARES = ("look", "keen", "cart", "buy"), (0.4, 0.2, 0.2, 0.2)
# A visit begins as that of nobody known in so many cases.
ANONYMOUS = 0.3


def signed(body: bytes, token: str) -> dict[str, str]:
    """The headers of a body that a server or a vendor sends, signed as the reference has it."""
    return {
        "Content-Type": "application/json",
        "X-Optimove-Signature-Version": "1",
        "X-Optimove-Signature-Content": hmac.new(token.encode(), body, hashlib.sha256).hexdigest(),
    }


@dataclass
class Visit:
    """One person's visit: who it is once known, and whether it is known from the first page on."""

    visitor: str
    customer: str
    known_at: int  # from which of its events on the customer is known
    category: int
    at: datetime
    events: list[dict[str, Any]] = field(default_factory=list)


class Shop:
    """Sends a part of a day's visits when told to. Its luck is its own, so that the world stays what it is."""

    def __init__(self, scope: Scope, world: World, client: httpx.Client, seed: int) -> None:
        self._scope, self._world, self._client = scope, world, client
        self._luck = np.random.default_rng([seed, 1])
        self._tokens = {kind: token.value for kind, token in tokens.tokens(scope).items()}
        self.sent = 0

    @property
    def server_token(self) -> str:
        """The secret of the shop's servers."""
        return self._tokens[tokens.SERVER_TOKEN]

    @property
    def vendor_token(self) -> str:
        """The secret that the shop gives to its vendors."""
        return self._tokens[tokens.VENDOR_TOKEN]

    def visits(self, day: int) -> None:
        """The visits of the last quarter of an hour, sent side by side as people's devices do; then their orders."""
        visits, bought = [], []
        for position in self._seen(day):
            visit = self._visit(position)
            kind = KINDS[int(self._luck.choice(len(KINDS), p=SHARES))]
            self._act(visit, kind)
            visits.append(visit)
            if kind == "buy" and visit.customer:
                bought.append(visit)
        with ThreadPoolExecutor(AT_ONCE, "visits") as devices:
            for send, batch in ((self._send, visits), (self._buy, bought)):
                self.sent += sum(devices.map(send, batch))

    def _seen(self, day: int) -> Ints:
        """The positions of customers who come by; -1 is somebody nobody knows."""
        registered = np.flatnonzero(self._world.people.registered < day)
        size = min(len(registered), MOST, max(FEWEST, len(registered) // SEEN))
        chosen = self._luck.choice(registered, size, replace=False)
        return np.concatenate([chosen, np.full(size // STRANGERS, -1)])

    def _visit(self, position: int) -> Visit:
        people = self._world.people
        late = self._luck.random() < ANONYMOUS
        return Visit(
            visitor=self._luck.bytes(8).hex(),
            customer=customer_id(position) if position >= 0 else "",
            known_at=2 if late else 0,
            category=int(people.favourite[position]) if position >= 0 else int(self._luck.integers(len(CATEGORIES))),
            at=self._scope.clock.now() - timedelta(minutes=int(self._luck.integers(9, 15))),
        )

    def _act(self, visit: Visit, kind: str) -> None:
        """What happens in a visit, a minute apart."""
        self._add(visit, "set_page_visit", customURL="/", pageTitle="Home")
        views = {"look": 1, "keen": 4, "cart": 1, "buy": 2}[kind]
        for _ in range(views):
            product, price = self._product(visit)
            self._add(visit, "product_viewed", sku=product, category=CATEGORIES[visit.category], price=price)
        if kind in ("cart", "buy"):
            self._add(visit, "add_to_cart", sku=product, price=price, cart_total=round(price * 2, 2))

    def _product(self, visit: Visit) -> tuple[str, float]:
        shelf = int(self._luck.integers(len(self._world.products.price) // len(CATEGORIES)))
        number = shelf * len(CATEGORIES) + visit.category
        return product_id(number), float(self._world.products.price[number])

    def _add(self, visit: Visit, event: str, **context: Any) -> None:
        number = len(visit.events)
        visit.events.append(
            {
                "tenant": self._scope.tenant_id,
                "category": "track",
                "event": event,
                "origin": "sdk",
                "customer": visit.customer if visit.customer and number >= visit.known_at else None,
                "visitor": visit.visitor,
                "timestamp": (visit.at + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "context": context,
                "metadata": {"realtime": True, "eventId": str(UUID(bytes=self._luck.bytes(16)))},
            }
        )

    def _send(self, visit: Visit) -> int:
        """One batch a visit, as an SDK sends it; how many events."""
        answer = self._client.post(f"/v1/optistream/{self._tokens[tokens.SDK_TOKEN]}", json=visit.events)
        answer.raise_for_status()
        return len(visit.events)

    def _buy(self, visit: Visit) -> int:
        """The order, which a server of the shop reports and signs; nobody buys without saying who it is."""
        price = visit.events[-1]["context"]["cart_total"]
        at = visit.at + timedelta(minutes=len(visit.events))
        body = orjson.dumps(
            {
                "tenant": self._scope.tenant_id,
                "event": "checkout_completed",
                "customer": visit.customer,
                "timestamp": at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
                "context": {"order_total": price, "items": 2},
                "metadata": {"eventId": f"order-{visit.visitor}"},
            }
        )
        self._client.post("/v1/events", content=body, headers=signed(body, self.server_token)).raise_for_status()
        return 1
