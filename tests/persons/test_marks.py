"""Which columns hold what identifies people: names in usual languages, values, and attributes of before."""

import pytest
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo, declare
from rapport.customers.privacy import tasks
from rapport.customers.privacy.personal_names import named_personal
from rapport.customers.privacy.personal_values import PersonalTexts, holds_email, identifies, is_phone
from rapport.customers.writes import attribute_requests

PERSONAL = [
    "Email Address",
    "Telefon",
    "Geburtsdatum",
    "FNAME",
    "Straße",
    "MERGE3",
    "Mobile #",
    "E-Mail",
    "Phone Number",
    "First Name",
    "Date of Birth",
    "DOB",
    "Téléphone",
    "Prénom",
    "Dirección",
    "Имя",
    "Дата рождения",
    "电话号码",
    "姓名",
    "メールアドレス",
    "shippingAddress",
    "contactPhone",
    "Tel.",
    "Handynummer",
    "PHONE_HOME",
    "Fødselsdato",
    "ootb_email",
    "전화번호",
    "Data di nascita",
    "fecha_nacimiento",
]
OTHERS = [
    "ALLOW_EMAIL",
    "IS_EMAIL_VERIFIED",
    "EMAIL_OPT_IN",
    "CITY",
    "page",
    "product_name",
    "LOYALTY_TIER",
    "EMAIL_STATUS",
    "MOBILE_OS",
    "category",
    "ZIP",
    "hotel_name",
    "campaign name",
    "platform",
    "email_clicks",
    "sku",
    "amount",
    "last_login",
    "cellar",
    "Name",
]
VALUES = {
    "a@b.de": True, "Ann <ann@x.org>": True, "https://x.org/?e=ann%40x.org&x=1": True, "müller@example.com": True,
    "+49 30 1234567": True, "030/1234567": True, "(555) 123-4567": True, "@home": False, "a@b": False,
    "12345678": False, "2025-01-02": False, "05-06-1980": False, "01067": False, "10.0.0.1": False, "12.50": False,
}  # fmt: skip


@pytest.mark.parametrize("name", PERSONAL)
def test_names_that_identify(name: str) -> None:
    assert named_personal(name, of_person=True)


@pytest.mark.parametrize("name", OTHERS)
def test_names_that_do_not(name: str) -> None:
    assert not named_personal(name)


def test_values_are_judged_alike_by_both_engines(scope: Scope) -> None:
    for value, expected in VALUES.items():
        assert identifies(value) is expected, value
        sql = f"SELECT {holds_email('{v:String}')} OR {is_phone('{v:String}')}"
        assert bool(scope.warehouse.value(sql, v=value)) is expected, value


def test_own_texts_are_found_as_whole_words_and_numbers() -> None:
    own = PersonalTexts(["Ann-Marie Schmidt", "+49 30 1234567", "1980-05-06", "X"])
    for told in ("to ann marie  schmidt!", "tel. 49301234567", "born 1980/05/06"):
        assert own.are_in(told)
    for other in ("Annual Schmidt", "X", "1980", "4930123456"):
        assert not own.are_in(other)


def test_attributes_of_before_are_looked_at_once(scope: Scope) -> None:
    infos = {"HOME_PHONE": "Nvarchar", "REACH": "Nvarchar", "TASTE": "Nvarchar", "LAST_EMAIL_DATE": "Date"}
    declare(scope, [AttributeInfo(name, name, "", type_, "batch") for name, type_ in infos.items()])
    attribute_requests.upsert(scope, "P1", [["REACH", "p1@example.com"], ["TASTE", "tea"]], None)
    tasks._mark_attributes(scope.tenant_id)
    found = {
        name: (attributes.attributes(scope)[name].is_pii, attributes.attributes(scope)[name].pii_reason)
        for name in infos
    }
    assert found == {
        "HOME_PHONE": (True, "name"),
        "REACH": (True, "values"),
        "TASTE": (False, "none"),
        "LAST_EMAIL_DATE": (False, "none"),
    }
    with scope.records() as session:
        sql = "SELECT object FROM audit_log WHERE tenant_id = :t AND action = 'mark as identifying' ORDER BY 1"
        assert list(session.scalars(text(sql), {"t": scope.tenant_id})) == ["attribute HOME_PHONE", "attribute REACH"]
