"""A/B tests of channels where each customer has a time of his own: tests, the choice after them, and the rest."""

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
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns.cycle import scheduler, tasks
from rapport.campaigns.delivery import rest_times, sending, winners
from rapport.campaigns.delivery.units import unit_of
from rapport.campaigns.occurrences import channel_rows, occurrence, plan_next_run
from rapport.campaigns.runs import by_hand, dry_runs, pausing, processing
from rapport.campaigns.settings import Hours
from rapport.campaigns.states import Portion
from rapport.channels import service as channels
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.delivery.models import OutboxMessage
from rapport.messaging import templates

SETTINGS = {"batch_size": 3, "retry_delays": [0], "messages_per_day": 99, "wait_hours": 12, "blast_minimum": 10_000}
QUIET = {"quiet_hours": {"start": "21:00", "end": "11:00"}}
ZONES = {"berlin": "Europe/Berlin", "tokyo": "Asia/Tokyo", "york": "America/New_York"}
EACH = 10  # customers of each zone
A, B = 1, 2
TEST = {
    "variants": [{"template_id": A}, {"template_id": B}],
    "share": 0.5,
    "wait_hours": 2,
    "metric": "responders",
}
# When the clocks of the zones first show ten on the send day, from the processing on, and when the last of them tests.
FIRST = {"tokyo": "2026-03-10T07:30", "berlin": "2026-03-10T09:00", "york": "2026-03-10T14:00"}
CHOICE = "2026-03-10T16:00"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def use(scope: Scope, **more: Any) -> Scope:
    with scope.records() as session:
        own = {"campaigns": {**SETTINGS, **more}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=own))
    return scope_of(scope.stores, scope.tenant_id)


@pytest.fixture(scope="module")
def company(scope: Scope) -> Scope:
    scope = use(scope)
    scope.clock.set(NOW)
    attributes.declare(scope, [AttributeInfo("TIMEZONE", "Time zone", "", "Nvarchar", "batch")])
    rows = [
        [DATA_DATE, f"{place}{number}", f"{place}{number}@example.com", "NL", zone]
        for place, zone in ZONES.items()
        for number in range(EACH)
    ]
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "EMAIL", "COUNTRY", "TIMEZONE"], rows)
    publish(scope)
    add_channels(scope)
    for number in (A, B):
        templates.save_template(scope, EMAIL, f"Mail {number}", f"Subject {number}", "<p>Hello</p>", id=number)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher")
    return scope


@pytest.fixture
def tenant(company: Scope) -> Scope:
    company.clock.set(NOW)
    company.warehouse.execute("TRUNCATE TABLE transactions")
    return use(company)


@pytest.fixture
def box(company: Scope) -> Iterator[Mailbox]:
    with mailbox() as server:
        own = {"host": "127.0.0.1", "port": server.port, "from_address": "shop@example.com"}
        channels.update_channel(company, EMAIL, settings=own)
        yield server


def group(**test: Any) -> dict[str, Any]:
    at = {"send_time": "10:00", "send_time_zone": "customer", "ab_test": {**TEST, **test}}
    return {"action_id": 2, "channels": [{"channel_id": EMAIL, "template_id": A, **at}]}


