"""Promo codes: what they are, how many are made, and what is refused."""

import re
from datetime import timedelta

import httpx
import pytest
from promotion_tenant import add_attributes, add_customers, create_tenant, done, launch, spins, tier
from redemption_calls import create_code, generate, redeem, refused

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant as create_rapport_tenant
from rapport.redemptions.code_texts import ALPHABET, drawn, has_valid_check, shortest

LOOK_ALIKES = ["0OQ", "1ILT"[:3], "2Z", "5S", "6G", "8B", "VW", "UV"]


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> None:
    scope.clock.set(None)
    add_attributes(scope)
    add_customers(scope, [{"customer_id": "Q1", "COUNTRY": "NL"}, {"customer_id": "Q2", "COUNTRY": "BE"}])
    create_tenant(api)
    launch(api, "spring", [tier("all", [], spins(5))])


def test_a_promo_code_is_what_its_calls_made_of_it(api: httpx.Client) -> None:
    created = done(
        api.post(
            "/v1/promocodes",
            json={"NAME": "Posters", "type": "global", "code": "Spring-26", "campaignIds": [7, 3], "id": "posters"},
        )
    )
    assert created == done(api.get("/v1/promocodes/posters"))
    assert (created["code"], created["promotionId"], created["campaignIds"]) == ("Spring-26", None, [3, 7])
    assert (created["isActive"], created["startsAt"], created["expiresAt"]) == (True, None, None)
    changed = done(api.patch("/v1/promocodes/posters", json={"promotionId": "spring", "isActive": False}))
    assert (changed["promotionId"], changed["isActive"], changed["name"]) == ("spring", False, "Posters")
    assert done(api.patch("/v1/promocodes/posters", json={"promotionId": None}))["promotionId"] is None
    listed = api.get("/manage/v1/promocodes", params={"limit": 1000}).json()
    assert [code["kind"] for code in listed if code["id"] == "posters"] == ["global"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"type": "global", "code": "ABC"}, 400, "name is required."),
        ({"name": "N", "type": "global"}, 400, "promo codes, which need it"),
        ({"name": "N", "type": "unique", "code": "ABC"}, 400, "promo codes, which need it"),
        ({"name": "N", "type": "global", "code": "A B"}, 400, "code"),
        ({"name": "N", "type": "some"}, 400, "type"),
        ({"name": "N", "type": "unique", "id": "redemptions"}, 400, "id must not be 'redemptions'."),
        ({"name": "N", "type": "unique", "promotionId": "nothing"}, 404, "There is no promotion 'nothing'."),
        ({"name": "N", "type": "unique", "expiresAt": "2026-01-01"}, 400, "expiresAt"),
        ({"name": "N", "type": "global", "code": "SPRING"}, 409, "The code 'spring' is that of a promotion."),
    ],
)
def test_what_is_no_promo_code_is_refused(api: httpx.Client, body: dict[str, object], status: int, said: str) -> None:
    answer = api.post("/v1/promocodes", json=body)
    assert answer.status_code == status and said in answer.json()["message"], answer.text


def test_ids_and_codes_are_unique_in_any_case(api: httpx.Client) -> None:
    create_code(api, id="first", code="Only-Once")
    for members in ({"id": "first"}, {"id": "second", "code": "ONLY-ONCE"}):
        answer = api.post("/v1/promocodes", json={"name": "N", "type": "global", "code": "Other", **members})
        assert answer.status_code == 409 and "already" in answer.json()["message"], answer.text
    assert api.get("/v1/promocodes/second").status_code == 404


def test_no_two_letters_of_codes_look_alike() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET)
    for alike in LOOK_ALIKES:
        assert len(set(alike) & set(ALPHABET)) <= 1, alike
    assert not set(ALPHABET) & set("AEIOU"), "codes would be words"


def test_codes_are_so_long_that_they_cannot_be_guessed() -> None:
    for count in (1, 1000, 10**6):
        length = shortest(count)
        assert len(ALPHABET) ** length >= count * 10**6 > len(ALPHABET) ** (length - 1)


def test_each_letter_is_as_likely_as_any_other() -> None:
    text = "".join(drawn(20_000, 12))
    expected = len(text) / len(ALPHABET)
    # The chi-square of 18 degrees of freedom is above 60 once in two million runs.
    assert sum((text.count(letter) - expected) ** 2 / expected for letter in ALPHABET) < 60


def test_a_check_character_finds_every_wrong_letter_and_every_exchange_of_neighbours() -> None:
    for code in drawn(20, 6, "P-", has_check=True):
        assert len(code) == 9 and has_valid_check(code.lower(), "p-")
        for place in range(2, 9):
            for letter in set(ALPHABET) - {code[place]}:
                assert not has_valid_check(code[:place] + letter + code[place + 1 :], "P-")
        for place in range(2, 8):
            if code[place] != code[place + 1]:
                exchanged = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
                assert not has_valid_check(exchanged, "P-")


