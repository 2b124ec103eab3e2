"""The contract's flows of real time, each with vendors that do all of it over the wire."""

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from flow_company import MORNING, PUSH, SMS, TODAY, Company
from flow_vendor import Event, Vendor, eventually, of

pytestmark = pytest.mark.usefixtures("real_time")


class TextProvider(Vendor):
    """Sends at once what triggers order: everything that it needs is in the notification."""

    def set_up(self) -> None:
        self.texts = {21: "You left something: {code} until midnight"}
        self.sent: list[tuple[int, str, str]] = []
        self.listen(11, SMS)
        names = [{"TemplateID": number, "TemplateName": text[:20]} for number, text in self.texts.items()]
        self.post("integrations/AddChannelTemplates", names, ChannelID=SMS)

    def on_event(self, event: Event) -> None:
        text = self.texts[event["templateID"]].format(code=" and ".join(event["promoCode"]))
        self.sent.append((event["campaignID"], event["customerID"], text))

    def told_of(self, trigger: str) -> list[str]:
        """Customers whom a trigger's campaigns reached, in order."""
        return [event["customerID"] for event in self.events if event["notes"] == trigger]


def test_realtime_triggered_execution(company: Company) -> None:
    with company.hires(TextProvider) as provider:
        provider.set_up()
        company.tell_secrets(provider)
        large = {"attribute": "amount", "operator": "greater_or_equal", "value": 50}
        trigger = company.trigger(
            "Basket",
            "basket_left",
            {SMS: 21},
            notes="basket",
            tags=["web"],
            trigger={"kind": "simple", "event": "basket_left", "conditions": large},
        )
        for number, amount in ((1001, 80), (1002, 20), (1003, 50.5)):
            company.track("basket_left", f"Q{number}", amount=amount)
        provider.wait(of(11, channel_id=SMS), 2)
        first = next(event for event in provider.events if event["customerID"] == "Q1001")
        campaign = first["campaignID"]
        assert first == {
            "eventTypeID": 11,
            "timeStamp": "2026-03-10 10:00",
            "campaignID": campaign,
            "channelID": SMS,
            "templateID": 21,
            "customerID": "Q1001",
            "promoCode": ["FREE5", "SPR15"],
            "notes": "basket",
            "actionID": company.action,
            "tags": ["web"],
            "isVisitor": False,
            "event_amount": 80,
        }
        text = "You left something: FREE5 and SPR15 until midnight"
        assert sorted(provider.sent) == [(campaign, "Q1001", text), (campaign, "Q1003", text)]
        assert company.firings(trigger) == {"Q1001": ("sent", ""), "Q1003": ("sent", "")}
        # The day of a triggered campaign is a campaign like any other, a moment later.
        place = {"CampaignID": campaign, "ChannelID": SMS}
        eventually(lambda: len(provider.get("customers/GetCustomerExecutionDetailsByCampaign", **place)) == 2)
        assert provider.refused == 0


class Granter(Vendor):
    """A reward system that grants what triggered campaigns carry."""

    def set_up(self) -> None:
        self.granted: set[tuple[str, str]] = set()
        self.listen(11)
        self.post("integrations/AddPromotions", [{"PromoCode": "SPIN9", "PromotionName": "Nine spins"}])

    def on_event(self, event: Event) -> None:
        self.granted |= {(event["customerID"], code) for code in event["promoCode"]}


def test_promotion_triggered(company: Company) -> None:
    with company.hires(Granter, "Admin") as granter:
        granter.set_up()
        company.tell_secrets(granter)
        reached = [{"channel_id": channel, "template_id": template} for channel, template in ((SMS, 11), (PUSH, 40))]
        group = {"action_id": company.action, "channels": reached, "promo_codes": ["SPIN9"]}
        trigger = company.trigger("Level", "level_done", {}, groups=[group], re_entry="once")
        for who in ("Q1005", "Q1006", "Q1005"):
            company.track("level_done", who)
        granter.wait(of(11), 4)  # one a customer and channel: granted once
        assert granter.granted == {("Q1005", "SPIN9"), ("Q1006", "SPIN9")}
        eventually(lambda: len(company.see(f"triggers/{trigger}/firings")) == 3)
        outcomes = [(row["customer_id"], row["outcome"]) for row in company.see(f"triggers/{trigger}/firings")]
        assert sorted(outcomes) == [("Q1005", "excluded"), ("Q1005", "sent"), ("Q1006", "sent")]


class Gatekeeper(Vendor):
    """Authorises triggered campaigns by rules of its own."""

    def set_up(self) -> None:
        answer = self.api.put("/triggered_conditional_execution_gateway", json={"url": self.gateway_url})
        assert answer.status_code == 200, answer.text

    def verdict(self, question: Event) -> bool:
        return int(question["user"]["user_id"][1:]) % 2 == 0


