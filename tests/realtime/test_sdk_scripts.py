"""What SDKs load at their start: configurations as files and as scripts, kept and asked for again; the look-up."""

import gzip
import json
import re
from typing import Any

import httpx
import pytest
from senders import Sender

from rapport.access.scope import Scope

ANDROID = (
    "Mozilla/5.0 (Linux; Android 13; SM-S901B Build/TP1A) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/112.0.5615.48 Mobile Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/16.5 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
    "Safari/537.36 Edg/120.0.2210.91"
)
MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1"
)


def assigned(script: str, name: str) -> dict[str, Any]:
    """The value that a script gives to a global of the page."""
    match = re.fullmatch(rf"self\.{name} = (\{{.*\}});\n", script)
    assert match, script[:200]
    value: dict[str, Any] = json.loads(match[1])
    return value


@pytest.fixture(scope="module")
def declared(api: httpx.Client) -> None:
    parameters = {"stake": "Number", "note": "String"}
    api.post("/manage/v1/event-types", json={"name": "bet_placed", "parameters": parameters}).raise_for_status()


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(("name", "version"), [("web-configuration.1.0.0.js", "1.0.0"), ("1.0.7.js", "1.0.7")])
def test_the_script_of_a_tenant_has_what_web_sdks_read(sender: Sender, scope: Scope, name: str, version: str) -> None:
    answer = sender.client.get(f"/webconfig/{sender.public}/{name}")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    config = assigned(answer.text, "optimoveTenantConfiguration")
    assert config["version"] == version
    assert config["enableOptitrack"] is config["enableRealtime"] is True
    assert config["optitrackMetaData"]["siteId"] == scope.tenant_id
    assert config["optitrackMetaData"]["optitrackEndpoint"].endswith(f"/v1/optistream/{sender.public}")
    assert config["realtimeMetaData"]["realtimeGateway"].endswith(f"/v1/realtime/{sender.public}/")
    assert config["realtimeMetaData"]["realtimeToken"] == sender.public
    assert {"showDimmer", "showWatermark", "popupCallback"} == set(config["realtimeMetaData"]["options"])
    assert config["sdkServicesEndPoint"].endswith("/sdk-services/user-agent")
    stake = config["events"]["bet_placed"]["parameters"]["stake"]
    assert (stake["type"], stake["name"], stake["configName"]) == ("Number", "stake", "stake")
    assert all(one["supportedOnRealTime"] and not one["supportedOnOptitrack"] for one in config["events"].values())


def test_the_script_of_core_events_is_everybodys(sender: Sender) -> None:
    events = assigned(sender.client.get("/webconfig/prod/sdk-events.js").text, "optimoveCoreEvents")["events"]
    known = {"set_user_id_event": 1001, "set_email_event": 1002, "set_page_visit": 1006, "optimove_sdk_metadata": 1007}
    known |= {"stitch_event": 1004, "web_popup_displayed": 1008, "ticket_opened": 1023, "ticket_resolved": 1024}
    assert {name: events[name]["id"] for name in known} == known
    assert {"targetVisitorId", "targetVsitorId"} <= set(events["stitch_event"]["parameters"])


def test_strangers_and_other_names_get_no_script(sender: Sender) -> None:
    assert sender.client.get("/webconfig/nobody/1.0.0.js").status_code == 401
    assert sender.client.get(f"/webconfig/{sender.public}/1.0.0.json").status_code == 404


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(
    "path",
    [
        "/mobilesdkconfig/{}/mobile.1.0.0.json",
        "/configs/mobile/global/v4/prod/configs.json",
        "/webconfig/{}/1.0.0.js",
        "/webconfig/prod/sdk-events.js",
    ],
)
def test_configurations_are_kept_and_asked_for_again_by_their_tag(sender: Sender, api: httpx.Client, path: str) -> None:
    path = path.format(sender.public)
    plain = sender.client.get(path, headers={"Accept-Encoding": "identity"})
    tag = plain.headers["etag"]
    assert plain.headers["cache-control"] == "public, max-age=60" and plain.headers["vary"] == "Accept-Encoding"
    with sender.client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as packed:
        body = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["etag"] == tag
    assert gzip.decompress(body) == plain.content and len(body) < len(plain.content)
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = sender.client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert sender.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    if sender.public in path:
        name = f"new_{len(path)}"
        api.post("/manage/v1/event-types", json={"name": name, "parameters": {}}).raise_for_status()
        changed = sender.client.get(path, headers={"If-None-Match": tag})
        assert changed.status_code == 200 and name in changed.text


@pytest.mark.parametrize(
    ("text", "browser", "system", "device"),
    [
        (ANDROID, ("Chrome", "112"), ("Android", "13"), {"vendor": "Samsung", "model": "SM-S901B", "type": "mobile"}),
        (IPHONE, ("Mobile Safari", "16"), ("iOS", "16.5"), {"vendor": "Apple", "model": "iPhone", "type": "mobile"}),
        (EDGE, ("Edge", "120"), ("Windows", "10"), {}),
        (MAC, ("Safari", "17"), ("Mac OS", "10.15.7"), {"vendor": "Apple", "model": "Macintosh"}),
    ],
    ids=["android", "iphone", "edge", "mac"],
)
def test_a_browser_is_looked_up_by_its_user_agent(
    sender: Sender, text: str, browser: tuple[str, str], system: tuple[str, str], device: dict[str, str]
) -> None:
    found = sender.client.get("/sdk-services/user-agent", headers={"User-Agent": text}).json()
    assert set(found) == {"ua", "browser", "engine", "os", "device", "cpu"} and found["ua"] == text
    assert (found["browser"]["name"], found["browser"]["major"]) == browser
    assert (found["os"]["name"], found["os"]["version"]) == system
    assert found["device"] == device


def test_a_user_agent_that_says_nothing_is_looked_up_too(sender: Sender) -> None:
    found = sender.client.get("/sdk-services/user-agent", headers={"User-Agent": "x" * 2000})
    assert found.status_code == 200
    assert {name: found.json()[name] for name in ("browser", "os", "device")} == {"browser": {}, "os": {}, "device": {}}


def test_logs_of_sdks_are_taken_and_dropped(sender: Sender) -> None:
    log = {"tenantId": 1, "appNs": "shop", "sdkPlatform": "ios", "level": "error", "message": "none"}
    assert sender.client.post("/report/log", json=log).status_code == 204
