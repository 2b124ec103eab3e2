"""The day of a tenant through the real model, the scheduler, and the management API on top of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    FILL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_series,
    group,
    outcomes,
)

from rapport.access.scope import Scope
from rapport.audiences import groups as audience_groups
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.cycle import cycles, daily, tasks
from rapport.campaigns.cycle import cycles as campaign_cycles
from rapport.campaigns.cycle import daily as campaign_daily
from rapport.campaigns.cycle import tasks as campaign_tasks
from rapport.campaigns.measurement import results
from rapport.campaigns.models import Series
from rapport.campaigns.runs import by_hand
from rapport.customers.importing import load_checks
from rapport.errors import RapportError
from rapport.notifications import service as notifications
from rapport.stores.workflows import work

MORNING = datetime(2026, 3, 10, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    """A company whose first cycle has run."""
    scope.clock.set(MORNING)
    for statement in FILL:
        scope.warehouse.execute(statement)
    add_channels(scope)
    add_group(scope, "Dutch", "NL", 2)
    add_group(scope, "All Dutch", "NL", 1)
    add_group(scope, "Belgian", "BE", 3)
    add_action(scope, "Voucher", ("V",))
    one = [group(2, (EXTERNAL, 3), time="10:00")]
    add_series(scope, 1, one, name="Low", priority=1)
    add_series(scope, 2, one, name="High", priority=900, control_share=0.5)
    add_series(scope, 3, one, name="Weekly", schedule={"kind": "weekly", "start_date": "2026-03-09"})
    for event in (1, 2, 3, 13):
        notifications.register_listener(scope, event, "http://127.0.0.1:9/events")
    campaign_daily.run_cycle(scope, DATA_DATE)
    return scope


@pytest.fixture(autouse=True)
def morning(tenant: Scope) -> Iterator[None]:
    tenant.clock.set(MORNING)
    yield


def told(scope: Scope) -> list[tuple[Any, ...]]:
    bodies = [orjson.loads(row.body) for row in notifications.deliveries(scope, limit=1000)]
    return sorted((body["EventTypeID"], body.get("CampaignID", 0), body.get("ChannelID", 0)) for body in bodies)


def test_a_cycle_processes_the_day_in_order_and_a_rerun_keeps_it(tenant: Scope) -> None:
    result = cycles.result(tenant, DATA_DATE, 0)
    assert (result.state, result.error) == ("finished", "")
    names = [step["name"] for step in result.steps]
    assert names[0] == "load checks" and "features" in names
    assert tenant.data_date() == DATA_DATE
    day = occurrences.occurrences(tenant, execution_date=TODAY)
    low, high = (next(found for found in day if (found.series_id, found.run) == (number, 0)) for number in (1, 2))
    groups = ["target groups of triggers", "sizes of target groups"]
    assert names[-6:] == ["publish", "target groups", f"campaign {high.id}", f"campaign {low.id}", *groups]
    sizes = {one.id: (one.size, one.size_date) for one in audience_groups.target_groups(tenant)}
    assert len(sizes) >= 3 and all(when == DATA_DATE and size is not None for size, when in sizes.values())
    assert {found.series_id for found in day if found.run == 0 and found.series_id <= 3} == {1, 2}
    assert (high.state, low.state) == ("scheduled", "successful")
    # Everybody is in the campaign of the group that goes first.
    assert {row[2:] for row in outcomes(tenant, low)} == {("excluded", "in a running campaign")}
    before = [outcomes(tenant, found) for found in (low, high)]
    again = campaign_daily.run_cycle(tenant, DATA_DATE)
    assert again.run > 0 and again.state == "finished"
    assert [outcomes(tenant, found) for found in (low, high)] == before
    again_planned = [found for found in occurrences.occurrences(tenant, execution_date=TODAY) if found.series_id <= 3]
    assert sorted(found.id for found in again_planned) == sorted(found.id for found in day if found.series_id <= 3)
    assert [event[0] for event in told(tenant) if event[0] in (2, 3)] == [2, 3]
    # In the order in which they were told: the campaigns, the end of the campaigns, the end of the day.
    rows = [orjson.loads(row.body) for row in reversed(notifications.deliveries(tenant, limit=1000))]
    mine = [one["EventTypeID"] for one in rows if one.get("CampaignID", high.id) == high.id]
    assert mine == [13, 1, 2, 3]


@pytest.mark.parametrize("release", ["first", "second"])
def test_a_cycle_that_an_earlier_release_began_is_carried_on(tenant: Scope, release: str) -> None:
    run = cycles.begin(tenant, DATA_DATE)
    given = (tenant.tenant_id, DATA_DATE.isoformat(), run, *([False] if release == "second" else []))
    work.run(cycles.key(tenant, DATA_DATE, run), daily.daily_cycle, *given)
    carried_on, usual = cycles.result(tenant, DATA_DATE, run), campaign_daily.run_cycle(tenant, DATA_DATE)
    assert carried_on.state == "finished"
    of_both = {step["name"] for step in carried_on.steps} | {"target groups"}
    assert of_both == {step["name"] for step in usual.steps} and "recommendations" in of_both


def test_a_resumed_cycle_keeps_the_times_of_steps_that_it_does_not_repeat(tenant: Scope) -> None:
    run = campaign_daily.run_cycle(tenant, DATA_DATE).run
    before = cycles.result(tenant, DATA_DATE, run).steps
    cycles.note_all(tenant, DATA_DATE, run, {before[0]["name"]: 1000.0})
    cycles.note_all(tenant, DATA_DATE, run, {"one more": 2.5})
    assert cycles.result(tenant, DATA_DATE, run).steps == [*before, {"name": "one more", "seconds": 2.5}]


def test_a_failed_load_check_stops_the_day_loudly(tenant: Scope) -> None:
    load_checks.set_load_checks(tenant, {"transactions": {"missing": "fail"}})
    following, before = DATA_DATE + timedelta(days=1), tenant.data_date()
    tenant.clock.set(NOW + timedelta(days=1))
    try:
        with pytest.raises(RapportError, match="No file of transactions came"):
            campaign_daily.run_cycle(tenant, following)
    finally:
        tenant.clock.set(NOW)
    load_checks.set_load_checks(tenant, {})
    assert campaign_cycles.result(tenant, following).state == "failed"
    assert tenant.data_date() == before
    assert not occurrences.occurrences(tenant, execution_date=TODAY + timedelta(days=1))


def test_a_run_that_cannot_be_processed_fails_alone(tenant: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    made = add_series(
        tenant,
        3,
        [group(2, (EXTERNAL, 3))],
        rules={"include_all": True},
        schedule={"kind": "once", "start_date": "2026-01-01"},
    )
    tenant.warehouse.execute("RENAME TABLE product_recommendations TO away")
    try:
        with tenant.records() as session:
            session.get_one(Series, (tenant.tenant_id, made.id)).products = 2
        found = by_hand.run_now(tenant, made.id, wait=True)
    finally:
        tenant.warehouse.execute("RENAME TABLE away TO product_recommendations")
    assert (found.state, found.error) == ("failed", "An engine failed: see the log.")


def test_results_against_plain_python(tenant: Scope) -> None:
    made = add_series(
        tenant, 1, [group(2, (EXTERNAL, 3), time="06:00")], rules={"include_all": True}, control_share=0.4, duration=3
    )
    found = by_hand.run_now(tenant, made.id, wait=True)
    campaign_tasks.execute_due(tenant)
    rows = tenant.warehouse.rows(
        "SELECT customer_id, recipient_group_id FROM campaign_recipients WHERE campaign_id = {id:UInt32} ORDER BY 1",
        id=found.id,
    )
    groups = {str(who): int(number) for who, number in rows}
    begin = datetime(2026, 3, 10, 6, tzinfo=UTC)  # 06:00 on the tenant's clock
    bought: dict[str, float] = {}
    insert = []
    for n, who in enumerate(groups):
        if n % (2 if groups[who] else 5) == 0:
            bought[who] = 10.0 + n
            insert.append((f"r{n}", who, begin + timedelta(hours=n % 72), 10.0 + n, "order", ""))
        insert.append((f"before{n}", who, begin - timedelta(seconds=1), 99.0, "order", ""))
        insert.append((f"after{n}", who, begin + timedelta(days=3), 99.0, "order", ""))
        insert.append(
            (
                f"void{n}",
                who,
                begin + timedelta(days=1),
                99.0,
                "Refund" if n % 2 else "order",
                "" if n % 2 else "Canceled",
            )
        )
    names = ["transaction_id", "customer_id", "transaction_time", "amount", "type", "status"]
    tenant.warehouse.insert("transactions", names, insert)
    result = results.results(tenant, found.id)
    assert (str(result.window_start), str(result.window_end)) == ("2026-03-10 06:00:00", "2026-03-13 06:00:00")
    assert [one.recipient_group_id for one in result.groups] == [0, 1]
    for one in result.groups:
        members = [who for who, number in groups.items() if number == one.recipient_group_id]
        values = [bought[who] for who in members if who in bought]
        assert (one.customers, one.responders) == (len(members), len(values))
        assert one.value == pytest.approx(sum(values)) and one.mean_value == pytest.approx(sum(values) / len(members))
    comparison = result.groups[1].against_control
    assert comparison is not None
    assert comparison.uplift == pytest.approx(result.groups[1].response_rate - result.groups[0].response_rate)
    assert result.groups[0].against_control is None


def test_management_from_action_to_results(api: httpx.Client, tenant: Scope) -> None:
    def post(path: str, status: int, body: Any = None) -> Any:
        answer = api.post(f"/manage/v1{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    action = post("/actions", 201, {"name": "Free delivery", "promo_codes": ["FREE"]})
    place = {"channel_id": EXTERNAL, "template_id": 9, "send_time": "05:30"}
    one = {"action_id": action["id"], "channels": [place]}
    body = {
        "name": "Belgians",
        "target_group_id": 3,
        "schedule": {"kind": "weekly", "start_date": "2026-04-06"},
        "groups": [one],
        "rules": {"include_all": True},
        "control_share": 0.2,
    }
    made = post("/series", 201, body)
    assert made["version"] == 1 and made["min_share"] == 0.05 and made["groups"][0]["share"] == 1.0
    runs = api.get(f"/manage/v1/series/{made['id']}/next-runs", params={"count": 2}).json()
    assert runs == {"execution_dates": ["2026-04-06", "2026-04-13"]}
    changed = api.put(f"/manage/v1/series/{made['id']}", json={**body, "name": "Walloons", "version": 1})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert api.put(f"/manage/v1/series/{made['id']}", json={**body, "version": 1}).status_code == 409
    assert post("/series", 404, {**body, "target_group_id": 99})["detail"] == "There is no target group 99."
    campaign = post(f"/series/{made['id']}/runs", 201)
    tasks.work.wait(f"run:{tenant.tenant_id}:{campaign['id']}")
    campaign_tasks.execute_due(tenant)
    tasks.work.wait(f"send:{tenant.tenant_id}:{campaign['id']}:{EXTERNAL}:1")
    path = f"/manage/v1/campaigns/{campaign['id']}"
    detail = api.get(path).json()
    assert detail["state"] == "successful" and sum(detail["counts"].values()) == detail["targeted"] == 40
    assert [(row["channel_id"], row["promo_code"]) for row in detail["channels"]] == [(EXTERNAL, "FREE")]
    assert sum(row["units"] for row in detail["reasons"]) == 40
    sent = api.get(f"{path}/outcomes", params={"outcome": "sent", "limit": 2}).json()
    assert [row["outcome"] for row in sent] == ["sent"] * 2
    why = api.get(f"{path}/customers/{sent[0]['customer_id'].lower()}").json()
    assert why["explanation"] == [f"Sent on channel {EXTERNAL}."]
    other = api.get(f"{path}/customers/C00001").json()
    assert other["explanation"] == ["Was not in the target group when the campaign was processed."]
    held = api.get(f"{path}/outcomes", params={"outcome": "control", "limit": 1}).json()[0]
    assert api.get(f"{path}/customers/{held['customer_id']}").json()["explanation"] == ["Held back as control member."]
    result = api.get(f"{path}/results").json()
    assert result["currency"] == "EUR" and result["groups"][0]["customers"] == detail["control_size"]
    assert result["groups"][1]["verdict"] == "The measurement window is still open."
    whole = api.get(f"/manage/v1/series/{made['id']}/results").json()
    assert (whole["name"], whole["runs"], whole["groups"]) == ("Walloons", 0, [])
    assert api.post(f"{path}/cancel").status_code == 409 and api.post(f"{path}/confirm").status_code == 409
    status = api.put(f"/manage/v1/series/{made['id']}/status", json={"status": "archived"})
    assert status.json()["status"] == "archived" and api.post(f"/manage/v1/series/{made['id']}/runs").status_code == 409
    assert api.delete(f"/manage/v1/actions/{action['id']}").status_code == 204
    assert api.delete("/manage/v1/actions/2").status_code == 409
    listed = api.get("/manage/v1/cycles").json()
    assert DATA_DATE.isoformat() in {row["data_date"] for row in listed}
    assert api.get(f"/manage/v1/cycles/{DATA_DATE}").json()["state"] == "finished"
    assert api.post("/manage/v1/cycles", json={"data_date": "2039-01-01"}).status_code == 409


def test_a_draft_is_counted_and_runs_only_when_it_is_active(api: httpx.Client, tenant: Scope) -> None:
    body = {
        "name": "Draft",
        "target_group_id": 3,
        "status": "paused",
        "schedule": {"kind": "daily", "start_date": TODAY.isoformat()},
        "groups": [{"action_id": 2, "channels": [{"channel_id": EXTERNAL, "template_id": 9}]}],
        "rules": {"include_all": True},
        "control_share": 0,
    }
    made = api.post("/manage/v1/series", json=body).json()
    assert (made["status"], made["warnings"]) == ("paused", [])
    told = api.post(f"/manage/v1/series/{made['id']}/dry-run").json()
    assert told["reached"] == [{"recipient_group_id": 1, "channel_id": EXTERNAL, "customers": 40}]
    assert (told["targeted"], told["not_reached"], told["objection"]) == (40, [], "")
    refused = api.post(f"/manage/v1/series/{made['id']}/runs")
    assert refused.status_code == 409 and "is paused: make it active first" in refused.json()["detail"]
    assert made["id"] not in {tenant_series.series_id for tenant_series in occurrences.occurrences(tenant)}
    assert made["id"] not in {one.id for one in definitions.all_series(tenant, "active")}
    strict = {**body, "name": "Strict", "rules": {}, "status": "active", "duration": 3}
    (warning,) = api.post("/manage/v1/series", json={**strict, "status": "paused"}).json()["warnings"]
    assert "a customer is not reached by every run" in warning
    assert api.post("/manage/v1/series/9999/dry-run").status_code == 404


def test_one_time_campaign_on_a_list(api: httpx.Client, tenant: Scope) -> None:
    body = {
        "name": "Apology",
        "customer_ids": ["c00001", "C00003", "C00003", "nobody"],
        "action_id": 2,
        "channels": [{"channel_id": EXTERNAL, "template_id": 9, "send_time": "05:00"}],
    }
    answer = api.post("/manage/v1/campaigns/one-time", json=body)
    assert answer.status_code == 201 and answer.json()["is_one_time"]
    number = answer.json()["id"]
    tasks.work.wait(f"run:{tenant.tenant_id}:{number}")
    campaign_tasks.execute_due(tenant)
    tasks.work.wait(f"send:{tenant.tenant_id}:{number}:{EXTERNAL}:1")
    assert outcomes(tenant, number) == [
        ("C00001", EXTERNAL, "sent", "listed"),
        ("C00003", EXTERNAL, "sent", "listed"),
        ("nobody", 0, "excluded", "unknown customer"),
    ]
    assert (1, number, 0) in told(tenant) and (13, number, EXTERNAL) in told(tenant)
    series_id = occurrences.occurrence(tenant, number).series_id
    refused = api.post(f"/manage/v1/series/{series_id}/runs")
    assert refused.status_code == 409 and "is of a one-time campaign, which runs once" in refused.json()["detail"]
    assert [one.id for one in occurrences.occurrences(tenant, series_id=series_id)] == [number]
    assert api.post("/manage/v1/campaigns/one-time", json={**body, "execution_date": "2026-03-01"}).status_code == 409
