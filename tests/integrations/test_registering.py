"""Templates, apps, promotions and events over the wire: what is registered is what is read, everywhere."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select
from vendor_world import AB, EMAIL, PUSH, SMS, fill

from rapport.access.models import AuditEntry
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.schemas import ActionBody
from rapport.channels.models import App
from rapport.customers.models import EventType
from rapport.messaging import registration
from rapport.messaging import templates as messaging_templates
from rapport.messaging.models import Template
from rapport.messaging.registration import Registered
from rapport.promotions import registered
from rapport.promotions.models import RegisteredPromotion
from rapport.stores import Stores

HOME = "/current/integrations"
WRITES: dict[str, tuple[str, Any]] = {
    "AddChannelTemplates": (f"?ChannelID={SMS}", [{"TemplateID": 1, "TemplateName": "a"}]),
    "DeleteChannelTemplates": ("", [{"ChannelID": SMS, "TemplateID": 1}]),
    "AddChannelApps": (f"?ChannelID={PUSH}", [{"AppID": "a", "AppName": "a"}]),
    "DeleteChannelApps": ("", [{"ChannelID": PUSH, "AppID": "a"}]),
    "AddPromotions": ("", [{"PromoCode": "a", "PromotionName": "a"}]),
    "DeletePromotions": ("", [{"PromoCode": "a"}]),
}


@pytest.fixture(scope="module")
def world(scope: Scope) -> Iterator[Scope]:
    fill(scope)
    yield scope
    scope.clock.set(None)


@pytest.fixture(autouse=True)
def fresh(world: Scope) -> None:
    """Nothing is registered but template 12 of the text channel and the promotion b2."""
    with world.records() as session:
        session.execute(delete(Template).where(Template.tenant_id == world.tenant_id, Template.channel_id != EMAIL))
        for table in (App, RegisteredPromotion, EventType):
            session.execute(delete(table).where(table.tenant_id == world.tenant_id))
    registration.register_templates(world, SMS, [Registered(12, "Twelve")])
    registered.add_promotions(world, {"b2": "Offer b2"})


def post(api: httpx.Client, function: str, body: Any, query: str = "") -> httpx.Response:
    return api.post(f"{HOME}/{function}{query}", json=body)


def done(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.content) == (200, b""), answer.text


def templates(api: httpx.Client, channel: int = SMS) -> dict[int, str]:
    rows = api.get(f"{HOME}/GetChannelTemplates", params={"ChannelID": channel}).json()
    assert [row["TemplateID"] for row in rows] == sorted(row["TemplateID"] for row in rows)
    assert all(row.keys() == {"TemplateID", "TemplateName"} for row in rows)
    return {row["TemplateID"]: row["TemplateName"] for row in rows}


def promotions(api: httpx.Client) -> list[tuple[str, str]]:
    return [(row["PromoCode"], row["PromotionName"]) for row in api.get(f"{HOME}/GetPromotions").json()]


def audited(scope: Scope) -> int:
    with scope.records() as session:
        return len(session.scalars(select(AuditEntry.id).where(AuditEntry.tenant_id == scope.tenant_id)).all())


def test_templates_are_added_renamed_and_removed(world: Scope, integrations_api: httpx.Client) -> None:
    before = audited(world)
    rows = [{"TemplateID": 12, "TemplateName": "Spring FR"}, {"TemplateID": 11, "TemplateName": " Spring EN "}]
    done(post(integrations_api, "AddChannelTemplates", rows, f"?ChannelID={SMS}"))
    assert templates(integrations_api) == {11: "Spring EN", 12: "Spring FR"}
    again = [{"templateid": 11, "TEMPLATENAME": "Été 🌞", "AppID": None, "Extra": 1}] * 2
    done(post(integrations_api, "AddChannelTemplates", again, f"?channelid={SMS}"))
    assert templates(integrations_api) == {11: "Été 🌞", 12: "Spring FR"}
    one = integrations_api.get(f"{HOME}/GetChannelTemplates", params={"channelId": SMS, "TemplateID": 12}).json()
    assert one == [{"TemplateID": 12, "TemplateName": "Spring FR"}]
    gone = [{"ChannelID": SMS, "TemplateID": 11}, {"ChannelID": PUSH, "TemplateID": 999}]
    for _ in range(2):
        done(post(integrations_api, "DeleteChannelTemplates", gone))
    assert templates(integrations_api) == {12: "Spring FR"}
    assert audited(world) >= before + 3
    # What was executed with a template keeps its number.
    assert {row.template_id for row in occurrences.channel_rows(world, AB)} == {11, 12, 40}


def test_ids_and_codes_that_vendors_may_well_have(world: Scope, api: httpx.Client) -> None:
    done(post(api, "AddChannelTemplates", [{"TemplateID": 0, "TemplateName": "Zero"}], f"?ChannelID={SMS}"))
    assert templates(api) == {0: "Zero", 12: "Twelve"}
    done(post(api, "DeleteChannelTemplates", [{"ChannelID": SMS, "TemplateID": "0"}]))
    assert templates(api) == {12: "Twelve"}
    codes = ["10% off, once", "𝒳İ" * 250]
    done(post(api, "AddPromotions", [{"PromoCode": one, "PromotionName": "n"} for one in codes]))
    assert promotions(api) == [("10% off, once", "n"), ("b2", "Offer b2"), (codes[1], "n")]
    action = api.post("/manage/v1/actions", json={"name": "Long codes", "promo_codes": codes})
    assert action.json()["promo_codes"] == codes, action.text
    done(post(api, "DeletePromotions", [{"PromoCode": one.upper()} for one in codes]))
    assert promotions(api) == [("b2", "Offer b2")]


def test_management_and_reads_show_registered_templates(
    world: Scope, api: httpx.Client, integrations_api: httpx.Client
) -> None:
    rows = [{"TemplateID": 40, "TemplateName": "Ping", "AppID": "ios"}]
    done(post(integrations_api, "AddChannelTemplates", rows, f"?ChannelID={PUSH}"))
    managed = api.get("/manage/v1/templates", params={"channel_id": PUSH}).json()
    assert [(row["id"], row["name"], row["app_id"]) for row in managed] == [(40, "Ping", "ios")]
    sent = api.get("/current/customers/GetCustomerExecutionDetailsByCampaign", params={"CampaignID": AB}).json()
    assert {row["TemplateName"] for row in sent if row["ChannelID"] == PUSH} == {"Ping"}


def test_content_that_rapport_has_stays_when_a_template_is_renamed(
    world: Scope, integrations_api: httpx.Client
) -> None:
    messaging_templates.save_template(world, SMS, "Mine", text="Hello [%FIRST_NAME%]", id=77)
    rows = [{"TemplateID": 77, "TemplateName": "Renamed"}]
    done(post(integrations_api, "AddChannelTemplates", rows, f"?ChannelID={SMS}"))
    found = messaging_templates.template(world, SMS, 77)
    assert (found.name, found.text) == ("Renamed", "Hello [%FIRST_NAME%]")


def test_rapports_own_templates_are_read_and_not_touched(world: Scope, integrations_api: httpx.Client) -> None:
    assert templates(integrations_api, EMAIL) == {7: "Own"}
    rows = [{"TemplateID": 7, "TemplateName": "Theirs"}]
    for answer in (
        post(integrations_api, "AddChannelTemplates", rows, f"?ChannelID={EMAIL}"),
        post(integrations_api, "DeleteChannelTemplates", [{"ChannelID": EMAIL, "TemplateID": 7}]),
        post(integrations_api, "AddChannelApps", [{"AppID": "a", "AppName": "b"}], f"?ChannelID={EMAIL}"),
    ):
        assert answer.status_code == 400 and "Rapport" in answer.json()
    mixed = [{"ChannelID": SMS, "TemplateID": 12}, {"ChannelID": EMAIL, "TemplateID": 7}]
    assert post(integrations_api, "DeleteChannelTemplates", mixed).status_code == 400
    assert messaging_templates.template(world, EMAIL, 7).subject == "Hello [%FIRST_NAME%]"
    assert 12 in templates(integrations_api)


@pytest.mark.parametrize("name", ["GetChannelTemplateDetails", "GetChannelTemplatesDetails"])
def test_details_of_templates(world: Scope, integrations_api: httpx.Client, name: str) -> None:
    read = f"{HOME}/{name}"
    answer = integrations_api.get(read, params={"ChannelID": EMAIL, "TemplateID": 7})
    assert answer.json() == [
        {
            "TemplateID": 7,
            "TemplateName": "Own",
            "TemplateContent": "<p>Hi</p>",
            "TemplateAttributes": ["", world.stores.settings.mail_from, "Hello [%FIRST_NAME%]"],
        }
    ]
    messaging_templates.save_template(world, SMS, "Note", text="Hi [%FIRST_NAME%]", id=88)
    found = integrations_api.get(read, params={"ChannelID": SMS, "TemplateID": 88}).json()
    assert (found[0]["TemplateContent"], found[0]["TemplateAttributes"]) == ("Hi [%FIRST_NAME%]", [])
    assert integrations_api.get(read, params={"ChannelID": SMS, "TemplateID": 99}).json() == []
    assert integrations_api.get(read, params={"ChannelID": 999, "TemplateID": 1}).status_code == 404
    assert integrations_api.get(read, params={"ChannelID": SMS}).json() == "TemplateID is required."


def test_apps_are_managed_and_leave_their_templates(
    world: Scope, api: httpx.Client, integrations_api: httpx.Client
) -> None:
    rows = [{"AppID": "acme-ios", "AppName": "Slots iPhone"}, {"AppID": 314, "AppName": "Slots Android"}]
    done(post(integrations_api, "AddChannelApps", rows, f"?ChannelID={PUSH}"))
    done(post(integrations_api, "AddChannelApps", [{"appid": "acme-ios", "appname": "New"}], f"?ChannelID={PUSH}"))
    listed = api.get(f"/manage/v1/channels/{PUSH}/apps").json()
    assert [(row["app_id"], row["name"]) for row in listed] == [("314", "Slots Android"), ("acme-ios", "New")]
    rows = [{"TemplateID": 41, "TemplateName": "Bound", "AppID": "acme-ios"}]
    done(post(integrations_api, "AddChannelTemplates", rows, f"?ChannelID={PUSH}"))
    gone = [{"ChannelID": PUSH, "AppID": "acme-ios"}, {"ChannelID": 12345, "AppID": "x"}]
    done(post(integrations_api, "DeleteChannelApps", gone))
    done(post(integrations_api, "DeleteChannelApps", gone))
    assert [row["app_id"] for row in api.get(f"/manage/v1/channels/{PUSH}/apps").json()] == ["314"]
    assert (
        messaging_templates.template(world, PUSH, 41).name,
        messaging_templates.template(world, PUSH, 41).app_id,
    ) == ("Bound", "")
    assert api.get("/manage/v1/channels/999/apps").status_code == 404


def test_promotions_are_kept_and_read_by_code(world: Scope, api: httpx.Client) -> None:
    rows = [{"PromoCode": code, "PromotionName": f"Offer {code}"} for code in ("b2", "SPR15", "a", 77)]
    done(post(api, "AddPromotions", rows))
    done(post(api, "AddPromotions", [{"promocode": "SPR15", "promotionname": "Renamed"}]))
    expected = [("77", "Offer 77"), ("SPR15", "Renamed"), ("a", "Offer a"), ("b2", "Offer b2")]
    assert promotions(api) == expected
    managed = api.get("/manage/v1/promotions").json()
    assert [(row["promo_code"], row["name"]) for row in managed] == expected
    assert [row["promo_code"] for row in api.get("/manage/v1/promotions?limit=2&offset=1").json()] == ["SPR15", "a"]
    action = definitions.create_action(world, ActionBody(name="Spring", promo_codes=["SPR15"]))
    done(post(api, "DeletePromotions", [{"PromoCode": "SPR15"}, {"PromoCode": 77}, {"PromoCode": "unknown"}]))
    assert promotions(api) == expected[2:]
    assert definitions.action(world, action.id).promo_codes == ["SPR15"]


def test_apps_are_the_same_in_any_case(world: Scope, api: httpx.Client) -> None:
    def listed() -> list[tuple[str, str]]:
        return [(row["app_id"], row["name"]) for row in api.get(f"/manage/v1/channels/{PUSH}/apps").json()]

    done(post(api, "AddChannelApps", [{"AppID": " Acme-iOS\t", "AppName": "First"}], f"?ChannelID={PUSH}"))
    done(post(api, "AddChannelApps", [{"AppID": "ACME-ios", "AppName": "Second"}], f"?ChannelID={PUSH}"))
    assert listed() == [("Acme-iOS", "Second")]
    long = "İ" * 200
    both = [{"AppID": app, "AppName": app[0]} for app in ("Zoë", "ZOË", long)]
    done(post(api, "AddChannelApps", both, f"?ChannelID={PUSH}"))
    assert [name for _, name in listed()] == ["Second", "Z", "İ"]
    rows = [
        {"TemplateID": 41, "TemplateName": "Bound", "AppID": "acme-IOS"},
        {"TemplateID": 42, "TemplateName": "Free"},
    ]
    done(post(api, "AddChannelTemplates", [*rows, {**rows[0], "TemplateID": 43, "AppID": "x"}], f"?ChannelID={PUSH}"))
    gone = [{"ChannelID": PUSH, "AppID": app} for app in ("ACME-IOS ", "zoë", long.lower()[:200], long)]
    done(post(api, "DeleteChannelApps", gone))
    assert listed() == []
    assert [messaging_templates.template(world, PUSH, number).app_id for number in (41, 42, 43)] == ["", "", "x"]


def test_promotions_are_the_same_in_any_case(world: Scope, api: httpx.Client) -> None:
    rows = [{"PromoCode": " FREE5 ", "PromotionName": "Five"}, {"PromoCode": 2**64 - 1, "PromotionName": "Long"}]
    done(post(api, "AddPromotions", rows))
    done(post(api, "AddPromotions", [{"PromoCode": "free5", "PromotionName": "Still five"}]))
    assert promotions(api) == [("18446744073709551615", "Long"), ("FREE5", "Still five"), ("b2", "Offer b2")]
    done(post(api, "AddPromotions", [{"PromoCode": code, "PromotionName": code} for code in ("B2", "ÉTÉ", "été")]))
    assert promotions(api)[2:] == [("b2", "B2"), ("été", "été")]
    done(post(api, "DeletePromotions", [{"PromoCode": code} for code in ("\tFree5", "Été", str(2**64 - 1))]))
    assert promotions(api) == [("b2", "B2")]


def test_names_of_our_own_bind_nothing(world: Scope, api: httpx.Client) -> None:
    extra = {"code": "own", "name": "Own", "app_id": ["x"], "template_id": None, "group": "x"}
    done(post(api, "AddPromotions", [{"PromoCode": "theirs", "PromotionName": "Theirs", **extra}]))
    done(post(api, "AddChannelTemplates", [{"TemplateID": 3, "TemplateName": "T", **extra}], f"?ChannelID={SMS}"))
    assert promotions(api) == [("b2", "Offer b2"), ("theirs", "Theirs")]
    assert (messaging_templates.template(world, SMS, 3).name, messaging_templates.template(world, SMS, 3).app_id) == (
        "T",
        "",
    )


def test_numbers_come_back_as_clients_have_them(world: Scope, api: httpx.Client) -> None:
    given = [{"TemplateID": number, "TemplateName": str(number)} for number in ("21", 22.0, " 23 ", "024")]
    done(post(api, "AddChannelTemplates", given, f"?ChannelID={SMS}"))
    assert templates(api) == {12: "Twelve", 21: "21", 22: "22.0", 23: " 23 ".strip(), 24: "024"}
    done(post(api, "DeleteChannelTemplates", [{"ChannelID": str(SMS), "TemplateID": float(n)} for n in range(21, 25)]))
    assert templates(api) == {12: "Twelve"}


def test_a_byte_order_mark_is_no_part_of_a_body(world: Scope, api: httpx.Client) -> None:
    body = b'\xef\xbb\xbf[{"PromoCode": "bom", "PromotionName": "B"}]'
    done(api.post(f"{HOME}/AddPromotions", content=body, headers={"Content-Type": "application/json"}))
    assert ("bom", "B") in promotions(api)


def test_events_with_their_parameters(world: Scope, api: httpx.Client) -> None:
    assert api.get(f"{HOME}/GetActivityEventList").json() == []
    types = {"total": "Number", "gift": "Boolean", "note": "String"}
    declared = {"description": "Paid", "types": types, "declared": True, "parameters": [*types, "seen"]}
    with world.records() as session:
        for number, name, more in ((1004, "checkout_completed", declared), (1002, "Visit", {"parameters": ["page"]})):
            session.add(EventType(tenant_id=world.tenant_id, id=number, name=name, **more))
    expected = [*types.items(), ("seen", "String")]
    assert api.get(f"{HOME}/GetActivityEventList").json() == [
        {
            "EventID": 1002,
            "EventName": "Visit",
            "EventDescription": None,
            "Parameters": [{"ParameterName": "page", "ParameterType": "String"}],
        },
        {
            "EventID": 1004,
            "EventName": "checkout_completed",
            "EventDescription": "Paid",
            "Parameters": [{"ParameterName": name, "ParameterType": kind} for name, kind in expected],
        },
    ]


@pytest.mark.parametrize("function", WRITES)
def test_limits_shapes_and_verbs(world: Scope, api: httpx.Client, function: str) -> None:
    query, body = WRITES[function]
    url = f"{HOME}/{function}{query}"
    before = templates(api), promotions(api)
    assert api.get(url).status_code == 405
    assert api.put(url, json=body).status_code == 405
    many = api.post(url, json=body * 101)
    assert many.status_code == 400 and "100" in many.json()
    for bad, said in (({}, "array"), ("x", "array"), ([1], "[0]: must be a JSON object."), ([*body, None], "[1]")):
        answer = api.post(url, json=bad)
        assert answer.status_code == 400 and said in answer.json(), answer.text
    assert api.post(url, content=b"[", headers={"Content-Type": "application/json"}).status_code == 400
    text = api.post(url, content=b"[]", headers={"Content-Type": "text/plain"})
    assert text.json() == "Content-Type must be application/json."
    assert httpx.post(f"{api.base_url}{url}", json=body).status_code == 401
    assert (templates(api), promotions(api)) == before


def test_an_empty_list_adds_nothing_and_deletes_no_template(world: Scope, api: httpx.Client) -> None:
    for function, (query, _) in WRITES.items():
        expected = 400 if function == "DeleteChannelTemplates" else 200
        assert post(api, function, [], query).status_code == expected, function


@pytest.mark.parametrize(
    ("function", "item", "said"),
    [
        ("AddChannelTemplates", {"TemplateName": "x"}, "[1].TemplateID is required."),
        ("AddChannelTemplates", {"TemplateID": "x", "TemplateName": "x"}, "[1].TemplateID: "),
        ("AddChannelTemplates", {"TemplateID": "", "TemplateName": "x"}, "[1].TemplateID: "),
        ("AddChannelTemplates", {"TemplateID": "1.5", "TemplateName": "x"}, "[1].TemplateID: "),
        ("AddChannelTemplates", {"TemplateID": "-1", "TemplateName": "x"}, "[1].TemplateID: "),
        ("AddChannelTemplates", {"TemplateID": True, "TemplateName": "x"}, "[1].TemplateID: "),
        ("AddChannelTemplates", {"TemplateID": 1.5, "TemplateName": "x"}, "[1].TemplateID: "),
        ("AddChannelTemplates", {"TemplateID": 2**31, "TemplateName": "x"}, "[1].TemplateID: "),
        ("AddChannelTemplates", {"TemplateID": 2**80, "TemplateName": "x"}, "[1].TemplateID: "),
        ("AddChannelTemplates", {"TemplateID": str(2**31), "TemplateName": "x"}, "[1].TemplateID: "),
        (
            "AddChannelTemplates",
            {"TemplateID": 5, "TemplateName": "  "},
            "[1].TemplateName: must have at least 1 character.",
        ),
        (
            "AddChannelTemplates",
            {"TemplateID": 5, "TemplateName": "x" * 201},
            "[1].TemplateName: must have at most 200 characters.",
        ),
        (
            "AddChannelTemplates",
            {"TemplateID": 5, "TemplateName": "a\0b"},
            "[1].TemplateName: must not contain a null character.",
        ),
        ("AddChannelTemplates", {"TemplateID": 5, "TemplateName": "x", "AppID": " "}, "[1].AppID: must not be blank."),
        ("AddChannelTemplates", {"TemplateID": 5, "TemplateName": None}, "[1].TemplateName: "),
        ("DeleteChannelTemplates", {"TemplateID": 5}, "[1].ChannelID is required."),
        ("AddChannelApps", {"AppID": [], "AppName": "x"}, "[1].AppID: "),
        ("AddChannelApps", {"AppID": "x"}, "[1].AppName is required."),
        ("AddChannelApps", {"AppID": "\t", "AppName": "x"}, "[1].AppID: must not be blank."),
        ("AddChannelApps", {"AppID": "a\tb", "AppName": "x"}, "[1].AppID: must not hold a control character."),
        ("AddChannelApps", {"AppID": "x" * 201, "AppName": "x"}, "[1].AppID: must have at most 200 characters."),
        ("DeleteChannelApps", {"ChannelID": PUSH, "AppID": ""}, "[1].AppID: must not be blank."),
        ("DeleteChannelApps", {"AppID": "x"}, "[1].ChannelID is required."),
        ("AddPromotions", {"PromoCode": "A"}, "[1].PromotionName is required."),
        ("AddPromotions", {"PromoCode": "", "PromotionName": "x"}, "[1].PromoCode: must not be blank."),
        ("AddPromotions", {"PromoCode": " \n", "PromotionName": "x"}, "[1].PromoCode: must not be blank."),
        ("AddPromotions", {"PromoCode": "A\nB", "PromotionName": "x"}, "[1].PromoCode: must not hold a control"),
        (
            "AddPromotions",
            {"PromoCode": "A\0", "PromotionName": "x"},
            "[1].PromoCode: must not contain a null character.",
        ),
        ("AddPromotions", {"PromoCode": "x" * 501, "PromotionName": "x"}, "[1].PromoCode: must have at most 500 char"),
        ("AddPromotions", {"PromoCode": True, "PromotionName": "x"}, "[1].PromoCode: "),
        (
            "AddPromotions",
            {"PromoCode": 2**70, "PromotionName": "x"},
            "[1].PromoCode: must be a text, or a whole number of at most 64 bits.",
        ),
        ("AddPromotions", {"code": "A", "name": "x"}, "[1].PromoCode is required."),
        ("DeletePromotions", {"PromoCode": "A\0"}, "[1].PromoCode: must not contain a null character."),
        ("DeletePromotions", {}, "[1].PromoCode is required."),
    ],
)
def test_a_bad_item_is_told_by_its_number_and_nothing_is_written(
    world: Scope, api: httpx.Client, function: str, item: dict[str, Any], said: str
) -> None:
    query, body = WRITES[function]
    before = templates(api), promotions(api), audited(world)
    answer = post(api, function, [*body, item], query)
    assert answer.status_code == 400 and answer.json().startswith(said), answer.text
    assert (templates(api), promotions(api), audited(world)) == before


def test_channels_are_needed_and_known(world: Scope, api: httpx.Client) -> None:
    for function in ("AddChannelTemplates", "AddChannelApps"):
        assert post(api, function, WRITES[function][1]).json() == "ChannelID is required."
        assert post(api, function, WRITES[function][1], "?ChannelID=x").status_code == 400
        assert post(api, function, WRITES[function][1], "?ChannelID=999").status_code == 404
    assert api.get(f"{HOME}/GetChannelTemplates").json() == "ChannelID is required."
    assert api.get(f"{HOME}/GetChannelTemplates?ChannelID=999").status_code == 404


def test_every_spelling_of_a_path_leads_there(world: Scope, api: httpx.Client) -> None:
    for start in ("", "/current", "/CURRENT", "/v3.0"):
        for path in (f"{start}/Integrations/GetPromotions", f"{start}/integrations/GETPROMOTIONS/"):
            assert api.get(path).status_code == 200, path
    assert api.get("/v3/integrations/GetPromotions").status_code == 404
    done(api.post("/Integrations/addPromotions", json=[{"PromoCode": "path", "PromotionName": "x"}]))
    done(api.post("/Integrations/deletepromotions", json=[{"PromoCode": "path"}]))


def test_another_tenant_sees_and_changes_nothing(world: Scope, stores: Stores, api: httpx.Client) -> None:
    other = create_tenant(stores, f"other-{world.tenant_id}")
    assert registered.choices(other) == [] and messaging_templates.templates(other) == []
    registered.add_promotions(other, {"b2": "theirs"})
    registered.delete_promotions(other, ["a", "b2"])
    registration.remove_templates(other, [(SMS, 12)])
    assert promotions(api) == [("b2", "Offer b2")] and templates(api) == {12: "Twelve"}
