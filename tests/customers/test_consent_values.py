"""Attributes of consent have one form, Yes and No, whatever way a word came in; stored ones are converted."""

import time
from datetime import date
from pathlib import Path

import pytest
from emptied import emptied
from sqlalchemy import delete, select, text, update
from structlog.testing import capture_logs

from rapport.access.models import AuditEntry, Tenant
from rapport.access.scope import Scope, scope_of
from rapport.channels import service as channels
from rapport.customers import attributes, consent_marks
from rapport.customers.attributes import CONSENT, AttributeInfo
from rapport.customers.importing import imports
from rapport.customers.importing.imports import ImportResult
from rapport.customers.models import ConsentConversion
from rapport.customers.writes import attribute_writes, locks
from rapport.customers.writes.attribute_writes import CustomerValues, update_values, upsert_customer
from rapport.errors import Invalid
from rapport.stores import Stores, progress

WORDS = """CustomerID,Registration_Date,Email,Allow_Email,Is_Optin
OW1,2025-01-02,ow1@example.com,Nein,
OW2,2025-01-02,ow2@example.com,opted out,
OW3,2025-01-02,ow3@example.com,unsubscribed,
OW4,2025-01-02,ow4@example.com,off,
OW5,2025-01-02,ow5@example.com,No!,
OW6,2025-01-02,ow6@example.com,FALSCH,
OW7,2025-01-02,ow7@example.com,n/a,
OW8,2025-01-02,ow8@example.com,-1,
OW9,2025-01-02,ow9@example.com,0.0,
OW10,2025-01-02,ow10@example.com,NO,
OW11,2025-01-02,ow11@example.com,  no  ,
OW12,2025-01-02,ow12@example.com,Non,
OW13,2025-01-02,ow13@example.com,,Nein
OW14,2025-01-02,ow14@example.com,,unsubscribed
"""


@pytest.fixture
def scope(scope: Scope) -> Scope:
    return emptied(scope)


def load(scope: Scope, folder: Path, text: str) -> ImportResult:
    path = folder / f"customers-{time.time_ns()}.csv"
    path.write_text(text)
    return imports.import_file(scope, "customers", path)


def stored(scope: Scope, column: str) -> dict[str, str | None]:
    return dict(scope.warehouse.rows(f"SELECT customer_id, {column} FROM customers"))


def test_words_of_files_become_yes_or_no(scope: Scope, tmp_path: Path) -> None:
    result = load(scope, tmp_path, WORDS)
    assert (result.loaded, result.rejected) == (14, 0)
    numbers = [f"OW{n}" for n in range(1, 15)]
    assert stored(scope, "ALLOW_EMAIL") == {one: "No" if one not in ("OW13", "OW14") else None for one in numbers}
    assert stored(scope, "IS_OPTIN") == {one: "No" if one in ("OW13", "OW14") else None for one in numbers}
    told = [one for one in result.warnings if one["code"] == "consent_not_read"]
    assert [(one["count"], list(one["examples"])) for one in told] == [(2, ["-1", "n/a"])]
    assert "Allow_Email" in told[0]["message"] and "No" in told[0]["message"]


def test_what_blocks_is_read_the_other_way_round(scope: Scope, tmp_path: Path) -> None:
    rows = {"B1": "nein", "B2": "fraud", "B3": "ja", "B4": "", "B5": "0", "B6": "opted out"}
    lines = "".join(f"{who},2025-01-02,{word}\n" for who, word in rows.items())
    result = load(scope, tmp_path, "CustomerID,Registration_Date,Is_Blocked\n" + lines)
    assert stored(scope, "IS_BLOCKED") == {"B1": "No", "B2": "Yes", "B3": "Yes", "B4": None, "B5": "No", "B6": "Yes"}
    assert [one["count"] for one in result.warnings if one["code"] == "consent_not_read"] == [2]


def test_a_file_and_the_api_store_one_form(scope: Scope, tmp_path: Path) -> None:
    load(scope, tmp_path, "CustomerID,Registration_Date,Allow_Email\nC1,2025-01-02,yes\nC2,2025-01-02,TRUE\n")
    given = {"C1": True, "C2": "off", "C3": "Oui", "C4": 0, "C5": "n/a", "C6": "", "C7": 1.0}
    for who, value in given.items():
        assert upsert_customer(scope, who, [["ALLOW_EMAIL", value]]) == []
    (faults,) = update_values(scope, [[{"customer": "C1", "values": [["allow_email", "false"], ["IS_OPTIN", [1]]]}]])
    assert [fault.error for fault in faults] == ["INVALID_VALUE"]
    with locks.writing(scope):
        attribute_writes.overwrite(scope, [CustomerValues("C3", {"ALLOW_EMAIL": "opt-out", "IS_OPTIN": False})])
    assert stored(scope, "ALLOW_EMAIL") == {
        "C1": "No",
        "C2": "No",
        "C3": "No",
        "C4": "No",
        "C5": "No",
        "C6": None,
        "C7": "Yes",
    }
    assert stored(scope, "IS_OPTIN")["C3"] == "No"


