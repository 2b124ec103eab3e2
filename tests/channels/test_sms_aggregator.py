"""The aggregator port of the SMS API, and the calls of HTTP providers: signed, of one tenant, and true."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_group, add_series, group, outcomes, publish
from gateway_server import eventually
from sms_provider import SETTINGS, SmsProvider, sms_provider
from sqlalchemy import update

from rapport.access import keys
from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant
from rapport.app import mail_event_sinks
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.delivery import transports
from rapport.delivery.keyword_replies import KeywordReplySender
from rapport.delivery.returns.recorder import record_all
from rapport.messaging import templates
from rapport.messaging.contactability import preferences

SMS, PLAIN = 493, 494
SECRET, THEIR_KEY = "a shared secret of the two", "their-key"
STOPPED = "You get no more messages."
ANOTHER = "+491713920009"
PEOPLE = {"A": "+491713920001", "B": "+491713920002", "C": "+491713920003"}


class Aggregator:
    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.port = 0

    @property
    def transmissions(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.posts]


@pytest.fixture(scope="module")
def aggregator() -> Iterator[Aggregator]:
    box = Aggregator()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            box.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(box.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *values: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    box.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield box
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def provider() -> Iterator[SmsProvider]:
    with sms_provider() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, provider: SmsProvider) -> Iterator[Scope]:
    settings: dict[str, Any] = {
        "campaigns": {"messages_per_day": 99},
        "sms": {"default_region": "DE", "keywords": {"stop_reply": STOPPED}},
    }
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    way = {"via": "aggregator", "shared_secret": SECRET, "sender": "Northwind", "brand": "shop"}
    channels.create_channel(scope, "Texts", "sms", id=SMS, settings=way)
    reports = {
        "token": "ref",
        "status": "state",
        "delivered": ["ok"],
        "invalid": ["gone"],
        "sender": "msisdn",
        "text": "body",
    }
    plain = {**SETTINGS, "url": provider.url, "tracking": False, "reports": reports}
    channels.create_channel(scope, "Plain", "sms", id=PLAIN, settings=plain)
    for channel in (SMS, PLAIN):
        templates.save_template(scope, channel, "Offer", text="Hi [%FIRST_NAME%]", id=1)
    rows = [[DATA_DATE, who, number, "NL", f"N{who}"] for who, number in PEOPLE.items()]
    names = ["data_date", "customer_id", "MOBILE_NUMBER", "COUNTRY", "FIRST_NAME"]
    scope.warehouse.insert("profiles", names, rows)
    publish(scope)
    add_group(scope, "All", "NL")
    add_action(scope, "Voucher")
    yield scope
    transports.transports(scope.stores).tidy(idle=0)


@pytest.fixture(scope="module")
def base(tenant: Scope, api: httpx.Client, base_url: str) -> str:
    told = api.get(f"/manage/v1/channels/{SMS}/sms-addresses").json()
    assert told["connected_at"] is None
    path = told["aggregator_base_url"].partition("/sms/")[2]
    number = int(path, 36)
    assert (number >> 31, number & (2**31 - 1)) == (tenant.tenant_id, SMS)
    return f"{base_url}/sms/{path}/api/v1/aggregator"


@pytest.fixture(scope="module")
def app_key(tenant: Scope) -> str:
    return keys.create_key(tenant, "aggregator", "sms@example.com", "Integrations")[1]


@pytest.fixture(scope="module")
def connected(base: str, app_key: str, aggregator: Aggregator, api: httpx.Client) -> None:
    """The aggregator has made its handshake, before which nothing leaves: a run would wait."""
    assert api.post(f"/manage/v1/channels/{SMS}/check").json() == {
        "ok": False,
        "reason": "The aggregator has not made its handshake.",
    }
    body = {"campaignSendUrl": f"http://127.0.0.1:{aggregator.port}/send", "apiKey": THEIR_KEY}
    answer = call(base, app_key, "handshake", body)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert aggregator.posts == []


@pytest.fixture(autouse=True)
def nothing_taken(aggregator: Aggregator) -> None:
    aggregator.posts.clear()


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def call(base: str, app_key: str, what: str, body: Any, **headers: str) -> httpx.Response:
    content = json.dumps(body).encode()
    named = {"app-api-key": app_key, "x-hub-signature": signed(content), "content-type": "application/json", **headers}
    return httpx.post(f"{base}/{what}", content=content, headers=named)


def run(scope: Scope, channel: int) -> int:
    scope.clock.set(NOW)
    series = add_series(scope, 1, [group(2, (channel, 1))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(scope)
    return number


def interactions(scope: Scope, campaign: int) -> dict[str, set[int]]:
    record_all(scope.stores, mail_event_sinks(), timedelta())
    sql = """
        SELECT customer_id, groupUniqArray(event_id) FROM campaign_interactions
        WHERE campaign_id = {id:UInt32} GROUP BY customer_id
    """
    return {str(who): set(codes) for who, codes in scope.warehouse.rows(sql, id=campaign)}


def test_calls_that_are_not_the_aggregators_are_refused(
    tenant: Scope, base: str, app_key: str, aggregator: Aggregator, base_url: str
) -> None:
    body = {"campaignSendUrl": f"http://127.0.0.1:{aggregator.port}/send", "apiKey": THEIR_KEY}
    other = create_tenant(tenant.stores, f"neighbour-{time.time_ns()}", "Europe/Berlin", "EUR")
    _, theirs = keys.create_key(other, "tests", "tests@example.com", "Admin")
    wrong = {"x-hub-signature": signed(b"another body")}
    refused = [
        (call(base, "", "handshake", body), 401),
        (call(base, theirs, "handshake", body), 401),
        (call(base, app_key, "handshake", body, **wrong), 401),
        (call(base, app_key, "handshake", body, **{"x-hub-signature": ""}), 401),
        (call(f"{base_url}/sms/zzz/api/v1/aggregator", app_key, "handshake", body), 404),
        (call(f"{base_url}/sms/!/api/v1/aggregator", app_key, "handshake", body), 404),
        (call(base, app_key, "handshake", {}), 400),
        (call(base, app_key, "handshake", {"campaignSendUrl": "ftp://x"}), 400),
        (call(base, app_key, "delivery-report", {"type": "x"}), 400),
        (call(base, app_key, "incoming-message", {"messages": "x"}), 400),
    ]
    assert [answer.status_code for answer, _ in refused] == [status for _, status in refused]


@pytest.mark.usefixtures("connected")
def test_a_handshake_opens_the_channel(api: httpx.Client) -> None:
    assert api.get(f"/manage/v1/channels/{SMS}/sms-addresses").json()["connected_at"] is not None
    assert api.post(f"/manage/v1/channels/{SMS}/check").json()["ok"]


@pytest.mark.usefixtures("connected")
def test_a_campaign_is_one_transmission_whose_reports_are_true(
    tenant: Scope, base: str, app_key: str, aggregator: Aggregator
) -> None:
    campaign = run(tenant, SMS)
    assert outcomes(tenant, campaign) == [(who, SMS, "sent", "") for who in PEOPLE]
    ((headers, body),) = aggregator.posts
    assert (headers["x-api-key"], headers["x-hub-signature"]) == (THEIR_KEY, signed(body))
    (sent,) = aggregator.transmissions
    assert sent["batchId"].startswith(f"{campaign}-") and sent["senderId"] == "Northwind"
    metadata = sent["metadata"]
    assert {
        name: metadata[name] for name in ("appId", "brandId", "campaignId", "channelId", "isHashed", "tenantId")
    } == {
        "appId": SMS,
        "brandId": "shop",
        "campaignId": str(campaign),
        "channelId": SMS,
        "isHashed": False,
        "tenantId": tenant.tenant_id,
    }
    assert isinstance(metadata["scheduledTime"], int) and isinstance(metadata["campaignType"], int)
    assert sorted(sent["recipients"], key=lambda each: str(each["customerId"])) == [
        {"message": f"Hi N{who}", "mobileNumber": number, "customerId": who} for who, number in PEOPLE.items()
    ]
    tenant.clock.set(NOW + timedelta(hours=2))
    reports = [
        ({"status": "Delivered", "subStatus": ""}, {"mobileNumber": PEOPLE["A"]}),
        ({"status": "Failed", "subStatus": "Expired"}, {"recipient": {"customerId": "b"}}),
        ({"status": "Failed", "subStatus": "Invalid number"}, {"mobileNumber": PEOPLE["C"]}),
        ({"status": "Sent", "subStatus": ""}, {"mobileNumber": PEOPLE["B"]}),
        ({"status": "Delivered", "subStatus": ""}, {"mobileNumber": "+491713920077"}),
    ]
    for kind, recipient in reports:
        assert (
            call(base, app_key, "delivery-report", {"type": kind, "metadata": metadata, **recipient}).status_code == 200
        )
    assert interactions(tenant, campaign) == {"A": {1}, "B": {5}, "C": {7}}
    assert preferences.unreachable(tenant, SMS, ["A", "B", "C"]) == {"C": "suppression list"}


@pytest.mark.usefixtures("connected")
def test_an_answer_with_a_keyword_is_a_wish_and_gets_a_reply_of_no_campaign(
    tenant: Scope, base: str, app_key: str, aggregator: Aggregator
) -> None:
    sender = KeywordReplySender(tenant.stores)
    sender.start()
    try:
        messages = [
            {"to": "55055", "from": ANOTHER, "message": "Stop", "sentAt": "2026-03-10T09:00:00Z"},
            {"to": "55055", "from": PEOPLE["A"], "message": "Thanks, stop by soon", "sentAt": "2026-03-10T09:00:00Z"},
        ]
        for _ in range(2):
            assert call(base, app_key, "incoming-message", {"messages": messages}).status_code == 200
        eventually(lambda: bool(aggregator.posts))
    finally:
        sender.stop()
    (sent,) = aggregator.transmissions
    empty = (sent["batchId"], sent["metadata"]["brandId"], sent["metadata"]["campaignId"])
    assert empty == ("", "", "")
    assert sent["recipients"] == [{"message": STOPPED, "mobileNumber": ANOTHER, "customerId": ""}]
    assert preferences.unreachable(tenant, SMS, ["D"], addresses={"D": ANOTHER})["D"] == "suppression list"
    assert "A" not in preferences.unreachable(tenant, SMS, ["A"], addresses={"A": PEOPLE["A"]})


@pytest.mark.usefixtures("connected")
def test_an_http_provider_reports_by_the_token_that_it_was_given(
    tenant: Scope, api: httpx.Client, base_url: str, provider: SmsProvider
) -> None:
    campaign = run(tenant, PLAIN)
    tokens = {post["to"]: post["token"] for post in provider.posts}
    told = api.get(f"/manage/v1/channels/{PLAIN}/sms-addresses").json()
    reports, answers = (
        base_url + "/sms/" + told[name].partition("/sms/")[2] for name in ("reports_url", "answers_url")
    )
    tenant.clock.set(NOW + timedelta(hours=2))
    assert httpx.post(reports, json={"ref": tokens[PEOPLE["A"]], "state": "ok"}).status_code == 204
    assert httpx.post(reports, data={"ref": tokens[PEOPLE["B"]], "state": "gone"}).status_code == 204
    assert httpx.post(reports, json={"ref": "made-up", "state": "ok"}).status_code == 204
    assert httpx.post(reports, json={"ref": tokens[PEOPLE["C"]], "state": "queued"}).status_code == 204
    assert interactions(tenant, campaign) == {"A": {1}, "B": {7}}
    assert httpx.post(answers, json={"msisdn": PEOPLE["C"], "body": "QUIT"}).status_code == 204
    assert preferences.unreachable(tenant, PLAIN, ["A", "C"]).keys() >= {"C"}
    guessed = reports[:-3] + ("000" if reports[-3:] != "000" else "111")
    assert httpx.post(guessed, json={}).status_code == 404
    assert httpx.post(reports, content=b"{").status_code == 400
    assert api.get("/manage/v1/channels/9/sms-addresses").status_code == 404
