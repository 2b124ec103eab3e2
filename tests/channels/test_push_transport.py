"""Push messages to services that speak the real protocols: what each gets, and what follows from its answers."""

import json
import re
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apns_server
import jwt
import push_services
import pytest
from apns_server import ApnsServer
from push_services import APPLE_KEY, GOOGLE_KEY, Browser, Request, Service
from push_tenant import ACCOUNTS, add_app, add_install, install, no_installs
from sqlalchemy import select
from test_email_transport import self_signed

from rapport.access.scope import Scope
from rapport.apps.models import App, ProviderError
from rapport.apps.states import TokenType
from rapport.channels.messages import Message, Origin, Receipt
from rapport.channels.push import numbers
from rapport.channels.push.settings import PushSettings
from rapport.channels.push.transport import PushTransport
from rapport.errors import Unavailable


@pytest.fixture(scope="module")
def app_id(scope: Scope) -> int:
    return add_app(scope)


@pytest.fixture
def apns(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApnsServer]:
    with apns_server.serving() as server:
        monkeypatch.setattr(scope.stores.settings, "apns_url", server.url)
        yield server


def google(request: Request) -> push_services.Reply:
    """Tokens for whoever signs with the account's key; messages by the token of the device."""
    if request.path == "/token":
        claims = jwt.decode(
            request.form()["assertion"], GOOGLE_KEY.public_key(), ["RS256"], options={"verify_aud": False}
        )
        assert claims["iss"] == "push@shop-1.example" and "firebase.messaging" in claims["scope"]
        return 200, {}, {"access_token": "g-1", "expires_in": 3600, "token_type": "Bearer"}
    assert request.headers["authorization"] == "Bearer g-1"
    token = request.json()["message"]["token"]
    if token.startswith("gone"):
        detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}
        return 404, {}, {"error": {"code": 404, "status": "NOT_FOUND", "details": [detail]}}
    if token.startswith("busy"):
        return 429, {"Retry-After": "30"}, {"error": {"status": "RESOURCE_EXHAUSTED"}}
    return 200, {}, {"name": "projects/shop-1/messages/1"}


