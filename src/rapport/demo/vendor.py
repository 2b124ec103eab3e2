"""The vendor of the retailer's text messages: told by events, it reads whom to text and reports what came of it.

It knows Rapport by its API only, with a key of the access type Integrations.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import orjson

from rapport.demo.outside import EVENTS, OutsideSystems
from rapport.demo.visits import signed

# MetricID of UpdateCampaignMetrics, EventID of UpdateCampaignInteractions, chance a text; clicking presupposes opening.
SENT_METRIC, DELIVERED_METRIC = 0, 1
REPORTED = {"opened": (2, 2, 0.34), "clicked": (3, 3, 0.08), "unsubscribed": (4, 4, 0.003), "bounced": (9, 7, 0.006)}
OPTED_OUT = 2
PAGE = 10_000
MOST_EVENTS, MOST_METRICS = 1000, 100
CALLS_AT_ONCE = 2
SCHEDULED, TRIGGERED = 13, 11
# Of a template: where it was sent, whom what happened to, and the metrics of it.
TemplateReport = tuple[dict[str, int], dict[str, list[str]], list[dict[str, int]]]


class Vendor:
    """The vendor's system. seed makes its customers' luck."""

    def __init__(self, client: httpx.Client, outside: OutsideSystems, channel_id: int, seed: int) -> None:
        self._client, self._outside, self._channel = client, outside, channel_id
        self._luck = np.random.default_rng([seed, 2])
        self._done: set[str] = set()

    def sign_up(self, templates: dict[int, str]) -> None:
        """Register templates, and have events posted here."""
        new_templates = [{"TemplateID": number, "TemplateName": name} for number, name in templates.items()]
        self._call("integrations/AddChannelTemplates", new_templates, ChannelID=self._channel)
        for event in (SCHEDULED, TRIGGERED):
            listener = {"EventTypeID": event, "ListenerURL": self._outside.url(EVENTS), "ChannelID": self._channel}
            self._call("general/RegisterEventListener", listener)

    def sign_off(self) -> None:
        """Be told no more."""
        for event in (SCHEDULED, TRIGGERED):
            self._call("general/UnregisterEventListener", {"EventTypeID": event, "ChannelID": self._channel})

    def _call(self, path: str, body: Any, **query: Any) -> None:
        self._client.post(f"/current/{path}", json=body, params=query).raise_for_status()

    def report(self, at: datetime, tenant_id: int, vendor_token: str) -> None:
        """Report on everything that was told since the last time; at is an instant in the tenant's zone."""
        new = {number: event for number, event in self._outside.events.items() if number not in self._done}
        self._done |= new.keys()
        totals: list[dict[str, int]] = []
        unsubscribed: list[str] = []
        interactions: list[dict[str, Any]] = []
        for campaign_id in sorted(
            {event["CampaignID"] for event in new.values() if event.get("EventTypeID") == SCHEDULED}
        ):
            for template, happened, metrics in self._of_campaign(campaign_id):
                interactions += _interactions(template, happened, at)
                totals += metrics
                unsubscribed += happened["unsubscribed"]
        with ThreadPoolExecutor(CALLS_AT_ONCE, "vendor") as callers:
            list(callers.map(lambda body: self._call("integrations/UpdateCampaignInteractions", body), interactions))
        for begin in range(0, len(totals), MOST_METRICS):
            self._call("integrations/UpdateCampaignMetrics", totals[begin : begin + MOST_METRICS])
        if unsubscribed:
            no = {"ChannelID": self._channel, "CommunicationMode": OPTED_OUT, "CustomerIDs": unsubscribed}
            self._call("integrations/SetCustomerChannelPreference", no)
        texts = [event for event in new.values() if event.get("eventTypeID") == TRIGGERED]
        self._report_texts(texts, at, tenant_id, vendor_token)

    def _of_campaign(self, campaign_id: int) -> Iterator[TemplateReport]:
        """Of each template of a scheduled campaign: its place, whom what happened to, and the totals."""
        by_template: dict[int, list[str]] = defaultdict(list)
        for row in self._recipients(campaign_id):
            by_template[row["TemplateID"]].append(row["CustomerID"])
        for template_id, texted in sorted(by_template.items()):
            template = {"CampaignID": campaign_id, "ChannelID": self._channel, "TemplateID": template_id}
            happened = self._happened(texted)
            bounced = len(happened["bounced"])
            totals = {SENT_METRIC: len(texted), DELIVERED_METRIC: len(texted) - bounced}
            totals |= {REPORTED[name][0]: len(customers) for name, customers in happened.items()}
            metrics = [{**template, "MetricID": metric, "MetricValue": value} for metric, value in totals.items()]
            yield template, happened, metrics

    def _recipients(self, campaign_id: int) -> list[dict[str, Any]]:
        recipients: list[dict[str, Any]] = []
        query = {"CampaignID": campaign_id, "ChannelID": self._channel, "$top": PAGE}
        while True:
            answer = self._client.get(
                "/current/customers/GetCustomerSendDetailsByChannel", params={**query, "$skip": len(recipients)}
            )
            page = answer.raise_for_status().json()
            recipients += page
            if len(page) < PAGE:
                return recipients

    def _happened(self, texted: Sequence[str]) -> dict[str, list[str]]:
        """Whom each kind of thing happened to."""
        luck = dict(zip(REPORTED, self._luck.random((len(REPORTED), len(texted))), strict=True))
        luck["clicked"] = luck["opened"]
        return {
            name: [customer for customer, lucky in zip(texted, luck[name], strict=True) if lucky < chance]
            for name, (_, _, chance) in REPORTED.items()
        }

    def _report_texts(self, texts: Sequence[dict[str, Any]], at: datetime, tenant_id: int, vendor_token: str) -> None:
        """What came of triggered texts, as signed metric events."""
        stamp = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        events = [_metric(text, "delivered", stamp) for text in texts]
        lucky = self._luck.random(len(texts)) < REPORTED["clicked"][2] * 2
        events += [_metric(text, "clicked", stamp) for text, clicked in zip(texts, lucky, strict=True) if clicked]
        for begin in range(0, len(events), MOST_EVENTS):
            body = orjson.dumps(events[begin : begin + MOST_EVENTS])
            headers = signed(body, vendor_token)
            self._client.post(f"/v1/metrics/{tenant_id}/saveEvent", content=body, headers=headers).raise_for_status()


def _interactions(template: dict[str, int], happened: dict[str, list[str]], at: datetime) -> list[dict[str, Any]]:
    """The bodies that tell whom what happened to."""
    day = {**template, "InteractionDate": f"{at:%Y-%m-%d}"}
    return [
        {**day, "EventID": REPORTED[name][1], "CustomerIDs": customers}
        for name, customers in happened.items()
        if customers
    ]


def _metric(text: dict[str, Any], word: str, stamp: str) -> dict[str, Any]:
    context = {"campaign_id": text["campaignID"], "channel_id": text["channelID"], "template_id": text["templateID"]}
    event = {"event": f"sms_{word}", "category": "metric", "timestamp": stamp}
    return {**event, "customer": text["customerID"], "context": context}