def test_conditional_execution_triggered(company: Company) -> None:
    with company.hires(Gatekeeper, "Admin") as gatekeeper, company.hires(TextProvider) as provider:
        gatekeeper.set_up()
        provider.set_up()
        company.tell_secrets(provider)
        gatekeeper.secrets = [company.manage("gateway/rotate-secret", None, 200)["secret"]]
        (shown,) = gatekeeper.api.get("/triggered_conditional_execution_gateway").json()
        assert shown["url"] == gatekeeper.gateway_url
        trigger = company.trigger("Bet", "bet_placed", {SMS: 21}, conditional=True, notes="bet", tags=["vip"])
        for number in range(1010, 1016):
            company.track("bet_placed", f"Q{number}", amount=5)
        allowed, refused = ["Q1010", "Q1012", "Q1014"], ["Q1011", "Q1013", "Q1015"]
        provider.wait(of(11, channel_id=SMS), 3)
        eventually(lambda: len(gatekeeper.questions) == 6)
        assert sorted(provider.told_of("bet")) == allowed
        question = next(one for one in gatekeeper.questions if one["user"]["user_id"] == "Q1010")
        assert question == {
            "user": {"user_id": "Q1010", "is_visitor": False},
            "campaign": {
                "id": provider.events[0]["campaignID"],
                "series_id": trigger,
                "notes": "bet",
                "tags": ["vip"],
                "action": {
                    "id": company.action,
                    "name": "Spring offer",
                    "promo_codes": ["FREE5", "SPR15"],
                    "channels": [
                        {
                            "id": SMS,
                            "name": "SMS",
                            "brand_id": None,
                            "templates": [{"id": 21, "name": "You left something:"}],
                        }
                    ],
                },
            },
        }
        eventually(lambda: len(company.firings(trigger)) == 6)
        wanted = dict.fromkeys(allowed, ("sent", "")) | dict.fromkeys(refused, ("excluded", "gateway: not allowed"))
        eventually(lambda: company.firings(trigger) == wanted)
        # Without a gateway nobody authorises anything.
        assert gatekeeper.api.delete("/triggered_conditional_execution_gateway").status_code == 200
        assert gatekeeper.api.get("/triggered_conditional_execution_gateway").json() == []
        company.track("bet_placed", "Q1020", amount=5)
        eventually(lambda: company.firings(trigger).get("Q1020") == ("excluded", "gateway: none set"))
        assert sorted(provider.told_of("bet")) == allowed and gatekeeper.refused == 0


class Reporter(Vendor):
    """Reports what recipients did as signed events, one by one or many at once."""

    def report(self, tenant_id: int, token: str, events: Any) -> httpx.Response:
        body = json.dumps(events).encode()
        signature = hmac.new(token.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Optimove-Signature-Version": "1", "x-optimove-signature-content": signature}
        return self.api.post(f"/v1/metrics/{tenant_id}/saveEvent", content=body, headers=headers)


def test_external_vendor_metrics(company: Company) -> None:
    with company.hires(Reporter) as reporter:
        reporter.listen(13, PUSH)
        company.tell_secrets(reporter)
        campaign = company.run(company.series("Measured", {PUSH: 40}))
        reporter.wait(of(13, campaign, PUSH))
        rows = reporter.get("customers/GetCustomerSendDetailsByChannel", CampaignID=campaign, ChannelID=PUSH)
        who = [row["CustomerID"] for row in rows]
        tenant, token = company.scope.tenant_id, company.server_token

        def metric(event: str, customer: str, days: int = 0) -> Event:
            at = f"{MORNING - timedelta(days=days):%Y-%m-%d %H:%M:%S} UTC"
            context = {"campaign_id": campaign, "channel_id": PUSH, "template_id": 40}
            return {
                "event": event,
                "category": "metric",
                "timestamp": at,
                "customer": customer,
                "context": context,
                "own": 1,
            }

        clicks = [metric("push_clicked", customer) for customer in who[:5]]
        assert reporter.report(tenant, token, metric("push_opened", who[0])).json()["status"] == "success"
        assert reporter.report(tenant, token, clicks).status_code == 200
        assert reporter.report(tenant, token, [clicks[0]]).status_code == 200  # the same again counts once
        assert reporter.report(tenant, "another", clicks).status_code == 401
        for faulty in (
            metric("push_clicked", who[7], 8),
            {**clicks[0], "category": "track"},
            {**clicks[0], "customer": None},
        ):
            refused = reporter.report(tenant, token, [faulty])
            assert refused.status_code == 400 and refused.json()["status"] == "error"
            # Beside one that can be used it is left out by itself.
            assert reporter.report(tenant, token, [clicks[1], faulty]).status_code == 200

        company.settle(list_triggered=True)

        def clicked() -> list[str]:
            place = {"CampaignID": campaign, "ChannelID": PUSH, "TemplateID": 40, "EventID": 3, "RecipientGroupID": 1}
            found = reporter.get("customers/GetCampaignInteractionCustomers", Date=str(TODAY), **place)
            return [row["CustomerID"] for row in found]

        eventually(lambda: len(clicked()) >= 5)
        assert clicked() == who[:5]
        interactions = company.see(f"campaigns/{campaign}/results")["groups"][1]["interactions"]
        assert interactions == {"opened": 1, "clicked": 5}
