"""The contract's flows of scheduled campaigns, each with vendors that do all of it over the wire."""

import base64
import time
from datetime import timedelta
from typing import Any

import httpx
from avro_files import records
from flow_company import DATA_DATE, LETTERS, MORNING, PUSH, SMS, TODAY, Company
from flow_vendor import Event, Vendor, of

from rapport.campaigns.cycle import daily
from rapport.campaigns.delivery import engagements

DAYS = timedelta(days=1)


class Listener(Vendor):
    """Only listens."""


def test_listener_notifications(company: Company) -> None:
    """Every type of the day, general and by channel, and what unregistering and moving do."""
    with company.hires(Listener) as everything, company.hires(Listener) as sms_only, company.hires(Listener) as moved:
        for event_type_id in (1, 2, 3, 4, 5, 13):
            everything.listen(event_type_id)
        moved.listen(13, SMS)
        sms_only.listen(13, SMS)  # the same type and channel again: takes the place of the other
        for vendor in (everything, sms_only):
            company.tell_secrets(vendor)
        listed = everything.get("general/GetRegisteredEventListeners")
        listed = [row for row in listed if row["ListenerURL"] in (everything.url, sms_only.url)]
        assert [(row["EventTypeID"], row["ChannelID"]) for row in listed] == [
            *((number, None) for number in (1, 2, 3, 4, 5)),
            (13, None),
            (13, SMS),
        ]
        refused = everything.api.post(
            "/current/general/RegisterEventListener",
            json={"EventTypeID": 5, "ListenerURL": everything.url, "ChannelID": SMS},
        )
        assert refused.status_code == 400

        company.at(MORNING + DAYS)
        daily.run_cycle(company.scope, DATA_DATE + DAYS)
        everything.wait(of(2)), everything.wait(of(3))
        both = company.run(company.series("Both", {SMS: 11, PUSH: 40}))
        everything.wait(of(13, both), 2), everything.wait(of(1, both)), sms_only.wait(of(13, both, SMS))
        later = {
            "channels": [{"channel_id": SMS, "template_id": 11, "send_time": "23:00"}],
            "action_id": company.action,
        }
        stopped = company.run(company.series("Stopped", {}, groups=[later]))
        # Told long before 23:00, and still to be stopped.
        everything.wait(of(13, stopped)), everything.wait(of(1, stopped)), sms_only.wait(of(13, stopped, SMS))
        company.manage(f"campaigns/{stopped}/cancel", None, 200)
        everything.wait(of(4, stopped))
        held = company.run(company.series("Held", {SMS: 11}, conditional=True))
        everything.wait(of(5, held))
        company.manage(f"campaigns/{held}/cancel", None, 200)
        everything.wait(of(4, held))

        day, minute = "2026-03-11", "2026-03-11 10:00"
        # A campaign of a test before may still have had something to tell.
        told = [one for one in everything.events if one.get("CampaignID", both) in (both, stopped, held)]
        assert sorted(told, key=str) == sorted(
            [
                {"EventTypeID": 1, "TimeStamp": minute, "CampaignID": both},
                {"EventTypeID": 1, "TimeStamp": minute, "CampaignID": stopped},
                {"EventTypeID": 2, "TimeStamp": minute},
                {"EventTypeID": 3, "TimeStamp": minute},
                {"EventTypeID": 4, "TimeStamp": minute, "CampaignID": stopped},
                {"EventTypeID": 4, "TimeStamp": minute, "CampaignID": held},
                {"EventTypeID": 5, "TimeStamp": minute, "CampaignID": held, "ClearanceRequiredBy": f"{day} 10:30:00"},
                {"EventTypeID": 13, "TimeStamp": minute, "CampaignID": both, "ChannelID": SMS},
                {"EventTypeID": 13, "TimeStamp": minute, "CampaignID": both, "ChannelID": PUSH},
                {"EventTypeID": 13, "TimeStamp": minute, "CampaignID": stopped, "ChannelID": SMS},
            ],
            key=str,
        )
        assert [(event["CampaignID"], event["ChannelID"]) for event in sms_only.events] == [(both, SMS), (stopped, SMS)]
        assert not moved.events and everything.refused == sms_only.refused == 0
        assert everything.get("general/GetLastDataUpdate") == {"Date": str(DATA_DATE + DAYS)}


