"""Warnings: what an import tells of ids, numbers and quantities that may not be meant."""

import csv
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from emptied import emptied
from import_world import codes, load, values

from rapport.access.scope import Scope
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.importing import imports
from rapport.customers.importing.file_warnings import as_example
from rapport.customers.privacy import persons
from rapport.persons.declared import going


@pytest.fixture
def company(scope: Scope) -> Scope:
    return emptied(scope)


HEADER = "CustomerID,Registration_Date\n"


def people(*ids: str) -> str:
    return HEADER + "".join(f"{one},2025-01-02\n" for one in ids)


def test_ids_and_values_lose_blanks_and_invisible_characters_at_their_ends(company: Scope, tmp_path: Path) -> None:
    text = (
        "CustomerID,Registration_Date,Email\n"
        "I1\u00a0,2025-01-02,i1@example.com\u00a0\n"
        "I2\t,2025-01-02,i2@example.com\t\n"
        "\u200bI3,2025-01-02,\u200bi3@example.com\n"
        "\ufeff\u2003I4\u2060 ,2025-01-02,\u3000i4@example.com \u200e\n"
        "\u00c9mile \u00c0,2025-01-02,\u00e0@example.com\n"
    )
    assert load(company, tmp_path, "customers", text).state == "loaded"
    assert values(company, "EMAIL") == [
        ("I1", "i1@example.com"),
        ("I2", "i2@example.com"),
        ("I3", "i3@example.com"),
        ("I4", "i4@example.com"),
        ("\u00c9mile \u00c0", "\u00e0@example.com"),
    ]


def test_a_cell_of_nothing_visible_is_blank(company: Scope, tmp_path: Path) -> None:
    result = load(company, tmp_path, "customers", people("\u00a0\u200b", "B1"), allow_rejects=True)
    assert (result.loaded, result.rejected) == (1, 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("17850", "17850.0"),
        ("17850.00", "17850"),
        ("A B1", "AB1"),
        ("A\u00a0B2", "A B2"),
        ("A\u200bB3", "AB3"),
        ("Ren\u00e9", "Rene\u0301"),
        ("\uff11\uff12\uff13", "123"),
        ("stra\u00dfe", "STRASSE"),
        ("A\u00adB4", "ab4"),
    ],
)
def test_ids_that_look_like_one_are_named(company: Scope, tmp_path: Path, first: str, second: str) -> None:
    within = load(company, tmp_path, "customers", people(first, second, "other"))
    assert (within.loaded, codes(within)) == (3, {"similar_ids": 1})
    assert len(within.warnings[0]["examples"]) == 1


@pytest.mark.parametrize(("stored", "staged"), [("17850", "17850.0"), ("Rene\u0301", "Ren\u00e9")])
def test_ids_are_compared_with_what_is_stored(company: Scope, tmp_path: Path, stored: str, staged: str) -> None:
    assert codes(load(company, tmp_path, "customers", people(stored))) == {}
    orders = "Order_ID,Customer_ID,Order_Date,Amount\n"
    assert codes(load(company, tmp_path, "transactions", orders + f"O1,{staged},2025-01-02,1\n")) == {"similar_ids": 1}
    assert codes(load(company, tmp_path, "transactions", orders + "O2,new,2025-01-02,1\n")) == {}


def test_ids_that_differ_plainly_or_only_in_case_are_not_named(company: Scope, tmp_path: Path) -> None:
    load(company, tmp_path, "customers", people("C1", "17850"))
    result = load(company, tmp_path, "customers", people("c1", "C2", "\u00c4rger", "v1.0", "1.5", "178500", "0017850"))
    assert (result.loaded, codes(result)) == (7, {})


def test_a_transactions_file_without_customers_tells_of_the_two_ids(company: Scope, tmp_path: Path) -> None:
    text = (
        "InvoiceNo,CustomerID,InvoiceDate,Total,Description\n"
        "536365,17850.0,2010-12-01 08:26:00,15.30,WHITE LANTERN\n"
        '536366,17850,2011-01-09 18:05:00,22.20,"LANTERN \u21162"\n'
        "C536379,14527,2010-12-01 09:41:00,-27.50,Discount\n"
    )
    columns = {"InvoiceNo": "Transaction_ID", "InvoiceDate": "Transaction_Date", "Total": "Amount"}
    result = load(company, tmp_path, "transactions", text, mapping={"columns": columns})
    assert (result.loaded, result.rejected) == (3, 0)
    [warning] = result.warnings
    assert (warning["code"], warning["examples"]) == ("similar_ids", ("'17850' and '17850.0'",))


