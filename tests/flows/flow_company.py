"""A company that markets with Rapport: its customers, what its marketers set up, and the passing of its day."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, TypeVar

import httpx
from flow_vendor import Vendor

from rapport.access import keys
from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant
from rapport.campaigns.cycle import tasks
from rapport.notifications.models import CALLBACK
from rapport.stores import Stores
from rapport.stores.workflows import work

DATA_DATE = date(2026, 3, 9)
TODAY = date(2026, 3, 10)
MORNING = datetime(2026, 3, 10, 9, tzinfo=UTC)  # 10:00 in Berlin: the default send time is over
SMS, PUSH, LETTERS = 505, 506, 520
TEMPLATES = {SMS: (11, 12, 21), PUSH: (40,), LETTERS: (1,)}
CUSTOMERS = 60

CUSTOMER_ROWS = f"""
    INSERT INTO customers (customer_id, REGISTRATION_DATE, EMAIL, COUNTRY, FIRST_NAME, MOBILE_NUMBER)
    SELECT concat('Q', toString(1000 + number)), toDate('2025-01-01') + number,
        concat('q', toString(number), '@example.com'),
        if(number % 4 = 0, 'NO', 'SE'), concat('Name', toString(number)), concat('+4670', toString(100000 + number))
    FROM numbers({CUSTOMERS})
"""
ORDER_ROWS = f"""
    INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount)
    SELECT toString(number), concat('Q', toString(1000 + number % {CUSTOMERS})),
        toDateTime('2025-06-01 10:00:00', 'UTC') + cityHash64(number) % (281 * 86400), 5 + cityHash64(number, 1) % 90
    FROM numbers({CUSTOMERS} * 5)
