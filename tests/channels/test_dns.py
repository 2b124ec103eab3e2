"""The DNS records of a brand, looked up at a real name server."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from name_server import NameServer, Records, serving
from pydantic import ValidationError

from rapport.access import keys
from rapport.access import service as access
from rapport.access.scope import Scope
from rapport.channels import lookups, opening
from rapport.settings import Settings
from rapport.stores import Stores

BRAND = "/manage/v1/brands/7"
SETTINGS = {
    "host": "mail.shop.example",
    "from_address": "hello@shop.example",
    "bounce_domain": "bounces.shop.example",
}


@pytest.fixture(scope="module")
def name_server(stores: Stores) -> Iterator[NameServer]:
    with serving() as started:
        stores.settings.dns_servers, stores.settings.public_url = started.address, "https://rapport.example.com"
        yield started
        stores.settings.dns_servers = stores.settings.public_url = ""


@pytest.fixture
def fresh(stores: Stores, request: pytest.FixtureRequest) -> Scope:
    return access.create_tenant(stores, f"dns-{request.node.name}")


@pytest.fixture
def client(base_url: str, fresh: Scope) -> Iterator[httpx.Client]:
    _, secret = keys.create_key(fresh, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as opened:
        body = {"name": "Shop", "id": 7, "settings": SETTINGS}
        assert opened.post("/manage/v1/brands", json=body).status_code == 201
        yield opened


def as_told(records: list[dict[str, Any]]) -> Records:
    """A zone in which somebody set all records as they were told to."""
    zone: Records = {("mail.shop.example", "A"): ["192.0.2.10"], ("mail.shop.example", "AAAA"): []}
    for record in records:
        if record["type"] == "TXT":
            strings = [record["value"][begin : begin + 255] for begin in range(0, len(record["value"]), 255)]
            value = " ".join(f'"{string}"' for string in strings)
            zone[record["name"], "TXT"] = [value]
        elif record["type"] == "MX":
            zone[record["name"], "MX"] = [f"{record['value']}."]
    zone["10.2.0.192.in-addr.arpa", "PTR"] = ["mail.shop.example."]
    return zone


def looked_up(client: httpx.Client) -> dict[str, tuple[str, str]]:
    """Presence and fault by purpose; of several keys the first."""
    told = client.get(f"{BRAND}/dns", params={"check": True})
    assert told.status_code == 200, told.text
    found: dict[str, tuple[str, str]] = {}
    for record in told.json()["records"]:
        found.setdefault(record["purpose"], (record["presence"], record["fault"]))
    return found


def test_the_records_to_set_are_told_without_any_lookup(client: httpx.Client, name_server: NameServer) -> None:
    (rsa, ed25519) = client.post(f"{BRAND}/dkim-keys").json()
    client.post(f"{BRAND}/addresses", json={"role": "from", "address": "a@news.shop.example"})
    name_server.asked.clear()
    told = client.get(f"{BRAND}/dns").json()
    assert name_server.asked == []
    assert (told["domains"], told["mail_servers"], told["ready"]) == (
        ["news.shop.example", "shop.example"],
        ["mail.shop.example"],
        None,
    )
    rows = [(record["purpose"], record["type"], record["name"], record["value"]) for record in told["records"]]
    assert rows == [
        ("spf", "TXT", "bounces.shop.example", "v=spf1 a:mail.shop.example ~all"),
        *(
            ("dkim", "TXT", f"{key['selector']}._domainkey.{domain}", key["record"])
            for key in (ed25519, rsa)
            for domain in ("news.shop.example", "shop.example")
        ),
        ("dmarc", "TXT", "_dmarc.news.shop.example", "v=DMARC1; p=none; rua=mailto:dmarc@news.shop.example"),
        ("dmarc", "TXT", "_dmarc.shop.example", "v=DMARC1; p=none; rua=mailto:dmarc@shop.example"),
        ("bounces", "MX", "bounces.shop.example", "10 rapport.example.com"),
        ("reverse name", "PTR", "mail.shop.example", "mail.shop.example"),
    ]
    assert {record["presence"] for record in told["records"]} == {None}


def test_records_as_told_are_present(client: httpx.Client, name_server: NameServer) -> None:
    client.post(f"{BRAND}/dkim-keys")
    client.post(f"{BRAND}/addresses", json={"role": "from", "address": "a@news.shop.example"})
    name_server.records = as_told(client.get(f"{BRAND}/dns").json()["records"])
    del name_server.records["_dmarc.news.shop.example", "TXT"]
    told = client.get(f"{BRAND}/dns", params={"check": True}).json()
    assert {(record["presence"], record["fault"]) for record in told["records"]} == {("present", "")}
    assert told["ready"] is True, "the policy of the domain above holds for one below it"


def test_what_is_wrong_is_told(client: httpx.Client, name_server: NameServer) -> None:
    client.post(f"{BRAND}/dkim-keys", json={"algorithms": ["ed25519"]})
    records = client.get(f"{BRAND}/dns").json()["records"]
    dkim_name = next(record["name"] for record in records if record["purpose"] == "dkim")
    name_server.records = {("mail.shop.example", "A"): ["192.0.2.10"], ("bounces.shop.example", "A"): ["192.0.2.1"]}
    assert looked_up(client) == {
        "spf": ("missing", "bounces.shop.example has no SPF record."),
        "dkim": ("missing", f"{dkim_name} has no TXT record."),
        "dmarc": ("missing", "Neither the domain nor one above it has a DMARC record."),
        "bounces": ("missing", "bounces.shop.example has no MX record, so failures cannot be reported to it."),
        "reverse name": ("missing", "192.0.2.10 has no reverse name."),
    }
    name_server.records = as_told(records) | {
        ("bounces.shop.example", "TXT"): ['"v=spf1 a:mail.shop.example ~all"', '"v=spf1 -all"', '"other"'],
        (dkim_name, "TXT"): ['"v=DKIM1; k=ed25519; p="'],
        ("bounces.shop.example", "MX"): ["5 mx.other.example."],
        ("other.example", "A"): ["192.0.2.77"],
        ("10.2.0.192.in-addr.arpa", "PTR"): ["other.example."],
    }
    assert looked_up(client) == {
        "spf": (
            "different",
            "bounces.shop.example has 2 SPF records: receivers take none of them unless there is just one.",
        ),
        "dkim": ("different", "The record does not hold the public half of the key, whole and alone."),
        "dmarc": ("present", ""),
        "bounces": (
            "different",
            "Mail to bounces.shop.example goes elsewhere than to rapport.example.com. It will do only if that server"
            " passes it on.",
        ),
        "reverse name": ("different", "The reverse name of 192.0.2.10 does not lead back to it."),
    }
    name_server.records = as_told(records) | {("bounces.shop.example", "TXT"): ['"v=spf1 include:mail.example -all"']}
    assert looked_up(client)["spf"] == (
        "different",
        "The record does not say a:mail.shop.example. It will do only if it allows that server otherwise.",
    )


def test_name_servers_that_fail_are_told(
    client: httpx.Client, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "LOOKUP_SECONDS", 0.2)
    name_server.records = as_told(client.get(f"{BRAND}/dns").json()["records"])
    name_server.failing = {"_dmarc.shop.example"}
    try:
        found = looked_up(client)
    finally:
        name_server.failing = set()
    assert found.pop("dmarc") == ("unknown", "No name server answered: ask again later.")
    assert set(found.values()) == {("present", "")}


def test_a_check_ends_in_time_however_many_records_there_are(
    client: httpx.Client, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "CHECK_SECONDS", 0.0)
    name_server.records = as_told(client.get(f"{BRAND}/dns").json()["records"])
    name_server.asked.clear()
    assert set(looked_up(client).values()) == {("unknown", "No name server answered: ask again later.")}
    assert name_server.asked == []


def test_private_addresses_have_no_reverse_name(
    client: httpx.Client, stores: Stores, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores.settings, "allow_private_addresses", False)
    name_server.records = {("mail.shop.example", "A"): ["10.1.2.3"]}
    name_server.asked.clear()
    assert looked_up(client)["reverse name"] == (
        "unknown",
        "mail.shop.example is in a private network: its public address counts.",
    )
    assert all(kind != "PTR" for _, kind in name_server.asked)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("email-smtp.eu-west-1.amazonaws.com", "v=spf1 include:amazonses.com ~all"),
        ("127.0.0.1", "v=spf1 ip4:ADDRESS ~all"),
        ("localhost", "v=spf1 ip4:ADDRESS ~all"),
        ("203.0.114.5", "v=spf1 ip4:203.0.114.5 ~all"),
        ("2a02:6b8::1", "v=spf1 ip6:2a02:6b8::1 ~all"),
    ],
)
def test_what_a_mail_server_is_in_an_spf_record(client: httpx.Client, host: str, expected: str) -> None:
    client.patch(BRAND, json={"settings": {**SETTINGS, "host": host}})
    records = client.get(f"{BRAND}/dns").json()["records"]
    assert records[0]["value"] == expected
    reverse = [record for record in records if record["purpose"] == "reverse name"]
    assert bool(reverse) == ("ip" in expected and "ADDRESS" not in expected), "others have none of one's own"


def test_where_the_servers_name_is_not_known_a_word_stands_for_it(
    client: httpx.Client, stores: Stores, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores.settings, "public_url", "")
    (bounces,) = (record for record in client.get(f"{BRAND}/dns").json()["records"] if record["purpose"] == "bounces")
    assert bounces["value"] == "10 HOST" and "Replace HOST" in bounces["note"]
    name_server.records = {("bounces.shop.example", "MX"): ["5 mx.shop.example."]}
    assert looked_up(client)["bounces"] == ("present", "")


def test_few_checks_are_made_at_once(client: httpx.Client, fresh: Scope, name_server: NameServer) -> None:
    with opening.turn(fresh), opening.turn(fresh):
        busy = client.get(f"{BRAND}/dns", params={"check": True})
    assert busy.status_code == 429 and "Retry-After" in busy.headers
    assert client.get(f"{BRAND}/dns", params={"check": True}).status_code == 200


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        ("192.0.2.1", [("192.0.2.1", 53)]),
        ("192.0.2.1:5353, 2001:db8::1", [("192.0.2.1", 5353), ("2001:db8::1", 53)]),
        ("[2001:db8::2]:54", [("2001:db8::2", 54)]),
    ],
)
def test_name_servers_of_the_operator(given: str, expected: list[tuple[str, int]]) -> None:
    assert Settings(dns_servers=given).dns_server_list == expected


@pytest.mark.parametrize("given", ["ns.example", "192.0.2.1:x", "192.0.2.1:99999", ":53"])
def test_what_is_no_name_server(given: str) -> None:
    with pytest.raises(ValidationError, match="is not an address"):
        Settings(dns_servers=given)
