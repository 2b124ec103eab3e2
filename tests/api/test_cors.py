"""What browsers are told before and with calls from pages of other sites."""

import httpx
import pytest

NEEDED = (
    "Content-Type",
    "Accept",
    "Authorization",
    "X-Request-ID",
    "X-Tenant-Id",
    "X-User-JWT",
    "X-Optimove-Auth-Capable",
    "X-Optimove-Platform",
)
OF_BROWSERS = [
    "/v1/optistream/token",
    "/v1/realtime/token/reportEvent",
    "/reportEvent",
    "/report/log",
    "/v2/web/config",
    "/v1/app-installs/0c0c0c0c-0000-4000-8000-000000000003/events",
    "/v1/banners",
    "/v1/banners/b1/taps",
    "/v1/deeplinks/slug",
    "/webconfig/token/web-configuration.1.0.0.js",
    "/webconfig/prod/sdk-events.js",
    "/mobilesdkconfig/token/mobile.1.0.0.json",
    "/configs/mobile/global/v4/prod/configs.json",
    "/sdk-services/user-agent",
    "/api/v1/preferences",
    "/api/v1/messages",
    "/api/v1/messages/metrics",
    "/api/v1/embeddedmessages/getembeddedmessages",
    "/api/v1/embedded-messages/get-embedded-messages",
    "/api/v2/embedded-messages/get",
    "/api/v2/events/report",
]
OF_SERVERS = [
    "/v1/events",
    "/manage/v1/channels",
    "/current/general/GetLastDataUpdate",
    "/api/v2/target-group",
    "/docs",
]


@pytest.mark.parametrize("path", OF_BROWSERS)
def test_a_page_of_another_site_may_call_what_is_for_browsers(api: httpx.Client, path: str) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    answer = api.options(path, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {name.lower() for name in NEEDED} <= allowed


def test_a_page_may_read_errors_too(api: httpx.Client) -> None:
    answer = api.post("/v1/optistream/nobody", content=b"[]", headers={"Origin": "https://shop.example"})
    assert answer.status_code == 401 and answer.headers["access-control-allow-origin"] == "*"
    answer = api.get("/webconfig/nothing/of/the/kind", headers={"Origin": "https://shop.example"})
    assert answer.status_code == 404 and answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", OF_SERVERS)
def test_a_page_of_another_site_may_not_call_what_is_for_servers(api: httpx.Client, path: str) -> None:
    answer = api.options(path, headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"})
    assert "access-control-allow-origin" not in answer.headers
