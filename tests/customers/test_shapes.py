"""The shape of files: cells, quotes, blank lines, line ends, delimiters, encodings, and bytes that are no text."""

import csv
import gzip
import io
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import pytest
from emptied import emptied
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers.formats.mending import must_mend
from rapport.customers.importing import imports
from rapport.customers.importing.imports import ImportResult
from rapport.customers.privacy import persons
from rapport.errors import Invalid
from rapport.stores import Stores

Load = Callable[..., ImportResult]
HEAD = "CustomerID,Registration_Date,City\n"
CLOSED = "a quote in it is not closed, or has text behind it: write quotes inside quoted cells twice"
UTF8 = "is not UTF-8 text: save the file as UTF-8, or name its encoding in the mapping (such as encoding: cp1252)"


def zipped(data: bytes) -> bytes:
    """The same bytes whenever it is asked: they are part of the names of tests."""
    return gzip.compress(data, mtime=0)


@pytest.fixture
def scope(scope: Scope) -> Scope:
    return emptied(scope)


@pytest.fixture
def load(scope: Scope, tmp_path: Path) -> Load:
    """Imports bytes or text as a file of customers, or of another kind."""

    def imported(
        body: bytes | str, kind: str = "customers", name: str = "f.csv", mode: str = "incremental", **mapping: object
    ) -> ImportResult:
        folder = tmp_path / str(time.time_ns())
        folder.mkdir()
        (folder / name).write_bytes(body.encode() if isinstance(body, str) else body)
        return imports.import_file(scope, kind, folder / name, mapping, mode, allow_rejects=True)

    return imported


def cities(scope: Scope) -> dict[str, str | None]:
    return dict(scope.warehouse.rows("SELECT customer_id, CITY FROM customers ORDER BY 1"))


def rejects(result: ImportResult) -> list[tuple[int, str, str, str]]:
    assert result.rejects_path is not None
    with result.rejects_path.open(newline="", encoding="utf-8") as file:
        return [(int(row["line"]), row["column"], row["reason"], row["value"]) for row in csv.DictReader(file)]


def test_lines_with_too_few_or_too_many_cells_are_refused(scope: Scope, load: Load) -> None:
    text = """CustomerID,Registration_Date,City,Country
R1,2025-01-02,Bonn,Germany
R2,2025-01-02,New
York,USA
R3,2025-01-02,Paris,France
R4,2025-01-02,Paris,France,,,
R5,2025-01-02,Paris,France,,x
R6,2025-01-02,Paris,France,,,,,,,,,,,,,x
R7,2025-01-02,,
R8,2025-01-02,Par"""
    result = load(text)
    assert cities(scope) == {"R1": "Bonn", "R3": "Paris", "R4": "Paris", "R7": None}
    assert rejects(result) == [
        (3, "", "it has 3 cells where the file has 4 columns", ""),
        (4, "", "it has 2 cells where the file has 4 columns", ""),
        (7, "", "it has 6 cells where the file has 4 columns", ""),
        (8, "", "it has 8 cells or more where the file has 4 columns", ""),
        (10, "", "it has 3 cells where the file has 4 columns", ""),
    ]


def test_a_short_line_of_transactions_is_no_row_with_a_blank(scope: Scope, load: Load) -> None:
    text = """Transaction_ID,CustomerID,Transaction_Date,Amount,Status
T1,R1,2025-02-01 10:00:00,10,paid
T2,R1,2025-02-01 11:00:00,99
"""
    result = load(text, "transactions")
    assert (result.loaded, result.rejected) == (1, 1)
    assert rejects(result)[0][2] == "it has 4 cells where the file has 5 columns"


def test_a_header_with_delimiters_at_its_end(scope: Scope, load: Load) -> None:
    text = "CustomerID,Registration_Date,City,,\nE1,2025-01-02,Bonn,,\nE2,2025-01-02,Kiel\nE3,2025-01-02,Ulm,x,\n"
    result = load(text)
    assert cities(scope) == {"E1": "Bonn", "E2": "Kiel"}
    assert rejects(result) == [(4, "", "it has 4 cells where the file has 3 columns", "")]
    assert load("CustomerID,,City\nE4,9,Hof\n").loaded == 1
    assert scope.warehouse.value("SELECT toString(COLUMN_2) FROM customers WHERE customer_id = 'E4'") == "9"


