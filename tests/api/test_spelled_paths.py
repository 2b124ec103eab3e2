"""Paths of the wire: found in any letter case and with a slash at the end, at once; parameters keep their case."""

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.api.http.paths import WirePaths
from rapport.api.routers import WIRE

ROUTES = [route for router in WIRE for route in router.routes]
# Those of pictures have no fixed part whose case could differ.
PATHS = sorted({path for route in ROUTES if (path := str(getattr(route, "path", ""))) and not path.startswith("/{")})


async def nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("only paths are asked for")


@pytest.fixture(scope="module")
def paths() -> WirePaths:
    return WirePaths(nothing, ROUTES)


def filled(path: str, turn: str) -> str:
    """A path with its fixed parts in another case and Aa, Bb.. as parameters."""
    path = path.replace("{CustomerID:path}", "{CustomerID}")  # it takes one part, in which a slash is encoded
    parts = [part if part.startswith("{") else getattr(part, turn)() for part in path.split("/")]
    for number, place in enumerate(at for at, part in enumerate(parts) if part.startswith("{")):
        parts[place] = "/".join(["Aa", "Bb", "Cc"][: 1 + 2 * parts[place].endswith(":path}")]) if number else "Ünd-X"
    return "/".join(parts)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_in_every_case(paths: WirePaths, path: str) -> None:
    for turn in ("upper", "lower", "swapcase", "strip"):
        for end in ("", "/"):
            assert paths.rewrite(filled(path, turn) + end) == filled(path, "strip"), (turn, end)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/v3.0/customers/KiM/attributes/", "/Customers/KiM/Attributes"),
        ("/Current/Customers/GetCustomersByAction/attributes", "/Customers/GetCustomersByAction/Attributes"),
        ("/CUSTOMERS/getcustomersbyaction", "/current/customers/GetCustomersByAction"),
        ("/General/ApiKey/Info/", "/current/apikey/GetApiKeyInfo"),
        ("//", "/"),
        ("", "/"),
        ("//current//General/getLastDataUpdate//", "/current/general/GetLastDataUpdate"),
        ("//manage/v1//series/", "/manage/v1/series/"),
        ("/customers/A%2fb%20C//attributes", "/Customers/A/b C/Attributes"),
        ("/v1//files/b//c%2Fd/e", "/v1/files/b/c/d/e"),
        *((same, same) for same in ("/", "/current", "/current/", "/v1", "/v1/files/b", "/v1/nothing/x")),
        *((same, same) for same in ("/v3/integrations/GetPromotions", "/Manage/v1/brands/", "/v1/events/x")),
        *((same, same) for same in ("/current/v1/events", "/v1.0/report/log", "/customers/a/b/attributes")),
    ],
)
def test_prefixes_second_names_and_strangers(paths: WirePaths, given: str, expected: str) -> None:
    assert paths.rewrite(given) == expected


def test_no_wire_path_is_redirected(scope: Scope, api: httpx.Client) -> None:
    gateway = {"url": "https://promo.example.com/gateway"}
    for path in ("/triggered_conditional_execution_gateway/", "/Triggered_Conditional_Execution_GATEWAY"):
        assert api.put(path, json=gateway).status_code == 200
        assert api.get(path).json()[0]["url"] == gateway["url"]
        assert api.delete(path).status_code == 200
    for path in ("/v1/events/", "/V1/Optistream/NoSuch/", "/API/saveEvent/"):
        assert api.post(path, json={}).status_code in (400, 401), path
    assert api.get("/MobileSdkConfig/NoSuch/mobile.1.0.0.json/").status_code == 401
    assert api.get("/Customers/No-Body/attributes/").status_code == 404
    for path in ("/manage/v1/brands/", "/current/general/GetNothing/", "/nothing/"):
        assert api.get(path).status_code == 404, path
