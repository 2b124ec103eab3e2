"""A kind of channel that only this test knows: all that the program needs of one is told by its object."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asked_firings import campaign, fire, firing
from campaign_tenant import (
    DATA_DATE,
    NOW,
    TODAY,
    add_action,
    add_group,
    add_series,
    group,
    outcomes,
    publish,
    tally,
)
from gateway_server import eventually
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import opening
from rapport.channels import service as channels
from rapport.channels.kinds.base import AddressForm, ChannelKind, Secret
from rapport.channels.kinds.registry import KINDS
from rapport.channels.messages import Content, Message, Receipt, Transport
from rapport.channels.messages import Sender as MailSender
from rapport.channels.models import Channel
from rapport.channels.returned import ReturnKind
from rapport.delivery import transports
from rapport.errors import Invalid
from rapport.messaging.contactability import suppressions
from rapport.realtime.matching import releasing
from rapport.realtime.sending import Sender
from rapport.stores.records import Records
from rapport.stores.records.sealing import Keys

RING = "^[A-Z]{2}-[0-9]{2,}$"
flown: list[tuple[str, Message]] = []


class LoftSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    loft: str = "north"
    call: Secret = ""


class Loft:
    """Every pigeon arrives, but for those with the ring of one that is lost."""

    def __init__(self, name: str) -> None:
        self._name = name

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        for message in messages:
            if message.to.endswith("-404"):
                yield Receipt(message.message_id, "failed", "pigeon lost", True)
            else:
                flown.append((self._name, message))
                yield Receipt(message.message_id, "sent")

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        yield list(self.send(messages))

    def check(self) -> None: ...

    def close(self) -> None: ...


class PigeonKind(ChannelKind):
    name = "pigeon"
    settings = LoftSettings
    known_id = 590
    address_attribute = "MOBILE_NUMBER"
    address_form = AddressForm(
        "ring number",
        "ring numbers",
        "a",
        lambda text: re.match(RING, text.strip().upper()) is not None,
        lambda text, plain: f"match(upper(trimBoth(ifNull({text}, ''))), '{RING}')",
    )

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        return Loft(LoftSettings.model_validate(settings).loft)

    def check_settings(self, scope: Scope, settings: Mapping[str, Any]) -> None:
        if settings.get("loft") == "burnt":
            raise Invalid("settings.loft must be one that stands.")

    def check_content(self, content: Content) -> None:
        if content.subject or content.html or not content.text:
            raise Invalid("A pigeon carries text, and nothing else.")

    def write(self, message_id: str, customer_id: str, to: str, content: Content, unsubscribe_url: str = "") -> Message:
        return Message(message_id, customer_id, to, text=content.text)

    def returned(self, reason: str) -> ReturnKind | None:
        return ReturnKind.PERMANENT if reason == "pigeon lost" else None

    def sending_attributes(
        self, scope: Scope, settings: Mapping[str, Any], subject: str, sender: MailSender
    ) -> list[str]:
        return [LoftSettings.model_validate(settings).loft]


PIGEON = 590
OTHERS = list(KINDS)


@pytest.fixture(scope="module", autouse=True)
def pigeons() -> Iterator[None]:
    """The kind is there as long as this module's tests."""
    KINDS[PigeonKind.name] = PigeonKind()
    yield
    del KINDS[PigeonKind.name]


@pytest.fixture(scope="module")
def channel(api: httpx.Client, scope: Scope) -> dict[str, Any]:
    """A channel of the kind and its template, made over the API."""
    scope.clock.set(NOW)
    body = {"name": "Post", "kind": "pigeon", "settings": {"loft": "south"}}
    made = api.post("/manage/v1/channels", json=body)
    assert made.status_code == 201, made.text
    template = {"id": 1, "name": "Note", "text": "Coo, [%FIRST_NAME%]!"}
    assert api.post(f"/manage/v1/channels/{PIGEON}/templates", json=template).status_code == 201
    shown: dict[str, Any] = made.json()
    return shown


@pytest.fixture(scope="module")
def tenant(scope: Scope, channel: dict[str, Any]) -> Scope:
    """Customers with a ring, without one, with the ring of a lost pigeon, and with what is none."""
    rings = {"A": "BE-11", "B": " be-12 ", "C": None, "D": "BE-404", "E": "no ring"}
    rows = [[DATA_DATE, who, ring, "NL", f"Name of {who}"] for who, ring in rings.items()]
    names = ["data_date", "customer_id", "MOBILE_NUMBER", "COUNTRY", "FIRST_NAME"]
    scope.warehouse.insert("profiles", names, rows)
    publish(scope)
    return scope