@pytest.mark.parametrize("blank", ["\n", "\n\n\n", ",,\n", "  ,\t, \n", " \t \n", "\r\n", "\u00a0\n", '"",""," "\n'])
def test_lines_without_any_value_are_passed_over(scope: Scope, load: Load, blank: str) -> None:
    result = load(f"{blank}{HEAD}{blank}E7,2025-01-02,Bonn\n{blank}E8,2025-01-02,Kiel\n{blank}", mode="full")
    assert (result.loaded, result.rejected) == (2, 0)
    assert cities(scope) == {"E7": "Bonn", "E8": "Kiel"}


def test_blank_lines_of_other_formats(scope: Scope, load: Load) -> None:
    lines = '\r\n{"CustomerID": "J1", "Registration_Date": "2025-01-02"}\r\n \r\n\ufeff{"CustomerID": "J2"}\r\n\r\n'
    assert load(lines, name="f.jsonl").loaded == 2
    text = "\n CustomerID Registration_Date\n\n W1 2025-01-02\n\n W2 2025-01-02 x\n"
    result = load(text, format="whitespace", name="f.txt")
    assert rejects(result) == [(6, "", "it has 3 cells where the file has 2 columns", "")]


@pytest.mark.parametrize("ends", [["\r"], ["\n"], ["\r\n"], ["\r", "\n", "\r\n"]])
@pytest.mark.parametrize("mode", ["incremental", "full"])
def test_line_ends_of_every_kind(scope: Scope, load: Load, ends: list[str], mode: str) -> None:
    rows = ["CustomerID,Registration_Date,City", "C1,2025-01-02,Bonn", 'C2,2025-01-02,"Köln, Süd"', "C3,2025-01-02,Ulm"]
    text = "".join(row + ends[place % len(ends)] for place, row in enumerate(rows))
    assert load(text, mode=mode).loaded == 3
    assert cities(scope) == {"C1": "Bonn", "C2": "Köln, Süd", "C3": "Ulm"}
    lines = ['{"CustomerID": "C4", "City": "Hof"}', '{"CustomerID": "C5", "City": "Jena"}']
    assert load("".join(one + ends[0] for one in lines), name="f.jsonl").loaded == 2


@pytest.mark.parametrize(
    "header",
    [
        'CustomerID;Registration_Date;"City, state, country, planet"',
        '"CustomerID";"Registration_Date";"City,\r\nstate, country, planet"',
        'sep=;\nCustomerID;Registration_Date;"City, state\t|, country, planet"',
        '"sep=;"\r\nCustomerID;Registration_Date;City; ;',
        "\ufeffsep=;\n\ufeffCustomerID;Registration_Date;City",
        "sep=;;;\nCustomerID;Registration_Date;City",
        '"sep=;";;\r\nCustomerID;Registration_Date;City',
        "SEP = ;\nCustomerID;Registration_Date;City",
        "sep=;,,,\nCustomerID;Registration_Date;City",
    ],
)
def test_the_delimiter_is_the_one_outside_the_quotes(scope: Scope, load: Load, header: str) -> None:
    result = load(f'{header}\nQ1;2025-01-02;Bonn\nQ2;2025-01-02;"a;b"\nQ3;2025-01-02\n')
    assert (result.loaded, result.rejected) == (2, 1)
    days = scope.warehouse.rows("SELECT customer_id, toString(REGISTRATION_DATE) FROM customers ORDER BY 1")
    assert days == [("Q1", "2025-01-02"), ("Q2", "2025-01-02")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":", "^", "#", "~"])
def test_every_delimiter(scope: Scope, load: Load, delimiter: str) -> None:
    text = 'CustomerID,Registration_Date,City\nD1,2025-01-02,"a\tb"\nD2,2025-01-02,\n'.replace(",", delimiter)
    mapping = {} if delimiter in ",;\t|" else {"delimiter": delimiter}
    result = load(text, name="f.tsv", **mapping)
    assert (result.loaded, cities(scope)) == (2, {"D1": "a\tb", "D2": None})
    with pytest.raises(Invalid, match="whitespace"):
        load(text, delimiter=" ")


