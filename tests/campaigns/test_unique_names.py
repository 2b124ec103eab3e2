"""Names by which people choose are of one thing each: actions, series, triggered campaigns, templates of a channel."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from campaign_tenant import EMAIL, EXTERNAL, add_action, add_channels, add_group, add_profiles, customer, publish
from sqlalchemy import make_url, text

from rapport.access.scope import Scope
from rapport.campaigns import definitions
from rapport.campaigns.runs import by_hand
from rapport.campaigns.schemas import OneTimeBody, SeriesBody
from rapport.customers import event_types
from rapport.messaging import registration, templates
from rapport.messaging.registration import Registered
from rapport.stores import Stores, migrations
from rapport.stores.records import Records

HOME = "/manage/v1"
GROUP = {"action_id": 2, "share": 1.0, "channels": [{"channel_id": EMAIL, "template_id": 1}]}
SERIES = {"target_group_id": 1, "schedule": {"kind": "daily", "start_date": "2030-01-01"}, "groups": [GROUP]}
TRIGGER = {"trigger": {"kind": "simple", "event": "seen"}, "groups": [{k: v for k, v in GROUP.items() if k != "share"}]}
KINDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "actions": (f"{HOME}/actions", {}, "an action"),
    "series": (f"{HOME}/series", SERIES, "a series"),
    "triggers": (f"{HOME}/triggers", TRIGGER, "a triggered campaign"),
}


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    """A tenant with a group, an action, an event and channels."""
    add_profiles(scope, [customer(1)])
    publish(scope)
    add_channels(scope)
    add_action(scope)
    add_group(scope, "Dutch", "NL")
    event_types.declare_event_type(scope, "seen", {})
    return scope


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_of_one_that_is_in_use(tenant: Scope, api: httpx.Client, kind: str) -> None:
    path, body, thing = KINDS[kind]
    first = api.post(path, json={**body, "name": "Spring"})
    other = api.post(path, json={**body, "name": "Autumn"})
    assert (first.status_code, other.status_code) == (201, 201)
    taken = api.post(path, json={**body, "name": " SPRING "})
    assert (taken.status_code, taken.json()["detail"]) == (409, f"There is {thing} named 'SPRING' already.")
    place, number = f"{path}/{other.json()['id']}", other.json().get("version")
    change = {**body} if number is None else {**body, "version": number}
    renamed = api.put(place, json={**change, "name": "spring"})
    assert (renamed.status_code, renamed.json()["detail"]) == (409, f"There is {thing} named 'spring' already.")
    assert api.put(place, json={**change, "name": "AUTUMN"}).status_code == 200, "its own name may change in case"
    _archive(api, kind, first.json()["id"])
    assert api.post(path, json={**body, "name": "spring"}).status_code == 201, "archived ones do not count"


def _archive(api: httpx.Client, kind: str, number: int) -> None:
    path = KINDS[kind][0]
    if kind == "actions":
        api.delete(f"{path}/{number}").raise_for_status()
    else:
        api.put(f"{path}/{number}/status", json={"status": "archived"}).raise_for_status()


def test_series_and_triggered_campaigns_are_lists_of_their_own(tenant: Scope, api: httpx.Client) -> None:
    for kind in KINDS:
        path, body, _ = KINDS[kind]
        assert api.post(path, json={**body, "name": "Of each kind"}).status_code == 201, kind
    assert api.post(f"{HOME}/actions", json={"name": "dn"}).status_code == 409, "the control action has a name"


def test_one_time_campaigns_may_share_a_name(tenant: Scope) -> None:
    body = {"name": "Sorry", "customer_ids": ["C00001"], "action_id": 2, "channels": GROUP["channels"]}
    one_time = OneTimeBody.model_validate({**body, "execution_date": tenant.today().replace(year=2040)})
    first, second = by_hand.one_time(tenant, one_time), by_hand.one_time(tenant, one_time)
    assert first.series_id != second.series_id
    named = SeriesBody.model_validate({**SERIES, "name": "Sorry"})
    assert definitions.create_series(tenant, named).name == "Sorry"


def test_templates_of_a_channel_have_names_of_their_own(tenant: Scope, api: httpx.Client) -> None:
    def saved(call: Callable[..., httpx.Response], path: str, name: str) -> httpx.Response:
        return call(f"{HOME}/channels/{path}", json={"name": name, "subject": "s", "html": "<p>h</p>"})

    number = saved(api.post, f"{EMAIL}/templates", "Letter").json()["id"]
    taken = saved(api.post, f"{EMAIL}/templates", "LETTER ")
    assert taken.json()["detail"] == f"There is a template of channel {EMAIL} named 'LETTER' already."
    assert taken.status_code == 409
    assert saved(api.put, f"{EMAIL}/templates/77", "letter").status_code == 409
    assert saved(api.put, f"{EMAIL}/templates/{number}", "letter").status_code == 200
    assert saved(api.post, f"{EXTERNAL}/templates", "Letter").status_code == 201, "another channel"
    api.delete(f"{HOME}/channels/{EMAIL}/templates/{number}").raise_for_status()
    assert saved(api.post, f"{EMAIL}/templates", "Letter").status_code == 201


def test_vendors_give_a_name_as_often_as_they_like(tenant: Scope) -> None:
    registration.register_templates(tenant, EXTERNAL, [Registered(31, "Offer"), Registered(32, "offer")])
    registration.register_templates(tenant, EXTERNAL, [Registered(33, "OFFER")])
    assert templates.save_template(tenant, EXTERNAL, "Offer", text="x", id=32).name == "Offer", "it keeps its name"
    names = [one.name for one in templates.listed_templates(tenant, EXTERNAL) if one.id in (31, 32, 33)]
    assert names == ["Offer", "Offer", "OFFER"]


OLDER = {
    "actions": "INSERT INTO actions VALUES (:tenant, :id, :name, '', '[]', :archived, now())",
    "campaign_series": """
        INSERT INTO campaign_series (tenant_id, id, name, status, customer_list_id, trigger, target_group_id,
            campaign_type, split, control_share, priority, schedule, groups, rules, duration, lead_time, conditional,
            products, notes, tags, version, trigger_version, created_at)
        VALUES (:tenant, :id, :name, :status, :list, CAST(:trigger AS jsonb), 1,
            'A/B', 'fixed', 0, 1, '{}', '[]', '{}', 1, 0, false, 0, '', '[]', 1, 1, now())
    """,
    "channels": "INSERT INTO channels VALUES (:tenant, :id, :name, :kind, 'EMAIL', NULL, '{}', now())",
    "templates": """
        INSERT INTO templates (tenant_id, channel_id, id, name, subject, html, text, app_id, created_at, updated_at)
        VALUES (:tenant, :channel, :id, :name, '', '', '', '', now(), now())
    """,
}


def test_names_of_an_older_version_that_came_twice_get_numbers(stores: Stores) -> None:
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE of_doubles"))
    older = Records(make_url(stores.records.url).set(database="of_doubles").render_as_string(hide_password=False))
    from alembic import command

    command.upgrade(migrations._alembic(older), "0018")
    with older.session() as session:

        def add(table: str, **bound: Any) -> None:
            session.execute(text(OLDER[table]), {"tenant": 1, **bound})

        long = "x" * 200
        for number, name in enumerate(("Spring", "spring 2", " SPRING", "spring", long, long), 2):
            add("actions", id=number, name=name, archived=False)
        add("actions", id=9, name="Spring", archived=True)
        add("actions", tenant=2, id=2, name="Spring", archived=False)
        plain = {"status": "active", "list": None, "trigger": None}
        add("campaign_series", id=1, name="Weekly", **plain)
        add("campaign_series", id=2, name="weekly", **plain | {"status": "paused"})
        add("campaign_series", id=3, name="Weekly", **plain | {"trigger": "{}"})
        add("campaign_series", id=4, name="Weekly", **plain | {"list": 7})
        add("campaign_series", id=5, name="Weekly", **plain | {"status": "archived"})
        for channel, kind in ((504, "email"), (505, "external")):
            add("channels", id=channel, name=kind, kind=kind)
            for number in (1, 2):
                add("templates", channel=channel, id=number, name="Hello")
    migrations.migrate_records(older)
    with older.reading() as connection:

        def found(sql: str) -> list[Any]:
            return list(connection.execute(text(sql)).scalars())

        actions = ["Spring", "spring 2", "SPRING 3", "spring 4", long, "x" * 198 + " 2", "Spring"]
        assert found("SELECT name FROM actions WHERE tenant_id = 1 ORDER BY id") == actions
        assert found("SELECT name FROM actions WHERE tenant_id = 2") == ["Spring"]
        series = ["Weekly", "weekly 2", "Weekly", "Weekly", "Weekly"]
        assert found("SELECT name FROM campaign_series ORDER BY id") == series
        assert found("SELECT name FROM templates ORDER BY channel_id, id") == ["Hello", "Hello 2", "Hello", "Hello"]
    older.close()
