"""What a mapping says column by column: forms of dates and numbers, and texts that are read as others."""

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from emptied import emptied
from import_world import load, values

from rapport.access.scope import Scope
from rapport.customers.importing.imports import ImportResult
from rapport.customers.importing.mapping import read_mapping
from rapport.errors import Invalid

ORDERS = "Order_ID;Customer_ID;Order_Date;Amount;Shop\n"


@pytest.fixture
def company(scope: Scope) -> Scope:
    return emptied(scope)


def reasons(result: ImportResult) -> list[str]:
    assert result.rejects_path is not None
    return [line.split(",", 1)[1] for line in result.rejects_path.read_text().replace('"', "").splitlines()[1:]]


def test_each_column_has_its_form_of_dates(company: Scope, tmp_path: Path) -> None:
    mapping = read_mapping("""
        date_format: "%Y-%m-%d"
        date_formats: {Geburtstag: "%d.%m.%Y", Zuletzt: ["%d/%m/%Y %H:%M", "%m/%d/%Y"]}
        columns: {Geburtstag: Date_Of_Birth}
    """)
    text = "CustomerID,Registration_Date,Geburtstag,Zuletzt\n1,2024-10-16,23.04.1958,16/10/2024 00:30\n"
    assert load(company, tmp_path, "customers", text, mapping=mapping).state == "loaded"
    assert values(company, "REGISTRATION_DATE", "DATE_OF_BIRTH", "toString(ZULETZT)") == [
        ("1", date(2024, 10, 16), date(1958, 4, 23), "2024-10-16 00:30:00")
    ]
    wrong = text.replace("2024-10-16,23.04.1958", "16.10.2024,1958-04-23")
    assert reasons(load(company, tmp_path, "customers", wrong, mapping=mapping)) == [
        "Geburtstag,is not a date as %d.%m.%Y,(not shown)",
        "Registration_Date,is not a date as %Y-%m-%d,16.10.2024",
    ]


@pytest.mark.parametrize(
    ("example", "written"),
    [
        ("1234,56", {"1234,56": "1234.56", "-5": "-5", "0,5": "0.5", "1.234": None, "1.5": None, "1234.56": None}),
        ("1.234,56", {"1.234,56": "1234.56", "1.234": "1234", "12.345.678,9": "12345678.9", "99,90": "99.9"}),
        (
            "1.234,56",
            {"1.5": None, "1.2345": None, "1,234.56": None, "1.234,": None, "12.34,5": None, "1234.567": None},
        ),
        ("1,234.56", {"1,234.56": "1234.56", "1,5": None, "7.25": "7.25", "1234": "1234"}),
        ("1 234,56", {"1 234,56": "1234.56", "1\u00a0234,56": "1234.56", "1\u202f234": "1234", "12 34": None}),
        ("1'234.56", {"1'234.56": "1234.56", "1\u2019234": "1234", "1 234": None}),
        ("1234.56", {"1234.56": "1234.56", "1,5": None}),
    ],
)
def test_numbers_are_written_as_the_example(
    company: Scope, tmp_path: Path, example: str, written: dict[str, str | None]
) -> None:
    mapping = {"delimiter": ";", "numbers": {"amount": example}}
    rows = [f"T{number};C;2025-01-02;{text};x\n" for number, text in enumerate(written)]
    done = load(company, tmp_path, "transactions", ORDERS + "".join(rows), mapping=mapping, allow_rejects=True)
    sql = "SELECT transaction_id, toString(amount) FROM transactions"
    right = {f"T{number}": value for number, value in enumerate(written.values()) if value is not None}
    assert dict(company.warehouse.rows(sql)) == right
    refused = [text for text, value in written.items() if value is None]
    if refused:
        assert reasons(done) == [f"Amount,is not a number written as {example},{text}" for text in refused]


def test_a_new_attribute_with_numbers_holds_them(company: Scope, tmp_path: Path) -> None:
    mapping = {"numbers": {"Umsatz": "1.234,56", "Bonus": "1.234,56"}, "delimiter": ";"}
    text = "CustomerID;Registration_Date;Umsatz;Bonus\n1;2025-01-02;1.234,5;7\n2;2025-01-02;1.234,50;\n"
    told = load(company, tmp_path, "customers", text, mapping=mapping, dry_run=True)
    assert told.preview is not None
    assert told.preview.new_attributes == {"UMSATZ": "Decimal", "BONUS": "Decimal"}
    assert told.preview.rows[0]["UMSATZ"] == "1234.5"
    assert load(company, tmp_path, "customers", text, mapping=mapping).state == "loaded"
    again = text.replace("1.234,50", "2.000.000,25").replace(";7", ";drei")
    refused = load(company, tmp_path, "customers", again, mapping=mapping, allow_rejects=True)
    assert reasons(refused) == ["Bonus,is not a number written as 1.234,56,drei"]
    assert values(company, "UMSATZ", "BONUS") == [
        ("1", Decimal("1234.5"), Decimal(7)),
        ("2", Decimal("2000000.25"), None),
    ]


def test_decimals_of_a_known_form_are_compared_as_they_are_read(company: Scope, tmp_path: Path) -> None:
    head = "CustomerID;Registration_Date;Price\n"
    load(company, tmp_path, "customers", head + "1;2025-01-02;10.50\n2;2025-01-02;3.00\n")
    mapping = {"numbers": {"Price": "1.234,56"}}
    done = load(company, tmp_path, "customers", head + "1;2025-01-02;1.010,75\n", mapping=mapping)
    assert done.state == "loaded"
    assert values(company, "PRICE") == [("1", Decimal("1010.75")), ("2", Decimal(3))]


