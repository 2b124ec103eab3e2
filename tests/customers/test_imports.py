"""Files in: what is loaded, what is refused, and that a file is all or nothing."""

import csv
import gzip
import json
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from emptied import emptied

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers import attributes, event_types, products
from rapport.customers.attributes import AttributeInfo
from rapport.customers.importing import imports
from rapport.customers.importing import mapping as customer_mapping
from rapport.customers.importing.imports import ImportResult
from rapport.customers.writes.locks import importing, no_imports
from rapport.errors import Invalid
from rapport.stores import Stores
from rapport.stores.records import locks
from rapport.stores.records.locks import Lock
from rapport.stores.warehouse import Database

CUSTOMERS = """Customer_ID,Registration_Date,Email,Country,Points,Score,Member_Since,Zip
C1,2025-01-02,c1@example.com,Norway,5,1.2346,2025-01-02,00123
c2,2025-02-03,,Sweden,7,2,,01234
C3,2025-03-04,c3@example.com,,,,2025-03-04,99999
"""
ORDERS = """Order_ID,Customer_ID,Order_Date,Total_Amount,Discount_Amount,Status,Shipping_Amount,Platform
O1,C1,2025-04-01 10:00:00,12.34567,,paid,3.5,web
O2,c1,2025-04-02,20,1.5,,,
O3,C2,2026-01-01 23:59:59,30,,canceled,,app
"""


@pytest.fixture
def scope(scope: Scope) -> Scope:
    """A tenant for each test: what was imported before matters."""
    return emptied(scope)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    if name.endswith(".gz"):
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(text)
    else:
        path.write_text(text)
    return path


def load(scope: Scope, kind: str, path: Path, **more: object) -> ImportResult:
    return imports.import_file(scope, kind, path, **more)  # type: ignore[arg-type]


def leftovers(scope: Scope) -> list[str]:
    sql = "SELECT name FROM system.tables WHERE database = {d:String} AND startsWith(name, 'import_')"
    return [name for (name,) in scope.warehouse.rows(sql, d=scope.warehouse.name)]


def test_customers_and_their_further_columns(scope: Scope, tmp_path: Path) -> None:
    result = load(scope, "customers", write(tmp_path, "customers.csv", CUSTOMERS), mode="full")
    assert (result.loaded, result.rejected, result.unchanged, result.state) == (3, 0, False, "loaded")
    columns = "customer_id, REGISTRATION_DATE, EMAIL, COUNTRY, POINTS, SCORE, MEMBER_SINCE, ZIP"
    sql = f"SELECT {columns} FROM customers ORDER BY 1"
    assert scope.warehouse.rows(sql) == [
        ("C1", date(2025, 1, 2), "c1@example.com", "Norway", 5, Decimal("1.2346"), date(2025, 1, 2), "00123"),
        ("C3", date(2025, 3, 4), "c3@example.com", None, None, None, date(2025, 3, 4), "99999"),
        ("c2", date(2025, 2, 3), None, "Sweden", 7, Decimal("2.0000"), None, "01234"),
    ]
    types = {info.real_field_name: info.field_type for info in attributes.attributes(scope).values()}
    assert [types[name] for name in ("POINTS", "SCORE", "MEMBER_SINCE", "ZIP")] == [
        "Bigint",
        "Decimal",
        "Date",
        "Nvarchar",
    ]
    assert leftovers(scope) == []


def test_transactions_take_the_known_spelling_and_keep_further_columns(scope: Scope, tmp_path: Path) -> None:
    load(scope, "customers", write(tmp_path, "customers.csv", CUSTOMERS), mode="full")
    result = load(scope, "transactions", write(tmp_path, "orders.csv.gz", ORDERS), mode="full")
    assert result.loaded == 3
    sql = """
        SELECT transaction_id, customer_id, toString(transaction_time), type, amount, discount, status, platform,
            properties
        FROM transactions ORDER BY 1
    """
    assert scope.warehouse.rows(sql) == [
        ("O1", "C1", "2025-04-01 10:00:00", "order", 12.3457, 0.0, "paid", "web", {"Shipping_Amount": "3.5"}),
        ("O2", "C1", "2025-04-02 00:00:00", "order", 20.0, 1.5, "", "", {}),
        ("O3", "c2", "2026-01-01 23:59:59", "order", 30.0, 0.0, "canceled", "app", {}),
    ]


