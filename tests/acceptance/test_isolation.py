"""A second tenant sees and changes nothing of the first, by any route, with any key and any of the first one's ids."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from example_bodies import LONG_WORK, leaves, operations, replaced
from lived import Demo

from rapport.access import keys, users
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.realtime.events.tokens import tokens

# Ids of the demo: its customers, orders and products, and its marketers' words.
TRACES = re.compile(r"C00\d{5}|c00\d{5}@|SKU-\d{4}|Calluna|Lapsed buyers|Win back|SAVE1|rap_demo|demo Admin")
VALUES = {
    "Date": "{today}",
    "StartDate": "{before}",
    "EndDate": "{data}",
    "CustomerID": "C0000003",
    "customer_id": "C0000003",
    "ChannelID": "505",
    "EventID": "2",
    "ActionID": "4",
    "LifecycleStageID": "2,3",
    "TargetGroupName": "Lapsed buyers",
    "ActionName": "10% voucher",
    "ValueSegmentName": "Top",
    "ChangedCustomerAttribute": "COUNTRY",
}


def filled(demo: Demo, name: str, schema: dict[str, Any]) -> str:
    """A value of the first tenant for a parameter."""
    days = {"today": demo.today, "data": demo.data_date, "before": demo.data_date.replace(day=1)}
    if name == "CampaignID":
        return str(demo.scope.warehouse.value("SELECT max(campaign_id) FROM campaign_recipients WHERE action_id > 1"))
    if name in VALUES:
        return VALUES[name].format(**days)
    return "2" if schema.get("type") == "integer" or name.endswith(("_id", "ID", "id")) else "x"


def requests(demo: Demo) -> list[tuple[str, str, dict[str, str]]]:
    """Every operation of the OpenAPI: method, path and query, filled with ids of the first tenant."""
    found = []
    for path, item in demo.client.get("/openapi.json").json()["paths"].items():
        for method, operation in item.items():
            named = {
                p["name"]: (p["in"], filled(demo, p["name"], p.get("schema", {})))
                for p in operation.get("parameters", [])
            }
            query = {name: value for name, (place, value) in named.items() if place == "query" and name[0] != "$"}
            if path.endswith("GetCustomerFutureValues"):
                query = {"LifecycleStageID": "2,3"}
            parts = [named.get(part.strip("{}"), ("", "2"))[1] if "{" in part else part for part in path.split("/")]
            found.append((method.upper(), "/".join(parts), query))
    return found


def only_the_question(answer: httpx.Response, asked: list[str]) -> bool:
    """An error sentence may repeat what was asked."""
    words = [word for one in asked for word in one.split("/") if word]
    bare = re.sub("|".join(map(re.escape, words)), "", answer.text)
    return answer.status_code >= 400 and not TRACES.search(bare)


def test_the_first_tenant_does_read_them(demo: Demo) -> None:
    """The traces above are real: the demo's own key meets many of them."""
    met = 0
    for method, path, query in requests(demo):
        if method == "GET" and path.startswith("/current/"):
            met += bool(TRACES.search(demo.client.get(path, params=query).text))
    assert met >= 8


# What members of bodies are called that name something of the tenant, without case and separators.
PLANTED = {
    "customer": "C0000003",
    "customerid": "C0000003",
    "customerids": "C0000003",
    "customers": "C0000003",
    "address": "c0000003@example.com",
    "actionid": 4,
    "channelid": 505,
    "group": 2,
    "targetgroupid": 2,
    "templateid": 2,
}


def planted(demo: Demo, body: Any) -> Any:
    """A body with ids of the first tenant wherever it has ids."""
    of_tenant = {"tenant": demo.scope.tenant_id, "campaignid": int(filled(demo, "CampaignID", {}))}
    for way, _ in leaves(body):
        name = next((str(step) for step in reversed(way) if isinstance(step, str)), "")
        value = (PLANTED | of_tenant).get(re.sub("[_-]", "", name.lower()))
        body = body if value is None else replaced(body, way, value)
    return body


def changes(demo: Demo, document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str], Any, bool]]:
    """Every operation that is no read: method, path, query and an example body, filled with ids of the first tenant.

    And whether it only asks, as keys with rights to read may too.
    """
    key_id = str(demo.client.get("/manage/v1/keys").json()[0]["id"])
    for operation in operations(document):
        if operation.path in LONG_WORK:
            continue
        values = {(place, name): filled(demo, name, schema) for (place, name), schema in operation.parameters.items()}
        given = {name: value for (place, name), value in values.items() if place == "path"}
        given |= {"key_id": key_id, "tenantID": str(demo.scope.tenant_id)}
        path = operation.path.format_map(defaultdict(lambda: "2", given))
        query = {name: value for (place, name), value in values.items() if place == "query"}
        yield operation.method, path, query, planted(demo, operation.body), operation.only_asks


