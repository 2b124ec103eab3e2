"""Reservations, what they give back, and the periods of budgets in the tenant's time zone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from promotion_tenant import add_attributes, add_customers, create_tenant, done, launch, spins, tier
from redemption_calls import NUMBERS, create_code, generate, lifetime, redeem, refused, set_budgets, used

from rapport.access.scope import Scope
from rapport.redemptions import ending
from rapport.redemptions.expiring import Expirer
from rapport.redemptions.periods import starts_on
from rapport.redemptions.states import Period

NOON = datetime(2026, 3, 11, 11, tzinfo=UTC)  # a Wednesday, twelve o'clock in Berlin


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> None:
    scope.clock.set(None)
    add_attributes(scope)
    add_customers(scope, [{"customer_id": f"Q{number}"} for number in range(1, 10)])
    create_tenant(api)


@pytest.fixture(autouse=True)
def clock(scope: Scope) -> Iterator[None]:
    scope.clock.set(NOON)
    yield
    scope.clock.set(None)


@pytest.fixture
def promotion(api: httpx.Client) -> str:
    """An active promotion that grants everybody five spins."""
    id = f"promotion-{next(NUMBERS)}"
    launch(api, id, [tier("all", [], spins(5))])
    return id


def reserve(api: httpx.Client, code: str, customer_id: str, seconds: int = 60) -> str:
    """The id of a new reservation."""
    document = done(redeem(api, code, customer_id, reserveSeconds=seconds))
    assert (document["state"], document["endedAt"]) == ("reserved", None)
    id: str = document["redemptionId"]
    return id


def end(api: httpx.Client, id: str, how: str) -> httpx.Response:
    return api.post(f"/v1/promocodes/redemptions/{id}/{how}")


def state(api: httpx.Client, id: str) -> Any:
    return done(api.get(f"/v1/promocodes/redemptions/{id}"))["state"]


def test_a_reservation_counts_and_is_committed(api: httpx.Client, promotion: str) -> None:
    set_budgets(api, promotion, lifetime("redemptions", 1), lifetime("audience", 9), lifetime("reward", 9, "freeSpins"))
    id = reserve(api, promotion, "Q1")
    assert used(api, promotion) == [1, 1, 5]
    assert refused(redeem(api, promotion, "Q2")) == "BudgetExceeded"
    committed = done(end(api, id, "commit"))
    assert (committed["state"], committed["rewards"][0]["value"]) == ("committed", 5)
    assert done(end(api, id, "commit")) == committed, "a repetition changes nothing"
    assert used(api, promotion) == [1, 1, 5]


@pytest.mark.parametrize("is_committed", [False, True])
def test_what_is_rolled_back_is_given_back_once(api: httpx.Client, promotion: str, is_committed: bool) -> None:
    pool = create_code(api, type="unique", promotionId=promotion)
    code, other = generate(api, pool, 2)
    set_budgets(api, promotion, lifetime("audience", 2), lifetime("customer", 1), lifetime("reward", 9, "freeSpins"))
    id = reserve(api, code, "Q1")
    if is_committed:
        done(end(api, id, "commit"))
    assert refused(redeem(api, code, "Q1")) == "CodeRedeemed"
    assert refused(redeem(api, other, "Q1")) == "CustomerLimitReached"
    assert refused(redeem(api, other, "Q2")) == "BudgetExceeded", "9 spins do not do for 10"
    for _ in range(2):
        assert done(end(api, id, "rollback"))["state"] == "rolledBack"
        assert used(api, promotion) == [0, None, 0]
    assert end(api, id, "commit").status_code == 409
    assert redeem(api, code, "Q1").status_code == 201
    assert used(api, promotion) == [1, None, 5]


def test_different_customers_count_once(api: httpx.Client, promotion: str) -> None:
    set_budgets(api, promotion, lifetime("audience", 2))
    ids = [reserve(api, promotion, customer_id) for customer_id in ("Q1", "q1", "Q2", "Q1")]
    assert used(api, promotion) == [2]
    assert refused(redeem(api, promotion, "Q3")) == "BudgetExceeded"
    for id, left in zip(ids, (2, 2, 1, 0), strict=True):
        done(end(api, id, "rollback"))
        assert used(api, promotion) == [left]


def test_a_reservation_expires(api: httpx.Client, scope: Scope, promotion: str) -> None:
    set_budgets(api, promotion, lifetime("redemptions", 2))
    first, second = reserve(api, promotion, "Q1", 60), reserve(api, promotion, "Q2", 120)
    scope.clock.set(NOON + timedelta(seconds=59))
    assert ending.expire_next(scope.stores) == 0 or state(api, first) == "reserved"
    scope.clock.set(NOON + timedelta(seconds=60))
    late = end(api, first, "commit")
    assert (late.status_code, "has expired" in late.json()["message"]) == (409, True)
    assert (state(api, first), used(api, promotion)) == ("expired", [1])
    scope.clock.set(NOON + timedelta(seconds=121))
    worker = Expirer(scope.stores)
    worker.round(())
    assert (state(api, second), used(api, promotion)) == ("expired", [0])
    assert done(end(api, second, "rollback"))["state"] == "expired"
    assert used(api, promotion) == [0]


def test_what_is_reserved_in_vain_refuses_nobody(api: httpx.Client, scope: Scope, promotion: str) -> None:
    pool = create_code(api, type="unique", promotionId=promotion)
    (code,) = generate(api, pool, 1)
    set_budgets(api, promotion, lifetime("customer", 1))
    id = reserve(api, code, "Q1", 60)
    scope.clock.set(NOON + timedelta(seconds=61))
    assert redeem(api, code, "Q1").status_code == 201
    assert state(api, id) == "expired"


def test_an_unknown_redemption_is_not_found(api: httpx.Client) -> None:
    assert api.get("/v1/promocodes/redemptions/nothing").status_code == 404
    for how in ("commit", "rollback"):
        assert end(api, "nothing", how).status_code == 404


@pytest.mark.parametrize(
    ("period", "day", "first"),
    [
        (Period.DAILY, date(2026, 3, 29), date(2026, 3, 29)),
        (Period.WEEKLY, date(2026, 3, 29), date(2026, 3, 23)),
        (Period.WEEKLY, date(2026, 3, 30), date(2026, 3, 30)),
        (Period.WEEKLY, date(2027, 1, 1), date(2026, 12, 28)),
        (Period.MONTHLY, date(2028, 2, 29), date(2028, 2, 1)),
        (Period.LIFETIME, date(2026, 3, 29), date(1, 1, 1)),
    ],
)
def test_periods_begin_by_the_calendar(period: Period, day: date, first: date) -> None:
    assert starts_on(period, day) == first


@pytest.mark.parametrize(
    ("period", "last", "next_one"),
    [
        # Berlin is an hour before UTC, in summer two; the clocks change on 29 March and on 25 October.
        ("daily", datetime(2026, 3, 28, 22, 59, tzinfo=UTC), datetime(2026, 3, 28, 23, 0, tzinfo=UTC)),
        ("daily", datetime(2026, 3, 29, 21, 59, tzinfo=UTC), datetime(2026, 3, 29, 22, 0, tzinfo=UTC)),
        ("daily", datetime(2026, 10, 25, 22, 59, tzinfo=UTC), datetime(2026, 10, 25, 23, 0, tzinfo=UTC)),
        ("weekly", datetime(2026, 3, 29, 21, 59, tzinfo=UTC), datetime(2026, 3, 29, 22, 0, tzinfo=UTC)),
        ("monthly", datetime(2026, 3, 31, 21, 59, tzinfo=UTC), datetime(2026, 3, 31, 22, 0, tzinfo=UTC)),
        ("monthly", datetime(2026, 12, 31, 22, 59, tzinfo=UTC), datetime(2026, 12, 31, 23, 0, tzinfo=UTC)),
    ],
)
def test_a_budget_begins_anew_with_the_tenants_day(
    api: httpx.Client, scope: Scope, promotion: str, period: str, last: datetime, next_one: datetime
) -> None:
    limits = [{"of": "redemptions", "period": period, "limit": 1}, {"of": "customer", "period": period, "limit": 1}]
    set_budgets(api, promotion, *limits, lifetime("redemptions", 2), {"of": "audience", "period": period, "limit": 1})
    scope.clock.set(last)
    id = done(redeem(api, promotion, "Q1"))["redemptionId"]
    assert refused(redeem(api, promotion, "Q1")) == "CustomerLimitReached"
    assert refused(redeem(api, promotion, "Q2")) == "BudgetExceeded"
    scope.clock.set(next_one)
    assert used(api, promotion) == [0, None, 1, 0]
    assert redeem(api, promotion, "Q1").status_code == 201
    assert used(api, promotion) == [1, None, 2, 1]
    done(end(api, id, "rollback"))
    assert used(api, promotion) == [1, None, 1, 1], "it is given back to the period that it was taken from"
    scope.clock.set(last)
    assert used(api, promotion) == [0, None, 1, 0]
