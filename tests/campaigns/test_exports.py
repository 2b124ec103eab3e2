"""Exports for a warehouse of one's own: whole, in every form, bit by bit, and of one tenant only."""

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import httpx
import orjson
import pytest
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    publish,
)
from pyarrow import parquet

from rapport.access import keys
from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns import erasure
from rapport.campaigns.cycle import tasks
from rapport.campaigns.measurement import exports, interactions
from rapport.campaigns.measurement.interactions import ReportedInteraction
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.customers.privacy import persons
from rapport.persons.declared import going
from rapport.realtime.recording.pending_receipts import unfiled_receipts
from rapport.stores import migrations

PATH = "/manage/v1/exports"
KEY = ("campaign_id", "customer_id", "channel_id", "firing_id")
ALL = """
    SELECT campaign_id, customer_id, channel_id, firing_id, outcome, reason FROM campaign_outcomes
    ORDER BY execution_date, campaign_id, customer_id, channel_id, firing_id
"""


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope) -> Iterator[Scope]:
    """Two runs of 23 customers on the channel of an outside system, with control, and what was said of them."""
    scope.clock.set(NOW)
    people = [customer(number, IS_BLOCKED="Yes" if number == 4 else None) for number in range(23)]
    add_profiles(scope, people)
    scope.warehouse.insert("customers", ["customer_id"], [[one["customer_id"]] for one in people])
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher", ("V10",))
    for name in ("First", "=Second"):
        run(scope, name)
    scope.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(scope)
    reached = [row[1] for row in scope.warehouse.rows(ALL) if row[4] == "sent" and row[0] == 1]
    click = [ReportedInteraction(1, EXTERNAL, 4, event, who, NOW) for who in reached for event in (1, 2, 3)]
    interactions.add_interactions(scope, click, unfiled_receipts)
    yield scope


def run(scope: Scope, name: str) -> int:
    series = add_series(scope, 1, [group(2, (EXTERNAL, 4))], rules={"include_all": True}, control_share=0.2, name=name)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    return number


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in answer.raise_for_status().text.splitlines()]


def pulled(api: httpx.Client, what: str, **asked: str) -> list[dict[str, Any]]:
    return lines(api.get(f"{PATH}/{what}", params={"format": "jsonl", **asked}))


def test_outcomes_are_whole_and_in_order_whatever_the_pieces(
    tenant: Scope, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 7)
    rows = pulled(api, "outcomes")
    expected = [tuple(row) for row in tenant.warehouse.rows(ALL)]
    assert [tuple(row[name] for name in (*KEY, "outcome", "reason")) for row in rows] == expected
    rows = [row for row in rows if row["campaign_id"] in (1, 2)]
    assert len(rows) == 46 and {row["outcome"] for row in rows} == {"sent", "control", "excluded"}
    by_outcome = {row["outcome"]: row for row in rows}
    sent = by_outcome["sent"]
    assert (sent["recipient_group_id"], sent["action_id"], sent["template_id"]) == (1, 2, 4)
    assert (sent["promo_code"], sent["scheduled_time"]) == ("V10", "2026-03-10T09:00:00")
    assert by_outcome["excluded"]["scheduled_time"] is None and by_outcome["control"]["drawn_group"] == 1
    assert {row["execution_date"] for row in rows} == {TODAY.isoformat()}


def test_the_three_forms_hold_the_same(api: httpx.Client) -> None:
    for what in ("outcomes", "interactions", "results"):
        rows = pulled(api, what)
        file = parquet.ParquetFile(io.BytesIO(api.get(f"{PATH}/{what}", params={"format": "parquet"}).content))
        assert file.num_row_groups == 1
        table = file.read()
        assert table.num_rows == len(rows) > 0 and table.column_names == list(rows[0])
        answer = api.get(f"{PATH}/{what}")
        header, *cells = csv.reader(io.StringIO(answer.text))
        assert header == table.column_names and len(cells) == len(rows)
        who = header.index("campaign_id")
        assert (
            [int(row[who]) for row in cells] == [row["campaign_id"] for row in rows] == table["campaign_id"].to_pylist()
        )
        assert answer.headers["content-disposition"] == f'attachment; filename="{what}.csv"'


def test_interactions_name_what_was_done_and_when(tenant: Scope, api: httpx.Client) -> None:
    rows = pulled(api, "interactions")
    assert {row["event"] for row in rows} == {"delivered", "opened", "clicked"}
    assert {row["interaction_at"] for row in rows} == {"2026-03-10T07:30:00+00:00"}
    assert (
        len(rows)
        == 3 * len({row["customer_id"] for row in rows})
        == tenant.warehouse.value("SELECT count() FROM campaign_interactions")
    )


def test_results_are_those_of_each_campaign(api: httpx.Client) -> None:
    rows = pulled(api, "results")
    assert {row["name"] for row in rows if row["campaign_id"] in (1, 2)} == {"First", "=Second"}
    for row in rows:
        told = api.get(f"/manage/v1/campaigns/{row['campaign_id']}/results").json()
        one = told["groups"][row["recipient_group_id"]]
        plain = ("customers", "responders", "value", "verdict")
        assert [row[name] for name in plain] == [one[name] for name in plain]
        assert row["window_end"] == told["window_end"] and row["clicked"] == one["interactions"].get("clicked", 0)
        if one["against_control"]:
            assert row["control_customers"] == one["against_control"]["control_customers"] > 0
    text = api.get(f"{PATH}/results").text
    assert "'=Second" in text and ",=Second" not in text


