"""Short links in text messages: followed and counted, and the way out asks before it changes anything."""

import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_group, add_series, group, outcomes, publish
from sms_provider import SETTINGS, SmsProvider, sms_provider
from sqlalchemy import func, select

from rapport.access.scope import Scope
from rapport.app import mail_event_sinks
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.channels.messages import Origin
from rapport.delivery import content, transports
from rapport.delivery.content import Draft
from rapport.delivery.returns.recorder import record_all
from rapport.messaging import templates
from rapport.messaging.contactability import preferences, suppressions
from rapport.messaging.models import ShortLink
from rapport.persons import service as persons

SMS = 493
PEOPLE = {"A": "+491713920001", "B": "+491713920002", "C": "+491713920003"}
SHOP, PERSONAL = "https://shop.example/sale?x=1", "https://shop.example/of/"
BROWSER = {"User-Agent": "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/130 Mobile Safari/537.36"}


@pytest.fixture(scope="module")
def provider() -> Iterator[SmsProvider]:
    with sms_provider() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, provider: SmsProvider) -> Iterator[Scope]:
    scope.clock.set(NOW)
    channels.create_channel(scope, "Texts", "sms", id=SMS, settings={**SETTINGS, "url": provider.url})
    text = f"Sale: {SHOP} Yours: {PERSONAL}[%FIRST_NAME%] Stop: [%UNSUB%]"
    templates.save_template(scope, SMS, "Sale", text=text, id=1)
    rows = [[DATA_DATE, who, number, "NL", f"N{who}"] for who, number in PEOPLE.items()]
    names = ["data_date", "customer_id", "MOBILE_NUMBER", "COUNTRY", "FIRST_NAME"]
    scope.warehouse.insert("profiles", names, rows)
    scope.warehouse.insert("customers", ["customer_id", "MOBILE_NUMBER"], [list(row) for row in PEOPLE.items()])
    publish(scope)
    add_group(scope, "All", "NL")
    add_action(scope, "Voucher")
    yield scope
    transports.transports(scope.stores).tidy(idle=0)


@pytest.fixture(scope="module")
def campaign(tenant: Scope) -> int:
    series = add_series(tenant, 1, [group(2, (SMS, 1))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(tenant, series.id, TODAY)
    processing.prepare_members(tenant, number, DATA_DATE)
    assert processing.process(tenant, number, DATA_DATE) == "scheduled"
    tenant.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(tenant)
    assert outcomes(tenant, number) == [(who, SMS, "sent", "") for who in PEOPLE]
    return number


def links(provider: SmsProvider, number: str, base_url: str, scope: Scope) -> list[str]:
    """The paths of the links in the text to a number, at the server of this test."""
    found = re.findall(re.escape(scope.stores.settings.links_url) + r"(/\S+)", provider.texts[number])
    return [base_url + path for path in found]


def test_every_link_is_short(tenant: Scope, campaign: int, provider: SmsProvider, base_url: str) -> None:
    ours = links(provider, PEOPLE["A"], base_url, tenant)
    assert len(ours) == 3 and all(re.fullmatch(r"/s/[0-9A-Za-z]{10}", link[len(base_url) :]) for link in ours)
    theirs = links(provider, PEOPLE["B"], base_url, tenant)
    assert not set(ours) & set(theirs), "a link is of one message"
    assert len(provider.texts[PEOPLE["A"]]) <= 160


def test_links_lead_where_the_template_says_and_clicks_are_counted(
    tenant: Scope, campaign: int, provider: SmsProvider, base_url: str
) -> None:
    tenant.clock.set(NOW + timedelta(hours=2))
    shop, personal, _ = links(provider, PEOPLE["A"], base_url, tenant)
    assert httpx.get(shop, headers=BROWSER).headers["location"] == SHOP
    assert httpx.get(personal, headers=BROWSER).headers["location"] == f"{PERSONAL}NA"
    record_all(tenant.stores, mail_event_sinks(), timedelta())
    sql = "SELECT customer_id, event_id FROM campaign_interactions WHERE campaign_id = {id:UInt32} ORDER BY event_id"
    assert ("A", 3) in tenant.warehouse.rows(sql, id=campaign)
    for slug in ("0123456789", "x", "%00"):
        assert httpx.get(f"{base_url}/s/{slug}").status_code == 404


def test_a_message_that_is_written_again_has_the_same_links(tenant: Scope, campaign: int) -> None:
    channel = channels.channel(tenant, SMS)
    drafts = [Draft("f" * 40, "B")]
    texts = set()
    for _ in range(2):
        with tenant.records() as session:
            written = content.write(tenant, session, channel, Origin(SMS, campaign, 1), drafts)
        texts.add(getattr(written["f" * 40], "text", None))
    assert len(texts) == 1 and None not in texts


def test_the_way_out_asks_first(
    tenant: Scope, campaign: int, provider: SmsProvider, base_url: str, api: httpx.Client
) -> None:
    *_, way_out = links(provider, PEOPLE["A"], base_url, tenant)
    led = httpx.get(way_out, headers=BROWSER)
    assert led.status_code == 302
    page = base_url + "/unsubscribe/" + led.headers["location"].partition("/unsubscribe/")[2]
    assert "<button" in httpx.get(page, headers=BROWSER).text
    httpx.head(way_out)
    assert preferences.unreachable(tenant, SMS, ["A"]) == {}, "looking changes nothing"
    assert httpx.post(page, headers=BROWSER).status_code == 200
    assert preferences.unreachable(tenant, SMS, ["A"]) == {"A": "suppression list"}
    (entry,) = suppressions.list_suppressions(tenant, "A")
    assert (entry.channel_id, entry.source) == (SMS, "link")


def test_an_erasure_takes_the_links_of_the_person(tenant: Scope, campaign: int) -> None:
    def kept() -> dict[str, int]:
        query = select(ShortLink.customer_key, func.count()).group_by(ShortLink.customer_key)
        with tenant.reads() as session:
            rows = session.execute(query.where(ShortLink.tenant_id == tenant.tenant_id))
            return {str(key): int(links) for key, links in rows}

    assert kept()["c"] == 3
    persons.erase(tenant, "C")
    assert "c" not in kept() and kept()["b"] >= 3