def run(scope: Scope, **test: Any) -> int:
    series = add_series(scope, 1, [group(**test)], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    return number


def variants_of(scope: Scope, number: int) -> dict[str, int]:
    """The template that each customer who tests gets."""
    sql = "SELECT customer_id, template_id FROM campaign_recipients WHERE campaign_id = {id:UInt32} AND portion = 1"
    return {str(who): int(template) for who, template in scope.warehouse.rows(sql, id=number)}


def at(scope: Scope, text: str) -> None:
    """Send what is due at an instant."""
    scope.clock.set(instant(text))
    tasks.execute_due(scope)


def left(box: Mailbox) -> dict[str, int]:
    """The template of each customer's mail; nobody has two."""
    mails = [(str(mail["To"]).split("@")[0], int(str(mail["Subject"]).split()[-1])) for mail in box.messages]
    assert len(mails) == len(dict(mails))
    return dict(mails)


def of(place: str, who: dict[str, int]) -> set[str]:
    return {name for name in who if name.startswith(place)}


def buy(scope: Scope, rows: list[tuple[str, datetime, float]]) -> None:
    """Orders at times of the tenant's clock."""
    names = ["transaction_id", "customer_id", "transaction_time", "amount"]
    values = [[f"T{n}", who, time.replace(tzinfo=UTC), amount] for n, (who, time, amount) in enumerate(rows)]
    scope.warehouse.insert("transactions", names, values)


def next_ten(zone: str, after: datetime) -> datetime:
    """The first instant from another on at which the clocks of a zone show ten."""
    days = [after.astimezone(ZoneInfo(zone)).date() + timedelta(days=n) for n in range(-1, 3)]
    tens = [datetime(day.year, day.month, day.day, 10, tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in days]
    return min(ten for ten in tens if ten >= after)


def test_the_test_the_choice_and_the_rest_come_one_after_the_other(
    tenant: Scope, box: Mailbox, api: httpx.Client
) -> None:
    number = run(tenant)
    tests = variants_of(tenant, number)
    assert len(tests) == 15 and all(0 < len(of(place, tests)) < EACH for place in ZONES), "some of each zone test"
    path = f"/manage/v1/campaigns/{number}"
    planned = api.get(path).raise_for_status().json()
    assert planned["ab_tests"][0]["decision_at"] == f"{CHOICE}:00Z"
    times = {row["portion"]: row["scheduled_time"] for row in planned["channels"]}
    assert times == {"test": "2026-03-10T08:30:00", "rest": "2026-03-10T17:00:00"}, "by the tenant's clock"

    for place, due in FIRST.items():
        at(tenant, due)
        assert {who for who in left(box) if who not in tests} == set()
        assert of(place, left(box)) == of(place, tests)
        state = "waiting" if place == "york" else "sending"
        assert api.get(path).json()["ab_tests"][0]["state"] == state
    assert left(box) == tests

    b, a = (sorted(who for who, template in tests.items() if template == variant) for variant in (B, A))
    noon, evening = datetime(2026, 3, 10, 12), datetime(2026, 3, 10, 16, 59)
    before, later = datetime(2026, 3, 10, 8, 29), datetime(2026, 3, 10, 17)
    rest = sorted({f"{place}{n}" for place in ZONES for n in range(EACH)} - set(tests))
    counted = [(b[0], noon, 5.0), (b[0], evening, 9.0), (b[1], evening, 5.0), (a[0], noon, 500.0)]
    buy(tenant, [*counted, (a[1], before, 5.0), (a[2], later, 5.0), (rest[0], noon, 5.0)])
    at(tenant, "2026-03-10T15:59")
    assert api.get(path).json()["ab_tests"][0]["winner_template_id"] is None
    at(tenant, CHOICE)
    status = api.get(path).json()
    (decided,) = status["ab_tests"]
    figures = [(variant["responders"], variant["sent"], variant["rate"]) for variant in decided["variants"]]
    assert figures == [(1, len(a), pytest.approx(1 / len(a))), (2, len(b), pytest.approx(2 / len(b)))]
    assert (decided["winner_template_id"], decided["ground"], decided["state"]) == (B, "best", "decided")
    assert left(box) == tests and status["state"] == "executing", "nobody's time has come"

    due = {place: next_ten(zone, instant(CHOICE)) for place, zone in ZONES.items()}
    assert due == {
        "tokyo": instant("2026-03-11T01:00"),
        "berlin": instant("2026-03-11T09:00"),
        "york": instant("2026-03-11T14:00"),
    }
    said: dict[str, str | int] = {"CampaignID": number, "ChannelID": EMAIL, "IncludeTemplateIDs": "true"}
    wire = api.get("/current/customers/GetCustomerSendDetailsByCampaign", params=said).raise_for_status().json()
    shown = {row["CustomerID"]: (row["TemplateID"], row["ScheduledTime"]) for row in wire}
    berlin = ZoneInfo("Europe/Berlin")
    local = {place: at.astimezone(berlin).strftime("%Y-%m-%d %H:%M:%S") for place, at in due.items()}
    assert {who: shown[who] for who in rest} == {who: (B, local[who.rstrip("0123456789")]) for who in rest}
    gone = set(tests)
    for place in ("tokyo", "berlin", "york"):
        at(tenant, (due[place] - timedelta(minutes=1)).isoformat()[:16])
        assert set(left(box)) == gone
        at(tenant, due[place].isoformat()[:16])
        gone |= {who for who in rest if who.startswith(place)}
        assert set(left(box)) == gone
        assert [what for what in scheduler.overdue(tenant) if what.startswith("Campaign")] == []
    assert left(box) == tests | dict.fromkeys(rest, B)
    assert tally(outcomes(tenant, number)) == {"sent": 3 * EACH} and occurrence(tenant, number).state == "successful"
    with tenant.reads() as session:
        mine = OutboxMessage.tenant_id == tenant.tenant_id
        assert session.scalar(select(func.count()).select_from(OutboxMessage).where(mine)) == 0


def test_the_choice_waits_for_a_test_that_took_longer(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    tenant = use(tenant, **QUIET)
    number = run(tenant)
    # Ten is quiet: all of them are due at eleven of their own clocks, and in Tokyo, where it is afternoon, at once.
    assert api.get(f"/manage/v1/campaigns/{number}").json()["ab_tests"][0]["decision_at"] == "2026-03-10T17:00:00Z"
    at(tenant, "2026-03-10T07:30")
    at(tenant, "2026-03-10T19:30")  # an outage of twelve hours, in New York it is half past three
    assert set(left(box)) == set(variants_of(tenant, number))
    (test,) = api.get(f"/manage/v1/campaigns/{number}").json()["ab_tests"]
    assert (test["state"], test["decision_at"]) == ("waiting", "2026-03-10T21:30:00Z")
    at(tenant, "2026-03-10T21:30")
    (test,) = api.get(f"/manage/v1/campaigns/{number}").json()["ab_tests"]
    assert (test["winner_template_id"], test["ground"]) == (A, "tie")
    at(tenant, "2026-03-11T01:59")
    assert set(left(box)) == set(variants_of(tenant, number)), "eleven in Tokyo, not ten"
    at(tenant, "2026-03-11T02:00")
    assert len(of("tokyo", left(box))) == EACH
    by_hand.cancel(tenant, number)


def test_a_person_ends_a_test_that_is_being_sent(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    """The winner follows the test without a wait, to each customer at his time, and a pause in between stops both."""
    number = run(tenant)
    tests = variants_of(tenant, number)
    at(tenant, "2026-03-10T09:00")
    place = {"recipient_group_id": 1, "channel_id": EMAIL, "template_id": B}
    ended = api.post(f"/manage/v1/campaigns/{number}/ab-test", json=place).raise_for_status().json()
    assert ended["state"] == "sending"
    pausing.pause(tenant, number)
    at(tenant, "2026-03-10T14:30")
    assert of("york", left(box)) == set()
    pausing.resume(tenant, number)
    at(tenant, "2026-03-10T14:31")
    assert left(box) == tests
    at(tenant, "2026-03-10T14:32")
    (decided,) = api.get(f"/manage/v1/campaigns/{number}").json()["ab_tests"]
    assert (decided["ground"], decided["decided_at"]) == ("chosen", "2026-03-10T14:32:00Z")
    at(tenant, "2026-03-11T01:00")
    assert of("tokyo", left(box)) == {f"tokyo{n}" for n in range(EACH)}
    assert {left(box)[who] for who in of("tokyo", left(box)) - set(tests)} == {B}
    by_hand.cancel(tenant, number)
    assert tally(outcomes(tenant, number)) == {"sent": len(left(box)), "skipped": 3 * EACH - len(left(box))}


def test_a_test_between_two_rounds_can_be_canceled(tenant: Scope, box: Mailbox) -> None:
    number = run(tenant)
    at(tenant, "2026-03-10T09:00")
    by_hand.cancel(tenant, number)
    at(tenant, "2026-03-11T15:00")
    tests = variants_of(tenant, number)
    assert set(left(box)) == of("tokyo", tests) | of("berlin", tests)
    assert occurrence(tenant, number).state == "canceled"
    assert tally(outcomes(tenant, number)) == {"sent": len(left(box)), "skipped": 3 * EACH - len(left(box))}
    assert [row.waits_until for row in channel_rows(tenant, number)] == [None] * 3


def test_the_rest_keeps_its_times_whatever_is_killed(tenant: Scope, box: Mailbox) -> None:
    number = run(tenant)
    for due in FIRST.values():
        at(tenant, due)
    tenant.clock.set(instant(CHOICE))
    rest = unit_of(tenant, occurrence(tenant, number), EMAIL, 1, Portion.REST)
    assert sending.begin(tenant, rest)
    winners.decide(tenant, rest)
    tenant.clock.set(instant("2026-03-12T00:00"))  # tried again much later
    winners.decide(tenant, rest)
    sql = "SELECT DISTINCT toString(due_at) FROM campaign_recipients WHERE campaign_id = {id:UInt32} AND portion = 2"
    due = {at for (at,) in tenant.warehouse.rows(sql, id=number)}
    assert due == {"2026-03-11 01:00:00", "2026-03-11 09:00:00", "2026-03-11 14:00:00"}
    (row,) = [row for row in channel_rows(tenant, number) if row.portion == Portion.REST]
    assert row.scheduled_time == datetime(2026, 3, 11, 2)
    sending.abandon(tenant, rest, "ended")
    by_hand.cancel(tenant, number)


def test_a_dry_run_shows_the_rest_after_the_choice(tenant: Scope) -> None:
    series = add_series(tenant, 1, [group(share=0.4)], rules={"include_all": True}, control_share=0)
    # By the clock of Berlin: 16:30 in Tokyo is 8:30, and ten there is two.
    hours = {f"{row.hour:%Y-%m-%dT%H}": row.customers for row in dry_runs.dry_run(tenant, series.id).leaving}
    tests = [hours[f"2026-03-10T{hour}"] for hour in ("08", "10", "15")]
    rests = [hours[f"2026-03-11T{hour}"] for hour in ("02", "10", "15")]
    assert len(hours) == 6 and sum(tests) == 12
    assert [test + rest for test, rest in zip(tests, rests, strict=True)] == [EACH, EACH, EACH]


INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))


@given(INSTANTS, INSTANTS, st.sampled_from([*ZONES.values(), "Asia/Kolkata", "Pacific/Apia"]), st.booleans())
def test_the_first_time_after_the_choice(planned: datetime, earliest: datetime, name: str, quiet: bool) -> None:
    """Against a walk over the hours and minutes that a clock shows."""
    zone = ZoneInfo(name)
    planned = planned.replace(second=0, microsecond=0)
    hours = Hours(start="22:00", end="07:00") if quiet else None
    following = rest_times.following(zone, hours, planned, earliest)
    shown = planned.astimezone(zone).time()
    days = [earliest.astimezone(zone).date() + timedelta(days=n) for n in range(-2, 4)]
    candidates = [datetime.combine(day, shown, zone).astimezone(UTC) for day in days]
    first = min(at for at in candidates if at >= earliest)
    local = first.astimezone(zone)
    if quiet and (local.hour >= 22 or local.hour < 7):
        day: date = local.date() + timedelta(days=local.hour >= 22)
        first = datetime(day.year, day.month, day.day, 7, tzinfo=zone).astimezone(UTC)
    assert following == first


def test_a_winner_that_may_be_known_early_is_looked_for_and_chosen_when_the_wait_is_over(
    tenant: Scope, box: Mailbox, api: httpx.Client
) -> None:
    """Looks between the end of the test and of its wait choose nobody, who is not known, and move no time."""
    number = run(tenant, when_known=True)
    tests = variants_of(tenant, number)
    for due in FIRST.values():
        at(tenant, due)
    buy(tenant, [(min(who for who, template in tests.items() if template == B), datetime(2026, 3, 10, 12), 5.0)])
    path = f"/manage/v1/campaigns/{number}"
    for minutes in (90, 60, 30, 1):
        at(tenant, (instant(CHOICE) - timedelta(minutes=minutes)).isoformat()[:16])
        (waiting,) = api.get(path).raise_for_status().json()["ab_tests"]
        assert (waiting["state"], waiting["decision_at"]) == ("waiting", f"{CHOICE}:00Z")
    at(tenant, CHOICE)
    (decided,) = api.get(path).raise_for_status().json()["ab_tests"]
    assert (decided["winner_template_id"], decided["ground"]) == (B, "best") and left(box) == tests
    for place, zone in ZONES.items():
        at(tenant, next_ten(zone, instant(CHOICE)).isoformat()[:16])
        assert {template for who, template in left(box).items() if who.startswith(place) and who not in tests} == {B}