def test_a_tenants_own_words_count_everywhere(scope: Scope, tmp_path: Path) -> None:
    with scope.records() as session:
        values = {"consent": {"yes": ["Jepp"], "no": ["Nö"]}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=values))
    scope = scope_of(scope.stores, scope.tenant_id)
    result = load(scope, tmp_path, "CustomerID,Registration_Date,Allow_Sms\nC1,2025-01-02,jepp!\nC2,2025-01-02,NÖ\n")
    upsert_customer(scope, "C3", [["ALLOW_SMS", "JEPP"]])
    assert stored(scope, "ALLOW_SMS") == {"C1": "Yes", "C2": "No", "C3": "Yes"}
    assert not result.warnings


# The tenants of other modules, of whom there may be hundreds, have nothing to convert.
DONE_FOR_OTHERS = text("""
    INSERT INTO consent_conversions (tenant_id, real_field_name, converted_at, customers, unread_customers, unread)
    SELECT id, given, now(), 0, 0, '{}' FROM tenants, unnest(CAST(:names AS text[])) AS given WHERE id <> :tenant_id
    ON CONFLICT DO NOTHING
""")


def test_what_was_stored_before_is_converted_and_told(
    scope: Scope, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"D1": "true", "D2": "nein", "D3": "perhaps", "D4": "Yes", "D5": None, "D6": "perhaps", "D7": "\u00a0"}
    scope.warehouse.insert("customers", ["customer_id", "ALLOW_EMAIL"], list(values.items()))
    with scope.records() as session:
        session.execute(DONE_FOR_OTHERS, {"tenant_id": scope.tenant_id, "names": list(CONSENT)})
        session.execute(delete(ConsentConversion).where(ConsentConversion.tenant_id == scope.tenant_id))
    day = date(2025, 3, 1)
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "ALLOW_EMAIL"], [(day, "D2", "nein")])
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    for _ in range(2):
        with capture_logs() as logs:
            consent_marks.convert_all(stores)
    of_tenants = [one for one in logs if one["event"] == "attributes of consent are brought into one form"]
    assert [one["done"] for one in of_tenants] == list(range(of_tenants[0]["of"]))
    sql = "SELECT ALLOW_EMAIL FROM profiles WHERE data_date = {day:Date}"
    assert scope.warehouse.rows(sql, day=day) == [("No",)]
    assert stored(scope, "ALLOW_EMAIL") == {
        "D1": "Yes",
        "D2": "No",
        "D3": "No",
        "D4": "Yes",
        "D5": None,
        "D6": "No",
        "D7": None,
    }
    with scope.records() as session:
        wanted = select(AuditEntry.details).where(
            AuditEntry.tenant_id == scope.tenant_id, AuditEntry.action == "convert"
        )
        assert list(session.scalars(wanted)) == [{"customers": 5, "unread_customers": 2, "unread": {"perhaps": 2}}]
    told = [one.detail for one in consent_marks.conversion_checks(stores) if f"tenant {scope.tenant_id}:" in one.detail]
    assert len(told) == 1 and "2 values of ALLOW_EMAIL" in told[0] and "'perhaps'" in told[0]


def test_a_channels_permission_becomes_an_attribute_of_consent(scope: Scope, tmp_path: Path) -> None:
    load(scope, tmp_path, "CustomerID,Registration_Date,News\nN1,2025-01-02,ja bitte\nN2,2025-01-02,Nein\n")
    upsert_customer(scope, "N3", [])
    channels.create_channel(scope, "News", "external", permission_attribute="NEWS")
    assert stored(scope, "NEWS") == {"N1": "No", "N2": "No", "N3": None}
    load(scope, tmp_path, "CustomerID,Registration_Date,News\nN4,2025-01-02,JA\nN2,2025-01-02,on\n")
    assert stored(scope, "NEWS") == {"N1": "No", "N2": "Yes", "N3": None, "N4": "Yes"}
    with pytest.raises(Invalid, match="blocks"):
        channels.create_channel(scope, "Blocked", "external", permission_attribute="IS_BLOCKED")


def test_numbers_stay_numbers_and_are_marked_all_the_same(scope: Scope) -> None:
    attributes.declare(scope, [AttributeInfo("NUM", "Num", "", "Int", "batch")])
    assert consent_marks.mark(scope, "NUM", "permission").consent_kind == "permission"
    assert consent_marks.mark(scope, "NUM", "").consent_kind == ""
    with pytest.raises(Invalid, match="built in"):
        consent_marks.mark(scope, "IS_BLOCKED", "permission")
