"""Who gets what, and why the others get nothing."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
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
    outcomes,
    publish,
    recipients,
    tally,
)

from rapport.access.scope import Scope
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery.lateness import late_by
from rapport.campaigns.measurement import results as campaign_results
from rapport.campaigns.measurement import series_results
from rapport.campaigns.measurement.windows import window
from rapport.campaigns.models import CONTROL_ACTION_ID
from rapport.campaigns.occurrences import locked, plan_next_run
from rapport.campaigns.runs import addressed, by_hand, dry_runs, processing
from rapport.campaigns.schemas import SeriesBody
from rapport.campaigns.states import RunState
from rapport.channels import service as channels
from rapport.messaging.contactability import suppressions


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    scope.clock.set(NOW)
    special = [
        customer(9001, IS_TEST="Yes"),
        customer(9002, IS_BLOCKED="true"),
        customer(9003, IS_OPTIN="No"),
        customer(9004, ALLOW_EMAIL="No"),
        customer(9005, EMAIL=None),
        customer(9006, EMAIL="  "),
        customer(9007),
    ]
    belgians = [customer(number, COUNTRY="BE") for number in range(8000, 8040)]
    add_profiles(scope, [customer(number) for number in range(1000)] + special + belgians)
    publish(scope)
    add_channels(scope)
    suppressions.suppress(scope, "c09007", EMAIL)
    add_group(scope, "Dutch", "NL")
    add_group(scope, "Belgian", "BE")
    for name in ("First", "Second", "Third"):
        add_action(scope, name, (name.upper(),))
    return scope


@pytest.fixture(autouse=True)
def nothing_left(tenant: Scope) -> Iterator[None]:
    """Runs of one test neither address nor count for another."""
    yield
    tenant.clock.set(NOW)
    for found in occurrences.occurrences(tenant):
        if found.state in ("scheduled", "awaiting clearance", "awaiting confirmation"):
            by_hand.cancel(tenant, found.id)


def process(scope: Scope, series_id: int, day: date = TODAY) -> int:
    number = plan_next_run(scope, series_id, day)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    return number


def test_everybody_has_one_place_or_a_reason(tenant: Scope) -> None:
    made = add_series(tenant, 1, [group(2, (EMAIL, 1))], rules={"include_all": True}, control_share=0.2)
    number = process(tenant, made.id)
    found, rows = occurrences.occurrence(tenant, number), outcomes(tenant, number)
    given = recipients(tenant, number)
    reasons = {row[0]: row[1:] for row in rows}
    assert reasons["C09001"] == (0, "excluded", "test account")
    assert reasons["C09002"] == (0, "excluded", "blocked")
    assert reasons["C09003"] == (0, "excluded", "opted out")
    assert reasons["C09004"] == (EMAIL, "suppressed", "no permission")
    assert reasons["C09005"] == reasons["C09006"] == (EMAIL, "no address", "")
    assert reasons["C09007"] == (EMAIL, "suppressed", "suppression list")
    control = {row[0] for row in given if row[1] == 0}
    test = {row[0] for row in given if row[1] == EMAIL}
    assert control | test == {f"C{n:05d}" for n in range(1000)} and not control & test
    assert 140 < len(control) < 260
    assert {row[1:] for row in given} == {(0, 0, CONTROL_ACTION_ID, 0), (EMAIL, 1, 2, 1)}
    assert {row[0] for row in rows if row[2] == "control"} == control
    assert found.state == "scheduled"
    assert (found.targeted, found.test_size, found.control_size) == (1007, len(test), len(control))
    assert found.counts == tally(rows)
    assert sum(found.counts.values()) + len(test) == found.targeted


def test_a_repetition_comes_to_the_same_people(tenant: Scope) -> None:
    made = add_series(tenant, 1, [group(2, (EMAIL, 1), share=0.7), group(3, (EXTERNAL, 4), share=0.3)])
    number = process(tenant, made.id)
    first = recipients(tenant, number), outcomes(tenant, number)
    with tenant.records() as session:  # as after a kill in the middle
        locked(tenant, session, number).state = "processing"
    processing.process(tenant, number, DATA_DATE)
    assert (recipients(tenant, number), outcomes(tenant, number)) == first


def cancel(tenant: Scope, *numbers: int) -> None:
    """Runs that no later one is to learn from."""
    with tenant.records() as session:
        for number in numbers:
            locked(tenant, session, number).state = RunState.CANCELED


def test_a_run_that_is_begun_early_leaves_the_customers_of_those_before_it(tenant: Scope) -> None:
    # The first takes those too whom runs of other tests keep out.
    first = add_series(tenant, 1, [group(2, (EMAIL, 1))], priority=1, rules={"include_all": True})
    second = add_series(tenant, 1, [group(2, (EMAIL, 1))], priority=2)
    runs = [plan_next_run(tenant, series.id, TODAY) for series in (first, second)]
    processing.prepare_members(tenant, runs[1], DATA_DATE)
    early = processing.begin(tenant, runs[1], DATA_DATE)
    assert processing.process(tenant, runs[0], DATA_DATE) == "scheduled"
    assert processing.process(tenant, runs[1], DATA_DATE, early) == "successful"
    left = {row[0] for row in outcomes(tenant, runs[1]) if row[2:] == ("excluded", "in a running campaign")}
    assert left >= {row[0] for row in recipients(tenant, runs[0])} != set()
    assert recipients(tenant, runs[1]) == []
    cancel(tenant, *runs)


def test_a_run_that_is_begun_and_let_go_is_processed_from_the_start(tenant: Scope) -> None:
    made = add_series(tenant, 1, [group(2, (EMAIL, 1))], rules={"include_all": True})
    number = plan_next_run(tenant, made.id, TODAY)
    processing.prepare_members(tenant, number, DATA_DATE)
    processing.begin(tenant, number, DATA_DATE).resources.close()
    tables = f"SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE 'run_{number}_%'"
    assert tenant.warehouse.value(tables) == 0
    assert processing.process(tenant, number, DATA_DATE) == "scheduled"
    assert processing.process(tenant, number, DATA_DATE) == "scheduled"
    cancel(tenant, number)


def test_shares_channels_and_codes(tenant: Scope) -> None:
    places = [
        group(2, (EXTERNAL, 4), (EMAIL, 1), share=0.5),
        group(3, (EXTERNAL, 5), share=0.3, promo_codes=["A1", "B2"]),
        group(4, (EXTERNAL, 6), share=0.2, time="18:15"),
    ]
    made = add_series(tenant, 1, places, rules={"include_all": True}, control_share=0)
    number = process(tenant, made.id)
    given = recipients(tenant, number)
    sizes = Counter((row[2], row[1]) for row in given)
    assert 430 < sizes[1, EXTERNAL] < 570 and 240 < sizes[2, EXTERNAL] < 360 and 150 < sizes[3, EXTERNAL] < 250
    # Permission and address are of the e-mail channel: on the external one these are reached all the same.
    unreached = [row for row in outcomes(tenant, number) if row[2] in ("suppressed", "no address")]
    assert sizes[1, EXTERNAL] == sizes[1, EMAIL] + len(unreached)
    rows = {(row.recipient_group_id, row.channel_id): row for row in occurrences.channel_rows(tenant, number)}
    assert [rows[place].promo_code for place in ((1, EMAIL), (2, EXTERNAL), (3, EXTERNAL))] == [
        "FIRST",
        "A1,B2",
        "THIRD",
    ]
    assert [str(rows[place].scheduled_time) for place in ((1, EMAIL), (3, EXTERNAL))] == [
        "2026-03-10 09:00:00",
        "2026-03-10 18:15:00",
    ]
    assert {place: row.recipients for place, row in rows.items()} == sizes
    codes = tenant.warehouse.rows(
        "SELECT DISTINCT recipient_group_id, promo_code, toString(scheduled_time), end_date FROM campaign_recipients "
        "WHERE campaign_id = {id:UInt32} AND channel_id = 505 ORDER BY 1",
        id=number,
    )
    assert codes == [
        (1, "FIRST", "2026-03-10 09:00:00", date(2026, 3, 17)),
        (2, "A1,B2", "2026-03-10 09:00:00", date(2026, 3, 17)),
        (3, "THIRD", "2026-03-10 18:15:00", date(2026, 3, 17)),
    ]


def test_running_campaigns_excluded_groups_and_caps(tenant: Scope) -> None:
    one = [group(2, (EXTERNAL, 4))]
    first = process(tenant, add_series(tenant, 2, one, control_share=0.5, duration=3).id)
    busy = {row[0] for row in recipients(tenant, first)}
    assert len(busy) == 40
    # In the window everybody, control too, is kept out of other campaigns; after it nobody is.
    inside = process(tenant, add_series(tenant, 2, one).id, TODAY + timedelta(days=2))
    assert {row[2:] for row in outcomes(tenant, inside)} == {("excluded", "in a running campaign")}
    found = occurrences.occurrence(tenant, inside)
    assert (found.state, found.error) == (
        "successful",
        "Nobody was left to write to: in a running campaign (40).",
    )
    outside = process(tenant, add_series(tenant, 2, one).id, TODAY + timedelta(days=3))
    assert tally(outcomes(tenant, outside)).keys() <= {"control"}
    kept = process(
        tenant, add_series(tenant, 2, one, rules={"include_all": True, "exclude_target_group_ids": [1, 2]}).id
    )
    assert {row[2:] for row in outcomes(tenant, kept)} == {("excluded", "target group 2")}
    rules = {"include_all": True, "frequency_cap": {"messages": 1, "days": 7}}
    # Control counts as if it had been sent, with as many messages as it would have had.
    capped = process(tenant, add_series(tenant, 2, one, rules=rules, control_share=0).id)
    assert {row[0] for row in outcomes(tenant, capped) if row[2] == "capped"} == busy
    twice = [group(2, (EXTERNAL, 4), (EMAIL, 1))]
    process(tenant, add_series(tenant, 2, twice, rules={"include_all": True}, control_share=0.5).id)
    assert addressed.scheduled_messages(tenant, sorted(busy), TODAY) == dict.fromkeys(busy, 3)


@pytest.mark.parametrize(
    ("processed", "begins"),
    [
        (datetime(2026, 3, 10, 22, 30, tzinfo=UTC), datetime(2026, 3, 10, 9)),  # its send day, by the tenant's clock
        (datetime(2026, 3, 10, 23, 30, tzinfo=UTC), datetime(2026, 3, 11, 0, 30)),
        (datetime(2026, 4, 8, 10, 0, 5, 7, tzinfo=UTC), datetime(2026, 4, 8, 12, 0, 5)),
    ],
)
def test_a_run_that_is_processed_after_its_send_day_is_measured_from_then(
    tenant: Scope, processed: datetime, begins: datetime
) -> None:
    made = add_series(tenant, 2, [group(2, (EXTERNAL, 4))], duration=3, rules={"include_all": True})
    tenant.clock.set(processed)
    found = occurrences.occurrence(tenant, process(tenant, made.id))
    assert window(tenant, found) == (begins, begins + timedelta(days=3))
    results = campaign_results.results(tenant, found.id)
    assert (results.window_start, results.is_complete) == (begins, False)


def test_a_run_that_is_confirmed_after_its_send_day_is_measured_from_then(tenant: Scope) -> None:
    made = add_series(tenant, 2, [group(2, (EXTERNAL, 4))], duration=3, rules={"include_all": True})
    tenant.clock.set(datetime(2026, 3, 10, 7, tzinfo=UTC))
    number = process(tenant, made.id)
    with tenant.records() as session:
        stopped = locked(tenant, session, number)
        stopped.state, stopped.error = "awaiting confirmation", "It is large."
    tenant.clock.set(datetime(2026, 3, 14, 10, 0, 5, tzinfo=UTC))
    confirmed = by_hand.confirm(tenant, number)
    assert confirmed.confirmed_at == tenant.clock.now()
    assert window(tenant, confirmed)[0] == datetime(2026, 3, 14, 11, 0, 5)
    (row,) = occurrences.channel_rows(tenant, number)
    tenant.clock.set(datetime(2026, 3, 14, 10, 30, 5, tzinfo=UTC))
    assert late_by(tenant, confirmed, row) == timedelta(minutes=30), "before it was confirmed it could not leave"


def test_the_window_in_which_a_run_keeps_its_customers_is_that_of_its_results(tenant: Scope) -> None:
    """Whatever lead times two campaigns have: they share customers only when no day belongs to both windows."""
    one = [group(2, (EXTERNAL, 4))]
    number = process(tenant, add_series(tenant, 2, one, duration=3, lead_time=10).id)
    begin, end = window(tenant, occurrences.occurrence(tenant, number))
    days = {(begin + timedelta(days=day)).date() for day in range((end - begin).days)}
    for lead_time in (0, 4):
        for sent in (5, 6, 7, 8, 9, 12, 13):
            made = add_series(tenant, 2, one, duration=4, lead_time=lead_time)
            other = process(tenant, made.id, TODAY + timedelta(days=sent - lead_time))
            mine = {TODAY + timedelta(days=sent + day) for day in range(4)}
            kept_out = ("excluded", "in a running campaign") in {row[2:] for row in outcomes(tenant, other)}
            assert kept_out == bool(days & mine), (lead_time, sent)
            with tenant.records() as session:
                locked(tenant, session, other).state = "canceled"
    with tenant.records() as session:
        locked(tenant, session, number).state = "canceled"


@pytest.mark.parametrize(
    ("schedule", "duration", "rule", "kept_out", "warned"),
    [
        ({"kind": "weekly"}, 7, None, [0, 0, 0, 0], ""),
        ({"kind": "weekly"}, 30, None, [0, 0, 0, 0], "it buys then counts in each of them"),
        ({"kind": "weekly"}, 8, "duration", [0, 40, 0, 40], "is not reached by every run"),
        ({"kind": "daily"}, 3, None, [0, 40, 40, 0], "is not reached by every run"),
        ({"kind": "daily"}, 3, "period", [0, 0, 0, 0], "it buys then counts in each of them"),
    ],
)
def test_runs_of_a_series_reach_its_customers_as_its_rule_says(
    tenant: Scope, schedule: dict[str, str], duration: int, rule: str | None, kept_out: list[int], warned: str
) -> None:
    plan = {**schedule, "start_date": TODAY.isoformat()}
    more = {"schedule": plan, "duration": duration, "rules": {"own_runs": rule}, "lead_time": 1}
    made = add_series(tenant, 2, [group(2, (EXTERNAL, 4))], **more)
    told = definitions.series_warnings(tenant, made)
    assert len(told) == bool(warned) and all(warned in one for one in told)
    days = definitions.next_runs(tenant, made.id, 4)
    runs = [process(tenant, made.id, day) for day in days]
    assert [tally(outcomes(tenant, run)).get("excluded", 0) for run in runs] == kept_out
    again = process(tenant, made.id, days[-1])
    assert tally(outcomes(tenant, again)) == {"excluded": 40}, "one more run of the day reaches nobody a second time"
    with tenant.records() as session:
        for run in [*runs, again]:
            locked(tenant, session, run).state = "canceled"


def test_a_dry_run_says_what_a_run_comes_to_and_leaves_nothing(tenant: Scope) -> None:
    """A draft is counted as the run of the same day then is, to the unit where nothing is drawn."""
    places = [group(2, (EXTERNAL, 4), (EMAIL, 1))]
    body = {
        "name": "Draft",
        "target_group_id": 1,
        "schedule": {"kind": "daily", "start_date": TODAY.isoformat()},
        "groups": places,
        "control_share": 0,
        "rules": {"include_all": True, "exclude_target_group_ids": [2]},
    }
    made = definitions.create_series(tenant, SeriesBody.model_validate(body), "paused")
    before = tenant.warehouse.rows("SELECT count() FROM campaign_recipients"), occurrences.occurrences(tenant)[:1]
    told = dry_runs.dry_run(tenant, made.id)
    after = tenant.warehouse.rows("SELECT count() FROM campaign_recipients"), occurrences.occurrences(tenant)[:1]
    assert [one.id for one in before[1]] == [one.id for one in after[1]] and before[0] == after[0]
    assert not [name for (name,) in tenant.warehouse.rows("SHOW TABLES") if "run_0" in name]
    number = process(tenant, made.id)
    found = occurrences.occurrence(tenant, number)
    reasons = Counter(row[1:] for row in outcomes(tenant, number))
    assert {(one.channel_id, one.outcome, one.reason): one.units for one in told.not_reached} == reasons
    assert reasons[0, "excluded", "test account"] == 1 and reasons[EMAIL, "suppressed", "suppression list"] == 1
    sent = Counter((row[2], row[1]) for row in recipients(tenant, number))
    assert {(one.recipient_group_id, one.channel_id): one.customers for one in told.reached} == sent
    assert (told.targeted, told.addressed, told.control) == (found.targeted, found.test_size, found.control_size)
    assert (told.data_date, told.execution_date, told.objection) == (DATA_DATE, TODAY, "")
    with tenant.records() as session:
        locked(tenant, session, number).state = "canceled"
    body |= {"name": "Halves", "campaign_type": "A/B"}
    halves = {**body, "groups": [group(2, (EXTERNAL, 4), share=0.5)] * 2, "control_share": 0.2}
    told = dry_runs.dry_run(tenant, definitions.create_series(tenant, SeriesBody.model_validate(halves)).id)
    assert 140 < told.control < 260 and told.control + told.addressed == 1004
    assert all(340 < one.customers < 460 for one in told.reached) and len(told.reached) == 2


def test_blast_guard_asks_before_an_unusual_run(tenant: Scope) -> None:
    settings = tenant.settings | {"campaigns": {"blast_minimum": 100, "messages_per_day": 2}}
    guarded = Scope(tenant.stores, tenant.tenant_id, tenant.time_zone, tenant.currency, settings)
    one, rules = [group(2, (EXTERNAL, 4))], {"include_all": True}
    made = add_series(guarded, add_group(guarded, "Luxembourgers", "LU"), one, rules=rules, control_share=0)
    add_profiles(guarded, [customer(20_000 + n, COUNTRY="LU") for n in range(50)])
    first = process(guarded, made.id)
    assert occurrences.occurrence(guarded, first).state == "scheduled"
    add_profiles(guarded, [customer(30_000 + n, COUNTRY="LU") for n in range(101)])
    second = process(guarded, made.id)
    found = occurrences.occurrence(guarded, second)
    assert found.state == "awaiting confirmation"
    assert found.error == "The run would address 151 customers, more than 3 times the usual 50 of its target group."
    assert by_hand.confirm(guarded, second).state == "scheduled"
    third = process(guarded, made.id)
    assert occurrences.occurrence(guarded, third).error == (
        "The run would bring a customer to 3 messages on 2026-03-10, more than the 2 that are allowed a day."
    )
    with pytest.raises(Exception, match="does not wait for a confirmation"):
        by_hand.confirm(guarded, second)


def test_conditional_run_waits_and_goes_to_nobody_unapproved(tenant: Scope) -> None:
    made = add_series(tenant, 2, [group(2, (EXTERNAL, 4), time="12:00")], conditional=True, rules={"include_all": True})
    number = process(tenant, made.id)
    found = occurrences.occurrence(tenant, number)
    assert found.state == "awaiting clearance" and found.clearance_by is not None
    assert found.clearance_by.isoformat() == "2026-03-10T10:30:00+00:00"
    assert tasks.execute_due(tenant) == 0
    tenant.clock.set(found.clearance_by)
    tasks.execute_due(tenant)
    found = occurrences.occurrence(tenant, number)
    assert found.state == "not run"
    assert {row[2:] for row in outcomes(tenant, number)} <= {("control", ""), ("excluded", "not cleared")}
    assert len(outcomes(tenant, number)) == 40 == sum(found.counts.values())


def test_a_self_optimising_split_learns_from_past_runs(tenant: Scope) -> None:
    """Of the first run's two groups only the second responds: the next run gives it nearly everybody."""
    groups = [group(2, (EXTERNAL, 4), share=0.5), group(3, (EXTERNAL, 4), share=0.5)]
    made = add_series(tenant, 1, groups, split="thompson", min_share=0.1, rules={"include_all": True}, control_share=0)
    first = process(tenant, made.id)
    assert occurrences.occurrence(tenant, first).plan.shares == pytest.approx([0.5, 0.5], abs=0.02)
    second_group = [row[0] for row in recipients(tenant, first) if row[2] == 2]
    bought = datetime(2026, 3, 11, 12, tzinfo=UTC)
    names = ["transaction_id", "customer_id", "transaction_time", "amount"]
    rows = [(f"t{who}", who, bought, 9.0) for who in second_group[::3]]
    tenant.warehouse.insert("transactions", names, rows)
    tomorrow = process(tenant, made.id, TODAY + timedelta(days=1))
    shares = occurrences.occurrence(tenant, tomorrow).plan.shares
    assert shares == pytest.approx([0.1, 0.9], abs=0.001)
    sizes = Counter(row[2] for row in recipients(tenant, tomorrow))
    assert sizes[1] / sizes.total() == pytest.approx(0.1, abs=0.035)


