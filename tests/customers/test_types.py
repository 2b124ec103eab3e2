"""Types of new attributes: taken only when every text comes back as it was; what comes later is held to it."""

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from emptied import emptied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_world import load, tenant, values

from rapport.access.scope import Scope
from rapport.customers import attributes, changes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.formats.numerals import AGGREGATES, counts_sql, forms_of, in_form, whole
from rapport.customers.importing.imports import ImportResult
from rapport.stores import Stores

COLUMNS = 25


@pytest.fixture
def company(scope: Scope) -> Scope:
    return emptied(scope)


def column(name: str, *texts: str, first: int = 0) -> str:
    rows = (f"P{first + n},2025-01-02,{text}\n" for n, text in enumerate(texts))
    return f"CustomerID,Registration_Date,{name}\n" + "".join(rows)


def types(scope: Scope) -> dict[str, str]:
    return {info.real_field_name: info.field_type for info in attributes.attributes(scope).values()}


CASES: list[tuple[tuple[str, ...], str]] = [
    (("10115", "10116"), "Bigint"),
    (("0", "-7", "9223372036854775807"), "Bigint"),
    (("10115", "01067"), "Nvarchar"),
    (("+49301000000", "+49301000001"), "Nvarchar"),
    (("12E3", "13E3"), "Nvarchar"),
    (("1e5", "2"), "Nvarchar"),
    (("007", "1"), "Nvarchar"),
    (("-0", "1"), "Nvarchar"),
    (("-0.00", "1.00"), "Nvarchar"),
    ((".5", "1.5"), "Nvarchar"),
    (("5.", "6."), "Nvarchar"),
    (("9223372036854775808", "1"), "Nvarchar"),
    (("12345678901234567890123", "1"), "Nvarchar"),
    (("0x1F", "2"), "Nvarchar"),
    (("1_000", "2"), "Nvarchar"),
    (("1,5", "2"), "Nvarchar"),
    (("nan", "2"), "Nvarchar"),
    (("inf", "2"), "Nvarchar"),
    (("\uff11\uff12", "2"), "Nvarchar"),
    (("10.00", "10.50", "-3.99"), "Decimal"),
    (("5", "5.5", "2.25"), "Decimal"),
    (("5.0", "5.5", "2.25"), "Decimal"),
    (("1.10", "1.1"), "Nvarchar"),
    (("1.10", "2"), "Nvarchar"),
    (("1.9", "1.10", "1.11"), "Nvarchar"),
    (("1.23456", "2"), "Nvarchar"),
    (("01.50", "02.50"), "Nvarchar"),
    (("+1.50", "2.50"), "Nvarchar"),
    (("1234567890123456.5", "2.5"), "Nvarchar"),
    (("2025-01-02", "1931-05-06"), "Date"),
    (("2025-01-02", "2025-02-30"), "Nvarchar"),
    (("2025-01-02 10:00:00", "2025-01-02 00:00:00"), "Datetime"),
    (("2025-01-02 10:00:00.250", "2025-01-02 00:00:00"), "Nvarchar"),
    (("yes", "no"), "Nvarchar"),
]


def test_a_type_is_taken_only_when_every_text_comes_back(company: Scope, tmp_path: Path) -> None:
    columns = [[*texts] for texts, _ in CASES]
    assert load(company, tmp_path, "customers", _wide(columns)).state == "loaded"
    made = types(company)
    assert [(texts, made[f"X{n}"]) for n, (texts, _) in enumerate(CASES)] == CASES
    _stored(company, columns)


def test_one_text_of_many_is_enough(company: Scope, tmp_path: Path) -> None:
    load(company, tmp_path, "customers", column("Plate", *(str(n) for n in range(1, 500)), "12E3"))
    assert types(company)["PLATE"] == "Nvarchar"


def test_numbers_that_are_refused_for_their_size_are_told_as_such(company: Scope, tmp_path: Path) -> None:
    large = "is a larger number than the column holds"
    load(company, tmp_path, "customers", column("Points", *(str(n) for n in range(20))))
    points = ("9223372036854775808", "-99999999999999999999", "0099999999999999999999")
    later = load(company, tmp_path, "customers", column("Points", *points, first=50))
    assert [large in told for told in refused(later)] == [True, True, False]
    amounts = ("1e15", "-1e300", "99999999999999999999", "1e400", "Infinity", "NaN")
    orders = "".join(f"T{n},C,2025-01-02,{amount}\n" for n, amount in enumerate(amounts))
    told = load(company, tmp_path, "transactions", f"Order_ID,Customer_ID,Order_Date,Amount\n{orders}")
    assert [large in told for told in refused(told)] == [True, True, True, False, False, False]


