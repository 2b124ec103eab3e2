"""Changes of attributes whose process ends in the middle: the records are told by whoever comes next."""

from pathlib import Path
from typing import Any

import pytest
from import_world import load, tenant
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.customers import attributes, retyping
from rapport.customers.writes import locks, ordering
from rapport.stores import Stores

FILE = "CustomerID,Registration_Date,Level,Colour\nP1,2025-01-02,7.5,red\nP2,2025-01-02,8.0,blue\n"


@pytest.fixture
def company(stores: Stores, tmp_path: Path) -> Scope:
    scope = tenant(stores)
    load(scope, tmp_path, "customers", FILE)
    return scope


def cut_off(*_: Any) -> None:
    raise SystemExit


def types(scope: Scope) -> dict[str, str]:
    return {info.real_field_name: info.field_type for info in attributes.attributes(scope).values()}


def enter_and_leave(scope: Scope) -> None:
    """What whoever comes next does, found without being asked for."""
    assert scope.tenant_id in ordering.tenants_waiting(scope.stores)
    with locks.writing_if_free(scope) as free:
        assert free
    assert scope.tenant_id not in ordering.tenants_waiting(scope.stores)


def note(scope: Scope) -> None:
    """Leave what a change leaves that was cut off."""
    with scope.stores.records.engine.connect() as connection:
        bound = {"tenant_id": scope.tenant_id, "names": ["import_changed_customers"]}
        connection.execute(text(locks.NOTE), bound)
        connection.commit()


def test_a_type_that_the_tables_have_is_told(company: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert types(company)["LEVEL"] == "Decimal"
    monkeypatch.setattr(retyping, "save", cut_off)
    with pytest.raises(SystemExit):
        retyping.retype(company, "LEVEL", "Nvarchar")
    assert types(company)["LEVEL"] == "Decimal", "the process ended before it could tell"
    enter_and_leave(company)
    assert types(company)["LEVEL"] == "Nvarchar"
    assert company.warehouse.columns("customers")["LEVEL"] == "Nullable(String)"
    assert not load(company, tmp_path, "customers", FILE).unchanged, "the file would be read in another way now"


def test_an_exchange_that_did_not_take_place_is_not_told(company: Scope) -> None:
    note(company)
    enter_and_leave(company)
    assert types(company)["LEVEL"] == "Decimal"


def test_an_attribute_that_the_tables_lost_is_forgotten(company: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retyping, "forget_record", cut_off)
    with pytest.raises(SystemExit):
        retyping.delete(company, "COLOUR")
    company.warehouse.execute("ALTER TABLE profiles ADD COLUMN COLOUR Nullable(String)")  # as if ended before that
    enter_and_leave(company)
    assert "COLOUR" not in types(company)
    assert all("COLOUR" not in company.warehouse.columns(table) for table in ("customers", "profiles"))