"""
V = TypeVar("V", bound=Vendor)


class Company:
    """One tenant. `admin` is the marketers' own client."""

    def __init__(self, stores: Stores, base_url: str) -> None:
        self.base_url = base_url
        made = create_tenant(stores, f"flows-{time.time_ns()}", "Europe/Berlin", "EUR")
        self.scope: Scope = scope_of(stores, made.tenant_id)
        self.at(MORNING)
        _, self.key = keys.create_key(self.scope, "Marketing", "marketing@example.com", "Admin")
        self.admin = httpx.Client(base_url=base_url, headers={"X-API-KEY": self.key}, timeout=60)
        self.settle()
        for statement in (CUSTOMER_ROWS, ORDER_ROWS):
            self.scope.warehouse.execute(statement)
        self.set_up()

    def set_up(self) -> None:
        """What marketers do once in the console."""
        for number, name in ((SMS, "SMS"), (PUSH, "Push"), (LETTERS, "Letters")):
            self.manage("channels", {"name": name, "kind": "external", "id": number})
            known = [{"TemplateID": template, "TemplateName": f"Text {template}"} for template in TEMPLATES[number]]
            self.admin.post(f"/current/integrations/AddChannelTemplates?ChannelID={number}", json=known)
        swedes = {"attribute": "COUNTRY", "operator": "equals", "value": "SE"}
        self.group: int = self.manage("target-groups", {"name": "Swedes", "definition": swedes})["id"]
        self.action: int = self.manage("actions", {"name": "Spring offer", "promo_codes": ["FREE5", "SPR15"]})["id"]

    def settle(self, **changes: int) -> None:
        """What is set of campaigns, beside the defaults: many runs a day are nothing to ask about."""
        settings = {"messages_per_day": 999, "blast_minimum": 10_000, **changes}
        for section in (None, settings):  # what was set before goes back to its default
            answer = self.admin.patch("/manage/v1/tenants/current", json={"settings": {"campaigns": section}})
            assert answer.status_code == 200, answer.text
        self.scope = scope_of(self.scope.stores, self.scope.tenant_id)

    def manage(self, noun: str, body: Any, status: int = 201) -> Any:
        """Make something over the management API."""
        answer = self.admin.post(f"/manage/v1/{noun}", json=body)
        assert answer.status_code == status, f"{noun}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def see(self, path: str) -> Any:
        """Read something over the management API."""
        answer = self.admin.get(f"/manage/v1/{path}")
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def at(self, now: datetime | None) -> None:
        """Let it be a time; None: what it is."""
        self.scope.clock.set(now)

    def series(self, name: str, templates: dict[int, int], **more: Any) -> int:
        """A campaign as built, that runs only by hand: templates by channel."""
        reached = [{"channel_id": channel, "template_id": template} for channel, template in templates.items()]
        body = {
            "name": name,
            "target_group_id": self.group,
            "schedule": {"kind": "once", "start_date": "2026-01-01"},
            "groups": [{"action_id": self.action, "channels": reached}],
            "control_share": 0.2,
            "rules": {"include_all": True},
            **more,
        }
        return int(self.manage("series", body)["id"])

    def run(self, series_id: int) -> int:
        """Run a campaign now; its CampaignID, once it is processed."""
        number = int(self.manage(f"series/{series_id}/runs", None)["id"])
        work.wait(f"run:{self.scope.tenant_id}:{number}")
        return number

    def trigger(self, name: str, event: str, templates: dict[int, int], **more: Any) -> int:
        """A triggered campaign that an event of the company's site sets off, once its event type is declared."""
        self.manage("event-types", {"name": event, "parameters": {"amount": "Number"}})
        reached = [{"channel_id": channel, "template_id": template} for channel, template in templates.items()]
        body = {
            "name": name,
            "trigger": {"kind": "simple", "event": event},
            "groups": [{"action_id": self.action, "channels": reached}],
            "control_share": 0,
            **more,
        }
        return int(self.manage("triggers", body)["id"])

    def track(self, event: str, customer_id: str, **context: Any) -> None:
        """The company's site reports what a customer did, with the tenant's server token."""
        now = f"{self.scope.clock.now():%Y-%m-%d %H:%M:%S.%f} UTC"
        body = {"tenant": self.scope.tenant_id, "event": event, "customer": customer_id, "timestamp": now}
        answer = httpx.post(
            f"{self.base_url}/v1/events",
            json={**body, "context": context},
            headers={"Authorization-Token": self.server_token},
            timeout=60,
        )
        assert answer.status_code == 200 and answer.json()["status"] == "success", answer.text

    @cached_property
    def server_token(self) -> str:
        """What servers send events with."""
        return str(self.see("event-intake?reveal=true")["server_token"]["value"])

    def firings(self, trigger_id: int) -> dict[str, tuple[str, str]]:
        """What became of each firing of a triggered campaign, by customer: outcome and reason."""
        rows = self.see(f"triggers/{trigger_id}/firings")
        return {row["customer_id"]: (row["outcome"], row["reason"]) for row in rows}

    def pass_to(self, now: datetime) -> None:
        """Let time pass: what was due meanwhile is done."""
        self.at(now)
        tasks.execute_due(self.scope)

    def recipients(self, campaign_id: int, channel_id: int | None = None) -> list[str]:
        """Who was to get a campaign, on one of its channels when told, by the company's own books."""
        sql = "SELECT DISTINCT customer_id FROM campaign_recipients WHERE campaign_id = {c:UInt32} AND action_id > 1"
        if channel_id is not None:
            sql += " AND channel_id = {channel:UInt16}"
        return sorted(str(who) for (who,) in self.scope.warehouse.rows(sql, c=campaign_id, channel=channel_id))

    @contextmanager
    def hires(self, kind: type[V], access_type: str = "Integrations") -> Iterator[V]:
        """A vendor with a key of its own; once it is set up it is told the secrets that its posts are signed with."""
        made = self.manage(
            "keys", {"nickname": kind.__name__, "contact_email": "vendor@example.com", "access_type": access_type}
        )
        vendor = kind(self.base_url, made["key"])
        try:
            yield vendor
        finally:
            self._forget(vendor)
            vendor.close()

    def _forget(self, vendor: Vendor) -> None:
        """Tell a vendor nothing more, or the next at its listeners would be told what was meant for it."""
        for listener in self.see("listeners"):
            if listener["url"] == vendor.url and listener["event_type_id"] != CALLBACK:
                place = {"EventTypeID": listener["event_type_id"]}
                if listener["channel_id"] is not None:
                    place["ChannelID"] = listener["channel_id"]
                answer = self.admin.post("/current/general/UnregisterEventListener", json=place)
                assert answer.status_code == 200, answer.text

    def tell_secrets(self, vendor: Vendor) -> None:
        """Hand a vendor the secrets of its listeners, as a person would."""
        vendor.secrets = [one["secret"] for one in self.see("listeners") if one["url"] == vendor.url]
        assert vendor.secrets
