"""The bus of the SDKs: what events make of installs, each once; and that a bad event holds up nobody."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import orjson
import pytest
from app_clients import POINT, SECRET, AppClient, app_client, event, milliseconds, subscription
from sqlalchemy import select, text
from webhook_receiver import eventually

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.apps.models import Install
from rapport.apps.states import TokenType
from rapport.customers.writes.ordering import writing
from rapport.realtime.models import AcceptedEvent, EventLogEntry

UNDER_WAY = """
    SELECT count(*) FROM dbos.workflow_status
    WHERE name IN ('campaigns.purge_person', 'customers.erase') AND status IN ('ENQUEUED', 'PENDING')
"""
HEX = "F00DBABE" * 8
TRACKED = {
    "app": {"version": "4.2.1 (77)", "target": 2, "bundle": "com.example.shop"},
    "sdk": {"id": 102, "version": "7.1.0"},
    "runtime": {"id": 1, "version": "14"},
    "os": {"id": 3, "version": "14"},
    "device": {"name": "Pixel 8", "tz": "Asia/Tokyo", "isSimulator": False, "locale": "ja-JP"},
}


@pytest.fixture(scope="module")
def app(api: httpx.Client, scope: Scope) -> Iterator[AppClient]:
    with app_client(api, scope) as client:
        yield client


def known(app: AppClient, install_id: str) -> Install:
    install = app.install(install_id)
    assert install is not None
    return install


def logged(scope: Scope, **where: Any) -> list[tuple[str, str, str]]:
    """What the event log has, in its order: event, person and reason."""
    statement = select(EventLogEntry).filter_by(tenant_id=scope.tenant_id, status="error", **where)
    statement = statement.order_by(EventLogEntry.id)
    with scope.reads() as session:
        return [(entry.event, entry.person, entry.reason) for entry in session.scalars(statement)]


def test_an_install_is_registered_by_its_start(app: AppClient) -> None:
    before = datetime.now(UTC)
    app.tell("start", "k.stats.installTracked", TRACKED)
    install = known(app, "start")
    shown = (install.os, install.device, install.time_zone, install.locale, install.app_version, install.sdk)
    assert shown == ("Android 14", "Pixel 8", "Asia/Tokyo", "ja-JP", "4.2.1 (77)", "Android 7.1.0")
    assert (install.package, install.bundle_id, install.customer_id, install.token) == (
        "com.example.shop",
        "",
        None,
        None,
    )
    assert before - timedelta(seconds=5) < install.created_at <= install.seen_at
    app.tell("start", "k.stats.installTracked", TRACKED | {"app": {"version": "4.3"}, "device": {"tz": "Mars/Base"}})
    install = known(app, "start")
    assert (install.app_version, install.time_zone, install.device) == ("4.3", "", "")


def test_a_browser_is_told_by_its_user_agent(app: AppClient) -> None:
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0"
    tracked = TRACKED | {
        "sdk": {"id": 104, "version": "2.0.17"},
        "os": {"id": 0, "version": "0.0.0"},
        "device": {"name": agent, "tz": "Europe/Paris"},
    }
    app.tell("browser", "k.stats.installTracked", tracked)
    install = known(app, "browser")
    assert (install.os, install.device, install.sdk, install.package) == ("Windows", agent, "Web 2.0.17", "")


def test_an_install_moves_between_users(app: AppClient) -> None:
    app.tell("moves", "k.stats.userAssociated", {"id": " Moves-1 "})
    assert (known(app, "moves").customer_id, known(app, "moves").person) == ("Moves-1", "moves-1")
    app.tell("moves", "k.stats.userAssociated", {"id": 77, "attributes": {"vip": True}})
    assert known(app, "moves").customer_id == "77"
    app.tell("moves", "k.stats.userAssociationCleared", {"oldUserIdentifier": "Moves-1"})
    assert known(app, "moves").customer_id == "77"  # it was another's already
    app.tell("moves", "k.stats.userAssociationCleared", {"oldUserIdentifier": "77"})
    assert (known(app, "moves").customer_id, known(app, "moves").person) == (None, None)
    app.tell("moves", "k.stats.userAssociated", {"id": "Moves-2"})
    app.tell("moves", "k.stats.userAssociated", {"id": "moves"})  # the install's own: nobody is known
    assert known(app, "moves").customer_id is None


@pytest.mark.parametrize(
    ("data", "token", "columns"),
    [
        (
            {"type": 1, "token": f"<{HEX[:32]} {HEX[32:]}>", "iosTokenType": 1, "bundleId": "com.example.shop"},
            HEX.lower(),
            (TokenType.APNS, True, "com.example.shop", "", None),
        ),
        ({"type": 1, "token": HEX, "iosTokenType": 3}, HEX.lower(), (TokenType.APNS, False, "", "", None)),
        (
            {"type": 2, "token": "dQw4:APA91b", "package": "com.example", "areNotificationsEnabled": False},
            "dQw4:APA91b",
            (TokenType.FCM, True, "", "com.example", False),
        ),
        ({"type": 5, "token": "hms-1"}, "hms-1", (TokenType.HMS, True, "", "", None)),
        (
            {"type": 4, "token": HEX, "bundleId": "web.example"},
            HEX.lower(),
            (TokenType.SAFARI, True, "web.example", "", None),
        ),
    ],
)
def test_a_device_registers_its_token(app: AppClient, data: Any, token: str, columns: Any) -> None:
    install_id = str(uuid.uuid4())
    app.tell(install_id, "k.push.deviceRegistered", data)
    install = known(app, install_id)
    assert install.token == token
    assert (
        install.token_type,
        install.is_production,
        install.bundle_id,
        install.package,
        install.notifications_enabled,
    ) == columns
    assert install.token_at is not None


@pytest.mark.parametrize("as_text", [False, True])
def test_a_browser_registers_its_subscription(app: AppClient, as_text: bool) -> None:
    given = subscription(f"https://push.example/{as_text}") | {"extra": "left out"}
    app.tell(
        "subscribes",
        "k.push.deviceRegistered",
        {"type": 3, "token": orjson.dumps(given).decode() if as_text else given},
    )
    install = known(app, "subscribes")
    assert install.token_type is TokenType.WEB_PUSH
    assert orjson.loads(install.token or "") == {
        "endpoint": f"https://push.example/{as_text}",
        "keys": {"p256dh": POINT, "auth": SECRET},
    }


def test_a_token_moves_from_one_install_to_another(app: AppClient) -> None:
    app.tell("old-phone", "k.push.deviceRegistered", {"type": 2, "token": "moving"})
    app.tell("new-phone", "k.push.deviceRegistered", {"type": 2, "token": "moving"})
    old, new = known(app, "old-phone"), known(app, "new-phone")
    assert (old.token, old.token_type, old.token_end_reason) == (None, None, "The token is another install's now.")
    assert (new.token, new.token_end_reason, new.token_ended_at) == ("moving", "", None)
    app.tell("other-kind", "k.push.deviceRegistered", {"type": 5, "token": "moving"})  # another service's token
    assert known(app, "new-phone").token == "moving"


def test_a_subscription_with_new_keys_is_the_same_browser(app: AppClient) -> None:
    app.tell("tab-1", "k.push.deviceRegistered", {"type": 3, "token": subscription("https://push.example/same")})
    renewed = subscription("https://push.example/same")
    renewed["keys"]["auth"] = "B" * 21 + "A"
    app.tell("tab-2", "k.push.deviceRegistered", {"type": 3, "token": renewed})
    assert known(app, "tab-1").token is None
    assert renewed["keys"]["auth"] in (known(app, "tab-2").token or "")


def test_tokens_of_two_apps_are_two(app: AppClient, api: httpx.Client, scope: Scope) -> None:
    app.tell("shared", "k.push.deviceRegistered", {"type": 2, "token": "of-both"})
    with app_client(api, scope) as other:
        other.tell("shared", "k.push.deviceRegistered", {"type": 2, "token": "of-both"})
        assert (known(app, "shared").token, known(other, "shared").token) == ("of-both", "of-both")


def test_a_device_unsubscribes_and_its_settings_change(app: AppClient) -> None:
    app.tell("settings", "k.push.deviceRegistered", {"type": 2, "token": "ends", "areNotificationsEnabled": True})
    app.tell("settings", "k.push.notificationEnablementChanged", {"notificationsEnabled": False})
    app.tell("settings", "k.inApp.statusUpdated", {"consented": True})
    assert (known(app, "settings").notifications_enabled, known(app, "settings").in_app_consent) == (False, True)
    app.tell("settings", "k.push.deviceUnsubscribed", None)
    install = known(app, "settings")
    assert (install.token, install.token_type, install.token_end_reason) == (None, None, "The device has unsubscribed.")
    app.tell("settings", "k.inApp.statusUpdated", {"consented": False})
    assert known(app, "settings").in_app_consent is False


def test_a_batch_is_carried_out_in_its_order_and_an_event_once(app: AppClient) -> None:
    first, second = event("k.stats.userAssociated", {"id": "Once-1"}), event("k.stats.userAssociated", {"id": "Once-2"})
    assert app.sent("once", first, second, first).json()["message"] == "3 of 3 events"
    assert known(app, "once").customer_id == "Once-2"
    app.sent("once", first)  # comes again, after a later one
    assert known(app, "once").customer_id == "Once-2"
    app.sent("once", event("k.stats.userAssociated", {"id": "Once-1"}))
    assert known(app, "once").customer_id == "Once-1"


BAD: list[tuple[Any, str]] = [
    ("text", "The event is not a JSON object."),
    ({"data": {}}, "type must be a printable text of at most 255 characters."),
    (event("k.fg", [1]), "data must be an object."),
    (event("k.fg", uuid="nine"), "uuid must be a UUID."),
    (event("k.fg", timestamp="soon"), "timestamp must be a number of milliseconds since 1970."),
    (event("k.fg", timestamp=1767225600), "timestamp is before 2010; it must be a number of milliseconds since 1970."),
    (event("k.stats.userAssociated", {"id": "undefined"}), "The user identifier identifies nobody."),
    (event("k.stats.userAssociated", {}), "The user identifier identifies nobody."),
    (
        event("k.stats.userAssociated", {"id": "x" * 256}),
        "The user identifier must have at most 255 characters, and no control characters.",
    ),
    (event("k.stats.installTracked", {"app": "x"}), "app must be an object."),
    (event("k.inApp.statusUpdated", {"consented": "yes"}), "consented must be true or false."),
    (
        event("k.push.deviceRegistered", {"type": 9, "token": "x"}),
        "type must be 1 (APNs), 2 (FCM), 3 (web push), 4 (Safari) or 5 (HMS).",
    ),
    (event("k.push.deviceRegistered", {"type": 1, "token": "xyz"}), "token is not a token of type 1."),
    (event("k.push.deviceRegistered", {"type": 2}), "token must be a text."),
    (
        event("k.push.deviceRegistered", {"type": 3, "token": "{}"}),
        "token of type 3 must be a PushSubscription with endpoint and keys.",
    ),
    (
        event("k.push.deviceRegistered", {"type": 3, "token": subscription("ftp://push.example/x")}),
        "endpoint of the PushSubscription must be an HTTPS address.",
    ),
    (
        event("k.push.deviceRegistered", {"type": 3, "token": {"endpoint": "https://p.example", "keys": {"auth": ""}}}),
        "keys.p256dh of the PushSubscription must be 65 bytes in base64url.",
    ),
    (
        event("k.push.deviceRegistered", {"type": 1, "token": HEX, "bundleId": "a/b"}),
        "bundleId must be the name of an app, such as com.example.shop.",
    ),
    (event("k.message.opened", {"type": 3, "id": 4}), "type must be 1 (push) or 2 (in-app)."),
    (event("k.message.opened", {"type": 1, "id": 0}), "id must be the number of a message."),
]


def test_bad_events_are_told_in_the_log_and_the_others_carried_out(app: AppClient, scope: Scope) -> None:
    good = event("k.stats.userAssociated", {"id": "Good-1"})
    answer = app.sent("bad-neighbours", *(bad for bad, _ in BAD), good)
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "success", "message": f"1 of {len(BAD) + 1} events"},
    )
    assert known(app, "bad-neighbours").customer_id == "Good-1"
    entries = logged(scope, person="bad-neighbours")
    assert [reason for _, _, reason in entries] == [reason for _, reason in BAD]
    assert entries[-1][0] == "k.message.opened"


@pytest.mark.parametrize("body", [b"{", b'"text"', b"\xff\xff", b"[1, 2", b""])
def test_a_body_that_cannot_be_read_is_taken_and_logged(app: AppClient, scope: Scope, body: bytes) -> None:
    install_id = f"unreadable {uuid.uuid4()}"
    answer = app.device.post(f"/v1/app-installs/{install_id}/events", content=body)
    assert answer.status_code == 200
    assert len(logged(scope, person=install_id)) == 1
    assert app.install(install_id) is None


def test_more_events_than_an_sdk_sends_are_all_carried_out(app: AppClient) -> None:
    events = [event("k.stats.userAssociated", {"id": f"Many-{number}"}) for number in range(1, 231)]
    assert app.sent("many", *events).json()["message"] == "230 of 230 events"
    assert known(app, "many").customer_id == "Many-230"


def test_an_event_for_an_install_with_an_impossible_id_is_logged(app: AppClient, scope: Scope) -> None:
    install_id = "i" * 101
    assert app.sent(install_id, event("k.fg")).json()["message"] == "0 of 1 events"
    reason = "installId must be a printable text of at most 100 characters."
    assert logged(scope, person=install_id) == [("k.fg", install_id, reason)]


def test_a_user_identifier_of_nobody_does_not_spoil_an_event(app: AppClient) -> None:
    app.tell("null-user", "k.push.deviceRegistered", {"type": 2, "token": "kept"}, userId="null")
    assert (known(app, "null-user").token, known(app, "null-user").customer_id) == ("kept", None)


def test_only_the_apps_keys_open_the_bus(app: AppClient, base_url: str) -> None:
    path = "/v1/app-installs/guarded/events"
    with httpx.Client(base_url=base_url) as stranger:
        for auth in (None, (app.api_key, "wrong"), (str(uuid.uuid4()), app.secret_key)):
            assert stranger.post(path, json=[event("k.fg")], auth=auth).status_code == 401
    assert app.install("guarded") is None
    assert app.server.post(path, json=[event("k.fg")]).status_code == 200
    assert app.install("guarded") is not None


def test_browsers_may_call_the_bus(app: AppClient, base_url: str) -> None:
    with httpx.Client(base_url=base_url) as browser:
        for path in ("/v1/app-installs/x/events", "/v1/app-installs/x/push-token", "/v2/web/config"):
            asked = browser.options(path, headers={"Origin": "https://shop.example"})
            assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "*")
            assert "Authorization" in asked.headers["access-control-allow-headers"]
    answer = app.sent("from-page", event("k.fg"), Origin="https://shop.example")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_installs_of_another_tenant_are_others(app: AppClient, scope: Scope, base_url: str) -> None:
    neighbour = create_tenant(scope.stores, f"neighbour of installs {time.time_ns()}", "UTC", "USD")
    _, key = keys.create_key(neighbour, "tests", "tests@example.com", "Admin")
    app.tell("same-id", "k.stats.userAssociated", {"id": "Mine"})
    app.tell("same-id", "k.push.deviceRegistered", {"type": 2, "token": "same-token"})
    with (
        httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=60) as api,
        app_client(api, neighbour) as other,
    ):
        assert other.id == 1  # as may be an app of ours
        other.tell("same-id", "k.stats.userAssociated", {"id": "Theirs"})
        other.tell("same-id", "k.push.deviceRegistered", {"type": 2, "token": "same-token"})
        assert (known(other, "same-id").customer_id, known(other, "same-id").token) == ("Theirs", "same-token")
    assert (known(app, "same-id").customer_id, known(app, "same-id").token) == ("Mine", "same-token")


def test_an_erased_person_is_no_installs_user(app: AppClient, api: httpx.Client, scope: Scope) -> None:
    app.tell("erased", "k.stats.userAssociated", {"id": "Erased-1"})
    app.tell("erased", "k.push.deviceRegistered", {"type": 2, "token": "of-erased"})
    held = api.get("/manage/v1/persons/ERASED-1").json()["records"]["app_installs"]
    assert [(install["install_id"], install["token"]) for install in held] == [("erased", "of-erased")]
    assert api.delete("/manage/v1/persons/Erased-1").status_code == 204
    assert app.install("erased") is None
    app.tell("erased", "k.stats.userAssociated", {"id": "erased-1"})
    assert (known(app, "erased").customer_id, known(app, "erased").person) == (None, None)
    with scope.stores.records.reading() as connection:
        eventually(lambda: not connection.scalar(text(UNDER_WAY)))


def test_events_that_name_a_customer_need_the_proof_that_a_tenant_asks_for(app: AppClient, api: httpx.Client) -> None:
    secret, home = "0123456789abcdef0123456789abcdef", "/manage/v1/event-intake/user-jwt-keys"
    key = api.post(home, json={"algorithm": "HS256", "secret": secret}).raise_for_status().json()
    try:
        proof = jwt.encode({"sub": "Proved-1", "exp": time.time() + 600}, secret, "HS256")
        capable, mine = {"X-Optimove-Auth-Capable": "1"}, event("k.stats.userAssociated", {"id": "Proved-1"})
        assert app.sent("proved", mine, **capable).status_code == 401
        assert app.sent("proved", event("k.fg"), **capable).status_code == 200
        assert app.sent("proved", event("k.fg", userId="Other"), **{"X-User-JWT": proof}).status_code == 401
        assert known(app, "proved").customer_id is None
        assert app.sent("proved", mine, **capable, **{"X-User-JWT": proof}).status_code == 200
        assert known(app, "proved").customer_id == "Proved-1"
    finally:
        api.delete(f"{home}/{key['id']}").raise_for_status()


def test_attributes_of_the_user_are_set_where_it_is_proved_who_that_is(
    app: AppClient, api: httpx.Client, scope: Scope
) -> None:
    scope.warehouse.insert("customers", ["customer_id", "FIRST_NAME", "CITY"], [("Told-1", "Own", "Oslo")])

    def told(install_id: str, **headers: str) -> tuple[str, str]:
        data = {"id": "told-1", "attributes": {"FIRST_NAME": "New", "is_blocked": "Yes", "other": {"a": 1}}}
        assert app.sent(install_id, event("k.stats.userAssociated", data), **headers).status_code == 200
        with writing(scope):
            (row,) = api.get("/manage/v1/persons/Told-1").json()["warehouse"]["customers"]
        return row["FIRST_NAME"], row["IS_BLOCKED"]

    assert told("told")[0] == "Own"
    assert known(app, "told").customer_id == "told-1"
    secret, home = "0123456789abcdef0123456789abcdef", "/manage/v1/event-intake/user-jwt-keys"
    key = api.post(home, json={"algorithm": "HS256", "secret": secret}).raise_for_status().json()
    try:
        proof = jwt.encode({"sub": "Told-1", "exp": time.time() + 600}, secret, "HS256")
        name, blocked = told("told", **{"X-User-JWT": proof})
        assert name == "New" and blocked != "Yes"
    finally:
        api.delete(f"{home}/{key['id']}").raise_for_status()


def test_events_of_the_apps_own_are_those_of_its_customer(app: AppClient, scope: Scope) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    own = event("rated_app", {"stars": 5}, userId="Rating-1", timestamp=milliseconds(at))
    for _ in range(2):
        assert app.sent("rating", own).json()["message"] == "1 of 1 events"
    statement = select(AcceptedEvent).filter_by(tenant_id=scope.tenant_id, event="rated_app")
    with scope.reads() as session:
        stored = session.scalars(statement).one()
    assert (stored.customer_id, stored.visitor_id, stored.parameters) == ("Rating-1", "rating", {"stars": 5})
    assert abs(stored.event_at - at) < timedelta(seconds=1)