def test_json_lines_and_parquet_give_the_same_rows(scope: Scope, tmp_path: Path) -> None:
    lines = [
        {
            "Item_ID": 7,
            "Item_Name": 'Blue "mug"',
            "Category": "Mugs",
            "Price": 4.5,
            "Color": "blue",
            "Tags": ["a", "b"],
        },
        {"Item_ID": 8, "Item_Name": "Plate", "Brand": None, "Is_Active": "No", "Late": True},
    ]
    load(scope, "products", write(tmp_path, "p.jsonl.gz", "\n".join(json.dumps(line) for line in lines)), mode="full")
    sql = "SELECT product_id, name, category, brand, price, is_active, properties FROM products ORDER BY 1"
    assert scope.warehouse.rows(sql) == [
        ("7", 'Blue "mug"', "Mugs", "", 4.5, 1, {"Color": "blue", "Tags": '["a","b"]'}),
        ("8", "Plate", "", "", None, 0, {"Late": "true"}),
    ]
    table = pa.table(
        {"Item_ID": [7, 9], "Item_Name": ["Blue mug", "Fork"], "Price": [4.75, None], "Since": [date(2025, 1, 1), None]}
    )
    pq.write_table(table, tmp_path / "p.parquet")
    result = load(scope, "products", tmp_path / "p.parquet", mode="incremental")
    assert result.loaded == 2
    assert imports.import_of(scope, result.import_id).counts["updated"] == 1
    assert scope.warehouse.rows(sql) == [
        ("7", "Blue mug", "", "", 4.75, 1, {"Since": "2025-01-01"}),
        ("8", "Plate", "", "", None, 0, {"Late": "true"}),
        ("9", "Fork", "", "", None, 1, {}),
    ]
    names = ["NAME", "Since", "late", "price"]
    expressions = ", ".join(products.product_attribute_expressions(scope, names))
    assert scope.warehouse.row(f"SELECT {expressions} FROM products WHERE product_id = '7'") == (
        "Blue mug",
        "2025-01-01",
        None,
        "4.75",
    )
    with pytest.raises(Invalid, match="'Weight'"):
        products.product_attribute_expressions(scope, ["Weight"])


BAD_ORDERS = """Order_ID,Customer_ID,Order_Date,Total_Amount,Status
B1,C1,2025-04-01 10:00:00,10,ok
B2,C1,2025/04/01 10:00:00,10,ok
B3,C1,1900-01-01,10,ok
B4,C1,2025-02-30,10,ok
B5,C1,2025-04-01 25:00:00,"$10",ok
B6,,2025-04-01,10,ok
B1,C1,2025-04-02,11,ok
B8,C1,2025-04-02,"1,5",ok
B9,C1,2025-04-02,nan,ok
B10,C1,2025-04-02,5,ok,more
B11,C1,1700000000,5,ok
B12,C1,2025-04-03,,NULL
B13,C1,2025-04-03 01:02:03.500,-5.55555,NULL
"""
FAULTS = {
    (3, "Order_Date"): "2025/04/01 10:00:00",
    (4, "Order_Date"): "1900-01-01",
    (5, "Order_Date"): "2025-02-30",
    (6, "Order_Date"): "2025-04-01 25:00:00",
    (6, "Total_Amount"): "$10",
    (7, "Customer_ID"): "",
    (8, "Order_ID"): "B1",
    (9, "Total_Amount"): "1,5",
    (10, "Total_Amount"): "nan",
    (11, ""): "",
    (12, "Order_Date"): "1700000000",
    (13, "Total_Amount"): "",
}


def test_a_file_with_a_bad_row_is_refused_whole(scope: Scope, tmp_path: Path) -> None:
    load(scope, "transactions", write(tmp_path, "orders.csv", ORDERS), mode="full")
    before = scope.warehouse.rows("SELECT * FROM transactions ORDER BY transaction_id")
    path = write(tmp_path, "bad.csv", BAD_ORDERS)
    result = load(scope, "transactions", path, mode="incremental")
    assert (result.state, result.loaded, result.rejected) == ("refused", 0, 11)
    assert scope.warehouse.rows("SELECT * FROM transactions ORDER BY transaction_id") == before
    assert leftovers(scope) == [] and result.rejects_path is not None
    with result.rejects_path.open() as file:
        rows = list(csv.DictReader(file))
    assert {(int(row["line"]), row["column"]): row["value"] for row in rows} == FAULTS
    reasons = {int(row["line"]): row["reason"] for row in rows}
    assert "placeholder" in reasons[4] and "line 2" in reasons[8] and "required" in reasons[7]