def parquet_file(folder: Path) -> bytes:
    path = folder / "made.parquet"
    columns = {"CustomerID": ["1", "2", "3"], "Registration_Date": ["2025-01-02"] * 3}
    pq.write_table(pa.table(columns | {"Mail": ["ja", None, "?"], "Tier": ["G", "-", "ja"]}), path)
    return path.read_bytes()


LINES = (
    '{"CustomerID":"1","Registration_Date":"2025-01-02","Mail":"ja","Tier":"G"}\n'
    '{"CustomerID":"2","Registration_Date":"2025-01-02","Mail":null,"Tier":"-"}\n'
    '{"CustomerID":"3","Registration_Date":"2025-01-02","Mail":"?","Tier":"ja"}\n'
)
CELLS = "CustomerID,Registration_Date,Mail,Tier\n1,2025-01-02,ja,G\n2,2025-01-02,,-\n3,2025-01-02,?,ja\n"


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "parquet"])
def test_texts_are_read_as_others_in_their_column(company: Scope, tmp_path: Path, suffix: str) -> None:
    mapping = read_mapping("""
        columns: {Mail: Allow_Email}
        values:
          mail: {ja: Yes, nein: No, "?": No}
          Tier: {G: Gold, "-": null}
    """)
    made = {"csv": CELLS.encode(), "csv.gz": gzip.compress(CELLS.encode()), "jsonl": LINES.encode()}
    body = made[suffix] if suffix in made else parquet_file(tmp_path)
    done = load(company, tmp_path, "customers", body, suffix=suffix, mapping=mapping)
    assert (done.state, done.warnings) == ("loaded", [])
    assert values(company, "ALLOW_EMAIL", "TIER") == [("1", "Yes", "Gold"), ("2", None, None), ("3", "No", "ja")]


def test_keys_and_properties_and_wide_files_are_read_so_too(company: Scope, tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(300)]
    head = ORDERS.strip() + ";" + ";".join(names) + "\n"
    body = "a;C;2025-01-02;1;x;" + ";".join("j" for _ in names) + "\n"
    mapping = {"delimiter": ";", "values": {"Order_ID": {"a": "T1"}, "Shop": {"x": "Online"}, "p7": {"j": "ja"}}}
    assert load(company, tmp_path, "transactions", head + body, mapping=mapping).state == "loaded"
    sql = "SELECT transaction_id, properties['Shop'], properties['p7'], properties['p8'] FROM transactions"
    assert company.warehouse.rows(sql) == [("T1", "Online", "ja", "j")]


def test_words_of_a_mapping_stay_what_is_written() -> None:
    mapping = read_mapping("constants: {A: 1.50, B: yes}\ncolumns: {no: X, Y: null, Z: ~}\nheader: no\nskip_lines: 2\n")
    assert mapping.constants == {"A": "1.50", "B": "yes"}
    assert mapping.columns == {"no": "X", "Y": None, "Z": None}
    assert (mapping.header, mapping.skip_lines) == (False, 2)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"numbers": {"Amount": "1234"}}, "The mapping's numbers.Amount: must be '1234.56', '1,234.56'"),
        ({"CustomerID": "Kundennr"}, "There is no CustomerID in the mapping; there are format, encoding,"),
        ({"columns": {"TransactionID": "Order_ID"}}, "the file's name first: Order_ID: TransactionID."),
        ({"skip_lines": "two"}, "skip_lines: must be a whole number."),
        ({"date_formats": {"Order_Date": "%d"}}, "must name the year"),
        ({"values": {"Lager": {"a": "b"}}}, "names the column 'Lager', which the file does not have"),
        ({"numbers": {"Shop": "1234,56"}}, "numbers: 'shop' is not loaded into a column of numbers"),
        ({"date_formats": {"Amount": "%d.%m.%Y"}}, "date_formats: 'amount' is not loaded into a column of dates"),
        ({"values": {"Shop": {"": "b"}}}, "at least 1 character"),
    ],
)
def test_what_no_column_can_be_is_refused(
    company: Scope, tmp_path: Path, mapping: dict[str, object], message: str
) -> None:
    with pytest.raises(Invalid) as refused:
        load(company, tmp_path, "transactions", ORDERS + "1;C;2025-01-02;5;x\n", mapping=mapping)
    assert message in refused.value.message


def test_the_line_of_a_mapping_that_is_no_yaml_is_named() -> None:
    with pytest.raises(Invalid) as refused:
        read_mapping("header: no\ncolumns: {A: B\nskip_lines: 2\n")
    assert refused.value.message.startswith("The mapping is not a readable YAML file: line 3 cannot be read (")


def test_what_a_mapping_could_read_is_told_beside_the_refused_rows(company: Scope, tmp_path: Path) -> None:
    text = ORDERS + "1;C;13/02/2025;12,50;x\n2;C;14/02/2025;9;x\n3;C;never;cheap;x\n4;C;2025-02-13;9;x\n"
    told = load(company, tmp_path, "transactions", text)
    hints = {one["code"]: (one["count"], one["examples"]) for one in told.warnings}
    assert hints == {
        "dates_in_another_form": (2, ("Order_Date",)),
        "numbers_in_another_form": (1, ("Amount",)),
    }
    assert told.warnings[0]["message"].startswith("2 refused rows have dates in another form: date_format")
    unmapped = load(company, tmp_path, "transactions", ORDERS + "3;C;never;cheap;x\n")
    assert (unmapped.rejected, unmapped.warnings) == (1, [])