def test_recommended_products_are_put_into_the_content(tenant: Scope) -> None:
    names = ["data_date", "customer_id", "recommendation_type", "priority", "product_id"]
    rows = [(DATA_DATE, "C08000", kind, n, f"P{n}") for kind, n in ((1, 1), (2, 2), (1, 3))]
    tenant.warehouse.insert("product_recommendations", names, [*rows, (DATA_DATE, "C08000", 2, 9, "P1")])
    made = add_series(tenant, 2, [group(2, (EXTERNAL, 4))], products=2, rules={"include_all": True}, control_share=0)
    number = process(tenant, made.id)
    found = tenant.warehouse.rows(
        "SELECT customer_id, priority, product_id, recommendation_type FROM campaign_products "
        "WHERE campaign_id = {id:UInt32} ORDER BY priority",
        id=number,
    )
    assert found == [("C08000", 1, "P1", 1), ("C08000", 2, "P2", 2)]


def test_a_group_is_compared_with_those_who_would_have_been_in_it(tenant: Scope) -> None:
    """Half can be mailed and buy often, half hold a card and rarely do; mail for one group, cards for the other, and no
    effect of anything.
    """
    mailed = [customer(number, COUNTRY="FR", FIRST_NAME=None) for number in range(5000, 6000)]
    carded = [customer(number, COUNTRY="FR", EMAIL=None) for number in range(6000, 7000)]
    add_profiles(tenant, mailed + carded)
    channels.create_channel(tenant, "Cards", "external", id=507, address_attribute="FIRST_NAME")
    target = add_group(tenant, "French", "FR")
    groups = [group(2, (EMAIL, 1), share=0.5), group(3, (507, 4), share=0.5)]
    made = add_series(tenant, target, groups, rules={"include_all": True}, control_share=0.3, duration=1)
    first = process(tenant, made.id)
    buyers = [f"C{n:05}" for n in range(5000, 6000) if n % 2] + [f"C{n:05}" for n in range(6000, 7000) if n % 20 == 0]
    at = datetime(2026, 3, 10, 12, tzinfo=UTC)
    names = ["transaction_id", "customer_id", "transaction_time", "amount"]
    tenant.warehouse.insert("transactions", names, [(f"f{who}", who, at, 9.0) for who in buyers])
    with tenant.records() as session:
        locked(tenant, session, first).state = "successful"
    publish(tenant, TODAY + timedelta(days=1))
    try:
        found = campaign_results.results(tenant, first)
        alone = series_results.series_results(tenant, made)
    finally:
        publish(tenant)
    control, *others = found.groups
    sql = """
        SELECT customer_id, drawn_group, messages FROM campaign_recipients
        WHERE campaign_id = {id:UInt32} AND recipient_group_id = 0
    """
    held_back = tenant.warehouse.rows(sql, id=first)
    assert len(held_back) == control.customers and {row[2] for row in held_back} == {1}
    for number, one in enumerate(others, start=1):
        mine = [who for who, drawn, _ in held_back if drawn == number]
        assert all((who < "C06000") == (number == 1) for who in mine)
        compared = one.against_control
        assert compared is not None and one.check is not None and one.check.sizes_p_value is not None
        hits = sum(who in buyers for who in mine)
        assert (compared.control_customers, compared.control_responders) == (len(mine), hits)
        assert compared.uplift == pytest.approx(one.response_rate - hits / len(mine))
        total = alone.groups[number - 1].against_control
        assert total is not None and (alone.runs, alone.between) == (1, [])
        assert total.uplift == pytest.approx(compared.uplift) and total.control_customers == len(mine)


