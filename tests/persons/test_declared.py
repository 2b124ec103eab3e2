"""The declarations of packages agree with the engines, with what is shown of a person, with durable work of before."""

import time
import uuid
from datetime import date

import pytest
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.api.manage.data.persons import RecordsHeld
from rapport.customers.writes import attribute_requests
from rapport.messaging.contactability.unreached import PREFIX
from rapport.persons import service as persons
from rapport.persons.declared import DECLARED, going, tables
from rapport.stores import Stores
from rapport.stores.warehouse import identifier

BOUND = 60.0  # seconds
WITH_IDS = "SELECT table FROM system.columns WHERE database = {d:String} AND name = 'customer_id' ORDER BY table"
COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
"""
# What was done for a pseudonym, in order.
STEPS = """
    SELECT o.function_name FROM dbos.operation_outputs AS o JOIN dbos.workflow_status AS w USING (workflow_uuid)
    WHERE w.name = 'campaigns.purge_person' AND w.status = 'SUCCESS' AND w.created_at >= :since ORDER BY o.function_id
"""


def made(scope: Scope, table: str, who: str) -> str:
    scope.warehouse.execute(f"CREATE TABLE {identifier(table)} (customer_id String) ENGINE = MergeTree ORDER BY ()")
    scope.warehouse.insert(table, ["customer_id"], [(who,)])
    return table


def test_what_is_declared_is_in_the_engines(stores: Stores) -> None:
    scope = create_tenant(stores, f"declared-{time.time_ns()}")  # no erasure makes its tables aside here
    found = [table for (table,) in scope.warehouse.rows(WITH_IDS, d=scope.warehouse.name)]
    assert [table for table in tables(scope) if not table.startswith(PREFIX)] == [
        table for table in found if not table.startswith(PREFIX)
    ]
    assert set(tables(scope)) - set(going(scope)) == {one for one in found if one.startswith("campaign_")}
    with scope.records() as session:
        there = {(table, column) for table, column in session.execute(text(COLUMNS))}
    declared = {(table, name) for one in DECLARED for table, names in one.records.items() for name in names}
    assert declared - there == set()


def test_all_that_packages_show_of_a_person_is_answered(scope: Scope) -> None:
    attribute_requests.upsert(scope, "Shown", [], None)
    others = persons.export(scope, "Shown").others
    names = [name for package, lists in others.items() if package != "realtime" for name in lists]
    assert sorted(names) == sorted(RecordsHeld.model_fields)


def test_tables_that_are_made_as_they_are_needed_are_shown_and_erased_too(scope: Scope) -> None:
    attribute_requests.upsert(scope, "Made", [], None)
    table = made(scope, f"{PREFIX}77_{date(2025, 6, 1):%Y%m%d}", "Made")
    assert persons.export(scope, "made").warehouse[table] == [{"customer_id": "Made"}]
    persons.erase(scope, "made")
    assert scope.warehouse.value(f"SELECT count() FROM {table}") == 0


def test_tables_aside_are_not_a_persons_whatever_their_names(scope: Scope) -> None:
    attribute_requests.upsert(scope, "Aside", [], None)
    for table in ("run_7_stage", f"aside_{uuid.uuid4().hex}"):
        made(scope, table, "Aside")
        assert table not in persons.export(scope, "Aside").warehouse
        scope.warehouse.execute(f"DROP TABLE {identifier(table)} SYNC")


@pytest.mark.timeout(120)
def test_an_erasure_that_an_earlier_release_began_goes_on(scope: Scope) -> None:
    """Durable work finds itself by the names of the workflow and of its steps, in their order."""
    attribute_requests.upsert(scope, "Durable", [], None)
    since = int(time.time() * 1000)
    persons.erase(scope, "Durable")
    deadline = time.monotonic() + BOUND
    steps: list[str] = []
    while len(steps) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
        with scope.records() as session:
            steps = list(session.scalars(text(STEPS), {"since": since}))
    assert steps[:3] == ["campaigns.is_busy", "campaigns.purge_customer", "campaigns.purge_accounts"]
