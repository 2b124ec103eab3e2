"""A campaign by SMS through an HTTP provider: numbers in one form, true outcomes, nothing to what is no number."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
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
)
from sms_provider import SETTINGS, SmsProvider, sms_provider
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.messaging.contactability import suppressions

SMS = 493
# Numbers that are kept for stories: 0171 39200xx in Germany, 202 555 01xx in the United States.
NUMBERS = {
    "A": ("0171 3920001", None),
    "B": ("+49 171 39200-02", "Yes"),
    "C": (None, None),
    "D": ("+49 171 3920099", None),
    "E": ("no number", None),
    "F": ("+1 202 555 0123", "No"),
    "G": ("+491713920050", None),
    "H": ("+49 171 39", None),
    "I": ("+491713920001", None),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[SmsProvider]:
    with sms_provider() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(api: httpx.Client, scope: Scope, provider: SmsProvider) -> Scope:
    settings = {"campaigns": {"retry_delays": [0, 0], "messages_per_day": 99}}
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    body = {"name": "Texts", "kind": "sms", "settings": {**SETTINGS, "url": provider.url, "tracking": False}}
    made = api.post("/manage/v1/channels", json=body)
    assert made.status_code == 201, made.text
    template = {"id": 1, "name": "Offer", "text": 'Hi [%FIRST_NAME%], a "treat" for you'}
    answer = api.post(f"/manage/v1/channels/{SMS}/templates", json=template)
    assert answer.status_code == 201, answer.text
    rows = [[DATA_DATE, who, number, allowed, "NL", f"N{who}"] for who, (number, allowed) in NUMBERS.items()]
    names = ["data_date", "customer_id", "MOBILE_NUMBER", "ALLOW_SMS", "COUNTRY", "FIRST_NAME"]
    scope.warehouse.insert("profiles", names, rows)
    publish(scope)
    add_group(scope, "All", "NL")
    add_action(scope, "Voucher")
    return scope


def run(scope: Scope) -> int:
    scope.clock.set(NOW)
    series = add_series(scope, 1, [group(2, (SMS, 1))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(scope)
    return number


@pytest.fixture(scope="module")
def first(tenant: Scope, provider: SmsProvider) -> int:
    """The first campaign."""
    campaign = run(tenant)
    assert provider.asked["+491713920050"] == 2, "a provider that is busy is asked again"
    return campaign


def test_a_campaign_reaches_numbers_in_the_form_of_e164(tenant: Scope, provider: SmsProvider, first: int) -> None:
    assert outcomes(tenant, first) == [
        ("A", SMS, "sent", ""),
        ("B", SMS, "sent", ""),
        ("C", SMS, "no address", ""),
        ("D", SMS, "failed", "no such number"),
        ("E", SMS, "no address", "not a phone number"),
        ("F", SMS, "suppressed", "no permission"),
        ("G", SMS, "sent", ""),
        ("H", SMS, "failed", "not a phone number"),
        ("I", SMS, "skipped", "same address"),
    ]
    assert provider.texts == {
        "+491713920001": 'Hi NA, a "treat" for you',
        "+491713920002": 'Hi NB, a "treat" for you',
        "+491713920050": 'Hi NG, a "treat" for you',
    }
    sent = provider.posts[0]
    assert (sent["from"], len(sent["ref"]), bool(sent["token"])) == ("Northwind", 40, True)
    assert {headers["authorization"] for headers in provider.headers} == {"Bearer s3cret"}


@pytest.mark.usefixtures("first")
def test_a_number_that_there_is_not_gets_nothing_more(tenant: Scope, provider: SmsProvider) -> None:
    asked = provider.asked["+491713920099"]
    assert asked == 1
    listed = suppressions.list_suppressions(tenant, channel_id=SMS)
    assert {(entry.customer_id, entry.reason) for entry in listed} == {("D", "bounced"), ("H", "bounced")}
    again = {who: (outcome, reason) for who, _, outcome, reason in outcomes(tenant, run(tenant))}
    assert again["D"] == again["H"] == ("suppressed", "suppression list")
    assert again["A"] == ("sent", "")
    assert provider.asked["+491713920099"] == asked


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": ""}, "settings.url is required if settings.via is http."),
        ({"url": "http://[%TO%].example/x"}, "settings.url must not have a tag in its host."),
        ({"body": '{"to": "[%TO%]", "text": "[%TEXT%]", "x": "[%WHO%]"}'}, "settings.body has the tag WHO:"),
        ({"body": '{"to": "[%TO%]"}'}, "settings.body must have the tags TO and TEXT."),
        ({"body": "to=[%TO%]&text=[%TEXT%]"}, "settings.body must be JSON"),
        ({"default_region": "XX"}, "settings.default_region: must be a country as ISO 3166 writes it, such as GB."),
        ({"url": "http://169.254.169.254/x"}, "settings.url: The URL leads to a private address"),
    ],
)
def test_settings_by_which_nothing_can_be_sent_are_refused(
    tenant: Scope, api: httpx.Client, settings: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "169.254" in settings.get("url", ""):
        monkeypatch.setattr(tenant.stores.settings, "allow_private_addresses", False)
    whole = {**SETTINGS, "url": "https://sms.example/x", **settings}
    answer = api.post("/manage/v1/channels", json={"name": "Other", "kind": "sms", "settings": whole})
    assert answer.status_code == 400 and answer.json()["detail"].startswith(words), answer.text


def test_a_preview_tells_the_segments_and_a_check_what_costs(tenant: Scope, api: httpx.Client) -> None:
    home = f"/manage/v1/channels/{SMS}/templates"
    assert api.post(f"{home}/1/preview", json={}).json()["text_size"] == {
        "alphabet": "GSM-7",
        "units": len('Hi , a "treat" for you'),
        "segments": 1,
    }
    body = {"channel_id": SMS, "text": "Ł" + "x" * 70 + " [%UNSUB%]"}
    warnings = [
        (each["check"], each["message"])
        for each in api.post("/manage/v1/templates/check", json=body).json()["warnings"]
    ]
    assert warnings == [
        ("segments", "The text is sent in 2 segments: it has 81 UCS-2 characters."),
        ("segments", "These characters make the whole text UCS-2, which more than doubles its length: 'Ł'."),
    ]
    for wrong in ({"html": "<p>x</p>"}, {"subject": "Hi", "text": "x"}, {"text": " "}):
        refused = api.post(home, json={"name": "Wrong", **wrong})
        assert (refused.status_code, refused.json()["detail"]) == (
            400,
            "An SMS template needs text, and can have no subject and no html.",
        )