def test_the_rest_is_loaded_when_rejects_are_allowed(scope: Scope, tmp_path: Path) -> None:
    load(scope, "transactions", write(tmp_path, "orders.csv", ORDERS), mode="full")
    result = load(scope, "transactions", write(tmp_path, "bad.csv", BAD_ORDERS), mode="incremental", allow_rejects=True)
    assert (result.state, result.loaded, result.rejected) == ("loaded", 2, 11)
    sql = """
        SELECT transaction_id, toString(transaction_time), amount FROM transactions
        WHERE startsWith(transaction_id, 'B') ORDER BY 1
    """
    assert scope.warehouse.rows(sql) == [
        ("B1", "2025-04-01 10:00:00", 10.0),
        ("B13", "2025-04-03 01:02:03", -5.5556),
    ]
    assert scope.warehouse.value("SELECT count() FROM transactions") == 5


def test_a_repeated_file_changes_nothing(scope: Scope, tmp_path: Path) -> None:
    path = write(tmp_path, "orders.csv", ORDERS)
    other = write(tmp_path, "other.csv", ORDERS.replace("O1", "X1"))
    load(scope, "transactions", path, mode="full")
    again = load(scope, "transactions", path, mode="full")
    assert again.unchanged and again.loaded == 0 and "nothing was changed" in again.message
    assert not load(scope, "transactions", path, mode="incremental").unchanged
    load(scope, "transactions", other, mode="full", confirm_removal=True)
    assert not load(scope, "transactions", path, mode="full", confirm_removal=True).unchanged
    ids = scope.warehouse.rows("SELECT transaction_id FROM transactions ORDER BY 1")
    assert ids == [("O1",), ("O2",), ("O3",)]


def test_a_file_of_which_rows_were_refused_is_read_again(scope: Scope, tmp_path: Path) -> None:
    items = write(tmp_path, "items.csv", "order_id,line_no,sku,unit_price\nO1,1,S1,5\nO2,1,S1,5\n")
    first = "order_id,customer_id,order_date,amount\nO1,1,2025-01-02,10\n"
    early = load(scope, "items", items, allow_rejects=True)
    assert (early.state, early.loaded, early.rejected) == ("loaded", 0, 2)
    load(scope, "transactions", write(tmp_path, "first.csv", first))
    partly = load(scope, "items", items, allow_rejects=True)
    assert (partly.unchanged, partly.loaded, partly.rejected) == (False, 1, 1)
    load(scope, "transactions", write(tmp_path, "second.csv", first.replace("O1", "O2")))
    whole = load(scope, "items", items)
    assert (whole.unchanged, whole.loaded, whole.rejected) == (False, 2, 0)
    assert scope.warehouse.value("SELECT count() FROM transaction_items") == 2
    assert load(scope, "items", items).unchanged, "every row of it was loaded"


def test_files_of_several_kinds_are_imported_side_by_side(scope: Scope, tmp_path: Path) -> None:
    people = write(tmp_path, "people.csv", "CustomerID\nBESIDE-1\n")
    line = "Transaction_ID,CustomerID,Transaction_Date,Amount\nBESIDE-T1,beside-1,2026-02-01 10:00:00,5\n"
    beside, is_free = [], []

    def load_people(done: int, steps: int) -> None:
        if done == 1:  # the orders are staged
            beside.append(load(scope, "customers", people))
            with scope.stores.records.reading() as connection:
                is_free.append(locks.take_if_free(connection, Lock.IMPORTS, scope.tenant_id))

    result = load(scope, "transactions", write(tmp_path, "orders.csv", line), progress=load_people)
    assert [(one.state, one.loaded) for one in (result, *beside)] == [("loaded", 1), ("loaded", 1)]
    assert is_free == [False], "whoever changes what imports go by waits for them"
    assert imports.import_of(scope, result.import_id).state == "loaded"
    assert scope.warehouse.value("SELECT customer_id FROM transactions") == "BESIDE-1"
    assert leftovers(scope) == []


def test_no_import_begins_while_what_imports_go_by_is_changed(scope: Scope) -> None:
    with no_imports(scope), scope.stores.records.reading() as connection:
        assert not locks.take_shared_if_free(connection, Lock.IMPORTS, scope.tenant_id)
    with importing(scope, "items"):
        pass