def test_ids_in_scientific_notation(company: Scope, tmp_path: Path) -> None:
    text = "CustomerID,Registration_Date,Mobile_Number\n" + "".join(
        f"{one},2025-01-02,{phone}\n"
        for one, phone in (("1.23E+05", "4.93E+10"), ("1e+06", ""), ("12E3", "4.94E+10"), ("E2", "+49301"))
    )
    result = load(company, tmp_path, "customers", text)
    assert [(one["code"], one["count"], len(one["examples"])) for one in result.warnings] == [
        ("scientific_notation", 2, 2),
        ("scientific_notation", 2, 0),
    ]
    assert "1.23E+05" in result.warnings[0]["examples"]
    assert "Mobile_Number" in result.warnings[1]["message"]


def test_negative_quantities(company: Scope, tmp_path: Path) -> None:
    header = "Order_ID,Line_No,Customer_ID,Order_Date,Item_ID,Quantity,Unit_Price\n"
    rows = "O1,1,C1,2025-01-02,I1,-2,5\nO1,2,C1,2025-01-02,I2,2,5\n"
    result = load(company, tmp_path, "items", header + rows)
    assert (result.loaded, codes(result), result.warnings[0]["examples"]) == (2, {"negative_quantity": 1}, ("O1",))


NOBODY = ["undefined", "NULL", "null", "None", "NaN", "0", "[object Object]", "", " \u00a0"]


@pytest.mark.parametrize(
    ("kind", "head", "row"),
    [
        ("customers", "CustomerID,Registration_Date", "{id},2025-01-02"),
        ("transactions", "Order_ID,Customer_ID,Order_Date,Amount", "O{n},{id},2025-01-02,1"),
        ("activity", "Event_ID,Event,Customer_ID,Event_Date", "E{n},page,{id},2025-01-02"),
    ],
)
def test_an_id_that_says_nobody_is_refused(company: Scope, tmp_path: Path, kind: str, head: str, row: str) -> None:
    rows = [row.format(n=n, id=customer_id) for n, customer_id in enumerate([*NOBODY, "C1"])]
    result = load(company, tmp_path, kind, "\n".join([head, *rows, ""]), allow_rejects=True)
    assert (result.loaded, result.rejected) == (1, len(NOBODY)) and result.rejects_path is not None
    with result.rejects_path.open(newline="", encoding="utf-8") as file:
        reasons = {int(reject["line"]): reject["reason"] for reject in csv.DictReader(file)}
    assert list(reasons) == [2 + n for n in range(len(NOBODY))]
    for reason in reasons.values():
        assert "identifies nobody" in reason or "is required and empty" in reason


def test_a_refused_file_is_told_its_suspicions_too_and_they_are_kept(company: Scope, tmp_path: Path) -> None:
    result = load(company, tmp_path, "customers", people("1", "1.0") + "B,never\n")
    assert result.state == "refused" and codes(result) == {"similar_ids": 1}
    kept = imports.import_of(company, result.import_id).warnings
    assert [(one["code"], one["examples"]) for one in kept] == [("similar_ids", ["'1' and '1.0'"])]


def test_warnings_are_shown_by_the_management_api(api: httpx.Client) -> None:
    files = {"file": ("p.csv", people("7", "7.0").encode())}
    made: dict[str, Any] = api.post("/manage/v1/imports", files=files, data={"kind": "customers"}).json()
    assert [(one["code"], one["count"], one["examples"]) for one in made["warnings"]] == [
        ("similar_ids", 1, ["'7' and '7.0'"])
    ]
    assert api.get(f"/manage/v1/imports/{made['id']}").json()["warnings"] == made["warnings"]


def test_examples_show_what_cannot_be_seen() -> None:
    assert as_example(["a\u200bb", "ab"]) == "'a\\u200bb' and 'ab'"
    assert as_example(["e\u0301", "\u00e9"]) == "'e\\u0301' and '\\xe9'"


