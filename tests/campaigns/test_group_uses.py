"""A target group stays in use while a campaign goes by it, and none begins to go by an archived one."""

import httpx
import pytest
from campaign_tenant import EXTERNAL, NOW, add_action, add_channels, add_group, add_series, group

from rapport.access.scope import Scope
from rapport.customers import event_types

GROUPS = "/manage/v1/target-groups"


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    scope.clock.set(NOW)
    add_channels(scope)
    add_action(scope)
    event_types.declare_event_type(scope, "visit", {})
    return scope


def archive(api: httpx.Client, group_id: int) -> tuple[int, str]:
    answer = api.post(f"{GROUPS}/{group_id}/archive")
    return answer.status_code, answer.json().get("detail", "")


def end(api: httpx.Client, home: str, number: int) -> None:
    assert api.put(f"/manage/v1/{home}/{number}/status", json={"status": "archived"}).status_code == 200


def test_a_group_that_a_series_reaches_or_leaves_out_is_not_archived(tenant: Scope, api: httpx.Client) -> None:
    reached, left_out = add_group(tenant, "Reached", "NL"), add_group(tenant, "Left out", "BE")
    rules = {"exclude_target_group_ids": [left_out]}
    made = add_series(tenant, reached, [group(2, (EXTERNAL, 1))], rules=rules).id
    for one in (reached, left_out):
        told = f"Series {made} uses target group {one}: archive the campaign or change it first."
        assert archive(api, one) == (409, told)
        assert not api.get(f"{GROUPS}/{one}").json()["archived"]
    paused = api.put(f"/manage/v1/series/{made}/status", json={"status": "paused"})
    assert paused.status_code == 200 and archive(api, reached)[0] == 409, "it may go on"
    end(api, "series", made)
    assert [archive(api, one)[0] for one in (reached, left_out)] == [200, 200]


def test_a_group_that_a_triggered_campaign_leaves_out_or_asks_for_is_not_archived(
    tenant: Scope, api: httpx.Client
) -> None:
    left_out, asked = add_group(tenant, "Not these", "NL"), add_group(tenant, "Only these", "BE")
    body = {
        "name": "Visit",
        "trigger": {"kind": "simple", "event": "visit"},
        "customer_conditions": {"group": asked},
        "groups": [{"action_id": 2, "channels": [{"channel_id": EXTERNAL, "template_id": 1}]}],
        "rules": {"exclude_target_group_ids": [left_out]},
    }
    made = api.post("/manage/v1/triggers", json=body)
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    for one in (left_out, asked):
        told = f"Triggered campaign {number} uses target group {one}: archive the campaign or change it first."
        assert archive(api, one) == (409, told)
    end(api, "triggers", number)
    assert [archive(api, one)[0] for one in (left_out, asked)] == [200, 200]


def test_no_series_reaches_an_archived_group(tenant: Scope, api: httpx.Client) -> None:
    used, gone = add_group(tenant, "Used", "NL"), add_group(tenant, "Gone", "BE")
    made = add_series(tenant, used, [group(2, (EXTERNAL, 1))]).id
    assert archive(api, gone)[0] == 200
    body = api.get(f"/manage/v1/series/{made}").json()
    given = {name: body[name] for name in ("schedule", "groups", "rules")} | {"name": "New", "target_group_id": gone}
    refused = api.post("/manage/v1/series", json=given)
    told = f"target_group_id names target group {gone}, which is archived."
    assert (refused.status_code, refused.json()["detail"]) == (400, told)
    changed = api.put(f"/manage/v1/series/{made}", json={**given, "version": body["version"]})
    assert (changed.status_code, changed.json()["detail"]) == (400, told)
