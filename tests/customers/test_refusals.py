"""A no is a no: what says nothing takes none away, a refused row's is told, and columns that are not read are, too."""

from pathlib import Path

import pytest
from emptied import emptied
from import_world import codes, load, values

from rapport.access.scope import Scope
from rapport.customers import attributes, changes, consent_marks
from rapport.customers.attributes import AttributeInfo
from rapport.customers.consent import BLOCKED
from rapport.customers.importing.consent_columns import named_consent
from rapport.customers.writes import attribute_writes, locks
from rapport.customers.writes.attribute_writes import CustomerValues, upsert_customer

HEAD = "CustomerID,Registration_Date,Allow_Email,Is_Blocked\n"
BEFORE = HEAD + "C1,2025-01-02,nein,ja\nC2,2025-01-02,Yes,No\nC3,2025-01-02,,\n"
KEPT = [("C1", "No", "Yes"), ("C2", None, None), ("C3", None, None)]


@pytest.fixture
def company(scope: Scope) -> Scope:
    return emptied(scope)


@pytest.mark.parametrize("mode", ["incremental", "full"])
@pytest.mark.parametrize("blank", ["", " \u00a0", "NULL", "\\N"])
def test_a_blank_takes_no_refusal_away(company: Scope, tmp_path: Path, mode: str, blank: str) -> None:
    load(company, tmp_path, "customers", BEFORE)
    rows = "".join(f"{who},2025-01-02,{blank},{blank}\n" for who in ("c1", "C2", "C3"))
    assert load(company, tmp_path, "customers", HEAD + rows, mode=mode).loaded == 3
    assert values(company, "ALLOW_EMAIL", "IS_BLOCKED") == KEPT


def test_nor_does_a_null_or_a_full_load_that_lacks_the_column(company: Scope, tmp_path: Path) -> None:
    load(company, tmp_path, "customers", BEFORE)
    lines = "".join(f'{{"CustomerID": "{who}", "Allow_Email": null, "Is_Blocked": ""}}\n' for who in ("C1", "C2"))
    load(company, tmp_path, "customers", lines, suffix="jsonl")
    assert values(company, "ALLOW_EMAIL", "IS_BLOCKED") == KEPT
    people = "CustomerID,Registration_Date,City\nC1,2025-01-02,Bonn\nC2,2025-01-02,\nC3,2025-01-02,\nC4,2025-01-02,\n"
    assert load(company, tmp_path, "customers", people, mode="full").loaded == 4
    assert values(company, "ALLOW_EMAIL", "IS_BLOCKED") == [*KEPT, ("C4", None, None)]


def test_only_who_is_said_to_be_permitted_is_let_in_again(company: Scope, tmp_path: Path) -> None:
    load(company, tmp_path, "customers", BEFORE)
    load(company, tmp_path, "customers", HEAD + "C1,2025-01-02,oui,off\n")
    assert values(company, "ALLOW_EMAIL", "IS_BLOCKED")[0] == ("C1", "Yes", "No")
    load(company, tmp_path, "customers", BEFORE.replace("C2", "C5"))
    upsert_customer(company, "C1", [["ALLOW_EMAIL", None], ["IS_BLOCKED", None]])
    assert values(company, "ALLOW_EMAIL", "IS_BLOCKED")[0] == ("C1", None, None)


@pytest.mark.parametrize("blank", ["", "  ", "\u00a0\u200b"])
def test_an_empty_text_of_an_event_or_an_upsert_takes_none_away(company: Scope, tmp_path: Path, blank: str) -> None:
    load(company, tmp_path, "customers", BEFORE)
    faults = upsert_customer(company, "C1", [["ALLOW_EMAIL", blank], ["CITY", "Bonn"]])
    assert [(fault.real_field_name, fault.nothing) for fault in faults] == [("ALLOW_EMAIL", True)]
    with locks.writing(company):
        attribute_writes.overwrite(company, [CustomerValues("C1", {"ALLOW_EMAIL": blank, "IS_BLOCKED": blank})])
    assert values(company, "ALLOW_EMAIL", "IS_BLOCKED", "CITY")[0] == ("C1", "No", "Yes", "Bonn")