def test_quotes_that_are_doubled_escaped_stray_or_open(scope: Scope, load: Load) -> None:
    text = HEAD + "\n".join(
        [
            'A1,2025-01-02,"He said ""hi"", twice"',
            'A2,2025-01-02,"He said \\"hi\\", twice"',
            'A3,2025-01-02,5" pipe',
            'A4,2025-01-02,"5" pipe"',
            'A5,2025-01-02, "Bonn, Beuel" ',
            'A6,2025-01-02,"two\nlines"',
            '\ufeff"A7",2025-01-02,x',
            'A8,2025-01-02,"open',
            "A9,2025-01-02,x",
            'B1,2025-01-02,"open to the end',
            "B2,2025-01-02,y",
        ]
    )
    result = load(text)
    assert cities(scope) == {
        "A1": 'He said "hi", twice',
        "A2": 'He said "hi", twice',
        "A3": '5" pipe',
        "A5": "Bonn, Beuel",
        "A6": "two\nlines",
        "A7": "x",
        "A9": "x",
        "B2": "y",
    }
    assert [(line, reason) for line, _, reason, _ in rejects(result)] == [(5, CLOSED), (9, CLOSED), (11, CLOSED)]


def test_the_parts_of_a_file_may_begin_with_marks(scope: Scope, load: Load) -> None:
    part = "\ufeffP{0},2025-01-02,Bonn\n\ufeffP{1},2025-01-02,Kiel\n"
    assert load("\ufeff" + HEAD + part.format(1, 2) + part.format(3, 4)).loaded == 4
    assert list(cities(scope)) == ["P1", "P2", "P3", "P4"]


WIDTHS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize(
    ("codec", "zipped"), [*((codec, False) for codec in WIDTHS), ("utf-8-sig", True), ("utf-16", True)]
)
def test_unicode_of_every_width(scope: Scope, load: Load, codec: str, zipped: bool) -> None:
    body = (HEAD + 'U1,2025-01-02,Köln\r\nU2,2025-01-02,"Łódź, 上海 😀"\r\n').encode(codec)
    assert load(gzip.compress(body) if zipped else body).loaded == 2
    assert cities(scope) == {"U1": "Köln", "U2": "Łódź, 上海 😀"}
    lines = '{"CustomerID": "U3", "City": "Żory"}\n'.encode(codec)
    assert load(lines, name="f.jsonl").loaded == 1
    cut = load(HEAD.encode("utf-16") + "U4,2025-01-02,Bonn\n".encode("utf-16-le") + b"U\x00\x00\xd8")
    assert (cut.loaded, cut.rejected) == (1, 1)


FOREIGN = [("cp1252", "ö", "Köln €"), ("latin-1", "ö", "Köln ÿ"), ("cp1251", "ж", "Москва"), ("cp932", "東", "東京")]


@pytest.mark.parametrize(("codec", "letter", "city"), FOREIGN)
def test_an_encoding_that_the_mapping_names(scope: Scope, load: Load, codec: str, letter: str, city: str) -> None:
    text = f"CustomerID,Registration_Date,City,{letter}\nM1,2025-01-02,{city},\n"
    assert load(text.encode(codec), encoding=codec, columns={letter: None}).loaded == 1
    assert cities(scope) == {"M1": city}


def test_what_is_not_utf8_says_what_to_do(scope: Scope, load: Load) -> None:
    with pytest.raises(Invalid, match="encoding: cp1252"):
        load("CustomerID,Registration_Date,Straße\nL1,2025-01-02,x\n".encode("latin-1"))
    result = load(HEAD.encode() + b"L1,2025-01-02,K\xf6ln\nL2,2025-01-02,Bonn\n")
    assert rejects(result) == [(2, "City", UTF8, "Köln")]
    assert load(HEAD.encode() + b"L3,2025-01-02,K\x81ln\n", encoding="cp1252").rejected == 1
    for name in ("cp9999", "utf-7", "rot13", "base64"):
        with pytest.raises(Invalid, match="encoding"):
            load(HEAD, encoding=name)


