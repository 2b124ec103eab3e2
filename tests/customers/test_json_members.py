"""Members of JSON lines: numbers wherever they stand, what is no JSON number, members that come twice, lists as ids."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from emptied import emptied
from import_world import load, values

from rapport.access.scope import Scope
from rapport.customers import attributes
from rapport.customers.importing import imports
from rapport.customers.importing.imports import ImportResult


@pytest.fixture
def company(scope: Scope) -> Scope:
    return emptied(scope)


def line(customer_id: str, members: str) -> str:
    return f'{{"CustomerID": "{customer_id}", "Registration_Date": "2025-01-02", {members}}}\n'


def reasons(result: ImportResult) -> str:
    assert result.rejects_path is not None
    return result.rejects_path.read_text()


AS_WRITTEN = [
    ("1.10", "1.10"),
    ("1e400", "1e400"),
    ("-0", "-0"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("0.1234567890123456789", "0.1234567890123456789"),
    ("[1.50, 2.0, -0]", "[1.50,2.0,-0]"),
    ('{"a": 1.10, "b": [2.50, {"c": 1e5}]}', '{"a":1.10,"b":[2.50,{"c":1e5}]}'),
    ("[123456789012345678901234567890]", "[123456789012345678901234567890]"),
    ('["1.10", 1.10]', '["1.10",1.10]'),
    ('{"a": NaN, "b": 1.10}', '{"a":null,"b":1.10}'),
    ('"NaN of 1.50"', "NaN of 1.50"),
    ('"say \\"1.50\\" NaN"', 'say "1.50" NaN'),
    ("Infinity", "Infinity"),
    ("-Infinity", "-Infinity"),
    ("NaN", None),
]


@pytest.mark.parametrize(
    ("written", "read", "alone"),
    [*((*number, True) for number in AS_WRITTEN), *((*number, False) for number in AS_WRITTEN[::4])],
)
def test_numbers_are_read_as_they_are_written(
    company: Scope, tmp_path: Path, written: str, read: str | None, alone: bool
) -> None:
    other = "" if alone else line("A2", '"Own": "text"')
    # Whatever a member holds, the file has it also when this line alone does.
    assert load(company, tmp_path, "customers", line("A1", f'"Own": {written}') + other, suffix="jsonl").rejected == 0
    known = attributes.attributes(company)["OWN"]
    found = values(company, "OWN")[0][1]
    assert found is None if read is None else known.field_type != "Nvarchar" or found == read
    if alone and read == "1.10":
        assert known.field_type == "Decimal"


@pytest.mark.parametrize("kind", ["NaN", "null"])
def test_nan_is_no_amount_and_infinity_is_refused(company: Scope, tmp_path: Path, kind: str) -> None:
    head = (
        '{"Transaction_ID": "T%d", "CustomerID": "C1", "Transaction_Date": "2025-01-02", "Amount": 5, "Discount": %s}\n'
    )
    text = "".join(head % pair for pair in ((1, "1.50"), (2, kind), (3, "Infinity"), (4, "1e400")))
    found = load(company, tmp_path, "transactions", text, suffix="jsonl", allow_rejects=True)
    assert (found.loaded, found.rejected) == (2, 2)
    sql = "SELECT transaction_id, discount FROM transactions ORDER BY 1"
    assert company.warehouse.rows(sql) == [("T1", 1.5), ("T2", 0.0)]
    assert reasons(found).count("is not a number such as") == 2


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ('"City": "Bonn", "City": "Kiel"', "City"),
        ('"Allow_Email": true, "City": "x", "Allow_Email": false', "Allow_Email"),
        ('"CustomerID": "A9"', "CustomerID"),
        ('"Own": 1.10, "Own": 1.10', "Own"),
    ],
)
def test_a_member_that_comes_twice_refuses_its_line(company: Scope, tmp_path: Path, members: str, name: str) -> None:
    text = line("A1", members) + line("A2", '"City": "Ulm"')
    found = load(company, tmp_path, "customers", text, suffix="jsonl", allow_rejects=True)
    assert (found.loaded, found.rejected) == (1, 1)
    assert f"has the member {name} twice" in reasons(found)
    assert values(company, "CITY") == [("A2", "Ulm")]


def test_a_member_that_is_spelled_in_several_ways_is_one_column(company: Scope, tmp_path: Path) -> None:
    first = line("A1", '"City": "Bonn", "Size": 1') + line("A2", '"CITY": "Kiel", "size": 2')
    found = load(company, tmp_path, "customers", first + line("A3", '"city": "Ulm"'), suffix="jsonl")
    assert (found.loaded, found.rejected) == (3, 0)
    assert values(company, "CITY", "SIZE") == [("A1", "Bonn", 1), ("A2", "Kiel", 2), ("A3", "Ulm", None)]
    second = (
        '{"customerid": "A1", "CITY": null}\n'
        '{"CUSTOMERID": "A2", "registration_date": "2025-01-02"}\n'
        '{"CustomerID": "A3", "SIZE": 3}\n'
    )
    found = load(company, tmp_path, "customers", second, suffix="jsonl")
    assert (found.loaded, found.rejected) == (3, 0)
    assert values(company, "CITY", "SIZE") == [("A1", None, 1), ("A2", "Kiel", 2), ("A3", "Ulm", 3)]


def test_spellings_with_different_values_refuse_their_line_alone(company: Scope, tmp_path: Path) -> None:
    same = ['"City": "Ulm", "CITY": " Ulm "', '"City": null, "city": ""', '"Own": 1.10, "OWN": 1.10']
    different = [
        ('"City": "Bonn", "CITY": "Kiel"', "CITY and City"),
        ('"Own": 1.10, "OWN": 1.1', "OWN and Own"),
        ('"City": "Bonn", "city": null', "City and city"),
        ('"CITY": "Bonn", "City": "Bonn", "city": "Kiel"', "CITY and City and city"),
        ('"CUSTOMERID": "A0"', "CUSTOMERID and CustomerID"),
    ]
    rows = [*same, *(members for members, _ in different)]
    text = "".join(line(f"A{n}", members) for n, members in enumerate(rows, start=1))
    found = load(company, tmp_path, "customers", text, suffix="jsonl", allow_rejects=True)
    assert (found.loaded, found.rejected) == (len(same), len(different))
    for number, (_, names) in enumerate(different, start=len(same) + 1):
        told = f"has the members {names}, which are one and the same, with different values"
        assert f'{number},"","{told}"' in reasons(found)
    assert values(company, "CITY", "toString(OWN)") == [("A1", "Ulm", None), ("A2", None, None), ("A3", None, "1.10")]


def test_so_are_members_of_other_kinds_and_alphabets(company: Scope, tmp_path: Path) -> None:
    head = '{"Transaction_ID": "T%d", "CustomerID": "C1", "Transaction_Date": "2025-01-02", "Amount": 5, %s}\n'
    text = (
        head % (1, '"Gr\u00f6\u00dfe": "L"') + head % (2, '"GR\u00d6SSE": "M"') + head % (3, '"gro\u0308\u00dfe": "S"')
    )
    assert load(company, tmp_path, "transactions", text, suffix="jsonl").loaded == 3
    sql = "SELECT transaction_id, mapValues(properties) FROM transactions ORDER BY 1"
    assert company.warehouse.rows(sql) == [("T1", ["L"]), ("T2", ["M"]), ("T3", ["S"])]


@pytest.mark.parametrize(
    "text", ["1", '"a"', "[]", "{'CustomerID': 'A'}", '{"CustomerID": "A"},', '{"a": 1}{"a": 2}', '{"a": ']
)
def test_what_is_no_object_is_refused_with_what_may_be_wrong(company: Scope, tmp_path: Path, text: str) -> None:
    body = line("A1", '"City": "Ulm"') + text + "\n"
    found = load(company, tmp_path, "customers", body, suffix="jsonl", allow_rejects=True)
    assert (found.loaded, found.rejected) == (1, 1)
    assert "is no JSON object: it is cut off, has text before or behind it" in reasons(found)


@pytest.mark.parametrize("several", ['["C7"]', '{"$oid": "5f2"}', '["C7", "C8"]', "[17]"])
@pytest.mark.parametrize("column", ["CustomerID", "Email"])
def test_a_list_or_an_object_is_no_id_and_no_address(company: Scope, tmp_path: Path, several: str, column: str) -> None:
    rows = {"CustomerID": '"A1"', "Registration_Date": '"2025-01-02"', "Email": '"a@example.com"', column: several}
    good = line("A2", '"Email": "b@example.com"')
    text = "{" + ", ".join(f'"{name}": {value}' for name, value in rows.items()) + "}\n" + good
    found = load(company, tmp_path, "customers", text, suffix="jsonl", allow_rejects=True)
    assert (found.loaded, found.rejected) == (1, 1)
    assert "is a list or an object, where one value belongs" in reasons(found)


def test_nor_is_a_list_of_parquet(company: Scope, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"CustomerID": [["A1"], ["A2"]], "Registration_Date": ["2025-01-02"] * 2}), path)
    found = imports.import_file(company, "customers", path, allow_rejects=True)
    assert (found.loaded, found.rejected) == (0, 2)


@pytest.mark.parametrize("customer_id", ["[7", "{C-1}", "7]", "{3F2504E0-4F89-11D3}", "[a]"])
def test_ids_in_brackets_are_ids(company: Scope, tmp_path: Path, customer_id: str) -> None:
    load(company, tmp_path, "customers", f"CustomerID,Registration_Date\n{customer_id},2025-01-02\n")
    assert values(company) == [(customer_id,)]