def test_a_channel_is_what_its_kind_says(api: httpx.Client, channel: dict[str, Any]) -> None:
    home = "/manage/v1/channels"
    told = {name: channel[name] for name in ("id", "kind", "address_attribute", "permission_attribute", "settings")}
    assert told == {
        "id": PIGEON,
        "kind": "pigeon",
        "address_attribute": "MOBILE_NUMBER",
        "permission_attribute": None,
        "settings": {"loft": "south"},
    }
    for body, words in [
        ({"kind": "dove"}, f"kind: must be {', '.join(map(repr, OTHERS))} or 'pigeon'."),
        ({"kind": "pigeon", "settings": {"host": "x"}}, "There is no host in settings; there are loft, call."),
        ({"kind": "pigeon", "settings": {"loft": "burnt"}}, "settings.loft must be one that stands."),
    ]:
        answer = api.post(home, json={"name": "Other", **body})
        assert (answer.status_code, answer.json()["detail"]) == (400, words)
    html = api.post(f"{home}/{PIGEON}/templates", json={"name": "Page", "html": "<p>x</p>"})
    assert (html.status_code, html.json()["detail"]) == (400, "A pigeon carries text, and nothing else.")
    hook = api.put(f"{home}/{PIGEON}/webhook", json={"url": "http://127.0.0.1:9/x", "name": "hook"})
    assert hook.status_code == 400 and "is a native channel" in hook.json()["detail"]
    addresses = {"address": ["BE-1234", "anna@example.com"], "channel_id": PIGEON}
    refused = api.post("/manage/v1/suppressions", json=addresses)
    assert (refused.status_code, refused.json()["detail"]) == (400, "address 2 is not a ring number.")


def test_its_templates_are_told_with_what_it_says_of_them(base_url: str, scope: Scope, channel: dict[str, Any]) -> None:
    _, secret = keys.create_key(scope, "vendor", "vendor@example.com", "Integrations")
    asked = {"ChannelID": PIGEON, "TemplateID": 1}
    url = f"{base_url}/current/integrations/GetChannelTemplateDetails"
    (told,) = httpx.get(url, params=asked, headers={"X-API-KEY": secret}).json()
    assert (told["TemplateContent"], told["TemplateAttributes"]) == ("Coo, [%FIRST_NAME%]!", ["south"])


def test_a_message_can_be_tried(api: httpx.Client, channel: dict[str, Any]) -> None:
    flown.clear()
    home = f"/manage/v1/channels/{PIGEON}"
    assert api.post(f"{home}/check").json() == {"ok": True, "reason": ""}
    body = {"to": "BE-99", "template_id": 1, "values": {"FIRST_NAME": "Kim"}}
    assert api.post(f"{home}/test-messages", json=body).json()["outcome"] == "sent"
    ((loft, message),) = flown
    assert (loft, message.to, message.text, message.subject, message.headers) == ("south", "BE-99", "Coo, Kim!", "", {})


def test_a_campaign_goes_out_by_its_transport(tenant: Scope) -> None:
    flown.clear()
    add_group(tenant, "Dutch", "NL")
    action = add_action(tenant).id
    goal = {"kind": "click"}
    groups = [group(action, (PIGEON, 1), share=0.5), group(action, (PIGEON, 1), share=0.5)]
    series = add_series(tenant, 1, groups, rules={"include_all": True}, control_share=0, goal=goal)
    assert f"clicks in any message of channel {PIGEON}" in definitions.series_warnings(tenant, series)[0]
    number = plan_next_run(tenant, series.id, TODAY)
    processing.prepare_members(tenant, number, DATA_DATE)
    assert processing.process(tenant, number, DATA_DATE) == "scheduled"
    tenant.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(tenant)
    rows = outcomes(tenant, number)
    assert rows == [
        ("A", PIGEON, "sent", ""),
        ("B", PIGEON, "sent", ""),
        ("C", PIGEON, "no address", ""),
        ("D", PIGEON, "failed", "pigeon lost"),
        ("E", PIGEON, "no address", "not a ring number"),
    ]
    assert occurrences.occurrence(tenant, number).counts == tally(rows)
    listed = suppressions.list_suppressions(tenant, channel_id=PIGEON)
    assert [(one.customer_id, one.reason) for one in listed] == [("D", "bounced")]
    assert sorted(message.text for _, message in flown) == ["Coo, Name of A!", "Coo, Name of B!"]
    assert not any(message.headers or message.subject for _, message in flown)


