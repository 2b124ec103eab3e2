"""Templates of brands on the wire, their folders, the versions that they have had, and MJML as their source."""

import importlib

import httpx
import pytest
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands import addresses, brands
from rapport.channels.brands.models import AddressRole
from rapport.errors import Invalid
from rapport.messaging import registration, templates, versions
from rapport.messaging.mjml_sources import html_of
from rapport.stores import Stores

BRAND = 7
FOLDERS = f"/manage/v1/brands/{BRAND}/template-folders"
TEMPLATES = "/manage/v1/channels/504/templates"
MJML = (
    "<mjml><mj-body><mj-section><mj-column><mj-text>Hi [%FIRST_NAME:you%]</mj-text>"
    '<mj-button href="[%UNSUB%]">Stop</mj-button></mj-column></mj-section></mj-body></mjml>'
)


@pytest.fixture(scope="module", autouse=True)
def mail(scope: Scope) -> None:
    brand = brands.create_brand(scope, "Shop", id=BRAND)
    settings = {"brand_id": BRAND, "host": "smtp.example.com", "from_address": "a@shop.example", "from_name": "Shop"}
    channels.create_channel(scope, "Email", "email", settings=settings)
    addresses.add_address(scope, brand, AddressRole.FROM, "spring@shop.example")
    addresses.add_address(scope, brand, AddressRole.REPLY_TO, "care@shop.example")


def add(api: httpx.Client, **changes: object) -> httpx.Response:
    body = {
        "BrandID": BRAND,
        "TemplateName": "Spring",
        "Subject": "Hello [%FIRST_NAME:you%]",
        "Html": '<p>Hi</p><a href="[%UNSUB%]">Stop</a>',
        "FromName": "Spring at Shop",
        "FromEmailAddressID": 2,
        "ReplyToAddressID": 1,
        "FolderID": 1,
    }
    return api.post("/current/optimail/AddTemplate", json={**body, **changes})


def test_an_integrator_adds_and_changes_templates(api: httpx.Client, scope: Scope) -> None:
    folder = api.post(FOLDERS, json={"name": " Newsletters "}).json()["id"]
    listed = api.get("/Optimail/getTemplateFolders", params={"brandId": BRAND})
    names = [(row["FolderID"], row["FolderName"]) for row in listed.json()]
    assert (names[0], names == sorted(names)) == ((1, "General"), True)
    assert (folder, "Newsletters") in names
    added = add(api, TemplateName="By hand", FolderID=folder, PlainText=None)
    assert added.status_code == 200
    number = added.json()["TemplateID"]
    assert added.json() == {"TemplateID": number, "Error": None}
    stored = api.get(f"{TEMPLATES}/{number}").json()
    assert (stored["folder_id"], stored["version"], stored["text"]) == (folder, 1, "")
    listed = api.get("/current/integrations/GetChannelTemplates", params={"ChannelID": 504}).json()
    assert {"TemplateID": number, "TemplateName": "By hand"} in listed
    asked = {"ChannelID": 504, "TemplateID": number}
    (told,) = api.get("/current/integrations/GetChannelTemplateDetails", params=asked).json()
    assert told["TemplateAttributes"] == ["Spring at Shop", "spring@shop.example", "Hello [%FIRST_NAME:you%]"]
    changes = {"brandid": BRAND, "TEMPLATEID": number, "subject": "Spring is here", "Html": None}
    changes["plaintext"] = "Hi [%UNSUB%]"
    changed = api.post("/Optimail/updatetemplate", json=changes)
    assert (changed.status_code, changed.json()) == (200, {"TemplateID": number, "Error": None})
    after = api.get(f"{TEMPLATES}/{number}").json()
    expected = {**stored, "subject": "Spring is here", "text": "Hi [%UNSUB%]", "version": 2, "attributes_used": []}
    assert {**after, "updated_at": ""} == {**expected, "updated_at": ""}
    from_mjml = {"BrandID": BRAND, "TemplateID": number, "Html": MJML}
    assert api.post("/Optimail/UpdateTemplate", json=from_mjml).status_code == 200
    made = api.get(f"{TEMPLATES}/{number}").json()
    assert (made["mjml"], "Hi [%FIRST_NAME:you%]" in made["html"], "<mj-" in made["html"]) == (MJML, True, False)
    assert api.post("/Optimail/UpdateTemplate", json={**from_mjml, "Html": "<p>x</p>"}).status_code == 200
    assert templates.template(scope, 504, number).mjml == ""


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"BrandID": 8}, 404, "There is no brand 8."),
        ({"BrandID": 9}, 400, "Brand 9 has no e-mail channel."),
        ({"FolderID": 77}, 400, "Brand 7 has no template folder 77."),
        ({"FromEmailAddressID": 77}, 400, "Brand 7 has no from address 77."),
        ({"ReplyToAddressID": 2}, 400, "Brand 7 has no reply_to address 2."),
        ({"Subject": ""}, 400, "Subject"),
        ({"Html": "<p>[%NOPE%]</p>"}, 400, "NOPE"),
        ({"Html": "<mjml>"}, 400, "mjml cannot be read"),
        ({"FromName": None}, 400, "FromName"),
        ({"TemplateName": "   "}, 400, "TemplateName"),
    ],
)
def test_what_an_integrator_cannot_add(
    api: httpx.Client, scope: Scope, changes: dict[str, object], status: int, error: str
) -> None:
    if changes.get("BrandID") == 9:
        brands.create_brand(scope, "Bare", id=9)
    refused = add(api, **changes)
    assert (refused.status_code, refused.json()["TemplateID"]) == (status, None)
    assert error in refused.json()["Error"]