def test_incremental_rows_replace_those_of_the_same_key(scope: Scope, tmp_path: Path) -> None:
    load(scope, "transactions", write(tmp_path, "orders.csv", ORDERS), mode="full")
    more = "Order_ID,Customer_ID,Order_Date,Total_Amount\nO3,C1,2024-05-05,31\nO4,C1,2025-05-05,40\n"
    result = load(scope, "transactions", write(tmp_path, "more.csv", more))
    counts = imports.import_of(scope, result.import_id).counts
    assert (counts["new"], counts["updated"]) == (1, 1)
    rows = scope.warehouse.rows("SELECT transaction_id, amount, status FROM transactions ORDER BY 1")
    assert rows == [("O1", 12.3457, "paid"), ("O2", 20.0, ""), ("O3", 31.0, ""), ("O4", 40.0, "")]


def test_customers_full_and_incremental(stores: Stores, tmp_path: Path) -> None:
    scope = create_tenant(stores, f"modes-{time.time_ns()}")
    load(scope, "customers", write(tmp_path, "customers.csv", CUSTOMERS), mode="full")
    attributes.declare(scope, [AttributeInfo("TIER", "Tier", "", "Varchar", "api", api_updatable=True)])
    scope.warehouse.execute("UPDATE customers SET TIER = 'Gold' WHERE customer_id = 'c2'")
    more = "Customer_ID,City,TIER\nC2,Oslo,Iron\nC9,Rome,Iron\n"
    result = load(scope, "customers", write(tmp_path, "more.csv", more))
    counts = imports.import_of(scope, result.import_id).counts
    assert (counts["new"], counts["updated"], counts["ignored_columns"]) == (1, 1, ["TIER"])
    sql = "SELECT customer_id, COUNTRY, CITY, POINTS, TIER FROM customers ORDER BY 1"
    assert scope.warehouse.rows(sql) == [
        ("C1", "Norway", None, 5, None),
        ("C3", None, None, None, None),
        ("C9", None, "Rome", None, None),
        ("c2", "Sweden", "Oslo", 7, "Gold"),
    ]
    full = "Customer_ID,Registration_Date,City,Points\nC2,2025-02-03,Bern,\nC4,2025-02-03,Bonn,2\n"
    result = load(scope, "customers", write(tmp_path, "full.csv", full), mode="full", confirm_removal=True)
    assert imports.import_of(scope, result.import_id).counts["removed"] == 3
    assert scope.warehouse.rows(sql) == [("C4", None, "Bonn", 2, None), ("c2", None, "Bern", None, "Gold")]
    twice = "Customer_ID,Registration_Date\nd1,2025-01-01\nD1,2025-01-01\n"
    assert load(scope, "customers", write(tmp_path, "twice.csv", twice), mode="full").state == "refused"
    misfit = "Customer_ID,Registration_Date,Points\nd1,2025-01-01,many\n"
    assert load(scope, "customers", write(tmp_path, "misfit.csv", misfit), mode="full").state == "refused"


def test_items_take_customer_and_time_from_their_order(scope: Scope, tmp_path: Path) -> None:
    load(scope, "customers", write(tmp_path, "customers.csv", CUSTOMERS), mode="full")
    load(scope, "transactions", write(tmp_path, "orders.csv", ORDERS), mode="full")
    items = "Order_ID,Line_No,Item_ID,Quantity,Unit_Price,Is_Return,Color\nO1,1,7,2,3.5,No,red\nO3,1,8,1,30,yes,\n"
    load(scope, "items", write(tmp_path, "items.csv", items), mode="full")
    sql = """
        SELECT transaction_id, line_number, customer_id, toString(transaction_time), product_id, quantity, unit_price,
            is_return, properties FROM transaction_items ORDER BY 1
    """
    assert scope.warehouse.rows(sql) == [
        ("O1", 1, "C1", "2025-04-01 10:00:00", "7", 2.0, 3.5, 0, {"Color": "red"}),
        ("O3", 1, "c2", "2026-01-01 23:59:59", "8", 1.0, 30.0, 1, {}),
    ]
    orphan = items + "NOPE,1,7,1,1,No,\n"
    result = load(scope, "items", write(tmp_path, "orphan.csv", orphan), allow_rejects=True)
    assert (result.loaded, result.rejected) == (2, 1)