@pytest.fixture
def fcm(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with push_services.serving(google) as service:
        monkeypatch.setattr(scope.stores.settings, "fcm_url", service.url)
        monkeypatch.setattr(scope.stores.settings, "fcm_token_url", f"{service.url}/token")
        yield service


@pytest.fixture(autouse=True)
def nobody_else(scope: Scope) -> Iterator[None]:
    yield
    no_installs(scope)


def message(customer: str, number: int = 1, **more: Any) -> Message:
    members = {"details": {"data": {"sku": number}}, "origin": Origin(506, 3000 + number, 9), **more}
    return Message(f"{number:040x}", customer, customer, "Hi", f"Hello {customer}", **members)


def sent(scope: Scope, messages: list[Message], **settings: Any) -> dict[str, Receipt]:
    transport = PushTransport(scope, PushSettings(**{**ACCOUNTS, **settings}), float("inf"))
    try:
        receipts = list(transport.send(messages))
    finally:
        transport.close()
    assert len(receipts) == len(messages)
    return {receipt.message_id: receipt for receipt in receipts}


def errors(scope: Scope) -> list[tuple[str, int, str]]:
    with scope.records() as session:
        rows = session.scalars(select(ProviderError).order_by(ProviderError.id))
        return [(row.provider, row.status, row.reason) for row in rows]


def test_apple_gets_a_signed_request_for_each_device(scope: Scope, app_id: int, apns: ApnsServer) -> None:
    add_install(scope, app_id, "Ann", "aa01", bundle_id="example.other")
    add_install(scope, app_id, "ANN", "aa02")
    add_install(scope, app_id, "Bob", "bb01")
    add_install(scope, app_id, "Bob", None)
    receipts = sent(scope, [message("Ann"), message("Bob", 2), message("Cid", 3)])
    assert [(receipts[f"{n:040x}"].outcome, receipts[f"{n:040x}"].reason) for n in (1, 2, 3)] == [
        ("sent", ""),
        ("sent", ""),
        ("skipped", "no device"),
    ]
    by_token = apns.by_token()
    assert sorted(by_token) == ["aa01", "aa02", "bb01"]
    (first,) = by_token["aa01"]
    bearer = first.headers["authorization"].removeprefix("bearer ")
    claims = jwt.decode(bearer, APPLE_KEY.public_key(), ["ES256"])
    assert claims["iss"] == "TEAM1" and jwt.get_unverified_header(bearer)["kid"] == "KEY1"
    told = {name: first.headers[name] for name in ("apns-topic", "apns-push-type", "apns-priority", ":method")}
    assert told == {
        "apns-topic": "example.other",
        "apns-push-type": "alert",
        "apns-priority": "10",
        ":method": "POST",
    }
    assert by_token["aa02"][0].headers["apns-topic"] == "example.shop"
    assert first.headers["apns-collapse-id"] == f"{1:040x}" and uuid.UUID(first.headers["apns-id"])
    number = numbers.number_of(scope, Origin(506, 3001, 9))
    assert first.payload["custom"]["a"] == {"sku": 1, "k.message": {"type": 1, "data": {"id": number}}}
    assert numbers.origins_of(scope, {number}) == {number: Origin(506, 3001, 9)}
    assert apns.connections == 1


def test_a_repeated_message_has_the_same_name_and_number(scope: Scope, app_id: int, apns: ApnsServer) -> None:
    add_install(scope, app_id, "Ann", "aa01")
    for _ in range(2):
        sent(scope, [message("Ann")])
    first, second = apns.taken
    for name in ("apns-id", "apns-collapse-id"):
        assert first.headers[name] == second.headers[name]
    assert first.payload == second.payload


ANSWERS: dict[str, tuple[int, dict[str, str], str]] = {
    "dead01": (410, {}, "Unregistered"),
    "dead02": (400, {}, "BadDeviceToken"),
    "wrong3": (400, {}, "BadCollapseId"),
    "later4": (503, {"retry-after": "20"}, "ServiceUnavailable"),
    "busy05": (429, {}, "TooManyRequests"),
    "team06": (403, {}, "InvalidProviderToken"),
}


def test_what_apple_answers_decides(scope: Scope, app_id: int, apns: ApnsServer) -> None:
    apns.answer = lambda taken: ANSWERS.get(taken.token, apns_server.OK)
    installs = {token: add_install(scope, app_id, token, token) for token in ANSWERS}
    messages = [message(token, number) for number, token in enumerate(ANSWERS, start=1)]
    receipts = sent(scope, messages)
    told = [receipts[f"{n:040x}"] for n in range(1, 7)]
    assert [(r.outcome, r.reason, r.permanent, r.away, r.retry_after) for r in told] == [
        ("failed", "APNs answered 410 Unregistered", True, False, 0),
        ("failed", "APNs answered 400 BadDeviceToken", True, False, 0),
        ("failed", "APNs answered 400 BadCollapseId", True, False, 0),
        ("failed", "APNs answered 503 ServiceUnavailable", False, False, 20),
        ("failed", "APNs answered 429 TooManyRequests", False, False, 0),
        ("failed", "APNs answered 403 InvalidProviderToken", False, False, 0),
    ]
    left = {token: install(scope, install_id) for token, install_id in installs.items()}
    assert [token for token, row in left.items() if row.token is None] == ["dead01", "dead02"]
    assert left["dead01"].token_end_reason == "APNs answered 410 Unregistered"
    assert ("apns", 410, "APNs answered 410 Unregistered") in errors(scope)


def test_one_device_that_has_it_is_enough_and_the_others_get_it_later(
    scope: Scope, app_id: int, apns: ApnsServer
) -> None:
    refusals = ["aa02"]

    def answer(taken: apns_server.Taken) -> tuple[int, dict[str, str], str]:
        if taken.token in refusals:
            refusals.remove(taken.token)
            return 503, {}, "ServiceUnavailable"
        return (410, {}, "Unregistered") if taken.token == "aa03" else apns_server.OK

    apns.answer = answer
    for token in ("aa01", "aa02", "aa03"):
        add_install(scope, app_id, "Ann", token)
    assert sent(scope, [message("Ann")])[f"{1:040x}"].outcome == "sent"
    assert {token: len(taken) for token, taken in apns.by_token().items()} == {"aa01": 1, "aa02": 2, "aa03": 1}


def test_hundreds_share_a_connection_and_outlast_its_end(scope: Scope, app_id: int, apns: ApnsServer) -> None:
    apns.streams, apns.per_connection = 20, 70
    for n in range(300):
        add_install(scope, app_id, f"C{n}", f"{n:04x}")
    receipts = sent(scope, [message(f"C{n}", n) for n in range(300)])
    assert {receipt.outcome for receipt in receipts.values()} == {"sent"}
    by_token = apns.by_token()
    assert len(by_token) == 300 and all(len(taken) == 1 for taken in by_token.values())
    assert 5 <= apns.connections <= 30


def test_a_service_that_cannot_be_reached_is_away(scope: Scope, app_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope.stores.settings, "apns_url", "http://127.0.0.1:9")
    add_install(scope, app_id, "Ann", "aa01")
    assert sent(scope, [message("Ann")])[f"{1:040x}"] == Receipt(
        f"{1:040x}", "failed", "APNs cannot be reached", away=True
    )
    transport = PushTransport(scope, PushSettings(**ACCOUNTS), 1)
    with pytest.raises(Unavailable, match="Apple's push service cannot be reached"):
        transport.check()
    transport.close()


def test_a_silent_service_is_in_doubt(scope: Scope, app_id: int, apns: ApnsServer) -> None:
    apns.answer = lambda taken: None
    add_install(scope, app_id, "Ann", "aa01")
    receipt = sent(scope, [message("Ann")], timeout_seconds=0.5)[f"{1:040x}"]
    assert (receipt.outcome, receipt.reason, receipt.permanent, receipt.away) == (
        "failed",
        "APNs did not answer in time",
        False,
        False,
    )


def test_a_connection_that_breaks_leaves_in_doubt_what_had_no_answer(
    scope: Scope, app_id: int, apns: ApnsServer
) -> None:
    apns.answer = lambda taken: apns_server.BROKEN if taken.token == "aa02" else apns_server.OK
    messages = [message(f"C{n}", n) for n in (1, 2, 3)]
    for n in (1, 2, 3):
        add_install(scope, app_id, f"C{n}", f"aa0{n}")
    transport = PushTransport(scope, PushSettings(**ACCOUNTS), float("inf"))
    try:
        first = {receipt.message_id: receipt for receipt in transport.send(messages)}
        apns.answer = lambda taken: apns_server.OK
        in_doubt = [one for one in messages if first[one.message_id].outcome == "failed"]
        again = list(transport.send(in_doubt))
    finally:
        transport.close()
    second = first[f"{2:040x}"]
    assert (second.outcome, second.permanent, second.away) == ("failed", False, False)
    assert first[f"{1:040x}"].outcome == "sent" and {receipt.outcome for receipt in again} == {"sent"}
    assert len({taken.headers["apns-id"] for taken in apns.by_token()["aa02"]}) == 1


def test_a_request_that_was_not_looked_at_is_made_again_at_once(scope: Scope, app_id: int, apns: ApnsServer) -> None:
    answers = [apns_server.OK, apns_server.REFUSED, apns_server.REFUSED]
    apns.answer = lambda taken: answers.pop()
    add_install(scope, app_id, "Ann", "aa01")
    assert sent(scope, [message("Ann")])[f"{1:040x}"].outcome == "sent"
    assert len(apns.taken) == 3


def test_installs_of_the_sandbox_and_tls(
    scope: Scope, app_id: int, apns: ApnsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    add_install(scope, app_id, "Ann", "aa01", is_production=False)
    add_install(scope, app_id, "Bob", "bb01")
    with apns_server.serving(context) as sandbox:
        monkeypatch.setattr(scope.stores.settings, "apns_sandbox_url", f"https://localhost:{sandbox.port}")
        receipts = sent(scope, [message("Ann"), message("Bob", 2)])
    assert {receipt.outcome for receipt in receipts.values()} == {"sent"}
    assert ([t.token for t in sandbox.taken], [t.token for t in apns.taken]) == (["aa01"], ["bb01"])
    assert sandbox.taken[0].headers[":scheme"] == "https"


def test_google_gets_data_with_a_token_that_is_fetched_once(scope: Scope, app_id: int, fcm: Service) -> None:
    for customer, token in {"Ann": "t1", "Bob": "gone2", "Cid": "busy3"}.items():
        add_install(scope, app_id, customer, token, TokenType.FCM)
    receipts = sent(scope, [message("Ann"), message("Bob", 2), message("Cid", 3)])
    told = [receipts[f"{n:040x}"] for n in (1, 2, 3)]
    assert [(r.outcome, r.reason, r.permanent, r.retry_after) for r in told] == [
        ("sent", "", False, 0),
        ("failed", "FCM answered 404 UNREGISTERED", True, 0),
        ("failed", "FCM answered 429 RESOURCE_EXHAUSTED", False, 30),
    ]
    assert [request.path for request in fcm.requests].count("/token") == 1
    posts = [request for request in fcm.requests if request.path == "/v1/projects/shop-1/messages:send"]
    first = next(post.json()["message"] for post in posts if post.json()["message"]["token"] == "t1")
    assert (first["data"]["title"], first["data"]["alert"]) == ("Hi", "Hello Ann")
    custom = json.loads(first["data"]["custom"])
    assert custom["a"]["k.message"]["data"]["id"] == numbers.number_of(scope, Origin(506, 3001, 9))


def test_a_token_that_google_takes_no_more_is_replaced(scope: Scope, app_id: int, fcm: Service) -> None:
    issued: list[str] = []

    def answer(request: Request) -> push_services.Reply:
        if request.path == "/token":
            issued.append(f"g-{len(issued) + 1}")
            return 200, {}, {"access_token": issued[-1], "expires_in": 3600}
        return (200 if request.headers["authorization"] == "Bearer g-2" else 401), {}, {}

    fcm.answer = answer
    add_install(scope, app_id, "Ann", "t1", TokenType.FCM)
    assert sent(scope, [message("Ann")])[f"{1:040x}"].outcome == "sent"
    assert issued == ["g-1", "g-2"]


def outcome(receipt: Receipt) -> tuple[str, bool, bool, float]:
    return receipt.reason, receipt.permanent, receipt.away, receipt.retry_after


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((503, {"Retry-After": "20"}, {"error": {"status": "UNAVAILABLE"}}), ("FCM answered 503 UNAVAILABLE", 20.0)),
        ((429, {}, {"error": {"status": "RESOURCE_EXHAUSTED"}}), ("FCM answered 429 RESOURCE_EXHAUSTED", 60.0)),
        (push_services.DROPPED, ("FCM did not answer", 0.0)),
    ],
)
def test_what_google_cannot_take_now_is_tried_again(
    scope: Scope, app_id: int, fcm: Service, reply: push_services.Reply, told: tuple[str, float]
) -> None:
    fcm.answer = lambda request: google(request) if request.path == "/token" else reply
    add_install(scope, app_id, "Ann", "t1", TokenType.FCM)
    reason, seconds = told
    assert outcome(sent(scope, [message("Ann")])[f"{1:040x}"]) == (reason, False, False, seconds)


