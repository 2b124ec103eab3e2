"""Names of columns in any alphabet become attributes of their own, in every file the same."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from emptied import emptied
from import_world import codes, load, tenant, values

from rapport.access.scope import Scope
from rapport.customers import attributes, changes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.formats.headers import column_name
from rapport.errors import Invalid
from rapport.stores import Stores
from rapport.stores.warehouse import IDENTIFIER

HEADERS = (
    "\u0418\u043c\u044f", "\u041f\u043e\u043b", "\u0413\u043e\u0440\u043e\u0434",
    "\u038c\u03bd\u03bf\u03bc\u03b1", "\u03a0\u03cc\u03bb\u03b7",
    "\u59d3\u540d", "\u57ce\u5e02", "\U0001f600", "\U0001f389", "\U0001f468\u200d\U0001f467",
    "Gr\u00f6\u00dfe", "Gro\u00dfe", "Pr\u00e9nom", "Pr\u00e8nom", "Prenom", "\u0627\u0633\u0645",
    "Share %", "Share $", "\u20ac", "\u00a3", "a" * 190, "a" * 191,
)  # fmt: skip


@pytest.fixture
def company(scope: Scope) -> Scope:
    return emptied(scope)


def one_row(*names: str, mark: str = "v", second: str = "Registration_Date") -> str:
    row = "K1,2025-01-02"
    return f"CustomerID,{second},{','.join(names)}\n{row},{','.join(f'{mark}{n}' for n, _ in enumerate(names))}\n"


def aliases(scope: Scope) -> dict[str, str]:
    """Name for people to RealFieldName, of what files made."""
    return {info.alias: info.real_field_name for info in attributes.attributes(scope).values() if info.header}


def test_columns_in_any_alphabet_are_attributes_apart(company: Scope, tmp_path: Path) -> None:
    assert load(company, tmp_path, "customers", one_row(*HEADERS)).state == "loaded"
    names = [column_name(one) for one in HEADERS]
    assert len(set(names)) == len(HEADERS) and all(IDENTIFIER.match(name) for name in names)
    assert values(company, *names) == [("K1", *(f"v{n}" for n in range(len(HEADERS))))]
    found = aliases(company)
    assert all(found[one] == column_name(one) for one in HEADERS if not one.isascii())


def test_a_second_file_reaches_the_same_attributes_however_the_name_is_typed(company: Scope, tmp_path: Path) -> None:
    first = ("\u0418\u043c\u044f", "Gr\u00f6\u00dfe", "Loyalty Tier", "Caf\u00e9 am Eck")
    load(company, tmp_path, "customers", one_row(*first))
    again = (
        "\u0418\u041c\u042f ",
        unicodedata.normalize("NFD", "GR\u00d6SSE"),
        "\ufeffloyalty_tier",
        "caf\u00e9\u00a0 am eck",
    )
    load(company, tmp_path, "customers", one_row(*again, mark="w", second="Last_Updated"))
    assert values(company, *(column_name(one) for one in first)) == [("K1", "w0", "w1", "w2", "w3")]
    assert len(aliases(company)) == 4


@pytest.mark.parametrize(
    ("first", "second"),
    [("Loyalty Tier", "Loyalty-Tier"), ("a.b", "a b"), ("Mobile Number", "MOBILE_NUMBER")],
)
def test_two_columns_of_one_name_are_an_error_that_names_both(
    company: Scope, tmp_path: Path, first: str, second: str
) -> None:
    with pytest.raises(Invalid) as error:
        load(company, tmp_path, "customers", one_row(first, second))
    assert repr(first) in error.value.message and repr(second) in error.value.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("\u0418\u043c\u044f", "\u0438\u043c\u044f"),
        ("Caf\u00e9", "Cafe\u0301"),
        ("My\u00a0Name", "My Name"),
        ("City", " city "),
    ],
)
def test_the_same_name_twice_is_refused(company: Scope, tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(Invalid, match="twice"):
        load(company, tmp_path, "customers", one_row(first, second))


@pytest.mark.parametrize("name", ["Data_Date", "data date", "DATA-DATE"])
def test_names_that_rapport_keeps_are_refused(company: Scope, tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="DATA_DATE, which is reserved for Rapport"):
        load(company, tmp_path, "customers", one_row(name))
    mapping = {"columns": {name: "Day of data"}}
    assert load(company, tmp_path, "customers", one_row(name), mapping=mapping).state == "loaded"


def test_columns_of_the_schema_are_known_with_blanks_and_dashes(company: Scope, tmp_path: Path) -> None:
    text = "Customer ID,registration-date,FIRST NAME,Mobile\u00a0Number\nK1,2025-01-02,Ann,+4930\n"
    assert load(company, tmp_path, "customers", text).state == "loaded"
    assert values(company, "FIRST_NAME", "MOBILE_NUMBER") == [("K1", "Ann", "+4930")]


def test_a_mapping_finds_a_column_in_another_normal_form(company: Scope, tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Stra\u00dfe \u00e9")
    mapping = {"columns": {"stra\u00dfe \u00e9": "Address"}}
    assert load(company, tmp_path, "customers", one_row(decomposed), mapping=mapping).state == "loaded"
    assert values(company, "ADDRESS") == [("K1", "v0")]


def test_an_attribute_of_before_goes_on_under_its_name(company: Scope, tmp_path: Path) -> None:
    changes.create_attribute(company, AttributeInfo("PR_NOM", "Pr Nom", "", "Nvarchar", "batch"))
    load(company, tmp_path, "customers", one_row("Pr\u00e9nom", "Pr\u00e8nom2"))
    assert values(company, "PR_NOM") == [("K1", "v0")]
    load(company, tmp_path, "customers", one_row("Pr\u00e8nom", mark="w"))
    assert values(company, "PR_NOM", column_name("Pr\u00e8nom")) == [("K1", "v0", "w0")]


READ_AS = [
    ("E-Mail,Handy", "m@example.com,+4917000001", {}, ("m@example.com", "+4917000001")),
    ("email address,Mobile Phone", "m@example.com,017000001", {}, ("m@example.com", "017000001")),
    # Nobody can tell which is meant, or another is.
    ("E-Mail,Email Address", "m@example.com,n@example.com", {}, (None, None)),
    ("E-Mail,EMAIL", "m@example.com,n@example.com", {}, ("n@example.com", None)),
    ("E-Mail,Login", "m@example.com,n@example.com", {"columns": {"Login": "Email"}}, ("n@example.com", None)),
    ("E-Mail,X", "m@example.com,1", {"columns": {"E-Mail": "Shop_Mail"}}, (None, None)),
    # What is no address, or in another alphabet, is an attribute of its own.
    ("Mail,Mobile", "yes,iOS", {}, (None, None)),
    ("Почта,Мобильный", "m@example.com,+4917000001", {}, (None, None)),
]


@pytest.mark.parametrize(("header", "cells", "mapping", "held"), READ_AS, ids=lambda one: str(one)[:20])
def test_usual_names_of_addresses_are_read_as_them(
    stores: Stores, tmp_path: Path, header: str, cells: str, mapping: dict[str, Any], held: tuple[str | None, ...]
) -> None:
    scope = tenant(stores)
    told = load(
        scope, tmp_path, "customers", f"CustomerID,Registration_Date,{header}\n1,2025-01-02,{cells}\n", mapping=mapping
    )
    assert told.state == "loaded"
    assert values(scope, "EMAIL", "MOBILE_NUMBER") == [("1", *held)]
    assert ("address_by_name" in codes(told)) == (held[0] == "m@example.com")


def test_an_attribute_of_before_keeps_its_column(stores: Stores, tmp_path: Path) -> None:
    scope = tenant(stores)
    load(scope, tmp_path, "customers", "CustomerID,Registration_Date,E-Mail\n1,2025-01-02,later\n")
    load(scope, tmp_path, "customers", "CustomerID,E-Mail\n1,a@example.com\n")
    assert values(scope, "E_MAIL", "EMAIL") == [("1", "a@example.com", None)]