def test_activity_events_are_instants_and_name_their_type(scope: Scope, tmp_path: Path) -> None:
    header = "Event_ID,Event,Customer_ID,Event_Date,cart_total"
    text = f"{header}\ne1,cart_left,c1,2025-07-01 10:00:00,84.5\ne2,page,C1,2025-01-01 10:00:00.250,\n"
    load(scope, "activity", write(tmp_path, "activity.csv", text))
    names = {one.name: one for one in event_types.event_types(scope)}
    assert names["cart_left"].parameters == ["cart_total"]
    sql = "SELECT event_id, event_type_id, customer_id, toString(event_at), properties FROM activity_events ORDER BY 1"
    assert scope.warehouse.rows(sql) == [
        ("e1", names["cart_left"].id, "C1", "2025-07-01 08:00:00.000", {"cart_total": "84.5"}),
        ("e2", names["page"].id, "C1", "2025-01-01 09:00:00.250", {}),
    ]


WHITESPACE = """ id  day number dollars
 00001 19970101  1   11.77
 00002 19970112  1   12.00

 00002 19970112  5   77.00
"""
MAPPING = """
format: whitespace
columns: {id: Customer_ID, day: Order_Date, number: cds, dollars: Total_Amount}
constants: {Type: order, Platform: post}
date_format: "%Y%m%d"
generate_ids: true
create_customers: true
"""