PASSWORD = "correct horse battery"
# Who may manage everything, in the order in which they do.
LAST = ("Admin user", "Admin")
# Nickname, access type, rights and sections.
KEYS = (
    *((access_type, access_type, "full", ()) for access_type in keys.ACCESS_TYPES),
    ("reader", "Admin", "read", ()),
    ("loader", "Admin", "data-in", ()),
    ("reading vendor", "Integrations", "read", ()),
    ("loading server", "Transactional", "data-in", ()),
    ("campaigner", "Admin", "full", ("campaigns", "series", "templates", "suppressions")),
)


@pytest.fixture
def strangers(scope: Scope, base_url: str, request: pytest.FixtureRequest) -> Iterator[dict[str, httpx.Client]]:
    """Whoever there may be of another tenant: nobody known, a key of each access type with all rights and with fewer,
    a user who logged in, a token of each kind.
    """
    # A tenant for each test: they may read what they wrote themselves about planted ids.
    scope = create_tenant(scope.stores, request.node.name)
    shown: dict[str, dict[str, str]] = {"nobody": {}}
    for who, access_type, rights, sections in KEYS:
        _, secret = keys.create_key(scope, who, "stranger@example.com", access_type, rights=rights, sections=sections)
        shown[who] = {"X-API-KEY": secret}
    scope.stores.settings.legacy_login = True
    users.create_user(scope, f"stranger {scope.tenant_id}", PASSWORD)
    logged_in = users.login(scope.stores, f"stranger {scope.tenant_id}", PASSWORD, "192.0.2.77")
    shown["Admin user"] = {"Authorization-Token": logged_in}
    for kind, token in tokens(scope).items():
        shown[f"{kind} token"] = {"X-API-KEY": token.value, "Authorization-Token": token.value}
    clients = {who: httpx.Client(base_url=base_url, headers=headers, timeout=60) for who, headers in shown.items()}
    yield clients
    scope.stores.settings.legacy_login = False
    for client in clients.values():
        client.close()


@pytest.mark.filterwarnings("ignore")
def test_nobody_of_another_tenant_changes_anything(demo: Demo, strangers: dict[str, httpx.Client]) -> None:
    before = fingerprint(demo)
    asked = list(changes(demo, demo.client.get("/openapi.json").json()))
    # Who may manage everything comes last: it may take the keys and tokens of its own tenant away.
    for who in [*(one for one in strangers if one not in LAST), *LAST]:
        managed = 0
        for method, path, query, body, only_asks in asked:
            answer = strangers[who].request(method, path, params=query, json=body)
            assert answer.status_code < 500, (who, method, path, answer.text)
            managed += path.startswith("/manage/") and answer.status_code < 400 and not only_asks
        assert bool(managed) == (who in LAST), (who, managed)
        assert fingerprint(demo) == before, who
    assert len(asked) > 90


@pytest.mark.filterwarnings("ignore")
def test_nobody_of_another_tenant_reads_anything(demo: Demo, strangers: dict[str, httpx.Client]) -> None:
    reads = [(path, query) for method, path, query in requests(demo) if method == "GET"]
    seen = []
    for who, client in strangers.items():
        for path, query in reads:
            if path in ("/openapi.json", "/metrics"):
                continue
            answer = client.get(path, params=query)
            assert answer.status_code < 500, (who, path, answer.text)
            if TRACES.search(answer.text.replace(path, "")) and not only_the_question(answer, [path, *query.values()]):
                seen.append((who, path, answer.text[:200]))
    assert seen == []
    assert len(reads) > 80


MANAGED = (
    *("target-groups", "actions", "series", "campaigns", "channels", "keys", "brands", "listeners", "templates"),
    *("attributes", "triggers", "event-types", "suppressions", "tenants/current", "gateway", "event-intake"),
    *("lifecycle-stages", "value-segments", "load-checks", "imports", "promotions"),
)


def fingerprint(demo: Demo) -> list[Any]:
    """What the first tenant has, as far as writes could reach it."""
    found: list[Any] = []
    for path in MANAGED:
        answer = demo.client.get(f"/manage/v1/{path}")
        assert answer.status_code in (200, 404), (path, answer.text)
        found.append(re.sub(r'"last_used_at":"[^"]*"', "", answer.text))
    for table in ("customers", "profiles", "campaign_recipients", "campaign_outcomes", "activity_events"):
        found.append(demo.scope.warehouse.value(f"SELECT sum(cityHash64(*)) FROM {table}"))
    return found