@pytest.mark.parametrize("field_type", ["Nvarchar", "Bigint"])
def test_so_it_is_with_attributes_that_a_tenant_marks(company: Scope, tmp_path: Path, field_type: str) -> None:
    changes.create_attribute(company, AttributeInfo("NEWS", "News", "", field_type, "batch"))
    consent_marks.mark(company, "NEWS", "permission")
    head = "CustomerID,Registration_Date,News\n"
    load(company, tmp_path, "customers", head + "C1,2025-01-02,0\nC2,2025-01-02,1\n")
    load(company, tmp_path, "customers", head + "C1,2025-01-02,\nC2,2025-01-02,\n")
    refused = 0 if field_type == "Bigint" else "No"
    assert values(company, "NEWS") == [("C1", refused), ("C2", None)]


@pytest.mark.parametrize(
    "row",
    [
        "C2,2025-01-02,No,",  # the same customer again
        "C9,2025-13-02,unsubscribed,",
        "C9,2025-13-02,,Yes",
        "C9,2025-13-02,perhaps,",
    ],
)
def test_a_refusal_in_a_refused_row_is_told(company: Scope, tmp_path: Path, row: str) -> None:
    good = HEAD + "C2,2025-01-02,Yes,\nC3,2025-01-02,No,\n"
    found = load(company, tmp_path, "customers", f"{good}{row}\n", allow_rejects=True)
    assert (found.loaded, found.rejected, codes(found).get("refused_no")) == (2, 1, 1)
    told = next(one for one in found.warnings if one["code"] == "refused_no")
    assert told["examples"] == ("line 4",)


def test_refused_rows_that_forbid_nothing_are_not(company: Scope, tmp_path: Path) -> None:
    text = HEAD + "C2,2025-01-02,Yes,\nC2,2025-01-02,Yes,No\nC4,2025-13-02,,\nC5,2025-01-02\n"
    assert "refused_no" not in codes(load(company, tmp_path, "customers", text, allow_rejects=True))


PERMISSIONS = [
    *("Opt-in", "optIn", "Newsletter", "Email Consent", "accepts_marketing", "Einwilligung", "\u540c\u610f"),
    *("Subscribed", "Marketing permission", "Werbeerlaubnis"),
]
BLOCKS = ["Unsubscribed", "opted_out", "DoNotEmail", "Do not call", "DNC", "optout", "Blacklisted", "Abgemeldet"]
SELF_EXCLUDED = [
    *("Self_Excluded", "Is self-excluded", "SelfExclusion", "Selbstausschluss", "Selbst gesperrt", "zelf-uitsluiting"),
    *("Auto-exclusion", "Autoexclusi\u00f3n", "Joueur auto-exclu", "Auto-escluso", "Autoesclusione"),
]
NAMED = {"permission": PERMISSIONS, "blocked": BLOCKS}
OTHERS = [
    *("Optin_Date", "Newsletter Count", "Subscription_ID", "Consent_IP", "City2", "Option", "Contacts"),
    *("Unsubscribed at", "Self", "Excluded", "Automobile", "Self-exclusion date"),
]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMED.items() for name in names])
def test_a_name_says_what_a_column_is_about(kind: str, name: str) -> None:
    assert named_consent(name) == kind


@pytest.mark.parametrize(("kind", "name"), [("permission", "Einwilligung"), ("blocked", "Do not call")])
def test_columns_that_look_like_consent_and_are_not_read_as_such_are_told(
    company: Scope, tmp_path: Path, kind: str, name: str
) -> None:
    text = f"CustomerID,Registration_Date,{name}\nC1,2025-01-02,no\nC2,2025-01-02,yes\n"
    first = load(company, tmp_path, "customers", text)
    told = next(one for one in first.warnings if one["code"] == "consent_not_marked")
    column = attributes.attributes(company)
    mine = next(found for found, info in column.items() if info.header)
    assert told["examples"] == (f"'{name}' ({mine}): {kind}",)
    consent_marks.mark(company, mine, kind)
    again = load(company, tmp_path, "customers", text.replace("C2", "C3"))
    assert "consent_not_marked" not in codes(again)


@pytest.mark.parametrize("name", SELF_EXCLUDED)
def test_self_exclusion_forbids(name: str) -> None:
    assert named_consent(name) == BLOCKED


def test_columns_about_consent_are_none(company: Scope, tmp_path: Path) -> None:
    names = ",".join(OTHERS)
    text = f"CustomerID,Registration_Date,{names}\nC1,2025-01-02,{','.join('x' for _ in OTHERS)}\n"
    assert "consent_not_marked" not in codes(load(company, tmp_path, "customers", text))