def test_a_mapping_reads_a_file_of_another_make(stores: Stores, tmp_path: Path) -> None:
    scope = create_tenant(stores, f"mapped-{time.time_ns()}")
    path, mapping = write(tmp_path, "master.txt", WHITESPACE), customer_mapping.read_mapping(MAPPING)
    result = load(scope, "transactions", path, mapping=mapping, mode="full")
    assert result.loaded == 3
    sql = """
        SELECT customer_id, toString(transaction_time), amount, type, platform, properties
        FROM transactions ORDER BY customer_id, amount
    """
    assert scope.warehouse.rows(sql) == [
        ("00001", "1997-01-01 00:00:00", 11.77, "order", "post", {"cds": "1"}),
        ("00002", "1997-01-12 00:00:00", 12.0, "order", "post", {"cds": "1"}),
        ("00002", "1997-01-12 00:00:00", 77.0, "order", "post", {"cds": "5"}),
    ]
    born = scope.warehouse.rows("SELECT customer_id, REGISTRATION_DATE FROM customers ORDER BY 1")
    assert born == [("00001", date(1997, 1, 1)), ("00002", date(1997, 1, 12))]
    ids = scope.warehouse.rows("SELECT transaction_id FROM transactions ORDER BY 1")
    other = mapping.model_copy(update={"constants": {"Type": "order"}})
    load(scope, "transactions", path, mapping=other, mode="incremental")
    assert scope.warehouse.rows("SELECT transaction_id FROM transactions ORDER BY 1") == ids
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Customer_ID\nC1\n", "Registration_Date"),
        ("CustomerID\nC1\n", "Registration_Date"),
        ("Name,Town\nAnn,Oslo\n", "no column CustomerID, which customers must have; it has Name, Town"),
        (
            "Town,Client ID\nOslo,A\n",
            "it has Town, Client ID. If one of them is that, a mapping says so: columns: \\{Client ID: CustomerID}",
        ),
        ("Newsletter,Kunden-Nr,Customer Town\nja,A,Bonn\n", "columns: \\{Kunden-Nr: CustomerID}"),
        ("CustomsTerritory,clientNumber\nx,A\n", "columns: \\{clientNumber: CustomerID}"),
        ("Kundennummer,Custom\nA,x\n", "columns: \\{Kundennummer: CustomerID}"),
        ("", "empty"),
        ("Customer_ID,customer_id,Registration_Date\n", "twice"),
    ],
)
def test_files_that_cannot_be_read(scope: Scope, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        load(scope, "customers", write(tmp_path, "x.csv", text), mode="full")
    assert leftovers(scope) == []


def test_mappings_and_arguments_that_cannot_be(scope: Scope, tmp_path: Path) -> None:
    path = write(tmp_path, "orders.csv", ORDERS)
    for mapping in (
        {"date_format": "%Q"},
        {"colums": {}},
        {"columns": {"nope": "Amount"}},
        {"constants": {"Amount": 1}},
    ):
        with pytest.raises(Invalid):
            load(scope, "transactions", path, mapping=mapping)
    for bad in (
        {"kind": "orders"},
        {"mode": "half"},
        {"path": tmp_path / "none.csv"},
        {"path": write(tmp_path, "x.zip", "")},
    ):
        with pytest.raises(Invalid):
            imports.import_file(**{"scope": scope, "kind": "transactions", "path": path, "mapping": None, **bad})


def test_names_from_a_file_are_never_sql(scope: Scope, tmp_path: Path) -> None:
    name = "it's \\`{x:String}` %s"
    text = json.dumps({"Item_ID": "q'1", "Item_Name": "a", name: "v\\'"})
    load(scope, "products", write(tmp_path, "odd.jsonl", text), mode="full")
    assert scope.warehouse.rows("SELECT product_id, properties FROM products") == [("q'1", {name: "v\\'"})]
    pq.write_table(pa.table({"Item_ID": ["2"], name: ["w"]}), tmp_path / "odd.parquet")
    load(scope, "products", tmp_path / "odd.parquet", mode="full", confirm_removal=True)
    assert scope.warehouse.rows("SELECT product_id, properties FROM products") == [("2", {name: "w"})]


def test_a_file_that_is_cut_off_is_refused(scope: Scope, tmp_path: Path) -> None:
    whole = gzip.compress(CUSTOMERS.encode() * 5000)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Invalid, match="cut off"):
        load(scope, "customers", tmp_path / "cut.csv.gz", mode="full")
    quote = 'Customer_ID,Registration_Date\nC1,2025-01-01\n"C2,2025-01-01\n'
    assert load(scope, "customers", write(tmp_path, "quote.csv", quote), mode="full").state == "refused"
    assert scope.warehouse.value("SELECT count() FROM customers") == 0


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.jsonl", "o.parquet", "o.txt"])
def test_a_server_gets_the_file_as_a_stream(
    scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Database, "embedded", False)
    rows = [("S1", "C1", "2025-01-02", 1.5), ("S2", "C2", "2025-01-03", 2.5), ("S2", "C3", "2025-01-03", 3.5)]
    names = ("Order_ID", "Customer_ID", "Order_Date", "Amount")
    if name == "o.parquet":
        pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), tmp_path / name)
    elif name == "o.jsonl":
        write(tmp_path, name, "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    else:
        between = "  " if name == "o.txt" else ","
        write(tmp_path, name, "".join(between.join(map(str, row)) + "\n" for row in (names, *rows)))
    mapping = {"format": "whitespace"} if name == "o.txt" else None
    result = load(scope, "transactions", tmp_path / name, mode="full", allow_rejects=True, mapping=mapping)
    assert (result.loaded, result.rejected) == (2, 1)
    assert scope.warehouse.rows("SELECT transaction_id, customer_id, amount FROM transactions ORDER BY 1") == [
        ("S1", "C1", 1.5),
        ("S2", "C2", 2.5),
    ]
    assert result.rejects_path is not None
    assert (
        result.rejects_path.read_text().splitlines()[1].startswith("3," if name in ("o.jsonl", "o.parquet") else "4,")
    )
    assert leftovers(scope) == []


def test_the_first_good_row_of_a_key_is_kept(scope: Scope, tmp_path: Path) -> None:
    items = "Order_ID,Line_No,Item_ID,Unit_Price,Customer_ID,Order_Date\n"
    text = items + "A,1,x,bad,c,2025-01-01\nA,1,y,2,c,2025-01-01\nA,01,z,3,c,2025-01-01\nA,2,w,4,c,2025-01-01\n"
    result = load(scope, "items", write(tmp_path, "i.csv", text), allow_rejects=True)
    assert (result.loaded, result.rejected) == (2, 2)
    assert scope.warehouse.rows("SELECT product_id FROM transaction_items ORDER BY 1") == [("w",), ("y",)]


def test_a_column_that_is_known_is_not_taken_for_one_that_is_missing(scope: Scope, tmp_path: Path) -> None:
    text = "TransactionID,CustomerID,Sport,TransactionTime,Amount\nT1,A,golf,2026-11-02 10:00:00,5\n"
    with pytest.raises(Invalid, match=r"columns: \{TransactionTime: Transaction_Date\}"):
        load(scope, "transactions", write(tmp_path, "orders.csv", text))