def refused(result: ImportResult) -> list[str]:
    """The lines of the list of refused rows, without its header."""
    assert result.rejects_path is not None
    return result.rejects_path.read_text().splitlines()[1:]


def test_a_postcode_that_comes_later_is_refused_by_line_and_never_shortened(company: Scope, tmp_path: Path) -> None:
    load(company, tmp_path, "customers", column("Zip", *(str(10115 + n) for n in range(20))))
    later = load(company, tmp_path, "customers", column("Zip", "01067", "04109", "10200", first=90))
    assert (later.state, later.rejected) == ("refused", 2) and later.rejects_path is not None
    assert "2,Zip,is not a whole number without leading zeros" in later.rejects_path.read_text().replace('"', "")
    load(company, tmp_path, "customers", column("Zip", "01067", "04109", "10200", first=90), allow_rejects=True)
    assert [row for row in values(company, "ZIP") if row[0] >= "P90"] == [("P92", 10200)]


@pytest.mark.parametrize(
    ("first", "good", "bad"),
    [
        (("1.1", "1.2"), ("1.3", "2.5"), ("1.10", "1.123456", "+1.5", "1e1")),
        (("10.00", "10.50"), ("11.00", "-0.99"), ("10.5", "10", "10.500", "-0.00", "010.00")),
        (("5", "5.25"), ("6", "6.5", "1.125"), ("6.0", "6.50", "06", ".5")),
        (("5.0", "5.25"), ("6.0", "6.5"), ("6", "6.50", "6.00")),
        (("10.25", "11.75"), ("10.50", "11.00"), ("10.5", "10.500")),
        (("10.25", "11.75"), ("10.5", "11"), ("10.50",)),
    ],
)
def test_decimals_that_come_later_are_held_to_the_forms_of_those_before(
    company: Scope, tmp_path: Path, first: tuple[str, ...], good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    load(company, tmp_path, "customers", column("Version", *first))
    assert types(company)["VERSION"] == "Decimal"
    assert load(company, tmp_path, "customers", column("Version", *good)).state == "loaded"
    assert [value for _, value in values(company, "VERSION")][: len(good)] == [Decimal(text) for text in good]
    for text in bad:
        result = load(company, tmp_path, "customers", column("Version", text))
        assert (result.state, result.rejected) == ("refused", 1), text


def test_a_declared_decimal_takes_any_plain_number(company: Scope, tmp_path: Path) -> None:
    changes.create_attribute(company, AttributeInfo("PRICE", "Price", "", "Decimal", "batch"))
    texts = ("1", "1.5", "1.50", "2.00000", "1.23456")
    assert load(company, tmp_path, "customers", column("Price", *texts)).state == "loaded"
    assert [str(value) for _, value in values(company, "PRICE")] == ["1.0000", "1.5000", "1.5000", "2.0000", "1.2346"]
    for text in ("007", "+5", "1e5", ".5", "1234567890123456"):
        assert load(company, tmp_path, "customers", column("Price", text)).state == "refused", text


DIGITS = st.text("0123456789", min_size=1, max_size=20)
ODD = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "-", "+", "0", "00"]), DIGITS, st.sampled_from(["", ".", ".0", "e5", "E+02", ".10"])
    ),
)
MONEY = st.integers(-999999, 999999).map(lambda one: f"{one / 100:.2f}")
SHORT = st.integers(-999999, 999999).map(lambda one: f"{one / 1000:.3f}".rstrip("0").rstrip("."))
FLOATS = st.integers(-999999, 999999).map(lambda one: str(one / 1000))
WHOLE = st.integers(-(2**63), 2**63 - 1).map(str)
TEXTS = st.one_of(
    *(st.lists(one, min_size=1, max_size=8) for one in (WHOLE, MONEY, SHORT, FLOATS, ODD, DIGITS)),
    st.lists(st.one_of(WHOLE, MONEY, SHORT, FLOATS, ODD), min_size=1, max_size=8),
)


def _plain(text: str, fraction: str) -> bool:
    match = re.fullmatch(r"-?(0|[1-9]\d*)" + fraction, text, re.ASCII)
    return match is not None and len(match[1]) <= 15 and not (text.startswith("-") and Decimal(text) == 0)


