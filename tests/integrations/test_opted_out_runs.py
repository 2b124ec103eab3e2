"""Opted out at the vendor: kept out of runs on that channel and app, told apart, before and after processing."""

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.audiences import groups as audience_groups
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.measurement import results
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, processing
from rapport.campaigns.schemas import ActionBody, SeriesBody
from rapport.channels import service as channels
from rapport.errors import NotFound
from rapport.messaging import registration
from rapport.messaging.contactability import suppressions
from rapport.messaging.registration import Registered

HOME = "/current/integrations"
DATA_DATE, TODAY = date(2026, 3, 9), date(2026, 3, 10)
NOW, DUE = datetime(2026, 3, 10, 6, 30, tzinfo=UTC), datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
SMS, PUSH = 505, 506
NUMBERS = itertools.count(1)
MEMBERS = [f"Q{n:02}" for n in range(12)]


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Iterator[Scope]:
    scope.clock.set(NOW)
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY"], [[DATA_DATE, m, "NL"] for m in MEMBERS])
    with scope.records() as session:
        # Each test runs a campaign of the day to everybody.
        day = {"last_data_date": DATA_DATE, "settings": {"campaigns": {"messages_per_day": 99}}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(day))
    scope = scope_of(scope.stores, scope.tenant_id)
    for number, name in ((SMS, "Text"), (PUSH, "Push")):
        channels.create_channel(scope, name, "external", id=number)
    definition = {"attribute": "COUNTRY", "operator": "equals", "value": "NL"}
    audience_groups.create_target_group(scope, "Dutch", definition, None)
    definitions.create_action(scope, ActionBody(name="Offer"))
    registration.register_templates(scope, PUSH, [Registered(40, "For iOS", "ios"), Registered(41, "For all")])
    yield scope
    scope.clock.set(None)


def series(scope: Scope, *groups: tuple[tuple[int, int], ...]) -> int:
    """A series whose groups each get these (channel, template); everybody is let in and nobody held back."""
    body: dict[str, Any] = {
        "name": f"Series {next(NUMBERS)}",
        "target_group_id": 1,
        "campaign_type": "Test/Control" if len(groups) == 1 else "A/B",
        "control_share": 0,
        "schedule": {"kind": "daily", "start_date": TODAY.isoformat()},
        "rules": {"include_all": True},
        "groups": [
            {
                "action_id": 2,
                "share": 1 / len(groups),
                "channels": [{"channel_id": c, "template_id": t, "send_time": "09:00"} for c, t in places],
            }
            for places in groups
        ],
    }
    return definitions.create_series(scope, SeriesBody.model_validate(body)).id