def test_only_what_was_written_since_comes_again_and_nothing_is_lost(
    tenant: Scope, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "SEEN_WITHIN", timedelta())
    answer = api.get(f"{PATH}/outcomes", params={"format": "jsonl"})
    cursor, before = answer.headers["x-next-since"], lines(answer)
    assert pulled(api, "outcomes", since=cursor) == []
    time.sleep(0.002)
    number = run(tenant, "Third")
    tasks.execute_due(tenant)
    came = pulled(api, "outcomes", since=cursor)
    assert {row["campaign_id"] for row in came} == {number} and len(came) == 23
    assert len(pulled(api, "outcomes")) == len(before) + len(came)
    gone = next(row["customer_id"] for row in came if row["outcome"] == "sent")
    cursor = api.get(f"{PATH}/outcomes", params={"since": cursor}).headers["x-next-since"]
    persons.erase(tenant, gone, going(tenant))
    erasure.clear_accounts(tenant, pseudonym(tenant, gone))
    renamed = pulled(api, "outcomes", since=cursor)
    assert len(renamed) == 3 and all(row["customer_id"].startswith("erased-") for row in renamed)
    assert gone not in str(pulled(api, "outcomes")) + str(pulled(api, "interactions"))


def test_the_next_time_begins_before_statements_that_may_still_be_under_way(api: httpx.Client) -> None:
    answer = api.get(f"{PATH}/outcomes", params={"format": "jsonl"})
    written = max(row["written_at"] for row in lines(answer))
    assert answer.headers["x-next-since"] < written.replace("+00:00", "Z")
    assert pulled(api, "outcomes", since=answer.headers["x-next-since"]) == lines(answer)


def test_days_are_those_of_the_processing(api: httpx.Client) -> None:
    yesterday, tomorrow = str(TODAY - timedelta(1)), str(TODAY + timedelta(1))
    for what in ("outcomes", "interactions", "results"):
        everything = pulled(api, what)
        assert pulled(api, what, first=str(TODAY), last=str(TODAY)) == everything
        assert pulled(api, what, last=yesterday) == pulled(api, what, first=tomorrow) == []
        assert pulled(api, what, first="0001-01-01", last="9999-12-31") == everything


@pytest.mark.parametrize(
    ("what", "asked", "said"),
    [
        ("outcomes", {"since": "2026-03-10"}, "since"),
        ("outcomes", {"since": "2026-03-10T00:00:00"}, "since: must be an ISO 8601 time with its zone, such as"),
        ("outcomes", {"first": "2026-03-10", "last": "2026-03-09"}, "last must not be before first"),
        ("interactions", {"format": "xlsx"}, "format"),
        ("results", {"since": "2026-03-10T00:00:00Z"}, "since is not a parameter of this call"),
        ("results", {"from": "2026-03-10"}, "from is not a parameter of this call"),
    ],
)
def test_what_cannot_be_read_is_refused(api: httpx.Client, what: str, asked: dict[str, str], said: str) -> None:
    answer = api.get(f"{PATH}/{what}", params=asked)
    assert answer.status_code == 400 and said in answer.json()["detail"]


def test_exports_are_of_one_tenant_for_keys_that_may_and_in_the_audit_log(
    tenant: Scope, api: httpx.Client, integrations_api: httpx.Client
) -> None:
    pulled(api, "interactions", first=str(TODAY))
    entry = api.get("/manage/v1/audit-entries", params={"limit": 1}).json()[0]
    assert (entry["action"], entry["object"], entry["details"]) == (
        "export", "interactions", {"first": str(TODAY)}
    )  # fmt: skip
    assert integrations_api.get(f"{PATH}/outcomes").status_code == 403
    other = create_tenant(tenant.stores, f"other-{time.time_ns()}", "Europe/Berlin", "EUR")
    _, secret = keys.create_key(other, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=api.base_url, headers={"X-API-KEY": secret}) as stranger:
        for what in ("outcomes", "interactions", "results"):
            assert pulled(stranger, what) == []


def test_rows_of_before_have_the_time_of_what_they_tell(tenant: Scope) -> None:
    warehouse = tenant.stores.warehouse
    aged = warehouse.create_database(f"aged_{time.time_ns()}")
    try:
        scripts = {number: script for number, _, script in migrations.warehouse_migrations()}
        for statement in [one for number in (1, 2, 3) for one in migrations.statements(scripts[number])]:
            aged.execute(statement)
        columns = ["execution_date", "campaign_id", "customer_id", "recorded_at"]
        aged.insert("campaign_outcomes", columns, [(TODAY, 1, "old", NOW)])
        for statement in migrations.statements(scripts[4])[:3] + migrations.statements(scripts[4]):
            aged.execute(statement)
        aged.insert("campaign_outcomes", columns, [(TODAY, 1, "new", NOW)])
        found = dict(aged.rows("SELECT customer_id, written_at FROM campaign_outcomes"))
        old, new = (found[name].replace(tzinfo=UTC) for name in ("old", "new"))
        assert old == NOW and abs(new.timestamp() - time.time()) < 3600
    finally:
        warehouse.drop_database(aged.name)