def test_without_a_token_of_google_messages_wait(scope: Scope, app_id: int, fcm: Service) -> None:
    fcm.answer = lambda request: (400, {}, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    add_install(scope, app_id, "Ann", "t1", TokenType.FCM)
    receipt = sent(scope, [message("Ann")])[f"{1:040x}"]
    assert outcome(receipt) == ("FCM refused the service account", False, False, 0.0)
    assert {request.path for request in fcm.requests} == {"/token"}
    scope.stores.settings.fcm_token_url = "http://127.0.0.1:9/token"
    receipt = sent(scope, [message("Ann")])[f"{1:040x}"]
    assert outcome(receipt) == ("the server of access tokens for FCM cannot be reached", False, True, 0.0)


@pytest.mark.parametrize(
    ("login", "reply", "told"),
    [
        ((401, {}, {"error": 1101}), None, ("HMS refused the app's id and secret", False, False, 0.0)),
        (None, (503, {"Retry-After": "20"}, {}), ("HMS answered 503", False, False, 20.0)),
        (None, (200, {}, {"code": "80300029"}), ("HMS answered 80300029", False, False, 0.0)),
        (None, push_services.DROPPED, ("HMS did not answer", False, False, 0.0)),
        (push_services.DROPPED, None, ("the server of access tokens for HMS cannot be reached", False, True, 0.0)),
    ],
)
def test_what_huawei_cannot_take_now_is_tried_again(
    scope: Scope, app_id: int, monkeypatch: pytest.MonkeyPatch, login: Any, reply: Any, told: Any
) -> None:
    def answer(request: Request) -> push_services.Reply:
        taken = login if request.path == "/oauth" else reply
        return taken or (200, {}, {"access_token": "h-1", "expires_in": 3600})

    add_install(scope, app_id, "Ann", "t1", TokenType.HMS)
    with push_services.serving(answer) as service:
        monkeypatch.setattr(scope.stores.settings, "hms_url", service.url)
        monkeypatch.setattr(scope.stores.settings, "hms_token_url", f"{service.url}/oauth")
        assert outcome(sent(scope, [message("Ann")])[f"{1:040x}"]) == told


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((429, {"Retry-After": "7"}, None), ("web push answered 429", False, False, 7.0)),
        ((503, {}, None), ("web push answered 503", False, False, 0.0)),
        ((413, {}, None), ("web push answered 413", True, False, 0.0)),
        (push_services.DROPPED, ("web push got no answer", False, False, 0.0)),
    ],
)
def test_what_a_browsers_service_cannot_take_now_is_tried_again(
    scope: Scope, app_id: int, reply: push_services.Reply, told: tuple[str, bool, bool, float]
) -> None:
    with push_services.serving(lambda request: reply) as service:
        add_install(scope, app_id, "Ann", Browser(f"{service.url}/x").subscription, TokenType.WEB_PUSH)
        assert outcome(sent(scope, [message("Ann")])[f"{1:040x}"]) == told