def process(scope: Scope, series_id: int) -> int:
    number = plan_next_run(scope, series_id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    return number


def execute(scope: Scope) -> None:
    scope.clock.set(DUE)
    tasks.execute_due(scope)
    scope.clock.set(NOW)


def prefer(api: httpx.Client, mode: int, *customers: str, channel: int = SMS, app: str | None = None) -> None:
    body = {"ChannelID": channel, "CustomerIDs": customers, "CommunicationMode": mode, "AppID": app}
    answer = api.post(f"{HOME}/SetCustomerChannelPreference", json=body)
    assert (answer.status_code, answer.content) == (200, b""), answer.text


def outcomes(scope: Scope, number: int) -> dict[tuple[str, int], tuple[str, str]]:
    sql = "SELECT customer_id, channel_id, outcome, reason FROM campaign_outcomes WHERE campaign_id = {id:UInt32}"
    rows = scope.warehouse.rows(sql, id=number)
    found = {(str(who), int(channel)): (str(outcome), str(why)) for who, channel, outcome, why in rows}
    assert len(found) == len(rows)
    return found


def pulled(api: httpx.Client, number: int, channel: int) -> list[str]:
    """Whom the vendor finds in the list of a channel."""
    rows = api.get(
        "/current/customers/GetCustomerSendDetailsByChannel", params={"CampaignID": number, "ChannelID": channel}
    )
    return [row["CustomerID"] for row in rows.json()]


def test_opted_out_before_and_after_processing(
    tenant: Scope, api: httpx.Client, integrations_api: httpx.Client
) -> None:
    prefer(integrations_api, 2, "q00", "Q01", "nobody-yet")
    suppressions.suppress(tenant, "Q01", SMS)
    suppressions.suppress(tenant, "q02")
    number = process(tenant, series(tenant, ((SMS, 1), (PUSH, 41))))
    prefer(integrations_api, 2, "Q03", "q04")
    prefer(integrations_api, 1, "Q04")
    suppressions.suppress(tenant, "Q05", SMS)
    execute(tenant)
    by_text = {who: found for (who, channel), found in outcomes(tenant, number).items() if channel == SMS}
    kept_off = {
        "Q00": ("suppressed", "channel preference"),
        "Q01": ("suppressed", "suppression list"),
        "Q02": ("suppressed", "suppression list"),
        "Q03": ("suppressed", "channel preference"),
        "Q05": ("suppressed", "suppression list"),
    }
    assert by_text == kept_off | {who: ("sent", "listed") for who in MEMBERS if who not in kept_off}
    assert pulled(integrations_api, number, SMS) == [who for who in MEMBERS if who not in kept_off]
    assert pulled(integrations_api, number, PUSH) == [who for who in MEMBERS if who != "Q02"]
    found = occurrences.occurrence(tenant, number)
    assert (found.state, found.error, sum(found.counts.values())) == ("successful", "", found.targeted)
    recipients = {row.channel_id: row.recipients for row in occurrences.channel_rows(tenant, number)}
    assert recipients == {SMS: 7, PUSH: 11}
    why = api.get(f"/manage/v1/campaigns/{number}/customers/Q03").json()
    assert "Not contacted on channel 505: channel preference." in why["explanation"]
    # Everybody assigned still counts in the results, also who was taken off the list.
    assert api.get(f"/manage/v1/campaigns/{number}/results").json()["groups"][1]["customers"] == 11
    suppressions.allow(tenant, "Q01", SMS)
    suppressions.allow(tenant, "Q02")
    suppressions.allow(tenant, "Q05", SMS)
    prefer(integrations_api, 1, *MEMBERS)


def test_assigned_count_although_nobody_is_left_of_them(tenant: Scope, integrations_api: httpx.Client) -> None:
    number = process(tenant, series(tenant, ((SMS, 1),), ((SMS, 2),)))
    groups = dict(
        tenant.warehouse.rows(
            "SELECT customer_id, recipient_group_id FROM campaign_recipients WHERE campaign_id = {id:UInt32}", id=number
        )
    )
    out = MEMBERS[:6]
    prefer(integrations_api, 2, *out)
    execute(tenant)
    assert sorted(pulled(integrations_api, number, SMS)) == MEMBERS[6:]
    sizes = {one.recipient_group_id: one.customers for one in results.results(tenant, number).groups}
    expected = {number: sum(group == number for group in groups.values()) for number in (1, 2)}
    assert {number: sizes[number] for number in (1, 2)} == expected
    prefer(integrations_api, 1, *out)


def test_an_opt_out_of_an_app_concerns_its_templates(tenant: Scope, integrations_api: httpx.Client) -> None:
    prefer(integrations_api, 2, "Q00", channel=PUSH, app="ios")
    prefer(integrations_api, 2, "Q01", channel=PUSH, app="droid")
    prefer(integrations_api, 2, "Q02", channel=PUSH)
    number = process(tenant, series(tenant, ((PUSH, 40),), ((PUSH, 41),)))
    prefer(integrations_api, 2, *MEMBERS[3:11], channel=PUSH, app="ios")
    sql = "SELECT customer_id, template_id FROM campaign_recipients WHERE campaign_id = {id:UInt32}"
    templates = dict(tenant.warehouse.rows(sql, id=number))
    execute(tenant)
    found = outcomes(tenant, number)
    # Q00 stands without a row where it was kept off; who got template 41 is not concerned.
    iphone = {"Q00", *(who for who in MEMBERS[3:11] if templates[who] == 40)} - {
        who for who in ("Q00",) if templates.get(who) == 41
    }
    out = ("suppressed", "channel preference")
    assert {who for (who, _), what in found.items() if what == out} == iphone | {"Q02"}
    assert {what for (who, _), what in found.items() if who not in iphone | {"Q02"}} == {("sent", "listed")}
    assert {templates[who] for who in MEMBERS[3:11]} == {40, 41}, "both templates must be tried"
    for app in ("ios", "droid", None):
        prefer(integrations_api, 1, *MEMBERS, channel=PUSH, app=app)


def test_an_app_is_the_same_in_any_case(tenant: Scope, integrations_api: httpx.Client) -> None:
    registration.register_templates(tenant, PUSH, [Registered(44, "For the web", "Web")])
    prefer(integrations_api, 2, "Q00", channel=PUSH, app=" wEB ")
    number = process(tenant, series(tenant, ((PUSH, 44),)))
    prefer(integrations_api, 2, "Q01", channel=PUSH, app="WEB")
    execute(tenant)
    found = outcomes(tenant, number)
    out = ("suppressed", "channel preference")
    assert {who for (who, _), what in found.items() if what == out} == {"Q00", "Q01"}
    assert pulled(integrations_api, number, PUSH) == MEMBERS[2:]
    prefer(integrations_api, 1, "Q00", "Q01", channel=PUSH, app="web")


def test_what_a_vendor_reports_as_unsubscribed_stops_the_next_run(
    tenant: Scope, integrations_api: httpx.Client
) -> None:
    first = process(tenant, series(tenant, ((SMS, 1),)))
    execute(tenant)
    body = {
        "CampaignID": first,
        "ChannelID": SMS,
        "InteractionDate": "2026-03-10",
        "TemplateID": 1,
        "EventID": 4,
        "CustomerIDs": ["q07"],
        "AppID": None,
    }
    answer = integrations_api.post(f"{HOME}/UpdateCampaignInteractions", json=body)
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    number = process(tenant, series(tenant, ((SMS, 1),)))
    assert outcomes(tenant, number)["Q07", SMS] == ("suppressed", "suppression list")
    by_hand.cancel(tenant, number)
    suppressions.allow(tenant, "Q07", SMS)


def test_a_template_must_be_registered_once_any_is(tenant: Scope) -> None:
    with pytest.raises(NotFound, match="There is no template 42 on channel 506"):
        series(tenant, ((PUSH, 42),))
    assert series(tenant, ((SMS, 123),))