def test_a_name_is_taken_once_and_unknown_templates_are_told(api: httpx.Client) -> None:
    assert add(api, TemplateName="Twice").status_code == 200
    again = add(api, TemplateName="twice ")
    assert (again.status_code, again.json()["TemplateID"]) == (409, None)
    unknown = api.post("/current/optimail/UpdateTemplate", json={"BrandID": BRAND, "TemplateID": 4711})
    assert (unknown.status_code, unknown.json()["Error"]) == (404, "Brand 7 has no template 4711.")
    broken = api.post("/Optimail/AddTemplate", content="{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["TemplateID"]) == (400, None)
    for query, status in [({}, 400), ({"BrandID": "x"}, 400), ({"BrandID": 8}, 404)]:
        assert api.get("/Optimail/GetTemplateFolders", params=query).status_code == status


def test_folders_are_managed(api: httpx.Client) -> None:
    made = api.post(FOLDERS, json={"name": "Winback"})
    assert made.status_code == 201
    path = f"{FOLDERS}/{made.json()['id']}"
    assert api.post(FOLDERS, json={"name": "winback"}).status_code == 409
    assert api.post(FOLDERS, json={"name": "general"}).status_code == 409
    assert api.patch(path, json={"name": "Win back"}).json()["name"] == "Win back"
    body = {"name": "Inside", "subject": "s", "text": "t", "folder_id": made.json()["id"]}
    assert api.put(f"{TEMPLATES}/90", json=body).json()["version"] == 1
    assert api.delete(path).json()["detail"].startswith("Template 'Inside' is in folder")
    moved = api.put(f"{TEMPLATES}/90", json={**body, "folder_id": 1}).json()
    assert (moved["folder_id"], moved["version"]) == (1, 1)
    assert api.put(f"{TEMPLATES}/90", json={**body, "folder_id": 99}).status_code == 400
    assert api.delete(path).status_code == 204
    assert api.delete(path).status_code == 404
    assert api.delete(f"{FOLDERS}/1").status_code == 409
    assert api.patch(f"{FOLDERS}/1", json={"name": "Misc"}).json()["name"] == "Misc"
    assert "Misc" in [folder["name"] for folder in api.get(FOLDERS).json()]
    assert api.patch(f"{FOLDERS}/1", json={"name": "General"}).status_code == 200
    assert api.get("/manage/v1/brands/8/template-folders").status_code == 404


def test_each_content_is_kept_and_comes_back(api: httpx.Client, scope: Scope) -> None:
    path = f"{TEMPLATES}/91"
    for subject in ("one", "two", "two", "three"):
        api.put(path, json={"name": f"Number {subject}", "subject": subject, "text": "t", "from_name": "Kim"})
    listed = api.get(f"{path}/versions").json()
    assert [(version["version"], version["subject"]) for version in listed] == [(3, "three"), (2, "two"), (1, "one")]
    first = api.get(f"{path}/versions/1").json()
    assert (first["name"], first["text"], first["from_name"], first["html"]) == ("Number one", "t", "Kim", "")
    restored = api.post(f"{path}/versions/1/restore").json()
    assert (restored["version"], restored["subject"], restored["name"]) == (4, "one", "Number three")
    assert api.get(f"{path}/versions/9").status_code == 404
    assert api.post(f"{path}/versions/9/restore").status_code == 404
    assert api.delete(path).status_code == 204
    assert api.get(f"{path}/versions").status_code == 404
    assert versions.versions(scope, 504, 91) == []


def test_so_many_versions_are_kept(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "MOST_KEPT", 3)
    for number in range(5):
        templates.save_template(scope, 504, "Often", f"s{number}", "", "t", 92)
    assert [version.version for version in versions.versions(scope, 504, 92)] == [5, 4, 3]


def test_mjml_is_kept_beside_its_html(api: httpx.Client) -> None:
    made = api.post(TEMPLATES, json={"id": 93, "name": "Made", "subject": "s", "mjml": MJML})
    assert made.status_code == 201, made.text
    assert (made.json()["mjml"], made.json()["attributes_used"]) == (MJML, ["FIRST_NAME"])
    both = {"name": "Both", "subject": "s", "mjml": MJML, "html": "<p>x</p>"}
    assert api.post(TEMPLATES, json=both).status_code == 400
    api.put(f"{TEMPLATES}/93", json={"name": "Made", "subject": "s", "text": "t"})
    restored = api.post(f"{TEMPLATES}/93/versions/1/restore").json()
    assert (restored["mjml"], restored["html"]) == (MJML, made.json()["html"])


@pytest.mark.parametrize(
    "source",
    [
        "<mjml><mj-body>" + "<mj-wrapper>" * 2_400 + "</mj-wrapper>" * 2_400 + "</mj-body></mjml>",
        "<mjml><mj-body>" + "<mj-hero>" * 4_900,
        "<mjml><mj-body>" + "<mj-hero>" * 6_000,
        '<mjml><mj-body><mj-include path="/etc/passwd" /></mj-body></mjml>',
        f'<mjml><mj-head><mj-attributes><mj-all padding="{"9" * 2_000}"/></mj-attributes></mj-head></mjml>',
        "<mjml><mj-body><mj-column",
        "hello",
    ],
)
def test_no_mjml_ends_the_server(source: str) -> None:
    try:
        assert html_of(source)
    except Invalid as error:
        assert error.message.startswith("mjml ")


def test_templates_of_before_have_a_first_version(scope: Scope, stores: Stores) -> None:
    """The step of the schema, on templates as releases without versions left them."""
    step = importlib.import_module("rapport.stores.records_migrations.versions.0047_versions_of_templates")
    channels.create_channel(scope, "Other", "external", id=505)
    registration.register_templates(scope, 505, [registration.Registered(1, "Bare")])
    templates.save_template(scope, 504, "Old", "s", "", "t", 94)
    with stores.records.session() as session:
        for statement in ("DELETE FROM template_versions", "UPDATE templates SET version = 0"):
            mine = {"tenant": scope.tenant_id}
            session.execute(text(f"{statement} WHERE tenant_id = :tenant AND channel_id IN (504, 505)"), mine)
            others = "INSERT INTO template_versions SELECT * FROM kept_versions"
        session.execute(text("CREATE TEMPORARY TABLE kept_versions AS SELECT * FROM template_versions"))
        session.execute(text("DELETE FROM template_versions"))
        session.execute(text(step.FIRST_VERSIONS))
        session.execute(text("DELETE FROM template_versions WHERE tenant_id <> :tenant"), mine)
        session.execute(text(others))
        session.execute(text("DROP TABLE kept_versions"))
        session.execute(text(f"{step.NUMBERED.replace('WHERE ', 'WHERE (')}) AND tenant_id = :tenant"), mine)
    assert [(version.version, version.subject) for version in versions.versions(scope, 504, 94)] == [(1, "s")]
    assert templates.template(scope, 504, 94).version == 1
    assert (templates.template(scope, 505, 1).version, versions.versions(scope, 505, 1)) == (0, [])
