"""Promotions over their API: what each status allows, what is refused and why, versions and transactions."""

import itertools
from typing import Any

import httpx
import pytest
from promotion_tenant import add_attributes, add_customers, create_tenant, done, launch, leaf, spins, tier

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant as create_rapport_tenant

NUMBERS = itertools.count(1)
TIERS = {"promotionTiers": [tier("all", [], spins(5))]}
EDITS: dict[str, Any] = {
    "metadata": {"name": "Changed"},
    "properties": {"properties": {"regionTag": "R2"}},
    "conditionTree": {"branches": [leaf("country", "equals", "NL")]},
    "promotionTiers": TIERS,
}


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> None:
    scope.clock.set(None)
    add_attributes(scope)
    add_customers(scope, [{"customer_id": "Q1", "COUNTRY": "NL"}])
    create_tenant(api)


def draft(api: httpx.Client) -> str:
    """The id of a new draft with one tier."""
    id = f"draft-{next(NUMBERS)}"
    done(api.post("/v1/promotions", json={"id": id, "name": "Spring reload", "code": id.upper()}))
    done(api.patch(f"/v1/promotions/{id}/promotionTiers", json=TIERS))
    return id


def in_status(api: httpx.Client, status: str) -> str:
    """The id of a new promotion in a status."""
    id = draft(api)
    for step in {"draft": (), "active": ("activate",), "deactivated": ("activate", "deactivate")}.get(status, ()):
        done(api.patch(f"/v1/promotions/{id}/{step}"))
    if status == "archived":
        done(api.delete(f"/v1/promotions/{id}"))
    assert api.get(f"/v1/promotions/{id}").json()["status"] == status
    return id


def test_a_promotion_is_what_its_calls_made_of_it(api: httpx.Client) -> None:
    created = api.post("/v1/promotions", json={"name": "Spring reload", "CODE": " Reload ", "description": "Offer"})
    assert created.status_code == 201
    id = created.json()["promotionId"]
    branches = [
        {"condition": {"type": "or"}},
        leaf("COUNTRY", "EQUALS", "NL", parent=0),
        leaf("joined", "greaterThan", "2025-01-01", parent=0),
    ]
    done(api.patch(f"/v1/promotions/{id}/conditionTree", json={"conditionTree": branches}))
    done(api.patch(f"/v1/promotions/{id}/promotionTiers", json=TIERS["promotionTiers"]))
    done(api.patch(f"/v1/promotions/{id}/properties", json={"properties": {"REGIONTAG": "R1"}}))
    done(api.patch(f"/v1/promotions/{id}/metadata", json={"description": None}))
    shown = api.get(f"/v1/promotions/{id}")
    document = shown.json()
    assert shown.headers["etag"] == '"5"' and document["version"] == 5
    assert (document["code"], document["tenantId"], document["activatedAt"]) == ("Reload", "play", None)
    assert document["metadata"] == {"name": "Spring reload", "description": None}
    assert document["properties"] == {"regionTag": "R1"}
    assert [branch["condition"].get("operator") for branch in document["conditionTree"]["branches"]] == [
        None,
        "equals",
        "after",
    ]
    assert [branch.get("parent") for branch in document["conditionTree"]["branches"]] == [None, 0, 0]
    (only,) = document["promotionTiers"]
    assert (only["id"], only["rewards"][0]["calculation"]) == ("all", {"type": "fixed", "value": 5})


@pytest.mark.parametrize("status", ["draft", "active", "deactivated", "archived"])
def test_a_status_allows_what_the_table_says(api: httpx.Client, status: str) -> None:
    allowed = {
        "draft": {"metadata", "properties", "conditionTree", "promotionTiers", "activate", "archive"},
        "active": {"metadata", "deactivate", "archive"},
        "deactivated": {"metadata", "properties", "activate", "archive"},
        "archived": set[str](),
    }[status]
    for call in (*EDITS, "activate", "deactivate", "archive"):
        id = in_status(api, status)
        path = f"/v1/promotions/{id}"
        answer = api.delete(path) if call == "archive" else api.patch(f"{path}/{call}", json=EDITS.get(call))
        assert answer.status_code == (200 if call in allowed else 409), (call, answer.text)
        if call not in allowed:
            assert answer.json()["status"] == 409 and status in answer.json()["message"]
            assert api.get(path).json()["version"] == answer_version(api, id)


def answer_version(api: httpx.Client, id: str) -> int:
    """The version that the history ends with."""
    newest: int = api.get(f"/manage/v1/promotions/{id}/versions").json()[0]["version"]
    return newest


