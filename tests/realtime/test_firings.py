"""What becomes of firings: every rule in its place, and one outcome with a reason for each."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trigger_world as world
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.audiences import groups as audience_groups
from rapport.campaigns import occurrences
from rapport.campaigns.delivery.quiet_hours import quiet_until
from rapport.campaigns.models import Occurrence
from rapport.campaigns.runs import by_hand
from rapport.campaigns.triggered import definitions, runs
from rapport.campaigns.triggered.definitions import groups_of_triggers
from rapport.campaigns.triggered.schemas import QuietHours
from rapport.channels import service as channels
from rapport.delivery import reading
from rapport.delivery.models import OutboxMessage, Source, State
from rapport.errors import Conflict
from rapport.messaging import templates
from rapport.messaging.contactability import suppressions
from rapport.realtime.matching import releasing
from rapport.realtime.matching.deciding import group_of, is_control
from rapport.realtime.states import FiringState

PEOPLE: list[dict[str, Any]] = [
    {"customer_id": "Test", "IS_TEST": "Yes"},
    {"customer_id": "Blocked", "IS_BLOCKED": "true"},
    {"customer_id": "OptedOut", "IS_OPTIN": "No"},
    {"customer_id": "Silent", "ALLOW_SMS": "no", "EMAIL": "silent@example.com"},
    {"customer_id": "Belgian", "COUNTRY": "BE"},
    {"customer_id": "Plain", "COUNTRY": "NL", "IS_TEST": "no", "ALLOW_SMS": "yes"},
    *({"customer_id": f"P{n}"} for n in range(200)),
    *({"customer_id": f"Night{n}"} for n in range(40)),
    {"customer_id": "Cap1"},
    {"customer_id": "Cap2"},
]
MAIL = 504


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    world.fill(scope, PEOPLE)
    channels.update_channel(scope, world.SMS, permission_attribute="ALLOW_SMS")
    mail = {"host": "127.0.0.1", "port": 9, "from_address": "shop@example.com"}
    channels.create_channel(scope, "E-mail", "email", id=MAIL, settings=mail)
    templates.save_template(scope, MAIL, "Hello", "Hi", "<p>Hi</p>", id=1)


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")


def fire(scope: Scope, *who: str, minutes: float = 0) -> None:
    """One event of each, so many minutes after NOW, handled then."""
    scope.clock.set(world.NOW + timedelta(minutes=minutes))
    for customer in who:
        world.event(scope, "add_to_cart", customer, minutes)
    world.process(scope)


def test_who_is_kept_out_and_why(scope: Scope) -> None:
    belgians = audience_groups.create_target_group(
        scope, "Belgians", {"attribute": "COUNTRY", "operator": "equals", "value": "BE"}, None
    ).id
    series = world.trigger(scope, rules={"exclude_target_group_ids": [belgians]})
    fire(scope, "test", "Blocked", "OptedOut", "Silent", "Belgian", "Plain", "Stranger")
    assert world.fired(scope, series) == [
        ("Test", "excluded", "test account"),
        ("Blocked", "excluded", "blocked"),
        ("OptedOut", "excluded", "opted out"),
        ("Silent", "suppressed", "no permission"),
        ("Belgian", "excluded", f"target group {belgians}"),
        ("Plain", "sent", ""),
        ("Stranger", "excluded", "unknown customer"),
    ]
    assert [one["customerID"] for one in world.told(scope, series)] == ["Plain"]
    assert groups_of_triggers(scope) == [belgians]


def test_a_customer_who_was_not_loaded_yet_gets_what_visitors_may_get(scope: Scope) -> None:
    series = world.trigger(scope, visitors=True)
    fire(scope, "Newcomer")
    assert world.fired(scope, series) == [("Newcomer", "sent", "")]
    assert not world.firings(scope, series)[0].is_visitor


def test_a_customer_of_today_is_known_before_the_day_is_over(scope: Scope) -> None:
    scope.warehouse.insert("customers", ["customer_id", "COUNTRY"], [["Fresh", "NL"]])
    condition = {"attribute": "COUNTRY", "operator": "equals", "value": "NL"}
    series = world.trigger(scope, customer_conditions=condition)
    fire(scope, "fresh")
    assert world.fired(scope, series) == [("Fresh", "sent", "")]


def test_whoever_was_kept_out_is_told_of_once_a_day_and_reason(scope: Scope) -> None:
    series = world.trigger(scope)
    for minutes in range(5):
        fire(scope, "Blocked", minutes=minutes)
    assert world.fired(scope, series) == [("Blocked", "excluded", "blocked")]
    fire(scope, "Blocked", minutes=24 * 60)
    assert len(world.firings(scope, series)) == 2


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("unlimited", [0, 10, 600, 1439, 1440, 4320]),
        ("once", [0]),
        ({"times": 1, "days": 1}, [0, 1440, 4320]),
        ({"times": 2, "days": 2}, [0, 10, 4320]),
    ],
)
def test_re_entry(scope: Scope, limit: Any, expected: list[int]) -> None:
    series = world.trigger(scope, re_entry=limit)
    at = [0, 10, 600, 1439, 1440, 4320]
    for minutes in at:
        fire(scope, "Plain", minutes=minutes)
    sent = [one.fired_at for one in world.firings(scope, series) if one.outcome == "sent"]
    assert sent == [world.NOW + timedelta(minutes=minutes) for minutes in expected]


def test_re_entry_within_one_batch(scope: Scope) -> None:
    series = world.trigger(scope, re_entry={"times": 2, "days": 1})
    fire(scope, *["Plain"] * 5)
    assert Counter(outcome for _, outcome, _ in world.fired(scope, series)) == {"sent": 2, "excluded": 1}


def test_the_frequency_cap_counts_every_campaigns_messages(scope: Scope) -> None:
    cap = {"frequency_cap": {"messages": 3, "days": 2}}
    first, second = world.trigger(scope, rules=cap), world.trigger(scope, rules=cap)
    today = world.NOW.date()
    with scope.records() as session:
        day = Occurrence(tenant_id=scope.tenant_id, id=900, series_id=900, execution_date=today - timedelta(days=1))
        day.state, day.campaign_type, day.duration = "successful", "Test/Control", 1
        session.add(day)
    columns = ["execution_date", "campaign_id", "customer_id", "channel_id", "end_date"]
    row = [today - timedelta(days=1), 900, "Cap1", 504, today - timedelta(days=1)]
    scope.warehouse.insert("campaign_recipients", columns, [row])
    fire(scope, "Cap1", "Cap2")
    fire(scope, "Cap1", "Cap2", minutes=1)
    outcomes = world.fired(scope, first) + world.fired(scope, second)
    assert Counter((who, outcome) for who, outcome, _ in outcomes) == {
        ("Cap1", "sent"): 2,
        ("Cap1", "capped"): 2,
        ("Cap2", "sent"): 3,
        ("Cap2", "capped"): 1,
    }
    fire(scope, "Cap1", minutes=24 * 60)
    assert world.fired(scope, first)[-1] == ("Cap1", "sent", ""), "the day before the last has gone out of the window"


def test_running_campaigns_keep_out_only_where_they_are_told_to(scope: Scope) -> None:
    today = world.NOW.date()
    with scope.records() as session:
        day = Occurrence(tenant_id=scope.tenant_id, id=901, series_id=901, execution_date=today)
        day.state, day.campaign_type, day.duration = "successful", "Test/Control", 5
        session.add(day)
    columns = ["execution_date", "campaign_id", "customer_id", "channel_id", "end_date"]
    scope.warehouse.insert("campaign_recipients", columns, [[today, 901, "P3", 504, today + timedelta(days=5)]])
    strict, open_ = world.trigger(scope, rules={"include_all": False}), world.trigger(scope)
    fire(scope, "P3", "P4")
    assert world.fired(scope, strict) == [("P3", "excluded", "in a running campaign"), ("P4", "sent", "")]
    assert [outcome for _, outcome, _ in world.fired(scope, open_)] == ["sent", "sent"]


def test_channels_that_do_not_reach(scope: Scope) -> None:
    group = {
        "action_id": 2,
        "channels": [{"channel_id": world.SMS, "template_id": 11}, {"channel_id": MAIL, "template_id": 1}],
    }
    series = world.trigger(scope, groups=[group])
    suppressions.suppress(scope, "P5", world.SMS)
    fire(scope, "Silent", "P5", "P6")
    assert world.fired(scope, series) == [
        ("Silent", "sending", ""),
        ("P5", "no address", ""),
        ("P6", "sent", ""),
    ]
    with scope.records() as session:
        ids = [one.id for one in world.firings(scope, series)]
        rows = reading.messages_of(scope, session, Source.FIRING, ids)
    told = [(ids.index(row.source_id), row.channel_id, row.state, row.reason) for row in rows]
    assert told == [
        (0, MAIL, State.PENDING, ""),
        (0, world.SMS, "suppressed", "no permission"),
        (1, MAIL, "no address", ""),
        (1, world.SMS, "suppressed", "suppression list"),
        (2, MAIL, "no address", ""),
        (2, world.SMS, "sent", ""),
    ]
    assert len({row.message_id for row in rows}) == 6
    assert [one["customerID"] for one in world.told(scope, series)] == ["P6"]
    suppressions.allow(scope, "P5", world.SMS)


def test_control_and_groups_are_drawn_by_person_and_stay(scope: Scope) -> None:
    groups = [
        {"action_id": 2, "share": share, "channels": [{"channel_id": world.SMS, "template_id": 11}]}
        for share in (0.25, 0.75)
    ]
    series = world.trigger(scope, groups=groups, campaign_type="A/B", control_share=0.3)
    people = [f"P{n}" for n in range(100, 200)]
    fire(scope, *people)
    fire(scope, *people, minutes=5)
    found = world.firings(scope, series)
    placed = {one.customer_id: (one.outcome, one.recipient_group_id) for one in found[:100]}
    assert placed == {one.customer_id: (one.outcome, one.recipient_group_id) for one in found[100:]}
    for who, (outcome, group) in placed.items():
        is_held_back = is_control(series.id, 0.3, who.lower())
        expected = 0 if is_held_back else group_of(series.id, series.groups, who.lower())
        assert (outcome, group) == ("control" if is_held_back else "sent", expected)
    sizes = Counter(group for _, group in placed.values())
    assert 15 <= sizes[0] <= 45 and sizes[1] < sizes[2], sizes
    assert len(world.told(scope, series)) == 2 * (sizes[1] + sizes[2])


# Quiet hours

QUIET = {"start": "22:00", "end": "08:00"}


def test_in_quiet_hours_firings_wait_or_are_skipped(scope: Scope) -> None:
    wait = world.trigger(scope, quiet_hours=QUIET, control_share=0.3)
    skip = world.trigger(scope, quiet_hours={**QUIET, "then": "skip"})
    night = 14 * 60  # midnight in Berlin
    people = [f"Night{n}" for n in range(40)]
    fire(scope, *people, minutes=night)
    assert {outcome for _, outcome, _ in world.fired(scope, skip)} == {"skipped"}
    kinds = Counter(one.recipient_group_id for one in world.firings(scope, wait))
    assert set(kinds) == {0, 1} and world.told(scope, wait) == []
    assert {one.due_at for one in world.firings(scope, wait)} == {datetime(2026, 3, 11, 7, tzinfo=UTC)}
    delayed = [one.customer_id for one in world.firings(scope, wait) if one.recipient_group_id]
    control = [one.customer_id for one in world.firings(scope, wait) if not one.recipient_group_id]
    assert {one.state for one in world.firings(scope, wait)} == {"delayed"}
    suppressions.suppress(scope, delayed[0], world.SMS)
    scope.warehouse.execute(f"UPDATE profiles SET IS_BLOCKED = 'yes' WHERE customer_id = '{delayed[1]}'")
    scope.warehouse.execute(f"UPDATE profiles SET IS_BLOCKED = 'yes' WHERE customer_id = '{control[0]}'")
    world.process(scope, 22 * 60 - 1)
    assert world.told(scope, wait) == []
    world.process(scope, 22 * 60)
    outcomes = {who: (outcome, reason) for who, outcome, reason in world.fired(scope, wait)}
    assert outcomes[delayed[0]] == ("suppressed", "suppression list")
    assert outcomes[delayed[1]] == ("excluded", "blocked")
    assert {outcomes[who] for who in delayed[2:]} == {("sent", "")}
    assert outcomes[control[0]] == ("excluded", "blocked"), "whom nothing may go to is missing on both sides"
    assert {outcomes[who] for who in control[1:]} == {("control", "")}
    assert [one["customerID"] for one in world.told(scope, wait)] == delayed[2:]


def test_what_waits_for_a_trigger_that_is_paused_meanwhile_is_skipped(scope: Scope) -> None:
    series = world.trigger(scope, quiet_hours=QUIET)
    fire(scope, "Plain", minutes=14 * 60)
    definitions.set_triggered_status(scope, series.id, "paused")
    world.process(scope, 22 * 60)
    assert world.fired(scope, series) == [("Plain", "skipped", "its trigger is not active any more")]


@pytest.mark.parametrize(
    ("now", "start", "end", "until"),
    [
        ("2026-03-10T21:59:59", "22:00", "08:00", None),
        ("2026-03-10T22:00:00", "22:00", "08:00", "2026-03-11T07:00:00Z"),
        ("2026-03-11T07:59:59", "22:00", "08:00", "2026-03-11T07:00:00Z"),
        ("2026-03-11T08:00:00", "22:00", "08:00", None),
        ("2026-03-10T13:00:00", "12:00", "14:00", "2026-03-10T13:00:00Z"),
        ("2026-03-10T11:00:00", "12:00", "14:00", None),
        # 02:30 does not exist on 29 March: the first minute that is not quiet is 03:00.
        ("2026-03-29T01:30:00", "01:00", "02:30", "2026-03-29T01:00:00Z"),
        ("2026-03-28T23:30:00", "23:00", "02:00", "2026-03-29T01:00:00Z"),
        ("2026-03-28T23:30:00", "23:00", "03:00", "2026-03-29T01:00:00Z"),
        ("2026-03-29T01:30:00", "01:00", "02:01", "2026-03-29T01:00:00Z"),
        ("2026-03-29T03:00:00", "01:00", "02:30", None),
        ("2026-03-28T23:00:00", "22:00", "08:00", "2026-03-29T06:00:00Z"),
        # 02:00 to 03:00 comes twice on 25 October.
        ("2026-10-25T02:15:00", "01:00", "02:30", "2026-10-25T00:30:00Z"),
        ("2026-10-25T01:15:00Z", "01:00", "02:30", "2026-10-25T01:30:00Z"),
        ("2026-10-24T23:00:00", "22:00", "08:00", "2026-10-25T07:00:00Z"),
    ],
)
def test_quiet_hours_end_by_the_wall_clock(scope: Scope, now: str, start: str, end: str, until: str | None) -> None:
    at = datetime.fromisoformat(now)
    at = at if at.tzinfo else at.replace(tzinfo=ZoneInfo("Europe/Berlin"))
    found = quiet_until(scope, QuietHours(start=start, end=end), at.astimezone(UTC))
    assert found == (datetime.fromisoformat(until) if until else None)


# Conditional ones


def test_conditional_firings_wait_for_the_gateway_and_are_let_out_or_refused(scope: Scope) -> None:
    series = world.trigger(scope, conditional=True, control_share=0.3)
    fire(scope, *(f"P{n}" for n in range(60, 80)))
    waiting = [one for one in world.firings(scope, series) if one.state == FiringState.ASKING]
    controls = [one for one in world.firings(scope, series) if one.outcome == "control"]
    assert waiting and controls and len(waiting) + len(controls) == 20 and world.told(scope, series) == []
    suppressions.suppress(scope, waiting[2].customer_id, world.SMS)
    blocked = waiting[3]
    scope.warehouse.execute(f"UPDATE profiles SET IS_BLOCKED = 'yes' WHERE customer_id = '{blocked.customer_id}'")
    with scope.records() as session:
        releasing.refuse(scope, session, waiting[0].id, "excluded", "gateway: not allowed")
        releasing.release(scope, session, [waiting[0].id, waiting[1].id, waiting[2].id, blocked.id, controls[0].id])
    with scope.records() as session:
        releasing.release(scope, session, [waiting[1].id])
        releasing.refuse(scope, session, waiting[1].id, "excluded", "too late")
    outcomes = {who: (outcome, reason) for who, outcome, reason in world.fired(scope, series)}
    assert outcomes[waiting[0].customer_id] == ("excluded", "gateway: not allowed")
    assert outcomes[waiting[1].customer_id] == ("sent", "")
    assert outcomes[waiting[2].customer_id] == ("suppressed", "suppression list")
    assert outcomes[blocked.customer_id] == ("excluded", "blocked")
    assert outcomes[controls[0].customer_id] == ("control", "")
    assert [one["customerID"] for one in world.told(scope, series)] == [waiting[1].customer_id]


def test_a_firing_ends_when_all_of_its_messages_have(scope: Scope) -> None:
    group = {"action_id": 2, "channels": [{"channel_id": MAIL, "template_id": 1}]}
    series = world.trigger(scope, groups=[group])
    fire(scope, "Silent")
    (one,) = world.firings(scope, series)
    for state, reason, expected in (("pending", "", "sending"), ("failed", "550 no", "failed"), ("sent", "", "failed")):
        with scope.records() as session:
            message = session.scalars(select(OutboxMessage).where(OutboxMessage.source_id == one.id)).one()
            message.state, message.reason = state, reason
            session.flush()
            releasing.conclude(scope, session, [one.id])
        assert world.fired(scope, series) == [("Silent", expected, "550 no" if expected == "failed" else "")]


# The day of a trigger


def test_the_day_of_a_trigger_is_one_campaign_until_the_trigger_changes(scope: Scope) -> None:
    series = world.trigger(scope)
    fire(scope, "P7")
    fire(scope, "P8", minutes=10)
    day_one = {one.campaign_id for one in world.firings(scope, series)}
    assert len(day_one) == 1
    changed = definitions.triggered_body(series).model_copy(update={"notes": "other"})
    definitions.update_triggered(scope, series.id, changed, series.version)
    fire(scope, "P9", minutes=20)
    definitions.set_triggered_status(scope, series.id, "paused")
    definitions.set_triggered_status(scope, series.id, "active")
    fire(scope, "P10", minutes=30)
    fire(scope, "P10", minutes=24 * 60)
    found = occurrences.occurrences(scope, series.id)
    assert [(one.execution_date, one.run, one.notes, one.state) for one in found] == [
        (date(2026, 3, 11), 0, "other", "executing"),
        (date(2026, 3, 10), 1, "other", "executing"),
        (date(2026, 3, 10), 0, "", "executing"),
    ]
    with pytest.raises(Conflict, match="pause its trigger"):
        by_hand.cancel(scope, found[0].id)


def test_concurrent_makers_of_a_day_get_the_same(scope: Scope) -> None:
    series = world.trigger(scope)
    day = scope.today()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: runs.occurrence_of_day(scope, series, day).id, range(16)))
    assert len(set(found)) == 1
    assert len(occurrences.channel_rows(scope, found[0])) == 1