class SmsProvider(Vendor):
    """Sends what campaigns of its channel order, and reports what became of it."""

    def set_up(self) -> None:
        self.texts = {11: "Hello {name}, take {code}", 12: "Bonjour {name}: {code}", 13: "old"}
        self.sent: dict[int, list[tuple[str, str, str]]] = {}
        self.listen(13, SMS)
        self.post(
            "integrations/AddChannelTemplates",
            [{"TemplateID": number, "TemplateName": text[:20]} for number, text in self.texts.items()],
            ChannelID=SMS,
        )
        self.post("integrations/DeleteChannelTemplates", [{"ChannelID": SMS, "TemplateID": 13}])

    def on_event(self, event: Event) -> None:
        campaign, channel = event["CampaignID"], event["ChannelID"]
        details = self.get("actions/GetCampaignDetails", CampaignID=campaign)
        assert channel in {one["Id"] for one in details["Channels"]}
        planned = self.get("actions/GetExecutedCampaignChannelDetails", CampaignID=campaign, ChannelID=channel)
        rows = self.pages(
            "customers/GetCustomerSendDetailsByChannel",
            7,
            CampaignID=campaign,
            ChannelID=channel,
            CustomerAttributes="FIRST_NAME;MOBILE_NUMBER",
        )
        codes = {
            row["CustomerID"]: row["PromoCode"]
            for row in self.pages(
                "customers/GetCustomerExecutionDetailsByCampaign", 7, CampaignID=campaign, ChannelID=channel
            )
        }
        assert {row["TemplateID"] for row in rows} <= {row["TemplateID"] for row in planned}
        self.sent[campaign] = []
        for row in rows:
            name, number = row["CustomerAttributes"]
            text = self.texts[row["TemplateID"]].format(name=name, code=codes[row["CustomerID"]])
            self.sent[campaign].append((row["CustomerID"], number, text))
        self.report(campaign, channel, rows)

    def report(self, campaign: int, channel: int, rows: list[Event]) -> None:
        """Totals, who clicked, who does not want more."""
        place = {"CampaignID": campaign, "ChannelID": channel, "TemplateID": rows[0]["TemplateID"]}
        totals = [
            {**place, "MetricID": 0, "MetricValue": len(rows)},
            {**place, "MetricID": 1, "MetricValue": len(rows) - 1},
        ]
        self.post("integrations/UpdateCampaignMetrics", totals)
        self.clicked = [row["CustomerID"] for row in rows[::3]]
        for _ in range(2):  # a report that is repeated counts once
            self.post(
                "integrations/UpdateCampaignInteractions",
                {**place, "InteractionDate": str(TODAY), "EventID": 3, "CustomerIDs": self.clicked},
            )
        self.left = [rows[-1]["CustomerID"]]
        preference = {"ChannelID": channel, "CustomerIDs": self.left, "CommunicationMode": 2, "AppID": None}
        self.post("integrations/SetCustomerChannelPreference", preference)