def test_one_provider_that_is_away_is_told_once_and_holds_up_no_other(
    scope: Scope, app_id: int, fcm: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope.stores.settings, "apns_url", "http://127.0.0.1:9")
    before = len(errors(scope))
    for n in range(30):
        add_install(scope, app_id, f"C{n}", *((f"{n:04x}",) if n % 2 else (f"t{n}", TokenType.FCM)))
    add_install(scope, app_id, "C1", "t1", TokenType.FCM)
    receipts = sent(scope, [message(f"C{n}", n) for n in range(30)])
    away = {n for n in range(30) if receipts[f"{n:040x}"].away}
    assert away == set(range(3, 30, 2)), "one device is enough"
    assert {receipts[f"{n:040x}"].outcome for n in set(range(30)) - away} == {"sent"}
    assert errors(scope)[before:] == [("apns", 0, "APNs cannot be reached")]


def test_huawei_gets_the_same_data(scope: Scope, app_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Request) -> push_services.Reply:
        if request.path == "/oauth":
            wanted = {"grant_type": "client_credentials", "client_id": "10086", "client_secret": "hush"}
            assert request.form() == wanted
            return 200, {}, {"access_token": "h-1", "expires_in": 3600}
        assert (request.path, request.headers["authorization"]) == ("/v1/10086/messages:send", "Bearer h-1")
        code = "80300007" if request.json()["message"]["token"] == ["gone"] else "80000000"
        return 200, {}, {"code": code, "msg": "x"}

    for customer, token in {"Ann": "t1", "Bob": "gone"}.items():
        add_install(scope, app_id, customer, token, TokenType.HMS)
    with push_services.serving(answer) as service:
        monkeypatch.setattr(scope.stores.settings, "hms_url", service.url)
        monkeypatch.setattr(scope.stores.settings, "hms_token_url", f"{service.url}/oauth")
        receipts = sent(scope, [message("Ann"), message("Bob", 2)])
    assert [receipts[f"{n:040x}"].outcome for n in (1, 2)] == ["sent", "failed"]
    assert receipts[f"{2:040x}"].permanent
    data = next(r.json()["message"]["data"] for r in service.requests if "t1" in r.body.decode())
    assert json.loads(data)["alert"] == "Hello Ann"