@pytest.mark.parametrize("width", ["16", "32"])
def test_an_encoding_whose_order_of_bytes_is_not_named_is_found(scope: Scope, load: Load, width: str) -> None:
    for number, order in enumerate(("", "-le", "-be")):
        body = f"{HEAD}W{number},2025-01-02,K\u00f6ln\n".encode(f"utf-{width}{order}")
        assert load(body, encoding=f"utf-{width}").loaded == 1
    assert cities(scope) == {f"W{number}": "K\u00f6ln" for number in range(3)}
    # Whatever bytes there are it is no fault of the server.
    for body in (f"{HEAD}W9,2025-01-02,Bonn\n".encode(), b"C", b"CustomerID"):
        with pytest.raises(Invalid):
            load(body, encoding=f"utf-{width}")


CODECS = [("cp1252", b"\x81"), ("utf-16-le", b"\x00\xd8"), ("euc_jp", b"\xff"), ("ascii", b"\xf6")]


@pytest.mark.parametrize(("codec", "bad"), CODECS)
def test_a_byte_that_is_not_of_the_encoding_is_told_with_its_name(load: Load, codec: str, bad: bytes) -> None:
    """\u00d6 is a letter of the encodings that have it, and is shown as such beside the byte that is none."""
    known = "K" if codec in ("ascii", "euc_jp") else "\u00d6"
    told = f"is not text in the encoding {codec}: name another one in the mapping, or save the file as UTF-8"
    row = f"L1,2025-01-02,{known}".encode(codec) + bad + "n,x\n".encode(codec)
    body = HEAD.replace("\n", ",Own\n").encode(codec) + row + "L2,2025-01-02,Bonn,y\n".encode(codec)
    assert rejects(load(body, encoding=codec)) == [(2, "City", told, f"{known}\ufffdn")]
    order = "Order_ID,Customer_ID,Order_Date,Amount,Note\nT1,C,2025-01-02,1,".encode(codec)
    assert [one[1:3] for one in rejects(load(order + bad + "\n".encode(codec), "transactions", encoding=codec))] == [
        ("Note", told)
    ]
    line = '{"CustomerID": "L2"}\n{"CustomerID": "L3", "City": "'.encode(codec) + bad + '"}\n'.encode(codec)
    assert rejects(load(line, name="f.jsonl", encoding=codec))[0][2] == told
    with pytest.raises(Invalid, match=f"^The file's header {told}.$"):
        load(HEAD.replace("\n", "").encode(codec) + bad + "\nL1,2025-01-02,x\n".encode(codec), encoding=codec)


CONTROLS = (0, 1, 8, 11, 12, 27, 31, 127, 128, 159)
BAD = [(f"a{chr(code)}b".encode(), f"U+{code:04X}") for code in CONTROLS]
BAD += [(b"a\xffb", "UTF-8"), (b"a\xed\xa0\x80b", "UTF-8"), (b"a\xc0\x80b", "UTF-8")]


def filled(row: bytes) -> bytes:
    """A row for each of the bad texts."""
    return b"".join(row % text + b"\n" for text, _ in BAD)


def test_bytes_that_are_no_text_are_refused_in_every_column(load: Load) -> None:
    people = b"CustomerID,Registration_Date,City,Own\n"
    for row in (b"X1%b,2025-01-02,b,c", b"X1,2025-01-02,b%bc,d", b"X1,2025-01-02,b,c%bd", b"X1,2025-01-02%b,c,d"):
        result = load(people + filled(row) + b"X2,2025-01-02,a,b\n")
        assert (result.loaded, result.rejected) == (1, len(BAD))
        assert all(word in reason for (_, word), (_, _, reason, *_) in zip(BAD, rejects(result), strict=True))
    orders = b"Transaction_ID,CustomerID,Transaction_Date,Amount,Note\n"
    result = load(orders + filled(b"L1,R1,2025-02-01,10,x%by") + b"L2,R1,2025-02-01,10,fine\n", "transactions")
    lines = [(number, "Note") for number in range(2, 2 + len(BAD))]
    assert (result.loaded, [row[:2] for row in rejects(result)]) == (1, lines)
    assert load(b"Item_ID,Color\n" + filled(b"1,x%by") + b"2,fine\n", "products").loaded == 1
    events = b"Event_ID,Event,CustomerID,Event_Date,page\n"
    visit = b"e1,visit,R1,2025-01-01,x\n"
    assert load(events + filled(b"e1,vi%bsit,R1,2025-01-01,x") + visit, "activity").loaded == 1