def test_scheduled_campaign_execution(company: Company) -> None:
    with company.hires(SmsProvider) as provider:
        provider.set_up()
        company.tell_secrets(provider)
        templates = {row["TemplateID"] for row in provider.get("integrations/GetChannelTemplates", ChannelID=SMS)}
        assert {11, 12} <= templates and 13 not in templates
        series = company.series("Spring", {SMS: 12})
        campaign = company.run(series)
        provider.wait(of(13, campaign, SMS))
        ordered = company.recipients(campaign)
        names = {f"Q{1000 + n}": (f"+4670{100000 + n}", f"Bonjour Name{n}: FREE5,SPR15") for n in range(60)}
        assert provider.sent[campaign] == [(who, *names[who]) for who in ordered] and len(ordered) > 20
        clicked = provider.pages(
            "customers/GetCampaignInteractionCustomers",
            5,
            CampaignID=campaign,
            ChannelID=SMS,
            TemplateID=12,
            EventID=3,
            RecipientGroupID=1,
            Date=str(TODAY),
        )
        assert [row["CustomerID"] for row in clicked] == provider.clicked
        groups = company.see(f"campaigns/{campaign}/results")["groups"]
        assert groups[1]["interactions"]["clicked"] == len(provider.clicked)
        # Who does not want more on the channel gets no more, but may change their mind.
        left = set(provider.left)
        again = company.run(series)
        provider.wait(of(13, again, SMS))
        assert not left & set(company.recipients(again))
        kept_out = [company.see(f"campaigns/{again}/customers/{who}")["outcomes"][0] for who in left]
        assert {(row["outcome"], row["reason"]) for row in kept_out} == {("suppressed", "channel preference")}
        back = {"ChannelID": SMS, "CustomerIDs": sorted(left), "CommunicationMode": 1}
        provider.post("integrations/SetCustomerChannelPreference", back)
        assert provider.refused == 0


class RewardSystem(Vendor):
    """Grants the promotions that campaigns give, each once whatever the number of channels, and withdraws them."""

    def set_up(self) -> None:
        self.granted: dict[tuple[int, str, str], str] = {}
        self.campaigns: dict[int, Any] = {}
        for channel in (SMS, PUSH):
            self.listen(13, channel)
        names = {"FREE5": "Five free rounds", "SPR15": "Spring 15 percent", "OLD": "Retired"}
        self.post("integrations/AddPromotions", [{"PromoCode": c, "PromotionName": n} for c, n in names.items()])
        self.post("integrations/DeletePromotions", [{"PromoCode": "OLD"}])

    def on_event(self, event: Event) -> None:
        campaign, channel = event["CampaignID"], event["ChannelID"]
        if campaign not in self.campaigns:
            self.campaigns[campaign] = self.get("actions/GetCampaignDetails", CampaignID=campaign)
        for row in self.pages(
            "customers/GetCustomerExecutionDetailsByCampaign", 25, CampaignID=campaign, ChannelID=channel
        ):
            for code in filter(None, row["PromoCode"].split(",")):
                self.granted.setdefault((campaign, row["CustomerID"], code), "granted")

    def withdraw(self, day: str) -> None:
        """Take back what belongs to actions that ended on a day."""
        ended = {row["CustomerID"] for row in self.pages("customers/GetCustomersActionEndedByDate", 25, Date=day)}
        for key in self.granted:
            if key[1] in ended:
                self.granted[key] = "withdrawn"


def test_promotion_scheduled_all_customers(company: Company) -> None:
    with company.hires(RewardSystem, "Admin") as rewards:
        rewards.set_up()
        company.tell_secrets(rewards)
        listed = {row["PromoCode"]: row["PromotionName"] for row in rewards.get("integrations/GetPromotions")}
        assert listed["FREE5"] == "Five free rounds" and "OLD" not in listed
        campaign = company.run(company.series("Bonus", {SMS: 11, PUSH: 40}, duration=3))
        rewards.wait(of(13, campaign), 2)
        everybody = company.recipients(campaign)
        codes = {key for key in rewards.granted if key[0] == campaign}
        assert codes == {(campaign, who, code) for who in everybody for code in ("FREE5", "SPR15")}
        assert rewards.campaigns[campaign]["IsMultiChannel"] and rewards.campaigns[campaign]["Duration"] == 3
        company.at(MORNING + 3 * DAYS)
        rewards.withdraw(str(TODAY + 2 * DAYS))
        assert {state for key, state in rewards.granted.items() if key[0] == campaign} == {"granted"}
        rewards.withdraw(str(TODAY + 3 * DAYS))
        assert {state for key, state in rewards.granted.items() if key[0] == campaign} == {"withdrawn"}