def test_a_series_has_one_result_over_its_runs(tenant: Scope) -> None:
    """Two runs whose levels differ, put together by hand as Mantel and Haenszel do; groups on one channel compare."""
    groups = [group(2, (EXTERNAL, 4), share=0.5), group(3, (EXTERNAL, 4), share=0.5)]
    made = add_series(tenant, 1, groups, rules={"include_all": True}, control_share=0.3, duration=1)
    numbers = [process(tenant, made.id, TODAY + timedelta(days=n)) for n in (4, 5)]
    over = weight = 0.0
    insert = []
    for n, number in enumerate(numbers):
        sides: dict[bool, list[bool]] = {True: [], False: []}
        for who, _, place, *_ in recipients(tenant, number):
            buys = int(who[1:]) % (9 if n else 3) == 0 or (place == 1 and int(who[1:]) % 4 == 0)
            if place != 2:
                sides[place == 0].append(buys)
            if buys:
                at = datetime(2026, 3, 14 + n, 12, tzinfo=UTC)
                insert.append((f"s{n}{who}", who, at, 20.0 + int(who[1:]) % 7))
        own, held_back = sides[False], sides[True]
        part = len(own) * len(held_back) / (len(own) + len(held_back))
        over += part * (sum(own) / len(own) - sum(held_back) / len(held_back))
        weight += part
    names = ["transaction_id", "customer_id", "transaction_time", "amount"]
    tenant.warehouse.insert("transactions", names, insert)
    with tenant.records() as session:
        for number in numbers:
            locked(tenant, session, number).state = "successful"
    publish(tenant, TODAY + timedelta(days=7))
    try:
        found = series_results.series_results(tenant, made)
    finally:
        publish(tenant)
    assert (found.runs, found.first_date) == (2, TODAY + timedelta(days=4))
    first, second = found.groups
    assert first.against_control is not None and second.against_control is not None
    assert first.against_control.uplift == pytest.approx(over / weight)
    assert first.verdict == "Better than control." and second.verdict != first.verdict
    assert first.against_control.money is not None and first.against_control.money.interval[0] > 0
    (pair,) = found.between
    assert (pair.recipient_group_id, pair.verdict) == (2, "Group 1 does better than group 2.")
    assert found.detectable.days_until_a_tenth is not None and found.detectable.so_far is not None