def test_a_browser_alone_can_read_its_message(scope: Scope, app_id: int) -> None:
    def answer(request: Request) -> push_services.Reply:
        return {"/gone": 410, "/away": 404}.get(request.path, 201), {}, None

    with push_services.serving(answer) as service:
        browsers = {name: Browser(f"{service.url}/{name}") for name in ("here", "gone", "away")}
        installs = {
            name: add_install(scope, app_id, name, browser.subscription, TokenType.WEB_PUSH)
            for name, browser in browsers.items()
        }
        receipts = sent(scope, [message(name, n) for n, name in enumerate(browsers, start=1)])
    assert [receipts[f"{n:040x}"].outcome for n in (1, 2, 3)] == ["sent", "failed", "failed"]
    assert [install(scope, installs[name]).token is None for name in browsers] == [False, True, True]
    request = next(one for one in service.requests if one.path == "/here")
    assert browsers["here"].read(request.body)["msg"] == "Hello here"
    assert request.headers["content-encoding"] == "aes128gcm" and request.headers["urgency"] == "high"
    match = re.fullmatch(r"vapid t=(\S+), k=(\S+)", request.headers["authorization"])
    assert match is not None
    with scope.records() as session:
        app = session.get_one(App, (scope.tenant_id, app_id))
    assert match[2] == app.vapid_public_key
    claims = jwt.decode(match[1], options={"verify_signature": False})
    assert (claims["aud"], claims["sub"]) == (service.url, "mailto:push@shop.example")