class Compliance(Vendor):
    """Approves customers of campaigns on hold by rules of its own."""

    BATCH = 10

    def set_up(self) -> None:
        self.verdicts: dict[int, dict[str, bool]] = {}
        self.late: list[int] = []
        self.listen(5)
        self.listen(13)

    def on_event(self, event: Event) -> None:
        if event["EventTypeID"] == 5:
            self.approve(event["CampaignID"])

    def approve(self, campaign: int) -> None:
        rows = self.pages("customers/GetProcessedCampaignCustomers", self.BATCH, CampaignID=campaign)
        assert {tuple(row) for row in rows} == {("CustomerID", "ActionID", "PromoCode")}
        verdicts = {row["CustomerID"]: int(row["CustomerID"][1:]) % 3 != 0 for row in rows[:-2]}
        self.verdicts[campaign] = verdicts
        listed = [{"CustomerID": who, "Status": status} for who, status in verdicts.items()]
        for first in range(0, len(listed), self.BATCH):
            self.clear(campaign, listed[first : first + self.BATCH])

    def clear(self, campaign: int, listed: list[Event]) -> None:
        body = {"TimeStamp": "2026-03-10 10:01:00", "CampaignID": campaign, "PromosUpdated": listed}
        self.post("integrations/UpdateCustomerPromotionStatus", body)


def test_conditional_execution_scheduled(company: Company) -> None:
    with company.hires(Compliance, "Admin") as compliance:
        compliance.set_up()
        company.tell_secrets(compliance)
        campaign = company.run(company.series("Bets", {SMS: 11, PUSH: 40}, conditional=True))
        (asked,) = compliance.wait(of(5, campaign))
        assert asked["ClearanceRequiredBy"] == "2026-03-10 10:30:00"
        waiting = company.recipients(campaign)
        on_channel = {channel: company.recipients(campaign, channel) for channel in (SMS, PUSH)}
        verdicts = compliance.verdicts[campaign]
        assert sorted(verdicts) == waiting[:-2]
        changed = next(who for who in waiting if verdicts[who])
        compliance.clear(campaign, [{"CustomerID": changed.lower(), "Status": False}])
        standing = company.see(f"campaigns/{campaign}/clearance")
        approved = [who for who in waiting if verdicts.get(who) and who != changed]
        assert (standing["approved"], standing["unreported"]) == (len(approved), 2)
        company.pass_to(MORNING + timedelta(minutes=30))
        body = {"CampaignID": campaign, "PromosUpdated": [{"CustomerID": waiting[-1], "Status": True}]}
        late = compliance.api.post("/current/integrations/UpdateCustomerPromotionStatus", json=body)
        assert late.status_code == 400 and "deadline" in late.text
        assert compliance.get("customers/GetProcessedCampaignCustomers", CampaignID=campaign) == []
        company.pass_to(MORNING + timedelta(minutes=60))
        compliance.wait(of(13, campaign), 2)
        for channel in (SMS, PUSH):
            rows = compliance.pages(
                "customers/GetCustomerSendDetailsByChannel", 9, CampaignID=campaign, ChannelID=channel
            )
            assert [row["CustomerID"] for row in rows] == [who for who in approved if who in on_channel[channel]]
            assert {row["ScheduledTime"] for row in rows} == {"2026-03-10 11:00:00"}
        reasons = {row["reason"] for row in company.see(f"campaigns/{campaign}/outcomes?outcome=excluded")}
        assert reasons == {"refused", "not cleared"}


class SilentProvider(SmsProvider):
    """Sends and does not report."""

    def report(self, campaign: int, channel: int, rows: list[Event]) -> None:
        pass


