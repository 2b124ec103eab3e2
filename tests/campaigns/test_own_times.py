"""Messages at a time of each customer's own: in his time zone, or at the hour at which he opens most."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_series,
    outcomes,
    publish,
    tally,
)
from sqlalchemy import func, select, update

from rapport.access.models import Tenant
from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import attribute_uses, definitions, erasure, occurrences
from rapport.campaigns.cycle import scheduler, tasks
from rapport.campaigns.cycle.agenda import SENDS, agendas
from rapport.campaigns.delivery import due_units, handing_over
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, clearance, pausing, processing
from rapport.campaigns.runs.explanations import why
from rapport.channels import service as channels
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.delivery.models import OutboxMessage
from rapport.errors import Conflict

SETTINGS = {"batch_size": 3, "retry_delays": [0], "messages_per_day": 99, "wait_hours": 2, "blast_minimum": 10_000}
QUIET = {"quiet_hours": {"start": "22:00", "end": "08:00"}}
# At 07:30 UTC 10:00 is over in Tokyo and in India. In New York summer time has begun, in Berlin not.
PEOPLE = {
    "berlin": "Europe/Berlin",
    "tokyo": "asia/tokyo",
    "india": "UTC+05:30",
    "york": "America/New_York",
    "hawaii": "-10",
    "nowhere": "Atlantis",
    "unknown": None,
}
DUE = {
    "berlin": "2026-03-10T09:00",
    "nowhere": "2026-03-10T09:00",
    "unknown": "2026-03-10T09:00",
    "tokyo": "2026-03-10T07:30",
    "india": "2026-03-10T07:30",
    "york": "2026-03-10T14:00",
    "hawaii": "2026-03-10T20:00",
}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def use(scope: Scope, **more: Any) -> Scope:
    """The tenant with these settings of campaigns besides those of all tests."""
    with scope.records() as session:
        own = {"campaigns": {**SETTINGS, **more}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=own))
    return scope_of(scope.stores, scope.tenant_id)


@pytest.fixture(scope="module")
def company(scope: Scope) -> Scope:
    scope = use(scope)
    scope.clock.set(NOW)
    attributes.declare(scope, [AttributeInfo("TIMEZONE", "Time zone", "", "Nvarchar", "batch")])
    rows = [[DATA_DATE, name, f"{name}@example.com", "NL", zone] for name, zone in PEOPLE.items()]
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "EMAIL", "COUNTRY", "TIMEZONE"], rows)
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher")
    return scope


@pytest.fixture
def tenant(company: Scope) -> Scope:
    company.clock.set(NOW)
    return use(company)


@pytest.fixture
def box(company: Scope) -> Iterator[Mailbox]:
    with mailbox() as server:
        own = {"host": "127.0.0.1", "port": server.port, "from_address": "shop@example.com"}
        channels.update_channel(company, EMAIL, settings=own)
        yield server


def group(channel: int = EMAIL, **more: Any) -> dict[str, Any]:
    at = {"send_time": "10:00", "send_time_zone": "customer", **more}
    return {"action_id": 2, "channels": [{"channel_id": channel, "template_id": 1, **at}]}


def series(scope: Scope, group: dict[str, Any], **more: Any) -> int:
    rules = {"include_all": True, **more.pop("rules", {})}
    return add_series(scope, 1, [group], rules=rules, control_share=0, **more).id


def run(scope: Scope, group: dict[str, Any], **more: Any) -> int:
    """A processed campaign to everybody."""
    number = plan_next_run(scope, series(scope, group, **more), TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    return number


def planned(scope: Scope, number: int) -> dict[str, str]:
    """The instant at which each customer is due, and that the wire's time is the same by the tenant's clock."""
    sql = """
        SELECT customer_id, toString(due_at), toString(scheduled_time) FROM campaign_recipients
        WHERE campaign_id = {id:UInt32} AND channel_id > 0
    """
    due = {}
    for customer_id, at, shown in scope.warehouse.rows(sql, id=number):
        due[customer_id] = instant(at).isoformat()[:16]
        assert instant(at).astimezone(scope.time_zone).replace(tzinfo=None) == datetime.fromisoformat(shown)
    return due


def left(box: Mailbox) -> set[str]:
    return {address.partition("@")[0] for address in box.to}


def state(scope: Scope, number: int) -> str:
    return occurrences.occurrence(scope, number).state


def at(scope: Scope, text: str) -> None:
    """Send what is due at an instant."""
    scope.clock.set(instant(text))
    tasks.execute_due(scope)


def test_each_customer_gets_it_at_the_time_of_his_own_clock(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    number = run(tenant, group())
    assert planned(tenant, number) == DUE
    (channel,) = api.get(f"/manage/v1/campaigns/{number}").raise_for_status().json()["channels"]
    assert channel["scheduled_time"] == "2026-03-10T08:30:00", "that of the first customer, by the tenant's clock"
    at(tenant, "2026-03-10T07:30")
    assert left(box) == {"tokyo", "india"} and state(tenant, number) == "executing"
    (channel,) = api.get(f"/manage/v1/campaigns/{number}").json()["channels"]
    assert (channel["own_times"], channel["waits_until"]) == (True, "2026-03-10T09:00:00Z")
    due = {agenda.scope.tenant_id: agenda.due[SENDS] for agenda in agendas(tenant.stores) if SENDS in agenda.due}
    assert due[tenant.tenant_id] == instant("2026-03-10T09:00")
    at(tenant, "2026-03-10T08:59")
    assert left(box) == {"tokyo", "india"}
    at(tenant, "2026-03-10T09:00")
    assert left(box) == {"tokyo", "india", "berlin", "nowhere", "unknown"}
    at(tenant, "2026-03-10T14:00")
    assert left(box) == set(PEOPLE) - {"hawaii"}
    assert [what for what in scheduler.overdue(tenant) if what.startswith("Campaign")] == []
    at(tenant, "2026-03-10T20:01")
    assert (state(tenant, number), tally(outcomes(tenant, number))) == ("successful", {"sent": len(PEOPLE)})
    assert set(box.to.values()) == {1}
    with tenant.reads() as session:
        mine = OutboxMessage.tenant_id == tenant.tenant_id
        assert session.scalar(select(func.count()).select_from(OutboxMessage).where(mine)) == 0


def test_an_erasure_between_two_rounds_does_not_wait_for_the_last(tenant: Scope, box: Mailbox) -> None:
    number = run(tenant, group())
    handing_over.hand_over(tenant, number)
    at(tenant, "2026-03-10T07:30")
    assert state(tenant, number) == "executing" and not erasure.is_busy(tenant)
    erasure.clear_accounts(tenant, pseudonym(tenant, "york"))
    for due in ("09:00", "14:00", "20:01"):
        at(tenant, f"2026-03-10T{due}")
    assert left(box) == set(PEOPLE) - {"york"}
    tallied = tally(outcomes(tenant, number))
    assert (state(tenant, number), tallied) == ("successful", {"sent": len(PEOPLE) - 1, "skipped": 1})


def test_on_the_next_day_and_in_quiet_hours(tenant: Scope, box: Mailbox) -> None:
    tenant = use(tenant, **QUIET)
    number = run(tenant, group(passed_time="next_day"))
    assert planned(tenant, number) == DUE | {"tokyo": "2026-03-11T01:00", "india": "2026-03-11T04:30"}
    early = run(tenant, group(send_time="06:00"))
    # At once in Tokyo (16:30) and India (13:00) and Berlin (08:30), at eight elsewhere.
    now = dict.fromkeys(PEOPLE, "2026-03-10T07:30")
    assert planned(tenant, early) == now | {"york": "2026-03-10T12:00", "hawaii": "2026-03-10T18:00"}
    at_any_hour = run(tenant, group(send_time="06:00"), rules={"any_hour": True})
    assert planned(tenant, at_any_hour)["york"] == "2026-03-10T10:00"
    pulled = run(tenant, group(EXTERNAL, send_time="06:00"))
    assert planned(tenant, pulled)["york"] == "2026-03-10T10:00"
    for other in (number, early, at_any_hour):
        by_hand.cancel(tenant, other)


def test_a_round_that_is_late_keeps_the_quiet_hours_of_each_customer(tenant: Scope, box: Mailbox) -> None:
    tenant = use(tenant, **QUIET, wait_hours=24)
    number = run(tenant, group())
    at(tenant, "2026-03-11T02:30")  # 22:30 in New York, 16:30 in Hawaii, 03:30 in Berlin, 11:30 in Tokyo
    assert left(box) == {"tokyo", "india", "hawaii"} - {"york"}
    at(tenant, "2026-03-11T06:59")
    assert "berlin" not in left(box)
    at(tenant, "2026-03-11T07:00")
    assert left(box) == set(PEOPLE) - {"york"}
    at(tenant, "2026-03-11T12:00")
    assert (state(tenant, number), tally(outcomes(tenant, number))) == ("successful", {"sent": len(PEOPLE)})


def test_what_is_late_counts_from_the_customers_own_time(tenant: Scope, box: Mailbox) -> None:
    number = run(tenant, group())
    at(tenant, "2026-03-10T07:30")
    at(tenant, "2026-03-10T17:00")  # two hours late at most: Berlin and New York are, Hawaii's time is to come
    assert left(box) == {"tokyo", "india"} and state(tenant, number) == "executing"
    at(tenant, "2026-03-10T22:00")  # exactly two hours
    assert left(box) == {"tokyo", "india", "hawaii"}
    late = "Not sent: it could be sent only more than 2 hours late."
    assert Counter(row[2:] for row in outcomes(tenant, number)) == {("sent", ""): 3, ("failed", late): 4}
    assert state(tenant, number) == "successful"


def test_a_run_that_waits_for_its_next_round_can_be_paused_and_canceled(tenant: Scope, box: Mailbox) -> None:
    number = run(tenant, group())
    at(tenant, "2026-03-10T07:30")
    pausing.pause(tenant, number)
    at(tenant, "2026-03-10T16:00")
    assert left(box) == {"tokyo", "india"}
    pausing.resume(tenant, number)
    at(tenant, "2026-03-10T17:30")
    assert left(box) == set(PEOPLE) - {"hawaii"}, "the pause makes nobody late"
    by_hand.cancel(tenant, number)
    assert (state(tenant, number), tally(outcomes(tenant, number))) == ("canceled", {"sent": 6, "skipped": 1})
    assert [row.waits_until for row in occurrences.channel_rows(tenant, number)] == [None]
    at(tenant, "2026-03-10T21:00")
    assert left(box) == set(PEOPLE) - {"hawaii"}
    assert due_units.under_way(tenant) == [] and due_units.due(tenant) == []


def test_what_waited_for_approval_moves_no_later_time(tenant: Scope, box: Mailbox) -> None:
    """Asked for at 08:30 in Berlin, with half an hour to answer, and as much until the first send."""
    number = plan_next_run(tenant, series(tenant, group(), conditional=True), TODAY)
    processing.prepare_members(tenant, number, DATA_DATE)
    assert processing.process(tenant, number, DATA_DATE) == "awaiting clearance"
    clearance.report(tenant, number, [(name, name != "nowhere") for name in PEOPLE])
    at(tenant, "2026-03-10T08:00")
    moved = dict.fromkeys(("tokyo", "india"), "2026-03-10T08:30")
    assert planned(tenant, number) == {name: due for name, due in (DUE | moved).items() if name != "nowhere"}
    assert why(tenant, number, "york").places[0]["scheduled_time"] == "2026-03-10 15:00:00"
    at(tenant, "2026-03-10T08:30")
    assert left(box) == {"tokyo", "india"}
    by_hand.cancel(tenant, number)
    assert tally(outcomes(tenant, number)) == {"sent": 2, "excluded": 1, "skipped": 4}


def test_what_fails_for_now_is_tried_again_in_its_round(tenant: Scope, box: Mailbox) -> None:
    tenant.warehouse.insert(
        "profiles",
        ["data_date", "customer_id", "EMAIL", "COUNTRY", "TIMEZONE"],
        [[DATA_DATE, "late", "later1@example.com", "NL", "UTC"]],
    )
    number = run(tenant, group())
    at(tenant, "2026-03-10T10:00")
    assert "later1" in left(box)
    by_hand.cancel(tenant, number)
    tenant.warehouse.execute("DELETE FROM profiles WHERE customer_id = 'late'")


def test_a_dry_run_says_at_which_hour_how_many_leave(tenant: Scope, api: httpx.Client) -> None:
    drawn = api.post(f"/manage/v1/series/{series(tenant, group())}/dry-run").raise_for_status().json()
    by_hour = {
        (one["recipient_group_id"], one["channel_id"], one["hour"]): one["customers"] for one in drawn["leaving"]
    }
    hours = {"08": 2, "10": 3, "15": 1, "21": 1}  # in Berlin
    assert by_hour == {(1, EMAIL, f"2026-03-10T{hour}:00:00"): count for hour, count in hours.items()}
    plain = api.post(f"/manage/v1/series/{series(tenant, group(send_time_zone='tenant'))}/dry-run").json()
    assert [one["hour"] for one in plain["leaving"]] == ["2026-03-10T10:00:00"]
    assert plain["leaving"][0]["customers"] == len(PEOPLE)


def worked_out(opens: dict[str, list[datetime]], quiet: set[int]) -> dict[str, int | None]:
    """Best hours by plain Python and zoneinfo."""
    zones = {name: ZoneInfo("Europe/Berlin") for name in PEOPLE} | {
        "tokyo": ZoneInfo("Asia/Tokyo"),
        "india": ZoneInfo("Asia/Kolkata"),
        "york": ZoneInfo("America/New_York"),
        "hawaii": ZoneInfo("Pacific/Honolulu"),
    }
    hours = {name: Counter(at.astimezone(zones[name]).hour for at in times) for name, times in opens.items()}
    everybody = sum(hours.values(), Counter[int]())
    best: dict[str, int | None] = {}
    for name, own in hours.items():
        scores = {h: own[h] + 5 * everybody[h] / everybody.total() for h in range(24) if h not in quiet}
        best[name] = min(scores, key=lambda h: (-scores[h], h)) if own.total() >= 5 else None
    return best


@pytest.mark.parametrize("quiet", [False, True])
def test_the_best_hour_is_that_at_which_a_customer_opens_most(tenant: Scope, quiet: bool) -> None:
    tenant = use(tenant, **(QUIET if quiet else {}))
    dice = random.Random(7)
    since = NOW - timedelta(days=90)
    opens = {
        name: [since + timedelta(seconds=dice.randrange(90 * 86400)) for _ in range(count)]
        for name, count in zip(PEOPLE, (60, 5, 4, 33, 0, 300, 12), strict=True)
    }
    names = ["delivery_date", "campaign_id", "customer_id", "channel_id", "event_id", "interaction_at", "origin"]
    events = [(name, dice.choice([2, 3]), at, "") for name, times in opens.items() for at in times]
    # What does not count: machines, deliveries, reports by day, and what is older than 90 days or in the future.
    noise = [("hawaii", 102, NOW - timedelta(days=1), ""), ("hawaii", 1, NOW - timedelta(days=1), "")]
    noise += [("hawaii", 2, NOW - timedelta(days=1), "api"), ("hawaii", 2, since - timedelta(seconds=1), "")]
    noise += [("hawaii", 2, NOW, "")]
    rows = [(date(2026, 2, 1), 9, name, EMAIL, kind, at, origin) for name, kind, at, origin in events + 7 * noise]
    tenant.warehouse.execute("TRUNCATE TABLE campaign_interactions")
    tenant.warehouse.insert("campaign_interactions", names, rows)
    number = run(tenant, group(optimise_send_time=True, passed_time="next_day"))
    hours = {**range_of(quiet)}
    best = worked_out(opens, set(hours))
    zones = {"tokyo": "Asia/Tokyo", "india": "Asia/Kolkata", "york": "America/New_York", "hawaii": "Pacific/Honolulu"}
    for name, due in planned(tenant, number).items():
        local = instant(due).astimezone(ZoneInfo(zones.get(name, "Europe/Berlin")))
        assert (local.hour, local.minute) == (10 if best.get(name) is None else best[name], 0), name
    assert {name for name, hour in best.items() if hour is None} == {"india", "hawaii"}
    by_hand.cancel(tenant, number)


def range_of(quiet: bool) -> dict[int, None]:
    """The hours that begin in quiet hours."""
    return dict.fromkeys([22, 23, *range(8)] if quiet else [])


def test_a_channel_with_a_wrong_time_is_refused(tenant: Scope, api: httpx.Client) -> None:
    body = {
        "name": "Wrong",
        "target_group_id": 1,
        "schedule": {"kind": "daily", "start_date": "2026-03-10"},
        "groups": [group(send_time_zone="mars")],
    }
    refused = api.post("/manage/v1/series", json=body)
    assert refused.status_code == 400 and "send_time_zone" in refused.text


def test_that_no_attribute_names_time_zones_is_told(tenant: Scope) -> None:
    own = definitions.series(tenant, series(tenant, group()))
    assert definitions.series_warnings(tenant, own) == []
    with pytest.raises(Conflict, match="it is used by the send times of series"):
        attribute_uses.delete_attribute(tenant, "timezone")
    elsewhere = use(tenant, time_zone_attribute="ZONE")
    (told,) = definitions.series_warnings(elsewhere, own)
    assert told.startswith("There is no attribute ZONE, ")
    number = run(elsewhere, group())
    assert set(planned(elsewhere, number).values()) == {"2026-03-10T09:00"}
    by_hand.cancel(elsewhere, number)