def test_tabs_and_line_breaks_are_of_texts_but_not_of_ids(scope: Scope, load: Load) -> None:
    result = load(HEAD + '"N\n1",2025-01-02,x\n"N\t2",2025-01-02,x\nN3,2025-01-02,"a\tb\r\nc"\n')
    assert cities(scope) == {"N3": "a\tb\r\nc"}
    assert {reason for _, _, reason, _ in rejects(result)} == {"is not one line of UTF-8 text of at most 255 bytes"}


def test_json_lines_that_are_cut_off_or_hold_no_text(scope: Scope, load: Load) -> None:
    lines = [
        b'{"Item_ID": "1", "Item_Name": "a\\u0000b"}',
        b'{"Item_ID": "2", "Item_Name": "half \\ud83d"}',
        b'{"Item_ID": "3", "Item_Name": "x\xffy"}',
        b'["4"]',
        b'{"Item_ID": "5", "Own": "esc \\u001b"}',
        b'{"Item_ID": "6", "Item_Name": "Gr\\u00fc\\u00dfe \\ud83d\\ude00"}',
        b'{"Item_ID": "7", "Item_Na',
    ]
    result = load(b"\n".join(lines), "products", name="p.jsonl")
    assert scope.warehouse.rows("SELECT product_id, name FROM products") == [("6", "Grüße 😀")]
    assert [line for line, *_ in rejects(result)] == [1, 2, 3, 4, 5, 7]