class Publisher(Vendor):
    """A promotion service: works out a reward for everybody of a campaign on hold, writes it back, then clears."""

    def set_up(self) -> None:
        self.rewards: dict[int, dict[str, str]] = {}
        self.listen(5)

    def on_event(self, event: Event) -> None:
        campaign = event["CampaignID"]
        rows = self.pages(
            "customers/GetProcessedCampaignCustomers", 20, CampaignID=campaign, CustomerAttributes="MOBILE_NUMBER"
        )
        eligible = {row["CustomerID"]: row["CustomerAttributes"][0][-2:] for row in rows if row["PromoCode"]}
        self.rewards[campaign] = {who: f"{int(end) + 1} rounds" for who, end in eligible.items() if int(end) % 5}
        values = [
            {"CustomerID": who, "Attributes": [{"RealFieldName": "REWARD", "Value": reward}]}
            for who, reward in self.rewards[campaign].items()
        ]
        answer = self.api.post(
            "/current/customers/UpdateCustomerAttributes", json={"CustomerNewAttributesValuesList": values}
        )
        assert answer.status_code == 200, answer.text
        for who in eligible:  # one call a customer, as a service that works them off does
            status = {"CustomerID": who, "Status": who in self.rewards[campaign]}
            body = {"CampaignID": campaign, "PromosUpdated": [status]}
            self.post("integrations/UpdateCustomerPromotionStatus", body)


def test_optipromo_publisher(company: Company) -> None:
    new = {"Name": "REWARD", "Type": "NVARCHAR(50)"}
    assert company.admin.post("/current/customers/AddCustomerAttribute", json=new).status_code == 200
    with company.hires(Publisher, "Admin") as publisher, company.hires(SilentProvider) as provider:
        publisher.set_up()
        provider.set_up()
        provider.texts[11] = "You won {name}"
        for vendor in (publisher, provider):
            company.tell_secrets(vendor)
        campaign = company.run(company.series("Wheel", {SMS: 11}, conditional=True))
        publisher.wait(of(5, campaign))
        company.pass_to(MORNING + timedelta(minutes=60))
        provider.wait(of(13, campaign, SMS))
        rewards = publisher.rewards[campaign]
        assert sorted(who for who, *_ in provider.sent[campaign]) == sorted(rewards)
        of_sends = {"CampaignID": campaign, "ChannelID": SMS, "CustomerAttributes": "REWARD"}
        deadline, read = time.monotonic() + 60, None
        while read != rewards and time.monotonic() < deadline:  # attributes are written after the answer
            rows = provider.pages("customers/GetCustomerExecutionDetailsByCampaign", 50, **of_sends)
            read = {row["CustomerID"]: row["CustomerAttributes"][0] for row in rows}
        assert read == rewards


class FilesProvider(Vendor):
    """Sends from the files of each execution, as a client of the reference's SDK does."""

    def set_up(self) -> None:
        self.metadata: dict[int, Any] = {}
        self.customers: dict[int, list[Any]] = {}
        self.refusals: list[int] = []

    def file(self, event: Event, path: str, key: str | None = None) -> httpx.Response:
        headers = {"X-Decryption-Key": event["DecryptionKey"] if key is None else key}
        return self.api.get(f"/v1/files/{event['BucketName']}/{path}", headers=headers)

    def on_event(self, event: Event) -> None:
        if event["EventTypeID"] != 14:
            return
        metadata = self.file(event, event["MetadataFilePath"]).raise_for_status().json()
        folder, count = event["CustomersFolderPath"], metadata["NumberOfFiles"]
        paths = [f"{folder}/customers_file{number:03}.deflate.avro" for number in range(1, count + 1)]
        files = [self.file(event, path).raise_for_status().content for path in paths]
        rows = [row for content in files for row in records(content)]
        self.metadata[event["CampaignID"]] = metadata
        self.customers[event["CampaignID"]] = rows
        beyond = f"{folder}/customers_file{count + 1:03}.deflate.avro"
        for answer in (
            self.file(event, beyond),
            self.file(event, f"{folder}/../../../{event['MetadataFilePath']}"),
            self.file({**event, "BucketName": "rapport-1"}, event["MetadataFilePath"]),
            self.file(event, event["MetadataFilePath"], "bm90IHRoZSBrZXk="),
        ):
            self.refusals.append(answer.status_code)