def test_a_browser_leads_to_no_private_address(scope: Scope, app_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope.stores.settings, "allow_private_addresses", False)
    with push_services.serving(lambda request: (201, {}, None)) as service:
        add_install(scope, app_id, "Ann", Browser(f"{service.url}/x").subscription, TokenType.WEB_PUSH)
        receipt = sent(scope, [message("Ann")])[f"{1:040x}"]
    assert (receipt.outcome, receipt.reason, service.requests) == (
        "failed",
        "web push leads to a private address",
        [],
    )


@pytest.mark.parametrize(
    ("token", "token_type", "reason"),
    [
        ("../../x", TokenType.APNS, "not a token of APNs"),
        ("{}", TokenType.WEB_PUSH, "not a subscription of a browser"),
        ("abc", TokenType.SAFARI, "the channel has no account at the provider of the device"),
    ],
)
def test_what_is_no_token_gets_nothing(
    scope: Scope, app_id: int, apns: ApnsServer, token: str, token_type: int, reason: str
) -> None:
    add_install(scope, app_id, "Ann", token, token_type)
    receipt = sent(scope, [message("Ann")])[f"{1:040x}"]
    assert (receipt.outcome, receipt.reason, receipt.permanent, apns.taken) == ("failed", reason, True, [])


def test_devices_on_which_notifications_are_off_and_other_apps_get_nothing(
    scope: Scope, app_id: int, apns: ApnsServer
) -> None:
    other = add_app(scope, "Other")
    add_install(scope, app_id, "Ann", "aa01", notifications_enabled=False)
    add_install(scope, other, "Bob", "bb01")
    add_install(scope, app_id, "Cid", "cc01")
    receipts = sent(scope, [message("Ann"), message("Bob", 2), message("Cid", 3)], app_id=app_id)
    assert [(receipts[f"{n:040x}"].outcome, receipts[f"{n:040x}"].reason) for n in (1, 2, 3)] == [
        ("skipped", "notifications are switched off on every device"),
        ("skipped", "no device"),
        ("sent", ""),
    ]
    assert [taken.token for taken in apns.taken] == ["cc01"]


def test_a_message_for_one_install_goes_nowhere_else(scope: Scope, app_id: int, apns: ApnsServer) -> None:
    add_install(scope, app_id, "Ann", "aa01")
    chosen = add_install(scope, app_id, None, "aa02")
    to_install = {"app": str(app_id), "install": chosen}
    assert sent(scope, [message("", headers=to_install)])[f"{1:040x}"].outcome == "sent"
    assert [taken.token for taken in apns.taken] == ["aa02"]


def test_a_message_that_is_too_large_is_refused_before_it_leaves(scope: Scope, app_id: int, apns: ApnsServer) -> None:
    add_install(scope, app_id, "Ann", "aa01")
    large = message("Ann", details={"data": {"x": "y" * 4000}})
    assert sent(scope, [large])[f"{1:040x}"].reason == "the message is too large for APNs"
    assert apns.taken == []