def comes_back(texts: list[str]) -> str:
    """In plain Python, the type whose one way of writing gives all of the texts back."""
    if all(
        re.fullmatch(r"[+-]?\d+", text, re.ASCII) and str(int(text)) == text and -(2**63) <= int(text) < 2**63
        for text in texts
    ):
        return "Bigint"
    fixed = [rf"\.\d{{{places}}}" for places in range(1, 5)]
    forms = (*fixed, r"(\.\d{0,3}[1-9])?", r"\.(\d|\d{1,3}[1-9])")
    return "Decimal" if any(all(_plain(text, form) for text in texts) for form in forms) else "Nvarchar"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=TEXTS, later=st.one_of(WHOLE, MONEY, SHORT, FLOATS, ODD))
def test_engine_and_python_know_the_same_forms(scope: Scope, texts: list[str], later: str) -> None:
    counts = scope.warehouse.row(_counted(f", countIf({whole('t', 'Int64')} IS NOT NULL)"), texts=texts)
    assert counts is not None
    forms = forms_of(counts[: len(AGGREGATES)])
    found = "Bigint" if counts[len(AGGREGATES)] == len(texts) else "Decimal" if forms else "Nvarchar"
    assert found == comes_back(texts)
    if found == "Decimal":
        fits = scope.warehouse.value(f"SELECT {in_form('{later:String}', forms)}", later=later)
        possible = [form for form in forms if form in forms_of(scope.warehouse.row(_counted(), texts=[later]) or ())]
        assert bool(fits) == bool(possible) == (comes_back([*texts, later]) == "Decimal"), (texts, later)


def _counted(more: str = "") -> str:
    counts = ", ".join(f"{total}({sql})" for total, sql in zip(AGGREGATES, counts_sql("t"), strict=True))
    return f"SELECT {counts}{more} FROM (SELECT arrayJoin({{texts:Array(String)}}) AS t)"


def drawn(random: Random) -> list[str]:
    """Some texts of a column: numbers written in one way, or in several."""
    ways = [
        lambda: str(random.randint(-(10**6), 10**6)),
        lambda: f"{random.randint(-999999, 999999) / 100:.2f}",
        lambda: str(random.randint(-999999, 999999) / 1000),
        lambda: (
            random.choice(["", "-", "+", "0"]) + str(random.randint(0, 999)) + random.choice(["", ".", ".10", "e5"])
        ),
    ]
    chosen = random.sample(ways, random.choice([1, 1, 1, 2]))
    return [random.choice(chosen)() for _ in range(random.randint(1, 8))]


@pytest.mark.parametrize("seed", [1, 2])
def test_imports_take_the_types_that_python_takes(stores: Stores, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    columns, later = ([drawn(random) for _ in range(COLUMNS)] for _ in range(2))
    company = tenant(stores)
    load(company, tmp_path, "customers", _wide(columns))
    made = types(company)
    assert [made[f"X{n}"] for n in range(COLUMNS)] == [comes_back(texts) for texts in columns]
    _stored(company, columns)
    # A row a column, so that each is judged alone.
    rows = [f"Later{n}{',' * (n + 2)}{texts[0]}{',' * (COLUMNS - n - 1)}" for n, texts in enumerate(later)]
    header = "CustomerID,City," + ",".join(f"X{n}" for n in range(COLUMNS))
    load(company, tmp_path, "customers", "\n".join([header, *rows]) + "\n", allow_rejects=True)
    loaded = {str(name) for name, *_ in values(company)}
    for n, (texts, more) in enumerate(zip(columns, later, strict=True)):
        fits = made[f"X{n}"] == "Nvarchar" or comes_back([*texts, more[0]]) == made[f"X{n}"]
        assert (f"Later{n}" in loaded) == fits, (texts, more[0])


def _wide(columns: list[list[str]]) -> str:
    longest = max(map(len, columns))
    lines = ["CustomerID,Registration_Date," + ",".join(f"X{n}" for n in range(len(columns)))]
    for row in range(longest):
        cells = [f'"{texts[row]}"' if row < len(texts) else "" for texts in columns]
        lines.append(f"P{row},2025-01-02," + ",".join(cells))
    return "\n".join(lines) + "\n"


def _stored(company: Scope, columns: list[list[str]]) -> None:
    rows = values(company, *(f"X{n}" for n in range(len(columns))))
    for n, texts in enumerate(columns):
        found: list[Any] = [row[n + 1] for row in rows if row[n + 1] is not None]
        assert [str(_read(type(one), text)) for one, text in zip(found, texts, strict=True)] == list(map(str, found))


def _read(type_: type, text: str) -> object:
    """A text as a value of the type that the warehouse answers with."""
    if type_ is Decimal:
        return Decimal(text).quantize(Decimal("0.0001"))
    return datetime.fromisoformat(text) if type_ is datetime else text
