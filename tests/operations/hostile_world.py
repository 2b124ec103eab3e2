"""A tenant that does what it can to be in everybody's way, and a neighbour on the same server that waits."""

import hashlib
import hmac
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rapport_command import Server
from shop_over_http import EMAIL, Shop, noon_zone

sys.path.append(str(Path(__file__).parents[1] / "campaigns"))
from campaign_mail import Mailbox

MAILS = 10
# Customers of the neighbour, and those of them who get its campaigns.
MEMBERS, REGULARS = range(90), range(90, 120)
CALLBACKS, SILENT_CAMPAIGNS, READERS = 20, 10, 2
Waits = dict[str, list[float]]


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.002)


class Neighbour:
    """A shop that wants its answers, its triggered mail and its campaigns, and how long it waits for each."""

    def __init__(self, shop: Shop, box: Mailbox) -> None:
        self.shop, self.box = shop, box
        self.customers = (n for n in MEMBERS if n % 10 != 9)  # the others have no address
        self.regulars = [n for n in REGULARS if n % 10 != 9][:MAILS]

    def waits(self, reads: int, events: int, campaigns: int) -> Waits:
        """Seconds that each of so many samples takes."""
        return {
            "read": [seconds(self.read) for _ in range(reads)],
            "event": [seconds(self.trigger) for _ in range(events)],
            "campaign": [seconds(self.send) for _ in range(campaigns)],
        }

    def read(self) -> None:
        self.shop.see("target-groups?limit=10")
        self.shop.call("Customers/C00001/Attributes")

    def trigger(self) -> None:
        customer = next(self.customers)
        assert self.shop.track(customer, 60).status_code == 200
        until(lambda: self.box.to[f"c{customer:05d}@example.com"])

    def send(self) -> None:
        before = len(self.box.messages)
        body = {"name": "Hello", "customer_ids": [f"C{n:05d}" for n in self.regulars], "action_id": self.shop.action}
        channel = {"channel_id": EMAIL, "template_id": 1, "send_time": "00:01"}
        self.shop.manage("campaigns/one-time", {**body, "channels": [channel]})
        until(lambda: len(self.box.messages) == before + MAILS)


class Hostile:
    """A shop whose mail server and callbacks never answer, and which asks for as much as its rate limit lets it.

    histories of a condition whose customers it has counted, events of a body that it sends; taken are those of them
    that were stored.
    """

    def __init__(self, shop: Shop, port: int, histories: int, events: int) -> None:
        self.shop, self.port = shop, port
        self.histories, self.events = histories, events
        self.taken = 0  # of the events
        shop.mail_by(port)
        key = {"nickname": "usual", "contact_email": "t@example.com", "access_type": "Admin"}
        self.headers = {"X-API-KEY": shop.manage("keys", key)["key"]}
        self.begin()

    def begin(self) -> None:
        """Have callbacks and mail wait for what never answers."""
        for number in range(CALLBACKS):
            url = f"http://127.1.{number // 20}.{number % 20 + 1}:{self.port}/{number}"
            items = [{"CustomerId": "C00001", "Attributes": [{"RealFieldName": "FIRST_NAME", "Value": f"N{number}"}]}]
            body = {"CustomerNewAttributesValuesList": items, "CallbackURL": url}
            self.shop.client.post("/current/customers/UpdateCustomerAttributes", json=body)
        for _ in range(SILENT_CAMPAIGNS):
            channel = {"channel_id": EMAIL, "template_id": 1, "send_time": "00:01"}
            body = {"name": "Sorry", "customer_ids": ["C00001", "C00002"], "action_id": self.shop.action}
            self.shop.client.post("/manage/v1/campaigns/one-time", json={**body, "channels": [channel]})

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Ask for much, for as long as the block runs."""
        stopping = threading.Event()
        threads = [threading.Thread(target=self._again, args=(act, stopping)) for act in (self._ask,) * READERS]
        threads += [
            threading.Thread(target=self._again, args=(act, stopping)) for act in (self._try, self._flood, self._count)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            for thread in threads:
                thread.join()

    def _again(self, act: Callable[[httpx.Client], object], stopping: threading.Event) -> None:
        with httpx.Client(base_url=self.shop.client.base_url, headers=self.headers, timeout=60) as client:
            while not stopping.is_set():
                act(client)
                stopping.wait(0.2)

    def _ask(self, client: httpx.Client) -> None:
        often = {"history": "transactions", "operator": "greater_or_equal", "value": 1}
        client.post("/manage/v1/target-groups/size", json={"definition": {"any": [often] * self.histories}})

    def _count(self, client: httpx.Client) -> None:
        often = {"history": "transactions", "operator": "greater_or_equal", "value": 1}
        body = {"definition": {"any": [often] * self.histories}, "refresh": True}
        client.post("/manage/v1/target-group-counts", json=body)

    def _try(self, client: httpx.Client) -> None:
        client.post(f"/manage/v1/channels/{EMAIL}/check")

    def _flood(self, client: httpx.Client) -> None:
        now = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC"
        events = [
            {
                "event": "basket_left",
                "category": "metric",
                "customer": f"C{number:05d}",
                "timestamp": now,
                "context": {"amount": 90},
            }
            for number in range(self.events)
        ]
        body = json.dumps(events).encode()
        signed = hmac.new(self.shop.server_token.encode(), body, hashlib.sha256).hexdigest()
        headers = {"x-optimove-signature-version": "1", "x-optimove-signature-content": signed}
        answer = client.post(f"/v1/metrics/{self.shop.tenant_id}/saveEvent", content=body, headers=headers)
        self.taken += len(events) if answer.status_code == 200 else 0


def shop(server: Server, name: str, mail_port: int, rate_limit: int | None) -> Shop:
    """A tenant with customers, whose day is begun."""
    operator = {"X-Rapport-Operator": server.server_file["token"]}
    zone = noon_zone()
    with httpx.Client(base_url=f"{server.base_url}/manage/v1", headers=operator, timeout=60) as client:
        made = client.post("/tenants", json={"name": name, "time_zone": zone, "currency": "EUR"}).json()
        named = {"X-Rapport-Tenant": str(made["id"])}
        client.patch("/tenants/current/limits", json={"calls": 0}, headers=named).raise_for_status()
        key = {"nickname": "tests", "contact_email": "t@example.com", "access_type": "Admin", "rate_limit": rate_limit}
        secret = client.post("/keys", json=key, headers=named).json()["key"]
    opened = Shop(server.base_url, made["id"], secret, zone)
    opened.load_all()
    opened.begin_day()
    opened.set_up_mail(mail_port)
    opened.set_up_trigger()
    return opened
