"""Promotion tenants over their API: their status, their definitions, and what is refused."""

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from promotion_tenant import OWN, PROPERTIES, REWARDS, SESSION, add_attributes, done, leaf, spins, tier

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant as create_rapport_tenant

NUMBERS = itertools.count(1)
PATH = "/v1/tenants/play"
SCHEMAS = {"customerPropertySchema": PROPERTIES, "promotionPropertySchema": OWN}
DEFINED = [
    {"type": "setCustomerPropertySchema", "properties": PROPERTIES},
    {"type": "setSessionPropertySchema", "properties": SESSION},
    {"type": "setRewardTypes", "rewardTypes": REWARDS},
]


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    add_attributes(scope)


@pytest.fixture
def play(api: httpx.Client) -> Iterator[httpx.Client]:
    """A draft tenant that is there for one test."""
    created = api.post("/v1/tenants", json={"id": "play", "name": "Northwind Play"})
    assert (created.status_code, created.json()["status"]) == (201, "draft"), created.text
    yield api
    api.patch(f"{PATH}/deactivate")
    assert api.delete(PATH).status_code == 204
    assert api.get(PATH).status_code == 404


def test_a_tenant_is_edited_while_it_is_not_active(play: httpx.Client) -> None:
    for name, properties in SCHEMAS.items():
        shown = done(play.patch(f"{PATH}/{name}", json={"properties": properties}))[name]["properties"]
        assert [(each["key"], each["type"]) for each in shown] == [(each["key"], each["type"]) for each in properties]
        assert [each.get("constraints") for each in shown] == [each.get("constraints") for each in properties]
    done(play.patch(f"{PATH}/metadata", json={"description": "Games", "settings": {"theme": "dark"}}))
    document = done(play.patch(f"{PATH}/activate"))
    assert document["metadata"] == {"name": "Northwind Play", "description": "Games", "settings": {"theme": "dark"}}
    assert (document["status"], document["version"]) == ("active", 5)
    for call, body in (
        *((name, {"properties": []}) for name in SCHEMAS),
        ("metadata", {"name": "Other"}),
        ("activate", None),
    ):
        assert play.patch(f"{PATH}/{call}", json=body).status_code == 409, call
    assert play.delete(PATH).status_code == 409
    assert play.get(PATH).json() == document
    done(play.patch(f"{PATH}/deactivate"))
    assert play.patch(f"{PATH}/deactivate").status_code == 409
    done(play.patch(f"{PATH}/metadata", json={"name": "Other"}))