def test_a_duplicate_is_a_draft_with_everything_but_the_code(api: httpx.Client) -> None:
    for status in ("draft", "active", "archived"):
        source = in_status(api, status)
        refused = api.post(f"/v1/promotions/{source}/duplicate", json={})
        assert (refused.status_code, refused.json()["message"]) == (400, "code is required.")
        misspelt = api.post(f"/v1/promotions/{source}/duplicate", json={"code": "c", "type": "archive"})
        assert misspelt.status_code == 400 and misspelt.json()["message"].startswith("type is not known here")
        copy = api.post(f"/v1/promotions/{source}/duplicate", json={"code": f"{source}-copy", "name": "Second"})
        assert copy.status_code == 201, copy.text
        document, original = copy.json(), api.get(f"/v1/promotions/{source}").json()
        assert (document["status"], document["activatedAt"]) == ("draft", None)
        assert document["promotionTiers"] == original["promotionTiers"] and document["metadata"]["name"] == "Second"
        done(api.patch(f"/v1/promotions/{document['id']}/promotionTiers", json=TIERS))


def test_ids_and_codes_are_unique_and_archived_codes_are_free(api: httpx.Client) -> None:
    id = draft(api)
    same_id = api.post("/v1/promotions", json={"id": id, "name": "n", "code": "another code"})
    assert (same_id.status_code, same_id.json()["message"]) == (409, f"The promotion id {id!r} is in use.")
    same_code = {"name": "n", "code": id}
    assert api.post("/v1/promotions", json=same_code).status_code == 409
    done(api.delete(f"/v1/promotions/{id}"))
    done(api.post("/v1/promotions", json=same_code))


def test_a_transaction_is_all_or_nothing_and_names_the_command(api: httpx.Client) -> None:
    path = f"/v1/promotions/made-{next(NUMBERS)}"
    commands = [{"type": "create", "name": "n", "code": path}, {"type": "SetPromotionTiers", **TIERS}]
    failed = api.post(f"{path}/transactions", json={"commands": [*commands, {"type": "deactivate"}]})
    assert failed.status_code == 409 and failed.json()["message"].startswith("commands[2] (deactivate): ")
    assert api.get(path).status_code == 404
    document = done(api.post(f"{path}/transactions", json={"commands": [*commands, {"type": "activate"}]}))
    assert (document["status"], document["version"]) == ("active", 1)
    unknown = api.post(f"{path}/transactions", json={"commands": [{"type": "duplicate", "code": "x"}]})
    assert unknown.status_code == 400 and unknown.json()["message"].startswith("commands[0].type must be one of create")
    for body in ({}, {"commands": []}, {"commands": [{"type": "activate"}] * 101}):
        assert api.post(f"{path}/transactions", json=body).status_code == 400
    missing = api.post("/v1/promotions/nowhere/transactions", json={"commands": [{"type": "activate"}]})
    assert missing.status_code == 404