def test_scheduled_campaign_execution_sdk(company: Company) -> None:
    with company.hires(FilesProvider) as provider:
        provider.set_up()
        home = f"/manage/v1/channels/{LETTERS}/webhook"
        hook = {"name": "letters", "url": provider.url, "rows_per_file": 10_000, "attributes": ["FIRST_NAME", "CITY"]}
        assert company.admin.put(home, json=hook).json() == {**hook, "channel_id": LETTERS}
        for faulty in ({"rows_per_file": 9_999}, {"name": "a/b"}, {"attributes": ["NO_SUCH"]}):
            assert company.admin.put(home, json={**hook, **faulty}).status_code in (400, 422)
        provider.listen(13, LETTERS)
        company.tell_secrets(provider)
        campaign = company.run(company.series("Letters", {LETTERS: 1}, tags=["vip", "spring"], duration=4))
        (told,) = provider.wait(of(14, campaign))
        provider.wait(of(13, campaign, LETTERS))
        number = told["EngagementID"]
        folder = f"2026-03-10 1000 letters-{LETTERS}-{number}"
        assert told == {
            "EventTypeID": 14,
            "TimeStamp": "2026-03-10 10:00",
            "CampaignID": campaign,
            "EngagementID": number,
            "TenantID": company.scope.tenant_id,
            "BucketName": f"rapport-{company.scope.tenant_id}",
            "CustomersFolderPath": f"{folder}/customers",
            "MetadataFilePath": f"{folder}/metadata_{number}",
            "DecryptionKey": told["DecryptionKey"],
            "ChannelID": LETTERS,
        }
        assert len(base64.b64decode(told["DecryptionKey"], validate=True)) == 32
        metadata, everybody = provider.metadata[campaign], company.recipients(campaign)
        assert metadata == {
            "AccountName": metadata["AccountName"],
            "ActionID": company.action,
            "ActionName": "Spring offer",
            "CampaignID": campaign,
            "CampaignPlanID": company.see(f"campaigns/{campaign}")["series_id"],
            "ChannelID": LETTERS,
            "ChannelName": "Letters",
            "Duration": 4,
            "EmailAddresses": [],
            "EngagementID": number,
            "EngagementTimezone": "Europe/Berlin",
            "Identifier": "CustomerID",
            "InternalAccountID": company.scope.tenant_id,
            "NumberOfCustomers": len(everybody),
            "NumberOfFiles": 1,
            "PlanDetailChannelID": 1,
            "Promotions": "FREE5,SPR15",
            "ScheduledTime": "2026-03-10T08:00:00Z",
            "Tags": "vip,spring",
            "TargetGroupName": "Swedes",
            "TemplateID": 1,
            "TemplateName": "Text 1",
            "WebhookAttributes": ["FIRST_NAME", "CITY"],
        }
        row = {"PromoCode": "FREE5,SPR15", "ScheduledTime": "2026-03-10 09:00:00", "CITY": None}
        names = {who: f"Name{int(who[1:]) - 1000}" for who in everybody}
        assert provider.customers[campaign] == [
            {"CustomerID": who, **row, "FIRST_NAME": names[who]} for who in everybody
        ]
        assert provider.refusals == [404, 404, 404, 403] and provider.refused == 0
        files = company.scope.stores.settings.data_dir / "files"
        written = [path for path in files.rglob("*") if path.is_file()]
        assert len(written) >= 2 and not any(b"Name" in path.read_bytes() for path in written)
        # Kept for a week, and not told any more once the webhook is gone.
        company.at(MORNING + 8 * DAYS)
        engagements.drop_old(company.scope)
        assert provider.file(told, told["MetadataFilePath"]).status_code == 404
        assert not (files / str(company.scope.tenant_id) / folder).exists()
        assert company.admin.delete(home).status_code == 204 and company.admin.get(home).status_code == 404
