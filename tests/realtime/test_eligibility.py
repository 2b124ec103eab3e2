"""May this customer be contacted on this channel now, and if not why: the rules one by one, as the API answers."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import rule_world as rules
import trigger_world as world
from rule_world import MAIL, PHONE, PUSH, TEXT

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.audiences import groups, membership
from rapport.campaigns import definitions
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.runs.hold_out import is_held_out
from rapport.campaigns.schemas import SeriesBody
from rapport.campaigns.settings import HoldOut
from rapport.campaigns.triggered import definitions as campaign_definitions
from rapport.messaging.contactability import preferences, suppressions

QUIET = {"start": "21:00", "end": "09:00"}
DAY = timedelta(days=1)


def outside(name: str) -> str:
    """An id like a name that the hold-out of rule_world has not."""
    hold_out = HoldOut(share=0.15, start_date=world.NOW.date(), salt="rules")
    return next(one for n in range(99) if not is_held_out(hold_out, one := f"{name}{n}"))


def inside(name: str) -> str:
    hold_out = HoldOut(share=0.15, start_date=world.NOW.date(), salt="rules")
    return next(one for n in range(99) if is_held_out(hold_out, one := f"{name}{n}"))


FREE, TESTER, BLOCKED, LEFT, OUT, NO_MAIL, BLANK, ODD, LISTED, SAID_NO, EXCLUDED = (
    outside(name)
    for name in "Free Tester Blocked Left Out NoMail Blank Odd Listed SaidNo Excluded".split()  # noqa: SIM905
)
HELD, SHARES = inside("Held"), outside("Shares")
PEOPLE: list[dict[str, Any]] = [
    {"customer_id": FREE},
    {"customer_id": TESTER, "IS_TEST": "Yes"},
    {"customer_id": BLOCKED, "IS_BLOCKED": "perhaps"},
    {"customer_id": LEFT, "Left_By_Wish": "ja"},
    {"customer_id": OUT, "IS_OPTIN": "nein"},
    {"customer_id": NO_MAIL, "ALLOW_EMAIL": "opt-out"},
    {"customer_id": BLANK, "EMAIL": "\u00a0"},
    {"customer_id": ODD, "EMAIL": "at home"},
    {"customer_id": LISTED},
    {"customer_id": SAID_NO},
    {"customer_id": EXCLUDED, "COUNTRY": "XB"},
    {"customer_id": HELD, "EMAIL": "house@example.com"},
    {"customer_id": SHARES, "EMAIL": "House <house@example.com>"},
]


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Iterator[Scope]:
    made = rules.made(scope)
    world.add_customers(made, [{"EMAIL": f"{one['customer_id']}@example.com", **one} for one in PEOPLE])
    suppressions.suppress(made, LISTED, MAIL)
    preferences.set_preference(made, PUSH, [SAID_NO], 2, "app-1")
    yield made
    made.clock.set(None)


@pytest.fixture(autouse=True)
def now(tenant: Scope) -> None:
    tenant.clock.set(world.NOW + DAY)


def ask(api: httpx.Client, customer: str, channel: int, **more: Any) -> dict[str, Any]:
    answer = api.post("/manage/v1/eligibility", json={"customer_id": customer, "channel_id": channel, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["may_be_written_to"] is (found["outcome"] == "")
    return found


def told(api: httpx.Client, customer: str, channel: int, **more: Any) -> tuple[str, str]:
    found = ask(api, customer, channel, **more)
    return found["outcome"], found["reason"]


@pytest.mark.parametrize(
    ("customer", "channel", "said"),
    [
        (FREE, MAIL, ("", "")),
        (FREE.upper(), MAIL, ("", "")),
        ("Stranger", MAIL, ("excluded", "unknown customer")),
        (TESTER, TEXT, ("excluded", "test account")),
        (BLOCKED, TEXT, ("excluded", "blocked")),
        (LEFT, TEXT, ("excluded", "blocked")),
        (OUT, TEXT, ("excluded", "opted out")),
        (HELD, TEXT, ("excluded", "kept back: global hold-out")),
        (SHARES, MAIL, ("excluded", "kept back: address of the global hold-out")),
        (SHARES, TEXT, ("", "")),
        (NO_MAIL, MAIL, ("suppressed", "no permission")),
        (NO_MAIL, TEXT, ("", "")),
        (BLANK, MAIL, ("no address", "")),
        (FREE, PHONE, ("no address", "")),
        (ODD, MAIL, ("no address", "not an e-mail address")),
        (LISTED, MAIL, ("suppressed", "suppression list")),
        (LISTED, TEXT, ("", "")),
        (SAID_NO, PUSH, ("", "")),
        (EXCLUDED, TEXT, ("", "")),
    ],
)
def test_the_rules_of_every_campaign(
    tenant: Scope, api: httpx.Client, customer: str, channel: int, said: tuple[str, str]
) -> None:
    assert told(api, customer, channel) == said


def test_of_several_rules_the_first_is_told(tenant: Scope, api: httpx.Client) -> None:
    """Each of these loses one reason after the other, in the documented order."""
    everything = {"IS_TEST": "Yes", "IS_BLOCKED": "Yes", "IS_OPTIN": "No", "COUNTRY": "XB", "ALLOW_EMAIL": "No"}
    reasons = ["test account", "blocked", "opted out", "target group 2", "no permission", "suppression list"]
    people = [outside(f"Order{n}and") for n in range(len(reasons))]
    names = list(everything)
    rows = [{name: value for name, value in everything.items() if name not in names[:n]} for n in range(len(people))]
    world.add_customers(
        tenant,
        [
            {"customer_id": who, "EMAIL": f"{who}@x.example", **dict.fromkeys(names), **row}
            for who, row in zip(people, rows, strict=True)
        ],
    )
    for who in people:
        suppressions.suppress(tenant, who, MAIL)
    places = [{"channel_id": MAIL, "template_id": rules.PLAIN}]
    series = world.trigger(
        tenant, groups=[{"action_id": 2, "channels": places}], rules={"exclude_target_group_ids": [2]}
    )
    membership.compute_members(tenant, 2, world.DATA_DATE)
    assert [ask(api, who, MAIL, series_id=series.id)["reason"] for who in people] == reasons


def test_the_answer_is_a_sentence_too(tenant: Scope, api: httpx.Client) -> None:
    assert ask(api, LISTED.lower(), MAIL) == {
        "customer_id": LISTED,
        "channel_id": MAIL,
        "series_id": None,
        "at": "2026-03-11T09:00:00Z",
        "may_be_written_to": False,
        "outcome": "suppressed",
        "reason": "suppression list",
        "not_before": None,
        "explanation": f"Not contacted on channel {MAIL}: suppression list.",
    }
    assert ask(api, FREE, MAIL)["explanation"] == f"May be contacted on channel {MAIL}."
    assert ask(api, TESTER, MAIL)["explanation"] == "Excluded: test account."


def test_the_rules_of_a_trigger(tenant: Scope, api: httpx.Client) -> None:
    """Excluded groups, the templates of an app, re-entry and the cap, by what it has sent."""
    places = [{"channel_id": PUSH, "template_id": rules.OF_APP}]
    series = world.trigger(
        tenant, groups=[{"action_id": 2, "channels": places}], re_entry="once", rules={"exclude_target_group_ids": [2]}
    )
    assert told(api, SAID_NO, PUSH, series_id=series.id) == ("suppressed", "channel preference")
    assert told(api, EXCLUDED, PUSH, series_id=series.id) == ("excluded", "target group 2")
    assert told(api, FREE, PUSH, series_id=series.id) == ("", "")
    world.event(tenant, "add_to_cart", FREE, 24 * 60)
    world.process(tenant, 24 * 60)
    assert world.fired(tenant, series) == [(FREE, "sent", "")]
    assert told(api, FREE, PUSH, series_id=series.id) == ("excluded", "fired before")
    capped = world.trigger(tenant, rules={"frequency_cap": {"messages": 1, "days": 1}})
    assert told(api, FREE, TEXT, series_id=capped.id) == ("capped", "")
    assert told(api, FREE, TEXT, series_id=capped.id, at="2026-03-12T09:00:00Z") == ("", "")
    assert told(api, LISTED, TEXT, series_id=capped.id) == ("", "")


def test_the_rules_of_a_series_are_those_of_its_runs(tenant: Scope, api: httpx.Client) -> None:
    """Who is in the window of another run is kept out, and of a run of its own for as long as the series says."""
    tenant.clock.set(world.NOW)
    who = [SAID_NO, EXCLUDED]
    rules.run(tenant, who[:1], [{"channel_id": TEXT, "template_id": rules.PLAIN}], {}, (world.NOW + DAY).date())
    everybody = groups.create_target_group(tenant, f"All {time.time_ns()}", {"all": []}).id
    body = {
        "name": f"Series {time.time_ns()}",
        "target_group_id": everybody,
        "campaign_type": "Test/Control",
        "schedule": {"kind": "daily", "start_date": "2026-03-10"},
        "groups": [{"action_id": 2, "channels": [{"channel_id": TEXT, "template_id": rules.PLAIN}]}],
    }
    narrow = definitions.create_series(tenant, SeriesBody.model_validate(body))
    wide = definitions.create_series(
        tenant,
        SeriesBody.model_validate({**body, "name": f"{body['name']} to all", "rules": {"include_all": True}}),
    )
    assert told(api, SAID_NO, TEXT, series_id=narrow.id) == ("excluded", "in a running campaign")
    assert told(api, SAID_NO, TEXT, series_id=wide.id) == ("", "")
    assert told(api, EXCLUDED, TEXT, series_id=narrow.id) == ("", "")


def test_a_run_keeps_its_customers_from_its_own_series_as_long_as_it_says(tenant: Scope, api: httpx.Client) -> None:
    tenant.clock.set(world.NOW)
    who = outside("Own")
    world.add_customers(tenant, [{"customer_id": who}])
    alone = groups.create_target_group(tenant, f"Alone {time.time_ns()}", {"customers": [who]}).id
    body = {
        "name": f"Series {time.time_ns()}",
        "target_group_id": alone,
        "campaign_type": "Test/Control",
        "control_share": 0,
        "schedule": {"kind": "daily", "start_date": "2026-03-10"},
        "groups": [{"action_id": 2, "channels": [{"channel_id": TEXT, "template_id": rules.PLAIN}]}],
        "rules": {"own_runs": "period"},
    }
    again = definitions.create_series(tenant, SeriesBody.model_validate(body))
    other = definitions.create_series(tenant, SeriesBody.model_validate({**body, "name": f"{body['name']} beside"}))
    number = plan_next_run(tenant, again.id, world.NOW.date())
    processing.prepare_members(tenant, number, world.DATA_DATE)
    processing.process(tenant, number, world.DATA_DATE)
    tenant.clock.set(world.NOW + DAY)
    assert told(api, who, TEXT, series_id=again.id) == ("", "")
    assert told(api, who, TEXT, series_id=other.id) == ("excluded", "in a running campaign")


def test_quiet_hours_hold_a_message_back(tenant: Scope, api: httpx.Client) -> None:
    """Those of the tenant for mail that Rapport sends itself, those of a trigger for its own."""

    def change(hours: dict[str, str] | None) -> None:
        changed = {"settings": {"campaigns": {"quiet_hours": hours}}}
        api.patch("/manage/v1/tenants/current", json=changed).raise_for_status()

    change(QUIET)
    try:
        night = "2026-03-11T23:00:00Z"
        found = ask(api, FREE, MAIL, at=night)
        assert (found["outcome"], found["reason"]) == ("waiting", "quiet hours")
        assert found["not_before"] == "2026-03-12T08:00:00Z"
        assert found["explanation"] == f"It is a quiet hour: messages on channel {MAIL} wait until 09:00."
        assert told(api, FREE, MAIL) == ("", "")
        assert told(api, FREE, TEXT, at=night) == ("", ""), "lists of an outside channel are pulled at any hour"
        assert told(api, LISTED, MAIL, at=night) == ("suppressed", "suppression list")
    finally:
        change(None)
    skips = world.trigger(tenant, quiet_hours={**QUIET, "then": "skip"})
    waits = world.trigger(tenant, quiet_hours=QUIET)
    assert told(api, FREE, TEXT, series_id=skips.id, at=night) == ("skipped", "quiet hours")
    assert told(api, FREE, TEXT, series_id=waits.id, at=night) == ("waiting", "quiet hours")
    assert told(api, FREE, TEXT, series_id=waits.id) == ("", "")


def test_the_hold_out_counts_from_its_day(tenant: Scope, api: httpx.Client) -> None:
    tenant.clock.set(world.NOW)
    assert told(api, HELD, TEXT) == ("", "")
    assert told(api, HELD, TEXT, at="2026-03-11T09:00:00Z") == ("excluded", "kept back: global hold-out")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"channel_id": MAIL}, 400, "customer_id"),
        ({"customer_id": "", "channel_id": MAIL}, 400, "customer_id"),
        ({"customer_id": "a\0b", "channel_id": MAIL}, 400, "customer_id"),
        ({"customer_id": FREE}, 400, "channel_id"),
        ({"customer_id": FREE, "channel_id": 999}, 404, "channel 999"),
        ({"customer_id": FREE, "channel_id": MAIL, "series_id": 999}, 404, "series 999"),
        ({"customer_id": FREE, "channel_id": MAIL, "at": "2026-03-11T09:00:00"}, 400, "at"),
        ({"customer_id": FREE, "channel_id": MAIL, "at": "2026-03-10T09:00:00Z"}, 400, "at must be an instant of the"),
        ({"customer_id": FREE, "channel_id": MAIL, "at": "2036-03-10T09:00:00Z"}, 400, "at must be an instant of the"),
        ({"customer_id": FREE, "channel_id": MAIL, "campaign": 3}, 400, "campaign"),
    ],
)
def test_what_cannot_be_asked(tenant: Scope, api: httpx.Client, body: dict[str, Any], status: int, words: str) -> None:
    answer = api.post("/manage/v1/eligibility", json=body)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


def test_a_series_that_cannot_write_there(tenant: Scope, api: httpx.Client) -> None:
    series = world.trigger(tenant)
    body = {"customer_id": FREE, "channel_id": MAIL, "series_id": series.id}
    answer = api.post("/manage/v1/eligibility", json=body)
    assert answer.status_code == 400 and f"does not use channel {MAIL}" in answer.json()["detail"]
    campaign_definitions.set_triggered_status(tenant, series.id, "archived")
    assert api.post("/manage/v1/eligibility", json={**body, "channel_id": TEXT}).status_code == 409


def test_other_tenants_and_lesser_keys(tenant: Scope, api: httpx.Client, base_url: str) -> None:
    """Another tenant's customers, channels and series are unknown; a key needs the section."""
    other = create_tenant(tenant.stores, f"other {time.time_ns()}")
    series = world.trigger(tenant)
    _, foreign = keys.create_key(other, "tests", "tests@example.com", "Admin")
    _, lesser = keys.create_key(tenant, "tests", "tests@example.com", "Transactional")
    _, narrow = keys.create_key(tenant, "tests", "tests@example.com", "Admin", sections=["eligibility"])
    body = {"customer_id": FREE, "channel_id": TEXT}

    def asked(secret: str, **more: Any) -> httpx.Response:
        return httpx.post(f"{base_url}/manage/v1/eligibility", json={**body, **more}, headers={"X-API-KEY": secret})

    assert asked(foreign).status_code == 404, "it has no such channel"
    world.fill(other, [{"customer_id": "Theirs"}])
    tenant.clock.set(world.NOW + DAY)
    assert asked(foreign).json()["reason"] == "unknown customer"
    assert asked(foreign, series_id=series.id).status_code == 404
    assert asked(lesser).status_code == 403
    assert asked(narrow).json()["may_be_written_to"] is True
