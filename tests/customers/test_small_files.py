"""Small files: few statements, usual and unusual forms of values in one file, rows attached beside updates that lie."""

from datetime import date
from pathlib import Path

from import_world import codes, load, tenant, values

from rapport.access.scope import Scope
from rapport.stores import Stores

CUSTOMERS = "CustomerID,Registration_Date,Email,Is_Optin\n"
ORDERS = "Order_ID,Customer_ID,Order_Date,Total_Amount\n"
# What a small file may ask of the engine, with room for what else the process asks of it in the same moment.
MOST = 25


def statements(scope: Scope) -> int:
    return int(scope.warehouse.value("SELECT value FROM system.events WHERE event = 'Query'"))


def test_a_small_file_takes_few_statements(stores: Stores, tmp_path: Path) -> None:
    scope = tenant(stores)
    load(scope, tmp_path, "customers", CUSTOMERS + "C1,2025-01-01,c1@example.com,Yes\n")
    load(scope, tmp_path, "transactions", ORDERS + "T1,C1,2025-01-01 10:00:00,5\n")
    before = statements(scope)
    load(scope, tmp_path, "customers", CUSTOMERS + "C2,2025-01-02,c2@example.com,No\n")
    after_customers = statements(scope)
    load(scope, tmp_path, "transactions", ORDERS + "T2,C2,2025-01-02 10:00:00,6\n")
    assert after_customers - before <= MOST
    assert statements(scope) - after_customers <= MOST


def test_usual_and_other_forms_of_values_are_read_alike(stores: Stores, tmp_path: Path) -> None:
    rows = [
        "C1,2025-01-02,c1@example.com,Yes",
        "C2,2025-01-03T08:00:00+02:00,c2@example.com,ja",
        "C3,03/01/2025,c3@example.com,No",
        "C4,2025-01-04,c4@example.com,perhaps",
    ]
    expected = [("C1", date(2025, 1, 2), "Yes"), ("C2", date(2025, 1, 3), "Yes"), ("C4", date(2025, 1, 4), "No")]
    scope = tenant(stores)
    told = load(scope, tmp_path, "customers", CUSTOMERS + "\n".join(rows) + "\n", allow_rejects=True)
    assert (told.loaded, told.rejected) == (3, 1)
    assert values(scope, "REGISTRATION_DATE", "IS_OPTIN") == expected
    assert codes(told) == {"consent_not_read": 1, "refused_no": 1, "dates_in_another_form": 1}
    assert told.rejects_path is not None and '4,"Registration_Date"' in told.rejects_path.read_text()


def test_texts_of_refused_rows_do_not_stay(stores: Stores, tmp_path: Path) -> None:
    scope = tenant(stores)
    orders = ORDERS.strip() + ",Note\nT1,C1,2025-01-01 10:00:00,5,fine\nT2,C1,2025-01-01 10:00:00,much,secret\n"
    assert load(scope, tmp_path, "transactions", orders, allow_rejects=True).loaded == 1
    stored = scope.warehouse.rows(
        "SELECT transaction_id, toString(transaction_time), amount, properties FROM transactions"
    )
    assert stored == [("T1", "2025-01-01 10:00:00", 5.0, {"Note": "fine"})]
    parts = "SELECT sum(rows) FROM system.parts WHERE active AND database = {d:String} AND table = 'transactions'"
    assert scope.warehouse.value(parts, d=scope.warehouse.name) == 1


def test_new_customers_are_added_beside_updates_that_lie_there(stores: Stores, tmp_path: Path) -> None:
    scope = tenant(stores)
    load(scope, tmp_path, "customers", CUSTOMERS + "C1,2025-01-01,c1@example.com,Yes\n", mode="full")
    scope.warehouse.execute("UPDATE customers SET IS_OPTIN = 'No' WHERE customer_id = 'C1'")
    told = load(scope, tmp_path, "customers", CUSTOMERS + "C2,2025-01-02,c2@example.com,Yes\n")
    assert told.loaded == 1
    scope.warehouse.execute("UPDATE customers SET EMAIL = 'new@example.com' WHERE customer_id = 'C2'")
    expected = [("C1", "No", "c1@example.com"), ("C2", "Yes", "new@example.com")]
    assert values(scope, "IS_OPTIN", "EMAIL") == expected
    scope.warehouse.execute("OPTIMIZE TABLE customers FINAL")
    assert values(scope, "IS_OPTIN", "EMAIL") == expected
