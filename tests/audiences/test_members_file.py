"""The members of a target group as a file, with attributes of theirs."""

import csv
import io
from datetime import UTC, date, datetime

import httpx
import pytest
from pyarrow import parquet
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.audiences import exports, groups
from rapport.audiences.models import TargetGroup

DATA_DATE = date(2026, 3, 28)
# Of the last three a spreadsheet would carry out two.
NASTY = ["a,b", 'say "hi"', "two\nlines", "ö💌", "", None, "+49 (30) 123-4", "=cmd|'/C calc'!A0", "-1+A1"]
IN_CSV = {"=cmd|'/C calc'!A0": "'=cmd|'/C calc'!A0", "-1+A1": "'-1+A1"}
GERMAN = {"attribute": "COUNTRY", "operator": "equals", "value": "DE"}
EXPECTED = [[f"C{n:03}", f"c{n}@example.com", NASTY[n % 9] or ""] for n in range(0, 200, 2)]


@pytest.fixture(scope="module", autouse=True)
def group(scope: Scope) -> TargetGroup:
    """A hundred Germans among two hundred customers."""
    scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
    rows = [(DATA_DATE, f"C{n:03}", ("DE", "FR")[n % 2], f"c{n}@example.com", NASTY[n % 9]) for n in range(200)]
    scope.warehouse.insert("customers", ["customer_id"], [(row[1],) for row in rows])
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY", "EMAIL", "CITY"], rows)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))
    return groups.create_target_group(scope, "Germans", GERMAN)


def test_csv_and_parquet_hold_the_same_whatever_the_pieces(
    group: TargetGroup, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 7)
    path = f"/manage/v1/target-groups/{group.id}/members-file"
    answer = api.get(path, params={"attributes": "email, City"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["CustomerID", "EMAIL", "CITY"] and rows == [
        [IN_CSV.get(cell, cell) for cell in row] for row in EXPECTED
    ]
    other = api.get(path, params={"attributes": "EMAIL,CITY", "format": "parquet", "data_date": str(DATA_DATE)})
    table = parquet.read_table(io.BytesIO(other.content))
    assert table.column_names == header
    assert [[value or "" for value in row.values()] for row in table.to_pylist()] == EXPECTED
    assert [row[0] for row in csv.reader(io.StringIO(api.get(path).text))][1:] == [row[0] for row in EXPECTED]


def test_what_cannot_be_read_is_refused_in_a_sentence(group: TargetGroup, api: httpx.Client) -> None:
    path = f"/manage/v1/target-groups/{group.id}/members-file"
    assert api.get(path, params={"attributes": "NOPE"}).status_code == 400
    assert api.get(path, params={"attributes": "EMAIL,email"}).status_code == 400
    assert api.get(path, params={"data_date": "2020-01-01"}).status_code == 404
    assert api.get("/manage/v1/target-groups/99/members-file").status_code == 404
    assert api.get(path, params={"format": "xlsx"}).status_code == 400


def test_an_export_of_attributes_is_in_the_audit_log(group: TargetGroup, api: httpx.Client) -> None:
    api.get(f"/manage/v1/target-groups/{group.id}/members-file", params={"attributes": "EMAIL"}).raise_for_status()
    entries = api.get("/manage/v1/audit-entries").json()
    assert any(one["action"] == "export" and "EMAIL" in str(one) for one in entries)
