"""A small shop that does all of its work over the API of any Rapport: its files, its day, its campaigns and events."""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

EMAIL = 504
CUSTOMERS, ORDERS_EACH, BATCH = 120, 4, 10
MOST_WAIT, PAUSE = 120.0, 0.1
COUNTRIES = ("NL", "BE", "DE")


def noon_zone() -> str:
    """A time zone in which it is about noon, so that a day has begun and is not over."""
    behind = datetime.now(UTC).hour - 12
    return f"Etc/GMT{behind:+d}"


def customers_file(some: range) -> str:
    """Customers by number: every tenth has no address."""
    rows = [
        f"C{n:05d},{'' if n % 10 == 9 else f'c{n:05d}@example.com'},{COUNTRIES[n % 3]},Name{n},2024-0{1 + n % 9}-11"
        for n in some
    ]
    return "\n".join(["CustomerID,Email,Country,First name,Registration date", *rows, ""])


def orders_file(some: range, day: date) -> str:
    """Orders of customers over the year before a day, the last of some on it."""
    rows = ["OrderID,CustomerID,Order_Date,Amount"]
    for n in some:
        for order in range(1 + n % ORDERS_EACH):
            chance = int(hashlib.sha256(f"{n}:{order}".encode()).hexdigest()[:8], 16)
            at = day - timedelta(days=chance % 300)
            rows.append(f"O{n}-{order},C{n:05d},{at} 1{chance % 10}:30:00,{5 + chance % 9000 / 100:.2f}")
    return "\n".join([*rows, ""])


def mail_server(port: int) -> dict[str, Any]:
    """Settings of a channel whose mail leaves by a port of this machine."""
    return {"host": "127.0.0.1", "port": port, "from_address": "shop@example.com", "timeout_seconds": 30}


class Shop:
    """A tenant by its Admin key."""

    def __init__(self, base_url: str, tenant_id: int, key: str, zone: str) -> None:
        self.tenant_id, self.zone = tenant_id, zone
        self.client = httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=MOST_WAIT)
        self.today = datetime.now(ZoneInfo(zone)).date()
        self.data_date = self.today - timedelta(days=1)

    def manage(self, noun: str, body: Any = None) -> Any:
        """Make something over the management API."""
        answer = self.client.post(f"/manage/v1/{noun}", json=body)
        assert answer.is_success, (noun, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def see(self, path: str) -> Any:
        """Read something over the management API."""
        answer = self.client.get(f"/manage/v1/{path}")
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def call(self, function: str, **query: Any) -> Any:
        """Call a read function of the wire."""
        answer = self.client.get(f"/current/{function}", params=query)
        assert answer.status_code == 200, (function, answer.status_code, answer.text)
        return answer.json()

    def load(self, kind: str, text: str) -> httpx.Response:
        """Load a file; the answer as it is."""
        return self.client.post(
            "/manage/v1/imports", data={"kind": kind}, files={"file": (f"{kind}.csv", text.encode(), "text/csv")}
        )

    def load_all(self, some: range = range(CUSTOMERS)) -> None:
        """Load customers and their orders."""
        for kind, text in (("customers", customers_file(some)), ("transactions", orders_file(some, self.data_date))):
            answer = self.load(kind, text)
            assert (answer.status_code, answer.json().get("state")) == (201, "loaded"), answer.text

    def begin_day(self) -> None:
        """Have yesterday computed."""
        self.manage("cycles", {"data_date": str(self.data_date)})

    def day(self) -> dict[str, Any]:
        """How far the day is."""
        return dict(self.see(f"cycles/{self.data_date}"))

    def end_day(self) -> None:
        """Wait until yesterday is computed."""
        self.wait(lambda: self.day()["state"] not in ("running", "waiting"))
        assert (self.day()["state"], self.day()["error"]) == ("finished", ""), self.day()

    def set_up_mail(self, mail_port: int) -> None:
        """What a marketer makes before mail can leave."""
        settings = {"campaigns": {"messages_per_day": 99, "batch_size": BATCH}}
        answer = self.client.patch("/manage/v1/tenants/current", json={"settings": settings})
        assert answer.status_code == 200, answer.text
        server = mail_server(mail_port)
        self.manage("channels", {"name": "Email", "kind": "email", "id": EMAIL, "settings": server})
        template = {"name": "Hello", "subject": "Hello [%FIRST_NAME%]", "html": "<p>Dear [%FIRST_NAME:you%]</p>"}
        self.manage(f"channels/{EMAIL}/templates", {"id": 1, **template})
        self.action = int(self.manage("actions", {"name": "Voucher"})["id"])

    def mail_by(self, mail_port: int) -> None:
        """Let mail leave by another port."""
        answer = self.client.patch(f"/manage/v1/channels/{EMAIL}", json={"settings": mail_server(mail_port)})
        assert answer.status_code == 200, answer.text

    def mail_to(self, some: range) -> int:
        """Begin a one-time campaign by mail; its CampaignID."""
        channel = {"channel_id": EMAIL, "template_id": 1, "send_time": "11:00"}
        body = {"name": "Sorry", "customer_ids": [f"C{n:05d}" for n in some], "action_id": self.action}
        return int(self.manage("campaigns/one-time", {**body, "channels": [channel]})["id"])

    def campaign(self, number: int) -> dict[str, Any]:
        return dict(self.see(f"campaigns/{number}"))

    def end_campaign(self, number: int) -> dict[str, Any]:
        """Wait for the end of a campaign; what it says of itself."""
        self.wait(lambda: self.campaign(number)["state"] in ("successful", "failed"))
        return self.campaign(number)

    def set_up_trigger(self) -> int:
        """A campaign by mail that an event of the shop's site sets off."""
        self.manage("event-types", {"name": "basket_left", "parameters": {"amount": "Number"}})
        group = {"action_id": self.action, "channels": [{"channel_id": EMAIL, "template_id": 1}]}
        large = {"attribute": "amount", "operator": "greater_or_equal", "value": 50}
        trigger = {"kind": "simple", "event": "basket_left", "conditions": large}
        made = self.manage("triggers", {"name": "Basket", "trigger": trigger, "groups": [group], "control_share": 0})
        self.server_token = self.see("event-intake?reveal=true")["server_token"]["value"]
        return int(made["id"])

    def track(self, customer: int, amount: float) -> httpx.Response:
        """The shop's site reports an event; the answer as it is."""
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
        event = {"tenant": self.tenant_id, "event": "basket_left", "customer": f"C{customer:05d}", "timestamp": now}
        return self.client.post(
            "/v1/events",
            json={**event, "context": {"amount": amount}},
            headers={"Authorization-Token": self.server_token},
        )

    def firings(self, trigger: int) -> list[tuple[str, str]]:
        """Who a trigger fired for and what became of it, once it is known."""
        return sorted((row["customer_id"], row["outcome"]) for row in self.see(f"triggers/{trigger}/firings"))

    def wait(self, true: Callable[[], object], pause: float = PAUSE) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + MOST_WAIT
        while not true():
            assert time.monotonic() < deadline, "it did not become true"
            time.sleep(pause)

    def close(self) -> None:
        self.client.close()


def beside(function: Any, *arguments: Any) -> Future[Any]:
    """Call something in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *arguments)
    finally:
        pool.shutdown(wait=False)
