"""Random histories of redemptions against a plain model: nothing is overspent, and nothing leaks."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from promotion_tenant import add_attributes, add_customers, create_tenant, launch, spins, tier
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.errors import Conflict
from rapport.redemptions import budgets, bulk, ending, pools, redeeming
from rapport.redemptions.definitions import CreatePool, SetBudgets

START = datetime(2026, 3, 28, 20, tzinfo=UTC)  # the clocks of Berlin change in the night after
BERLIN = ZoneInfo("Europe/Berlin")
NUMBERS = itertools.count(1)
CUSTOMERS = ["Q1", "Q2", "Q3"]
BONUS = {"rewardType": "bonus", "calculation": {"type": "percentage", "of": "depositAmount", "percent": 10}}
PERIODS = ["daily", "weekly", "monthly", "lifetime"]
BUDGET = st.one_of(
    st.fixed_dictionaries(
        {
            "of": st.sampled_from(["audience", "redemptions", "customer"]),
            "period": st.sampled_from(PERIODS),
            "limit": st.integers(0, 4),
        }
    ),
    st.fixed_dictionaries(
        {
            "of": st.just("reward"),
            "period": st.sampled_from(PERIODS),
            "limit": st.integers(0, 60),
            "rewardType": st.sampled_from(["bonus", "freeSpins"]),
        }
    ),
)
BUDGETS = st.lists(BUDGET, max_size=4, unique_by=lambda budget: (budget["of"], budget["period"], str(budget)[-12:]))


@dataclass
class Kept:
    """A redemption as the model knows it."""

    id: str
    customer: str
    code: str
    bonus: Decimal
    day: date
    until: datetime | None
    state: str = field(default="committed")

    @property
    def is_live(self) -> bool:
        return self.state in ("reserved", "committed")


def first_day(period: str, day: date) -> date:
    """When a period began, counted day by day."""
    begins = {
        "daily": lambda each: True,
        "weekly": lambda each: each.isoweekday() == 1,
        "monthly": lambda each: each.day == 1,
        "lifetime": lambda each: each == date(2026, 1, 1),
    }[period]
    while not begins(day):
        day -= timedelta(days=1)
    return day


class Redemptions(RuleBasedStateMachine):
    """scope and api are put in by the test."""

    scope: Scope
    api: httpx.Client

    def __init__(self) -> None:
        super().__init__()
        self.number = next(NUMBERS)
        self.id = f"model-{self.number}"
        self.scope.clock.set(START)
        launch(self.api, self.id, [tier("all", [], spins(5), BONUS)])
        pool = CreatePool.model_validate({"name": "N", "type": "unique", "promotionId": self.id})
        pool_id = pools.create_pool(self.scope, pool).id
        bulk.generate(self.scope, pool_id, 2, 10)
        with self.scope.reads() as session:
            chosen = text("SELECT code FROM pool_codes WHERE pool_id = :pool_id ORDER BY code")
            self.codes = [self.id, *session.scalars(chosen, {"pool_id": pool_id})]
        self.kept: list[Kept] = []
        self.budgets: list[dict[str, Any]] = []

    def today(self) -> date:
        return self.scope.clock.now().astimezone(BERLIN).date()

    def used(self, budget: dict[str, Any], day: date, customer: str | None = None) -> Decimal:
        """What is used of a budget, by all redemptions that there are."""
        first = first_day(budget["period"], day)
        live = [each for each in self.kept if each.is_live and first_day(budget["period"], each.day) == first]
        if budget["of"] == "audience":
            return Decimal(len({each.customer for each in live}))
        if budget["of"] == "customer":
            return Decimal(sum(each.customer == customer for each in live))
        if budget["of"] == "redemptions":
            return Decimal(len(live))
        return sum((each.bonus if budget["rewardType"] == "bonus" else Decimal(5) for each in live), Decimal(0))

    def refusal(self, customer: str, code: str, bonus: Decimal) -> str | None:
        """Why a redemption must be refused now; None if it must be granted."""
        if code != self.id and any(each.is_live and each.code == code for each in self.kept):
            return "CodeRedeemed"
        trial = Kept("", customer, code, bonus, self.today(), None)
        self.kept.append(trial)
        over = [budget for budget in self.budgets if self.used(budget, trial.day, customer) > budget["limit"]]
        self.kept.remove(trial)
        if any(budget["of"] == "customer" for budget in over):
            return "CustomerLimitReached"
        first_of_audience = [
            budget
            for budget in over
            if budget["of"] != "audience" or self.used({**budget, "of": "customer"}, trial.day, customer) == 0
        ]
        return "BudgetExceeded" if first_of_audience else None

    def expire(self) -> bool:
        """Whether anything was due."""
        due = [each for each in self.kept if each.state == "reserved" and each.until <= self.scope.clock.now()]  # type: ignore[operator]
        for each in due:
            each.state = "expired"
        return bool(due)

    @rule(limits=BUDGETS)
    def set_budgets(self, limits: list[dict[str, Any]]) -> None:
        self.budgets = list({(each["of"], each["period"], each.get("rewardType")): each for each in limits}.values())
        budgets.set_budgets(self.scope, self.id, SetBudgets.model_validate({"budgets": self.budgets}))

    @rule(
        customer=st.sampled_from(CUSTOMERS),
        place=st.integers(0, 2),
        deposit=st.sampled_from([10, 99.95, 120.5]),
        seconds=st.sampled_from([None, 600, 40_000]),
    )
    def redeem(self, customer: str, place: int, deposit: float, seconds: int | None) -> None:
        code, now = self.codes[place], self.scope.clock.now()
        bonus = (Decimal(str(deposit)) / 10).quantize(Decimal("0.01"), "ROUND_HALF_UP")
        reserved_for = timedelta(seconds=seconds) if seconds else None
        request = redeeming.Request(
            f"model-{next(NUMBERS)}", code, customer, {"depositAmount": deposit}, reserved_for=reserved_for
        )
        expected = self.refusal(customer, code, bonus)
        if expected and self.expire():
            expected = self.refusal(customer, code, bonus)
        try:
            redeemed, is_repeated = redeeming.redeem(self.scope, request)
        except Conflict as error:
            assert type(error).__name__ == expected, error.message
            return
        assert (expected, is_repeated) == (None, False)
        state = "reserved" if reserved_for else "committed"
        until = now + reserved_for if reserved_for else None
        self.kept.append(Kept(redeemed.id, customer, code, bonus, self.today(), until, state))
        assert redeeming.redeem(self.scope, request)[0].id == redeemed.id, "the key redeems once"

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        each = data.draw(st.sampled_from(self.kept))
        if each.state == "reserved" and each.until is not None and each.until <= self.scope.clock.now():
            each.state = "expired"
        try:
            ending.commit(self.scope, each.id)
        except Conflict:
            assert not each.is_live
            return
        assert each.is_live
        each.state = "committed"

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        each = data.draw(st.sampled_from(self.kept))
        ending.roll_back(self.scope, each.id)
        each.state = "rolledBack" if each.is_live else each.state

    @rule(hours=st.sampled_from([0.2, 3, 12, 26, 24 * 7]))
    def wait(self, hours: float) -> None:
        self.scope.clock.advance(timedelta(hours=hours))

    @rule()
    def look(self) -> None:
        while ending.expire_next(self.scope.stores):
            pass
        self.expire()

    @invariant()
    def counters_are_the_sums_of_what_is_redeemed(self) -> None:
        today = self.today()
        for use in budgets.budgets_of(self.scope, self.id):
            budget = {**use.budget.document(), "of": use.budget.of.value, "period": use.budget.period.value}
            if budget["of"] != "customer":
                assert use.used == self.used(budget, today), budget
        states = {each.id: redeeming.redemption(self.scope, each.id).state for each in self.kept}
        assert states == {each.id: each.state for each in self.kept}


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> None:
    scope.clock.set(None)
    add_attributes(scope)
    add_customers(scope, [{"customer_id": customer} for customer in CUSTOMERS])
    create_tenant(api)


def test_random_histories_never_overspend_and_never_leak(scope: Scope, api: httpx.Client) -> None:
    machine = type("OfTenant", (Redemptions,), {"scope": scope, "api": api})
    try:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine,
            settings=settings(
                max_examples=12,
                stateful_step_count=25,
                deadline=None,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        scope.clock.set(None)
