"""The foundation: engines, tenancy, keys, paths and errors of the wire."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from rapport.access.scope import Scope
from rapport.campaigns.cycle import daily
from rapport.errors import Conflict
from rapport.stores import migrations
from rapport.stores.models import metadata
from rapport.stores.warehouse import Warehouse


def test_last_data_update_in_both_spellings_and_any_case(api: httpx.Client, scope: Scope) -> None:
    for path in (
        "/current/general/GetLastDataUpdate",
        "/General/GetLastDataUpdate",
        "/CURRENT/general/getlastdataupdate",
    ):
        answer = api.get(path)
        assert (answer.status_code, answer.json()) == (200, {"Date": None})
        assert answer.headers["content-length"] == str(len(answer.content))


def test_wrong_verb_and_missing_key(api: httpx.Client, base_url: str) -> None:
    assert api.post("/current/general/GetLastDataUpdate").status_code == 405
    answer = httpx.get(f"{base_url}/current/general/GetLastDataUpdate")
    assert (answer.status_code, answer.json()) == (401, "The X-API-KEY header is missing.")


def test_integrations_key_is_refused_at_the_management_api(integrations_api: httpx.Client) -> None:
    assert integrations_api.get("/manage/v1/brands").status_code == 403


def test_brands_are_created_and_listed(api: httpx.Client) -> None:
    made = api.post("/manage/v1/brands", json={"name": "Outlet"})
    assert made.status_code == 201
    assert api.get("/manage/v1/brands").json() == [made.json()]
    assert api.post("/manage/v1/brands", json={"name": "Outlet"}).status_code == 409
    assert api.post("/manage/v1/brands", json={}).json()["detail"] == "name is required."


def test_warehouse_has_every_table(scope: Scope) -> None:
    assert {"customers", "profiles", "transactions", "campaign_recipients"} <= {
        name for (name,) in scope.warehouse.rows("SHOW TABLES")
    }


def test_a_connection_serves_one_database_after_the_other(scope: Scope) -> None:
    warehouse = Warehouse(scope.stores.warehouse.url)
    current = "SELECT currentDatabase()"
    with warehouse.client("default") as first:
        assert first.query(current).result_rows == [("default",)]
    with warehouse.client(scope.warehouse.name) as second, warehouse.client("default") as third:
        assert second is first and third is not first
        assert second.query(current).result_rows == [(scope.warehouse.name,)]
    warehouse.close()


def test_no_machine_code_is_made_of_an_expression_that_is_used_again(scope: Scope) -> None:
    arithmetic = (
        "SELECT sum((number * 3 + 7) % 11 + number / 5) FROM numbers(1000) WHERE number * 2 + 1 < 1500 AND number > 3"
    )
    made = "SELECT sum(value) FROM system.events WHERE event IN ('CompileFunction', 'CompileExpressionsMicroseconds')"
    before = scope.warehouse.value(made)  # the engine's own work in the background, with settings of its own
    assert {scope.warehouse.value(arithmetic) for _ in range(6)} == {
        sum((n * 3 + 7) % 11 + n / 5 for n in range(4, 750))
    }
    assert scope.warehouse.value(made) == before


def test_a_small_database_is_read_by_one_thread_until_much_is_expected(scope: Scope) -> None:
    threads = "SELECT toUInt32(getSetting('max_threads'))"
    assert scope.warehouse.value(threads) == 1
    scope.warehouse.expect_many_rows()
    with ThreadPoolExecutor(3) as callers:  # connections that were open, and new ones
        assert set(callers.map(lambda _: scope.warehouse.value(threads), range(6))) == {len(os.sched_getaffinity(0))}


def test_unknown_paths_are_errors_of_their_kind(api: httpx.Client) -> None:
    answer = api.get("/manage/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["detail"] == "There is no path /manage/v1/nothing; /docs lists them."
    assert api.get("/current/general/GetNothing").json().startswith("There is no path /current/general/GetNothing;")


def test_the_revisions_make_exactly_the_tables_of_the_models(scope: Scope) -> None:
    with scope.stores.records.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_revision_is_known_by_the_number_of_its_file() -> None:
    scripts = ScriptDirectory(str(migrations.SCRIPTS))
    assert migrations.revisions() == [script.revision for script in scripts.walk_revisions()][::-1]
    assert migrations.revisions()[-1] == scripts.get_current_head()


def test_docs_need_nothing_from_elsewhere(base_url: str) -> None:
    page = httpx.get(f"{base_url}/docs").text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) >= 3
    for address in addresses:
        assert address.startswith("/docs/assets/")
        assert len(httpx.get(f"{base_url}{address}").content) > 1000


def test_a_body_that_is_no_json_is_told_so(api: httpx.Client) -> None:
    answer = api.post("/manage/v1/brands", content=b'{"name":', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "The body is not valid JSON.")


def test_a_cycle_of_a_day_that_is_not_over_is_refused(api: httpx.Client, scope: Scope) -> None:
    for day in (scope.today(), scope.today() + timedelta(days=40)):
        answer = api.post("/manage/v1/cycles", json={"data_date": str(day)})
        assert answer.status_code == 409 and "a past day" in answer.json()["detail"]
        with pytest.raises(Conflict):
            daily.run_cycle(scope, day)
    assert scope.data_date() is None


@pytest.mark.parametrize(
    "text", ["", "it's", "\\", "\\'", "back\\slash\\n", "`tick`", "tab\tline\nend\r", '"{id:String}"', "ÄÖ 🎲"]
)
def test_a_bound_text_arrives_as_it_is(scope: Scope, text: str) -> None:
    row = scope.warehouse.row("SELECT {text:String}, {texts:Array(String)}", text=text, texts=[text, text + "'"])
    assert row == (text, [text, text + "'"])
