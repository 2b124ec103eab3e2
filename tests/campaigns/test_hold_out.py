"""The global hold-out: who is in it, what scheduled campaigns make of it, and what all of them have brought."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
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
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.campaigns.measurement import series_results
from rapport.campaigns.measurement.programme import compared, effect_of_period, programme_results
from rapport.campaigns.measurement.summary import summary
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, dry_runs, processing
from rapport.campaigns.runs.hold_out import held_out_sql, hold_out_parameters, is_held_out
from rapport.campaigns.schemas import OneTimeBody, PlainGoal
from rapport.campaigns.settings import HoldOut
from rapport.errors import Conflict

PEOPLE = 3000
KEPT_BACK = ("excluded", "kept back: global hold-out")
BEGAN, LAST = date(2026, 1, 20), date(2026, 3, 9)


def with_hold_out(scope: Scope, share: float, start: date, salt: str = "1") -> Scope:
    given = {"share": share, "start_date": start.isoformat(), "salt": salt}
    return replace(scope, settings={"campaigns": {"hold_out": given}})


def held(customer_id: str, share: float, salt: str = "1") -> bool:
    """By the words of the documents: the first eight bytes of a SHA-256, the lowest first."""
    digest = hashlib.sha256(f"hold-out/{salt}/{customer_id.lower()}".encode()).digest()
    return sum(byte << 8 * place for place, byte in enumerate(digest[:8])) % 1_000_000 < share * 1_000_000


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Iterator[Scope]:
    scope.clock.set(NOW)
    add_profiles(scope, [customer(n) for n in range(PEOPLE)])
    rows = [[f"C{n:05d}", date(2026, 2, 10) if n % 5 == 0 else None] for n in range(PEOPLE)]
    scope.warehouse.insert("customers", ["customer_id", "REGISTRATION_DATE"], rows)
    publish(scope)
    add_channels(scope)
    add_action(scope)
    add_group(scope, "Everybody", "NL")
    yield scope
    scope.clock.set(None)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("abcXYZ019-_@ äÖé", min_size=1, max_size=20), min_size=1, max_size=50), st.floats(0.01, 0.5))
def test_sql_and_python_hold_out_the_same(tenant: Scope, ids: list[str], share: float) -> None:
    hold_out = HoldOut(share=round(share, 3), start_date=TODAY, salt="spring '26")
    sql = f"SELECT {held_out_sql('one')} FROM (SELECT arrayJoin({{ids:Array(String)}}) AS one)"
    found = [bool(row[0]) for row in tenant.warehouse.rows(sql, ids=ids, **hold_out_parameters(hold_out))]
    assert found == [is_held_out(hold_out, one) for one in ids]
    assert found == [held(one, hold_out.share, hold_out.salt) for one in ids]


def test_a_larger_share_lets_nobody_out_and_another_salt_draws_anew() -> None:
    ids = [f"C{n:05d}" for n in range(PEOPLE)]
    small, large, other = (
        {one for one in ids if is_held_out(HoldOut(share=share, start_date=TODAY, salt=salt), one)}
        for share, salt in ((0.05, "1"), (0.1, "1"), (0.1, "2"))
    )
    assert small < large and 0.08 < len(large) / PEOPLE < 0.12
    assert len(large & other) < 0.2 * len(large)
    assert not is_held_out(None, "C00001")


def test_no_run_writes_to_the_hold_out(tenant: Scope) -> None:
    scope = with_hold_out(tenant, 0.2, TODAY + timedelta(days=1))
    everybody = {f"C{n:05d}" for n in range(PEOPLE)}
    kept = {one for one in everybody if held(one, 0.2)}
    series = add_series(
        scope, 1, [group(2, (EXTERNAL, 1), time="23:00")], control_share=0.1, rules={"include_all": True}
    )
    before = processed(scope, plan_next_run(scope, series.id, TODAY))
    assert {row[0] for row in recipients(scope, before)} == everybody
    later = processed(scope, plan_next_run(scope, series.id, TODAY + timedelta(days=1)))
    assert {row[0] for row in recipients(scope, later)} == everybody - kept
    assert {row[0] for row in outcomes(scope, later) if row[2:] == KEPT_BACK} == kept
    # What is processed before the hold-out begins and sent in it is part of it.
    lead = add_series(scope, 1, [group(2, (EXTERNAL, 1))], lead_time=1, control_share=0, rules={"include_all": True})
    ahead = processed(scope, plan_next_run(scope, lead.id, TODAY))
    assert {row[0] for row in recipients(scope, ahead)} == everybody - kept
    dry = dry_runs.dry_run(with_hold_out(tenant, 0.2, TODAY), series.id)
    assert [one.units for one in dry.not_reached if (one.outcome, one.reason) == KEPT_BACK] == [len(kept)]


def test_no_list_reaches_the_hold_out(tenant: Scope) -> None:
    scope = with_hold_out(tenant, 0.5, TODAY + timedelta(days=1))
    chosen = [f"c{n:05d}" for n in range(40)]
    place = {"channel_id": EXTERNAL, "template_id": 1}
    body = {"name": "Sorry", "customer_ids": chosen, "action_id": 2, "channels": [place]}
    later = {**body, "execution_date": (TODAY + timedelta(days=1)).isoformat()}
    found = processed(scope, by_hand.one_time(scope, OneTimeBody.model_validate(later)).id)
    assert {row[0].lower() for row in recipients(scope, found)} == {one for one in chosen if not held(one, 0.5)}


def processed(scope: Scope, campaign: int) -> int:
    processing.prepare_members(scope, campaign, DATA_DATE)
    assert processing.process(scope, campaign, DATA_DATE) in ("scheduled", "awaiting confirmation")
    return campaign


@pytest.fixture(scope="module")
def bought(tenant: Scope) -> list[tuple[str, datetime, float]]:
    """What customers buy anyhow: some much, most little, from before the hold-out to its last day."""
    chance = random.Random(12)
    made = []
    for n in range(PEOPLE):
        usual = chance.lognormvariate(3, 0.7)
        first = date(2026, 2, 10) if n % 5 == 0 else date(2025, 11, 25)
        days = (LAST - first).days
        for _ in range(chance.choice([0, 1, 2, 4]) * days // 60):
            at = datetime.combine(first, datetime.min.time()) + timedelta(minutes=chance.randrange(days * 1440 + 1400))
            made.append((f"C{n:05d}", at, round(usual * chance.uniform(0.5, 1.5), 2)))
    keep(tenant, "usual", made)
    return made


def keep(scope: Scope, called: str, some: list[tuple[str, datetime, float]]) -> None:
    rows = [[f"{called}{n}", who, at.replace(tzinfo=UTC), amount] for n, (who, at, amount) in enumerate(some)]
    scope.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)


def test_the_report_counts_as_by_hand(tenant: Scope, bought: list[tuple[str, datetime, float]]) -> None:
    found = programme_results(with_hold_out(tenant, 0.2, BEGAN))
    spans = [(one.first_date, one.last_date) for one in found.months]
    assert spans == [
        (BEGAN, date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 2, 28)),
        (date(2026, 3, 1), LAST),
    ]
    assert [one.is_complete for one in found.months] == [True, True, False]
    assert found.months[2].verdict == "The month is not over."
    for one in (found.whole, *found.months):
        there = [f"C{n:05d}" for n in range(PEOPLE) if n % 5 or one.last_date >= date(2026, 2, 10)]
        for side, wanted in ((one.hold_out, True), (one.written_to, False)):
            mine = {who for who in there if held(who, 0.2) == wanted}
            orders = [
                (who, amount)
                for who, at, amount in bought
                if who in mine and one.first_date <= at.date() <= one.last_date
            ]
            assert (side.customers, side.orders) == (len(mine), len(orders))
            assert side.responders == len({who for who, _ in orders})
            assert side.value == pytest.approx(sum(amount for _, amount in orders))
            assert side.value_per_customer == pytest.approx(side.value / len(mine))
    assert found.check is not None and found.check.may_be_read


def test_a_period_is_compared_as_a_month_is(tenant: Scope, bought: list[tuple[str, datetime, float]]) -> None:
    scope = with_hold_out(tenant, 0.2, BEGAN)
    february, march = (date(2026, 2, 1), date(2026, 2, 28)), (date(2026, 3, 1), date(2026, 3, 31))
    months = programme_results(scope).months
    for (first, last), month in ((february, months[1]), (march, months[2])):
        period = effect_of_period(scope, first, last)
        assert period is not None and (period.first_date, period.last_date) == (month.first_date, month.last_date)
        assert (period.written_to, period.hold_out) == (month.written_to, month.hold_out)
    assert period.verdict == "The period is not over." and not period.is_complete
    assert effect_of_period(scope, BEGAN - timedelta(days=1), LAST) is None, "the hold-out began later"
    assert effect_of_period(scope, LAST + timedelta(days=1), LAST + timedelta(days=2)) is None, "there are no data"
    whole = summary(scope, *february)
    assert whole.effect and whole.effect.against_hold_out and whole.effect.against_hold_out.money
    total = whole.effect.against_hold_out.money.total
    assert whole.sentences[-1].startswith(f"Compared with the hold-out, campaigns brought {total:,.2f} EUR (95% interv")


def test_without_an_effect_few_are_seen(tenant: Scope, bought: list[tuple[str, datetime, float]]) -> None:
    """Many draws of the same customers. In one of twenty some month shows a difference, and hardly ever all do."""
    whole, months = [], []
    for salt in range(10):
        one, check, some = compared(tenant, HoldOut(share=0.2, start_date=BEGAN, salt=f"draw {salt}"), LAST)
        assert check is not None and check.may_be_read
        whole.append(one.verdict)
        months += [month.verdict for month in some]
    shown = ("Customers spend more than without any campaign.", "Customers spend less than without any campaign.")
    assert sum(one in shown for one in whole) <= 1
    assert sum(one in shown for one in months) <= 2
    assert "No difference from the hold-out can be shown." in whole


def test_a_known_effect_is_found(tenant: Scope, bought: list[tuple[str, datetime, float]]) -> None:
    chance = random.Random(3)
    written_to = [f"C{n:05d}" for n in range(PEOPLE) if not held(f"C{n:05d}", 0.2, "effect")]
    extra = [
        (who, datetime(2026, 2, 15, 12), round(chance.uniform(10, 50), 2))
        for who in written_to
        if chance.random() < 0.5
    ]
    keep(tenant, "extra", extra)
    try:
        found = programme_results(with_hold_out(tenant, 0.2, BEGAN, "effect"))
    finally:
        tenant.warehouse.execute("DELETE FROM transactions WHERE startsWith(transaction_id, 'extra')")
    money = found.whole.against_hold_out and found.whole.against_hold_out.money
    assert money is not None
    truth = sum(amount for _, _, amount in extra)
    assert money.total_interval[0] < truth < money.total_interval[1] and money.total > 0.6 * truth
    assert found.whole.verdict == "Customers spend more than without any campaign."
    assert [one.verdict for one in found.months][:2] == [
        "No difference from the hold-out can be shown.",
        "Customers spend more than without any campaign.",
    ]


def test_the_sum_of_the_series_stands_beside(tenant: Scope, bought: list[tuple[str, datetime, float]]) -> None:
    """A run whose group spends more for it: its own result is the only part of the sum."""
    scope = with_hold_out(tenant, 0.1, TODAY)
    series = add_series(
        scope, 1, [group(2, (EXTERNAL, 1), time="09:00")], control_share=0.4, duration=5, rules={"include_all": True}
    )
    campaign = processed(scope, plan_next_run(scope, series.id, TODAY))
    sent = [row[0] for row in recipients(scope, campaign) if row[2]]
    keep(tenant, "more", [(who, datetime(2026, 3, 11, 9), 30.0) for who in sent[::2]])
    publish(tenant, date(2026, 3, 16))
    try:
        found = programme_results(scope)
        own = series_results.series_results(scope, series, PlainGoal(kind="value"))
    finally:
        publish(tenant)
        tenant.warehouse.execute("DELETE FROM transactions WHERE startsWith(transaction_id, 'more')")
    (part,) = [one for one in found.series if one.series_id == series.id]
    against = own.groups[0].against_control
    assert against is not None and against.money is not None
    assert part.value == pytest.approx(against.money.total) and part.value == pytest.approx(15 * len(sent), rel=0.1)
    assert part.runs == 1 and not part.is_triggered
    assert found.value_of_series == pytest.approx(sum(one.value or 0 for one in found.series))


def change(api: httpx.Client, hold_out: dict[str, Any] | None) -> httpx.Response:
    return api.patch("/manage/v1/tenants/current", json={"settings": {"campaigns": {"hold_out": hold_out}}})


def test_a_hold_out_begins_on_a_day_of_which_nothing_is_decided(tenant: Scope, api: httpx.Client) -> None:
    assert api.get("/manage/v1/programme/results").status_code == 409
    assert change(api, {"share": 0.9, "start_date": "2027-01-01"}).status_code == 400
    refused = change(api, {"share": 0.1, "start_date": TODAY.isoformat()})
    assert refused.status_code == 409 and "start_date after" in refused.text
    first = {"share": 0.1, "start_date": "2026-09-01", "salt": "1"}
    assert change(api, first).status_code == 200
    assert change(api, first).status_code == 200  # the same again
    tenant.clock.set(datetime(2026, 9, 20, 10, tzinfo=UTC))
    try:
        assert change(api, {**first, "share": 0.2}).status_code == 409
        assert change(api, {**first, "share": 0.2, "start_date": "2026-09-21"}).status_code == 200
        told = api.get("/manage/v1/programme/results")
        assert told.status_code == 409 and "begins on 2026-09-21" in told.text
        assert change(api, None).status_code == 200
    finally:
        tenant.clock.set(NOW)
    with pytest.raises(Conflict, match="no global hold-out"):
        programme_results(tenant)


def test_no_run_writes_to_an_address_that_somebody_of_the_hold_out_has(tenant: Scope) -> None:
    """In the run or not, and in whatever spelling; who is drawn into control is nobody of them."""
    share, begin = 0.2, TODAY + timedelta(days=3)
    some = [f"C{n:05d}" for n in range(PEOPLE, PEOPLE + 400)]
    kept, others = ([one for one in some if held(one, share) == is_kept] for is_kept in (True, False))
    # Half of the hold-out has a partner with its address, half of these partners of another country than it.
    partners = dict(zip(others, kept[: len(kept) // 2], strict=False))
    rows = [
        customer(int(one[1:]), COUNTRY="LU" if one not in kept[::2] else "LI", EMAIL=email(partners.get(one, one), n))
        for n, one in enumerate(some)
    ]
    add_profiles(tenant, rows)
    target = add_group(tenant, "Luxembourg", "LU")
    tomorrow = with_hold_out(tenant, share, begin)
    series = add_series(tomorrow, target, [group(2, (EMAIL, 1))], control_share=0.2, rules={"include_all": True})
    found = processed(tomorrow, plan_next_run(tomorrow, series.id, begin))
    members = {one for one in some if one not in kept[::2]}
    ended = {row[0]: row[2:] for row in outcomes(tenant, found)}
    assert {one for one, told in ended.items() if told == KEPT_BACK} == members & set(kept)
    shared = ("excluded", "kept back: address of the global hold-out")
    assert {one for one, told in ended.items() if told == shared} == set(partners)
    assert {row[0] for row in recipients(tenant, found)} == members - set(kept) - set(partners)


def email(whose: str, place: int) -> str:
    return f"{whose}@Example.com" if place % 2 else f" {whose.lower()}@example.COM"