def test_columns_that_files_do_not_write_are_told(company: Scope, tmp_path: Path) -> None:
    attributes.declare(company, [AttributeInfo("TIER", "Tier", "", "Varchar", "api")])
    result = load(company, tmp_path, "customers", "CustomerID,Registration_Date,Tier\nC1,2025-01-02,Gold\n")
    assert codes(result) == {"ignored_columns": 1} and "Tier" in result.warnings[0]["message"]


def test_an_erased_person_leaves_the_examples(company: Scope, tmp_path: Path) -> None:
    result = load(company, tmp_path, "customers", people("17850.0", "17850", "9", "9.0", "1.23E+05"))
    persons.erase(company, "17850", going(company))
    kept = {one["code"]: one["examples"] for one in imports.import_of(company, result.import_id).warnings}
    assert kept == {"similar_ids": ["'9' and '9.0'"], "scientific_notation": ["1.23E+05"]}
    persons.erase(company, "1.23e+05", going(company))
    kept = {one["code"]: one["examples"] for one in imports.import_of(company, result.import_id).warnings}
    assert kept == {"similar_ids": ["'9' and '9.0'"], "scientific_notation": []}


def test_rows_dated_after_today_are_told(company: Scope, tmp_path: Path) -> None:
    today, tomorrow = company.today(), company.today() + timedelta(days=1)
    orders = "Order_ID,Customer_ID,Order_Date,Amount\n"
    text = orders + f"O1,A,{today} 23:59:59,1\nO2,A,{tomorrow},1\n"
    found = load(company, tmp_path, "transactions", text)
    assert (found.state, codes(found)) == ("loaded", {"future_dates": 1})
    assert found.warnings[0]["examples"] == ("O2",)
    events = "Event_ID,Event,Customer_ID,Event_Date\n"
    found = load(company, tmp_path, "activity", events + f"E1,seen,A,{today} 23:59:59\nE2,seen,A,{tomorrow} 00:00:00\n")
    assert codes(found) == {"future_dates": 1}, "days are the tenant's"


@pytest.mark.parametrize("name", ["Date_Of_Birth", "Child birthday", "Birth_Day"])
def test_birthdays_after_today_are_told(company: Scope, tmp_path: Path, name: str) -> None:
    today, tomorrow = company.today(), company.today() + timedelta(days=1)
    text = (
        f"CustomerID,Registration_Date,{name}\nA,2025-01-02,{today}\nB,2025-01-02,{tomorrow}\nC,2025-01-02,2290-01-01\n"
    )
    found = load(company, tmp_path, "customers", text + "D,2025-01-02,\n")
    assert (found.loaded, codes(found)["future_dates"]) == (4, 2)
    assert "nobody is born then" in next(one["message"] for one in found.warnings if one["code"] == "future_dates")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp1251", "mac_roman"])
def test_utf8_that_is_read_as_something_else_is_told(company: Scope, tmp_path: Path, encoding: str) -> None:
    text, mapping = "CustomerID,Registration_Date,City\nA,2025-01-02,K\u00f6ln\n", {"encoding": encoding}
    assert codes(load(company, tmp_path, "customers", text, mapping=mapping)) == {"encoding_doubtful": 1}
    for harmless in (text.replace("\u00f6", "oe"), text.replace("\u00f6", "\u00b0" * 3).encode(encoding, "ignore")):
        assert codes(load(company, tmp_path, "customers", harmless, mapping=mapping)) == {}


@pytest.mark.parametrize("allowed", [False, True])
def test_items_before_their_transactions_have_one_cause(company: Scope, tmp_path: Path, allowed: bool) -> None:
    load(company, tmp_path, "transactions", "Order_ID,Customer_ID,Order_Date,Amount\nO1,A,2025-01-02,1\n")
    text = "Order_ID,SKU,Unit_Price\nO1,S,1\nO2,S,1\nO2,T,1\n"
    found = load(company, tmp_path, "items", text, allow_rejects=allowed)
    assert (found.state, found.rejected) == ("loaded" if allowed else "refused", 2)
    assert codes(found) == {"unknown_transactions": 2}
    assert found.warnings[0]["message"] == ("2 items are of transactions that are not known: load transactions first.")