def test_codes_are_generated_and_imported(api: httpx.Client) -> None:
    id = create_code(api, type="unique", promotionId="spring")
    codes = generate(api, id, 500, length=11, prefix="Spr-", has_check=True)
    assert len(set(codes)) == 500
    assert all(re.fullmatch(f"Spr-[{ALPHABET}]{{12}}", code) and has_valid_check(code, "Spr-") for code in codes)
    file = "code\r\nHand-Made-1\r\n\r\nh\\nd\r\nÄPFEL\r\n"
    answer = api.post(f"/manage/v1/promocodes/{id}/file", files={"file": ("codes.csv", file.encode("utf-8-sig"))})
    assert (answer.status_code, answer.json()) == (201, {"codes": 3}), answer.text
    listed = api.get(f"/manage/v1/promocodes/{id}/codes", params={"limit": 10_000}).json()
    assert len(listed) == 503 and {"Hand-Made-1", "h\\nd", "ÄPFEL"} < {code["code"] for code in listed}
    assert redeem(api, "äpfel", "Q1").status_code == 201
    paged, after = [], ""
    while page := api.get(f"/manage/v1/promocodes/{id}/codes", params={"limit": 200, "after": after}).json():
        paged += page
        after = page[-1]["code"]
    assert [code["code"] for code in paged] == [code["code"] for code in listed]


@pytest.mark.parametrize(
    ("file", "status", "said"),
    [
        (b"new-1\nnew-2\nNEW-1\n", 409, "'NEW-1'"),
        (b"new-3\nTaken-1\n", 409, "'Taken-1'"),
        (b"new-4\nspring\n", 409, "'spring'"),
        (b"new-5\na b\n", 400, "Line 2 is no code"),
        (b"code\n\n", 400, "file has no codes"),
        (b"new-6\n\xff\xfe\n", 400, "UTF-8"),
    ],
)
def test_a_file_is_imported_whole_or_not_at_all(api: httpx.Client, file: bytes, status: int, said: str) -> None:
    if api.get("/v1/promocodes/taken").status_code == 404:
        create_code(api, id="taken", code="TAKEN-1")
    id = create_code(api, type="unique")
    answer = api.post(f"/manage/v1/promocodes/{id}/file", files={"file": ("codes.txt", file)})
    assert answer.status_code == status and said in answer.json()["detail"], answer.text
    assert api.get(f"/manage/v1/promocodes/{id}/codes").json() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"count": 1000, "length": 6}, "length must be at least 8"),
        ({"count": 0}, "count"),
        ({"count": 1_000_001}, "count"),
        ({"count": 1, "prefix": "a b"}, "prefix"),
        ({"count": 1, "length": 100, "prefix": "a"}, "at most 100 characters"),
    ],
)
def test_codes_that_could_be_guessed_are_not_generated(api: httpx.Client, body: dict[str, object], said: str) -> None:
    id = create_code(api, type="unique")
    answer = api.post(f"/manage/v1/promocodes/{id}/generate", json=body)
    assert answer.status_code == 400 and said in answer.json()["detail"], answer.text


def test_a_global_promo_code_takes_no_more_codes(api: httpx.Client) -> None:
    id = create_code(api)
    answer = api.post(f"/manage/v1/promocodes/{id}/generate", json={"count": 1})
    assert (answer.status_code, "is global" in answer.json()["detail"]) == (409, True)


def test_a_code_is_in_force_between_its_dates_while_it_is_active(api: httpx.Client, scope: Scope) -> None:
    now = scope.clock.now()
    day = timedelta(days=1)
    id = create_code(api, code="Dated", promotionId="spring", startsAt=(now + day).isoformat())
    assert refused(redeem(api, "DATED", "Q1")) == "CodeNotValid"
    done(api.patch(f"/v1/promocodes/{id}", json={"startsAt": (now - day).isoformat()}))
    assert redeem(api, "DATED", "Q1").status_code == 201
    unordered = api.patch(f"/v1/promocodes/{id}", json={"expiresAt": (now - 2 * day).isoformat()})
    assert (unordered.status_code, unordered.json()["message"]) == (400, "expiresAt must be after startsAt.")
    done(api.patch(f"/v1/promocodes/{id}", json={"expiresAt": (now - day / 2).isoformat()}))
    assert refused(redeem(api, "DATED", "Q1")) == "CodeNotValid"
    done(api.patch(f"/v1/promocodes/{id}", json={"expiresAt": None, "isActive": False}))
    assert refused(redeem(api, "DATED", "Q1")) == "CodeNotValid"
    done(api.patch(f"/v1/promocodes/{id}", json={"isActive": True, "promotionId": None}))
    assert refused(redeem(api, "DATED", "Q1")) == "CodeNotValid"


def test_customers_are_validated_for_a_promo_code(api: httpx.Client) -> None:
    id = create_code(api, promotionId="spring")
    contexts = {"contexts": [{"customerId": "Q1"}, {"customerId": "Q3"}]}
    document = done(api.post(f"/v1/promocodes/{id}/validateCustomers", json=contexts))
    assert (document["promocodeId"], document["promotionId"]) == (id, "spring")
    assert [context["valid"] for context in document["contexts"]] == [True, False]
    unlinked = api.post(f"/v1/promocodes/{create_code(api)}/validateCustomers", json=contexts)
    assert unlinked.status_code == 409


def test_the_codes_of_another_tenant_are_unknown(api: httpx.Client, scope: Scope, base_url: str) -> None:
    id = create_code(api, code="Ours-Only", promotionId="spring")
    other = create_rapport_tenant(scope.stores, f"other-{id}", "UTC", "EUR")
    _, secret = keys.create_key(other, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        assert client.get(f"/v1/promocodes/{id}").status_code == 404
        assert client.patch(f"/v1/promocodes/{id}", json={"isActive": False}).status_code == 404
        assert client.get(f"/manage/v1/promocodes/{id}/codes").status_code == 404
        assert redeem(client, "Ours-Only", "Q1").status_code == 404
        create_code(client, code="Ours-Only")
    assert redeem(api, "Ours-Only", "Q1").status_code == 201