def test_there_is_one_and_it_is_called_by_its_id(play: httpx.Client, scope: Scope) -> None:
    second = play.post("/v1/tenants", json={"name": "Second"})
    assert (second.status_code, second.json()["message"]) == (409, "There is a promotion tenant already: 'play'.")
    assert play.get("/v1/tenants/other").status_code == 404
    assert play.patch("/v1/tenants/other/activate").status_code == 404
    stale = play.patch(f"{PATH}/activate", headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    play.delete(PATH)
    unnamed = play.post("/v1/tenants", json={"name": "Northwind"})
    assert unnamed.json()["id"] == str(scope.tenant_id)
    assert play.delete(f"/v1/tenants/{scope.tenant_id}").status_code == 204
    done(play.post("/v1/tenants", json={"id": "play", "name": "Northwind Play"}))


def test_a_transaction_edits_an_active_tenant(play: httpx.Client) -> None:
    done(play.patch(f"{PATH}/activate"))
    commands = [{"type": "deactivate"}, *DEFINED, {"type": "activate"}]
    document = done(play.post(f"{PATH}/transactions", json={"commands": commands}))
    assert (document["status"], document["version"]) == ("active", 3)
    assert [reward["key"] for reward in document["rewardTypes"]] == ["freeSpins", "bonus"]
    failed = play.post(f"{PATH}/transactions", json={"commands": [{"type": "deactivate"}, {"type": "deactivate"}]})
    assert failed.status_code == 409 and failed.json()["message"].startswith("commands[1] (deactivate): ")
    assert play.get(PATH).json() == document


def test_what_an_active_promotion_uses_stays(play: httpx.Client) -> None:
    done(play.post(f"{PATH}/transactions", json={"commands": [*DEFINED, {"type": "activate"}]}))
    id = f"used-{next(NUMBERS)}"
    tiers = [tier("t", [leaf("country", "isNotNull"), leaf("game", "equals", "slots", "session")], spins(1))]
    commands = [
        {"type": "create", "name": id, "code": id},
        {"type": "setPromotionTiers", "promotionTiers": tiers},
        {"type": "activate"},
    ]
    done(play.post(f"/v1/promotions/{id}/transactions", json={"commands": commands}))
    done(play.patch(f"{PATH}/deactivate"))
    retyped = [each | {"type": "date", "attribute": "REGISTRATION_DATE"} for each in PROPERTIES[:1]]
    for commands, words in (
        ([{"type": "setCustomerPropertySchema", "properties": PROPERTIES[1:]}], "the customer property 'country'"),
        ([{"type": "setCustomerPropertySchema", "properties": retyped}], "the customer property 'country'"),
        ([{"type": "setSessionPropertySchema", "properties": []}], "the session property 'game'"),
        ([{"type": "setRewardTypes", "rewardTypes": REWARDS[1:]}], "the reward type 'freeSpins'"),
    ):
        refused = play.post(f"{PATH}/transactions", json={"commands": commands})
        assert refused.status_code == 409 and f"{id!r} uses {words}" in refused.json()["message"], refused.text
    done(play.patch(f"{PATH}/customerPropertySchema", json={"properties": PROPERTIES[:1]}))
    done(play.delete(f"/v1/promotions/{id}"))
    done(play.patch(f"{PATH}/customerPropertySchema", json={"properties": []}))


def test_with_the_tenant_its_promotions_end(play: httpx.Client) -> None:
    id = f"left-{next(NUMBERS)}"
    done(play.post("/v1/promotions", json={"id": id, "name": id, "code": id}))
    assert play.delete(PATH).status_code == 204
    assert play.get(f"/v1/promotions/{id}").json()["status"] == "archived"
    done(play.post("/v1/tenants", json={"id": "play", "name": "Northwind Play"}))


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ([{"key": "a b", "type": "string"}], "properties[0].key"),
        ([{"key": "a", "type": "text"}], "properties[0].type"),
        ([{"key": "NOWHERE", "type": "string"}], "there is no customer attribute 'NOWHERE'"),
        ([{"key": "country", "type": "number"}], "properties[0].type: the attribute COUNTRY holds text, not number."),
        ([{"key": "country", "type": "string"}, {"key": "Country", "type": "string"}], "two properties 'Country'"),
        ([{"key": "c", "type": "number", "measure": {"history": "transactions", "value": 1}}], "must not have an oper"),
        ([{"key": "c", "type": "string", "measure": {"history": "transactions"}}], "must be number or date"),
        ([{"key": "country", "type": "string", "constraints": {"min": 2, "max": 1}}], "min must not be above max"),
        ([{"key": "country", "type": "string", "constraints": {"pattern": "("}}], "not a regular expression"),
        ([{"key": "country", "type": "string", "requierd": True}], "requierd"),
        ("none", "properties: must be a list."),
    ],
)
def test_a_schema_is_refused_by_place_and_reason(play: httpx.Client, properties: Any, words: str) -> None:
    refused = play.patch(f"{PATH}/customerPropertySchema", json={"properties": properties})
    assert refused.status_code == 400 and words in refused.json()["message"], refused.text


def test_integrations_keys_and_readers_change_nothing(
    play: httpx.Client, integrations_api: httpx.Client, scope: Scope, base_url: str
) -> None:
    assert integrations_api.get(PATH).status_code == 403
    _, secret = keys.create_key(scope, "reader", "reader@example.com", "Admin", rights="read")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as reader:
        assert reader.get(PATH).status_code == 200
        assert reader.patch(f"{PATH}/activate").status_code == 403
    assert play.get(PATH).json()["status"] == "draft"


def test_tenants_of_others_are_their_own(play: httpx.Client, scope: Scope, base_url: str) -> None:
    other = create_rapport_tenant(scope.stores, f"promotion tenants of others {next(NUMBERS)}", "UTC", "USD")
    _, secret = keys.create_key(other, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as theirs:
        assert theirs.get(PATH).status_code == 404
        assert theirs.post("/v1/tenants", json={"id": "play", "name": "Theirs"}).status_code == 201
    assert play.get(PATH).json()["metadata"]["name"] == "Northwind Play"