def test_a_change_of_an_older_version_is_refused(api: httpx.Client) -> None:
    path = f"/v1/promotions/{draft(api)}"
    tag = api.get(path).headers["etag"]
    changed = api.patch(f"{path}/metadata", json={"name": "First"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"3"')
    stale = api.patch(f"{path}/metadata", json={"name": "Second"}, headers={"If-Match": tag})
    assert stale.status_code == 412 and "version 3 now, not version 2" in stale.json()["message"]
    assert api.get(path).json()["metadata"]["name"] == "First"
    assert api.patch(f"{path}/metadata", json={"name": "x"}, headers={"If-Match": "three"}).status_code == 400


def test_the_history_tells_who_did_what(api: httpx.Client) -> None:
    id = in_status(api, "deactivated")
    history = api.get(f"/manage/v1/promotions/{id}/versions")
    assert history.headers["x-total-count"] == "4"
    assert [entry["commands"] for entry in history.json()] == [
        ["deactivate"],
        ["activate"],
        ["setPromotionTiers"],
        ["create"],
    ]
    assert {entry["actor"] for entry in history.json()} == {history.json()[0]["actor"]} and "(tests)" in history.json()[
        0
    ]["actor"]
    assert [entry["document"]["status"] for entry in history.json()] == ["deactivated", "active", "draft", "draft"]
    assert api.get("/manage/v1/promotions/nowhere/versions").status_code == 404


BRANCH = "conditionTree.branches[0]"


@pytest.mark.parametrize(
    ("branches", "words"),
    [
        ([{"parent": 0, "condition": {"type": "and"}}], f"{BRANCH}.parent must be the index of an earlier branch."),
        ([leaf("country", "equals", "NL", parent=-1)], f"{BRANCH}.parent"),
        ([leaf("country", "equals", "NL"), leaf("country", "isNull", parent=0)], "which is neither and nor or"),
        ([{"condition": {"type": "or"}}], f"{BRANCH}: or needs at least one branch"),
        ([{"condition": {"type": "xor"}}], f"{BRANCH}.condition.type must be and, or, or property."),
        ([{"when": 1}], "unknown member 'when'"),
        ([7], f"{BRANCH} must be an object."),
        ([leaf("nowhere", "equals", 1)], f"{BRANCH}.condition.key: there is no customer property 'nowhere'."),
        ([leaf("country", "greaterThan", "NL")], "greaterThan cannot compare country, whose type is string."),
        ([leaf("country", "like", "NL")], f"{BRANCH}.condition.operator must be one of equals"),
        ([leaf("country", "equals", 7)], f"{BRANCH}.condition.value must be text."),
        ([leaf("lifetimeDeposits", "equals", "7")], f"{BRANCH}.condition.value must be a number."),
        ([leaf("lifetimeDeposits", "between", [7])], f"{BRANCH}.condition.value must be a list of two values"),
        ([leaf("isFirst", "equals", "yes", "session")], f"{BRANCH}.condition.value must be true or false."),
        ([leaf("joined", "after", "soon")], f"{BRANCH}.condition.value must be a date"),
        ([leaf("country", "in", [])], f"{BRANCH}.condition.value must be a list with at least one value."),
        ([leaf("country", "equals", "NL")] * 101, "must have at most 100 branches, not 101."),
    ],
)
def test_a_tree_is_refused_by_branch_and_reason(api: httpx.Client, branches: list[Any], words: str) -> None:
    path = f"/v1/promotions/{draft(api)}"
    refused = api.patch(f"{path}/conditionTree", json={"branches": branches})
    assert refused.status_code == 400 and words in refused.json()["message"], refused.text
    assert api.get(path).json()["conditionTree"] == {"branches": []}
    inner = api.patch(f"{path}/promotionTiers", json=[tier("t", branches)])
    assert inner.status_code == 400 and f"promotionTiers[0].{words.partition(BRANCH)[1]}" in inner.json()["message"]


@pytest.mark.parametrize(
    ("tiers", "words"),
    [
        ([tier("t", []), tier("t", [])], "promotionTiers has two tiers with the id 't'."),
        ([{"id": "t", "conditionTree": {"branches": []}}], "promotionTiers[0].name is required."),
        ([tier("t", [], {"rewardType": "coins", "calculation": {"type": "fixed", "value": 1}})], "no reward type"),
        ([tier("t", [], spins(-1))], "promotionTiers[0].rewards[0].calculation"),
        ([tier("t", [], spins(1) | {"value": 7})], "promotionTiers[0].rewards[0].value is not known here"),
        (
            [tier("t", [], {"rewardType": "bonus", "calculation": {"type": "percentage", "of": "x", "percent": 1}})],
            "promotionTiers[0].rewards[0].calculation.of: the property 'x' is not declared.",
        ),
        (
            [tier("t", [], {"rewardType": "bonus", "calculation": {"type": "percentage", "of": "game", "percent": 1}})],
            "'game' is not a number.",
        ),
    ],
)
def test_tiers_are_refused_by_place_and_reason(api: httpx.Client, tiers: list[Any], words: str) -> None:
    refused = api.patch(f"/v1/promotions/{draft(api)}/promotionTiers", json={"promotionTiers": tiers})
    assert refused.status_code == 400 and words in refused.json()["message"], refused.text


def test_properties_are_held_to_their_schema(api: httpx.Client) -> None:
    path = f"/v1/promotions/{draft(api)}/properties"
    for properties, words in (
        ({"region": "R1"}, "properties.region: there is no such property"),
        ({"regionTag": "R3"}, "properties.regionTag must be one of R1, R2."),
        ({"regionTag": 1}, "properties.regionTag must be a text."),
    ):
        refused = api.patch(path, json={"properties": properties})
        assert refused.status_code == 400 and words in refused.json()["message"]


def test_campaigns_may_choose_the_codes_of_active_promotions(api: httpx.Client) -> None:
    id = in_status(api, "active")
    draft(api)
    codes = [row["PromoCode"] for row in api.get("/current/integrations/GetPromotions").json()]
    assert id.upper() in codes and not any(code == id for code in codes)
    assert id.upper() in [row["promo_code"] for row in api.get("/manage/v1/promotions").json()]
    done(api.patch(f"/v1/promotions/{id}/deactivate"))
    assert id.upper() not in [row["PromoCode"] for row in api.get("/current/integrations/GetPromotions").json()]


def test_promotions_are_a_tenants_own(api: httpx.Client, scope: Scope, base_url: str) -> None:
    launch(api, "ours", [tier("all", [], spins(1))])
    other = create_rapport_tenant(scope.stores, f"promotions of others {next(NUMBERS)}", "UTC", "USD")
    _, secret = keys.create_key(other, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as theirs:
        contexts = {"contexts": [{"customerId": "Q1"}]}
        for answer in (
            theirs.get("/v1/promotions/ours"),
            theirs.patch("/v1/promotions/ours/deactivate"),
            theirs.delete("/v1/promotions/ours"),
            theirs.post("/v1/promotions/ours/duplicate", json={"code": "theirs"}),
            theirs.post("/v1/promotions/ours/validateCustomers", json=contexts),
            theirs.post("/v1/promotions/validatePromoCode", json={"promoCode": "ours", **contexts}),
            theirs.get("/v1/tenants/play"),
            theirs.delete("/v1/tenants/play"),
            theirs.get("/manage/v1/promotions/ours/versions"),
        ):
            assert answer.status_code == 404, answer.text
        assert theirs.post("/v1/promotions", json={"id": "ours", "name": "Theirs", "code": "ours"}).status_code == 201
    assert httpx.get(f"{base_url}/v1/promotions/ours").json()["status"] == 401
    assert api.get("/v1/promotions/ours").json()["status"] == "active"