def test_a_firing_goes_out_by_its_transport(tenant: Scope) -> None:
    flown.clear()
    day = campaign(tenant, places=[{"channel_id": PIGEON, "template_id": 1}])
    made = fire(tenant, day, "A", "C", "E")
    sender = Sender(tenant.stores)
    sender.start()
    try:
        with tenant.records() as session:
            releasing.release(tenant, session, made)
        eventually(lambda: all(firing(tenant, one).state == "done" for one in made))
    finally:
        sender.stop()
    ended = [(one.outcome, one.reason) for one in (firing(tenant, number) for number in made)]
    assert ended == [("sent", ""), ("no address", ""), ("no address", "not a ring number")]
    assert [(message.customer_id, message.text) for _, message in flown] == [("A", "Coo, Name of A!")]


def test_what_a_kind_declares_as_secret_is_sealed_and_shown_masked(tenant: Scope, api: httpx.Client) -> None:
    home = f"/manage/v1/channels/{PIGEON}"
    shown = api.patch(home, json={"settings": {"loft": "south", "call": "coo coo"}}).json()
    assert shown["settings"] == {"loft": "south", "call": "********"}
    kept = api.patch(home, json={"settings": {"loft": "south", "call": "********"}})
    assert kept.status_code == 200, kept.text
    sealed = Records(tenant.stores.records.url, keys=Keys("the key of the secrets of this test, long enough"))
    try:
        with sealed.session() as session:
            found = session.get_one(Channel, (tenant.tenant_id, PIGEON))
            assert found.settings == {"loft": "south", "call": "coo coo"}, "what was stored before is read"
            found.settings = {**found.settings, "loft": "east"}
            session.flush()
            stored = session.scalar(select(type_coerce(Channel.settings, JSONB)).where(Channel.id == PIGEON))
            assert stored["loft"] == "east" and stored["call"].startswith("sealed:")
            session.refresh(found)
            assert found.settings == {"loft": "east", "call": "coo coo"}
            session.rollback()
    finally:
        sealed.close()


def test_a_kind_that_is_gone_is_told_on_its_channel_and_others_go_on(
    tenant: Scope, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = channels.channel(tenant, PIGEON)
    other = channels.create_channel(tenant, f"Text {time.time_ns()}", "external")
    action = add_action(tenant, f"Coo {time.time_ns()}").id
    few = add_group(tenant, f"Few {time.time_ns()}", "NL")
    made = add_series(tenant, few, [group(action, (PIGEON, 1))], rules={"include_all": True})
    transports.transports(tenant.stores).tidy(idle=0)  # a process of another release has none open
    monkeypatch.delitem(KINDS, "pigeon")
    told = "The channel is of kind 'pigeon', which this release does not have: it has " + f"{', '.join(OTHERS)}."
    with pytest.raises(Invalid, match=re.escape(told)):
        opening.transport(tenant, found)
    with pytest.raises(Invalid, match=f"kind must be one of {', '.join(OTHERS)}, not 'pigeon'"):
        channels.create_channel(tenant, f"More post {time.time_ns()}", "pigeon")
    assert (channels.is_pulled(tenant, PIGEON), channels.is_pulled(tenant, other.id)) == (False, True)
    shown = {one["id"]: one for one in api.get("/manage/v1/channels").json()}
    assert (shown[PIGEON]["fault"], shown[other.id]["fault"]) == (told, "")
    assert set(shown[PIGEON]["settings"].values()) == {"********"}, "nobody knows which of them are secret"
    assert api.get("/current/actions/GetExecutionChannels").status_code == 200
    campaign_id = plan_next_run(tenant, made.id, TODAY)
    processing.prepare_members(tenant, campaign_id, DATA_DATE)
    processing.process(tenant, campaign_id, DATA_DATE)
    tenant.clock.set(NOW + timedelta(hours=3))
    tasks.execute_due(tenant)
    ended = occurrences.occurrence(tenant, campaign_id)
    assert ended.state == "failed", (ended.state, outcomes(tenant, campaign_id))
    assert told.removesuffix(".") in ended.error