def test_a_person_of_a_refused_line_reads_as_others_do(scope: Scope, load: Load, base_url: str) -> None:
    rows = b"".join(b"L%d,R1,2025-02-01 10:00:00,10,plain text of some length here\n" % place for place in range(60))
    load(HEAD + "R1,2025-01-02,Bonn\n")
    head = b"Transaction_ID,CustomerID,Transaction_Date,Amount,Note\n"
    result = load(head + rows + b"L9999,R1,2025-02-01 10:00:00,10,Gr\xfc\xdfe\n", "transactions")
    assert (result.loaded, rejects(result)) == (60, [(62, "Note", UTF8, "Grüße")])
    _, secret = keys.create_key(scope, "shapes", "shapes@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        assert client.get("/manage/v1/customers/R1/data").status_code in (200, 404)
        assert client.get("/Customers/R1/Attributes").status_code == 200
    assert len(persons.export(scope, "R1", ["transactions"])["transactions"]) == 60


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("f.csv", b"", "empty"),
        ("f.jsonl", b"", "empty"),
        ("f.parquet", b"", "empty"),
        ("f.csv", b"\n \n", "empty"),
        ("f.csv", b"PK\x03\x04 workbook", "workbook"),
        ("f.csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "workbook"),
        ("f.csv", b"<!DOCTYPE html><html>login</html>", "login"),
        ("f.jsonl", b"\n<HTML>", "login"),
        ("f.csv", b'{"CustomerID": "1"}\n', "jsonl"),
        ("f.csv", b'[\n {"CustomerID": "1"}]\n', "jsonl"),
        ("f.jsonl", b'[{"CustomerID": "1"}]', "array"),
        ("f.csv", b"PAR1 abc PAR1", "Parquet"),
        ("f.parquet", HEAD.encode(), "Parquet"),
        ("f.parquet", b"PAR1 cut off", "Parquet"),
        ("f.csv.gz", zipped(HEAD.encode() * 1000)[:40], "cut off"),
        ("f.csv.gz", zipped(zipped(HEAD.encode())), "twice"),
        ("f.csv", b"%PDF-1.7", "PDF"),
        ("f.csv", b"CustomerID,City,city\n", "twice"),
        ("f.csv", ",".join(f"c{place}" for place in range(1001)).encode(), "more than 1000"),
        ("f.csv", HEAD.encode() + b",,\n , \n", "not a single row"),
        ("f.csv", HEAD.encode() + b"\n\r\n \n", "not a single row"),
    ],
)
def test_files_that_are_something_else(load: Load, name: str, body: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        load(body, name=name, mode="full")


@pytest.mark.parametrize(
    "text",
    [
        '"CustomerID,Registration_Date"\n"N1,2025-01-02"\n',
        "Customers of May\nCustomerID,Registration_Date\nN1,2025-01-02\n",
        "sep=;\nCustomerID,Registration_Date\nN1,2025-01-02\n",
        "CustomerID:Registration_Date\nN1:2025-01-02\n",
    ],
)
def test_a_file_that_is_read_as_one_column_says_what_to_do(load: Load, text: str) -> None:
    with pytest.raises(Invalid, match="That is one column: name the delimiter"):
        load(text)


def test_a_tab_is_told_by_two_signs_and_a_long_name_by_its_length(scope: Scope, load: Load) -> None:
    assert load("sep=\\t\nCustomerID\tRegistration_Date\tCity\nT1\t2025-01-02\ta,b\n").loaded == 1
    assert cities(scope) == {"T1": "a,b"}
    with pytest.raises(Invalid, match="longer than 200 characters"):
        load(f"CustomerID,Registration_Date,{'n' * 201}\nT2,2025-01-02,x\n")


def test_gzip_is_known_by_its_bytes(scope: Scope, load: Load) -> None:
    text = (HEAD + "G1,2025-01-02,Bonn\n").encode()
    assert load(gzip.compress(text) + gzip.compress(b"G2,2025-01-02,Kiel\n")).loaded == 2
    assert load(text, name="f.csv.gz").loaded == 1
    assert load(HEAD).loaded == 0


def test_a_cell_of_a_megabyte_ends_its_own_row_only(scope: Scope, load: Load) -> None:
    big = "x" * 1_000_000
    result = load(HEAD + f'B1,2025-01-02,{big}\nB2,2025-01-02,"{big}\n{big}"\nB3,2025-01-02,Bonn\n')
    assert cities(scope) == {"B3": "Bonn"}
    assert [(line, len(value)) for line, _, _, value in rejects(result)] == [(2, 200), (3, 200)]


def test_many_columns(scope: Scope, load: Load) -> None:
    names = [f"Own_{place}" for place in range(60)]
    text = f"CustomerID,Registration_Date,{','.join(names)}\nK1,2025-01-02,{','.join(map(str, range(60)))}\n"
    assert load(text).loaded == 1
    assert scope.warehouse.row("SELECT toString(OWN_0), toString(OWN_59) FROM customers") == ("0", "59")


WORDS = ["", "a", "b c", 'say "hi"', "x,y", "two\nlines", "ü", '5" pipe', " edge ", "NULL", "\\N"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_the_csv_module_writes_is_read_again(
    stores: Stores, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    draw = Random(seed)
    rows = [[str(place), *draw.choices(WORDS, k=3)] for place in range(draw.randrange(1, 30))]
    out = io.StringIO()
    quoting = draw.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
    delimiter, end = draw.choice(",;\t|"), draw.choice(["\n", "\r\n"])
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([["Item_ID", "Item_Name", "Brand", "Own"], *rows])
    path = tmp_path_factory.mktemp("csv") / "p.csv"
    path.write_bytes(out.getvalue().encode())
    scope = create_tenant(stores, f"shapes-{time.time_ns()}", "UTC", "EUR")
    assert imports.import_file(scope, "products", path).loaded == len(rows)
    sql = "SELECT product_id, name, brand, properties['Own'] FROM products"
    blank = {"NULL": "", "\\N": ""}
    assert {row[0]: list(row) for row in scope.warehouse.rows(sql)} == {
        row[0]: [blank.get(cell.strip(), cell.strip()) for cell in row] for row in rows
    }
    if quoting == csv.QUOTE_ALL:
        assert not must_mend(io.BytesIO(path.read_bytes()), "csv", delimiter)


def test_a_decimal_comma_is_refused_with_what_to_do(load: Load) -> None:
    text = "Transaction_ID;CustomerID;Transaction_Date;Amount\nT1;R1;2025-02-01;12,50\nT2;R1;2025-02-01;12.50\n"
    result = load(text, "transactions")
    assert (result.loaded, result.rejected) == (1, 1)
    assert "write it with a decimal point" in rejects(result)[0][2]
