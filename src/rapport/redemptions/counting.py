"""Counters of budgets: what is taken of each by a redemption, and given back when it does not stay.

For every budget, the counter of a period is the sum over the live redemptions of its days. A redemption adds to it by
an update that is conditional on the limit, in the transaction that enters it; a constraint of the table holds, too.
Counters are begun when budgets are set, under a lock that keeps redemptions of the promotion out (see budgets).
Each transaction takes rows of a customer first, then those of the promotion, both in the order of their keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.promotions.rewards import exact
from rapport.redemptions.definitions import Budget
from rapport.redemptions.periods import starts_on
from rapport.redemptions.refusals import BudgetExceeded, CustomerLimitReached
from rapport.redemptions.states import Counted, Period

UNLIMITED = Decimal(10**15)
TAKE = text("""
    INSERT INTO budget_counters AS counter
        (tenant_id, promotion_id, counted, counted_of, period, starts_on, person, used, most)
    SELECT :tenant_id, :promotion_id, taken.counted, taken.counted_of, taken.period, taken.starts_on, :person,
        taken.amount, taken.most
    FROM unnest(
        CAST(:counted AS text[]), CAST(:counted_of AS text[]), CAST(:period AS text[]), CAST(:starts_on AS date[]),
        CAST(:amount AS numeric[]), CAST(:most AS numeric[])
    ) WITH ORDINALITY AS taken (counted, counted_of, period, starts_on, amount, most, place)
    WHERE taken.amount <= taken.most
    ORDER BY taken.place
    ON CONFLICT (tenant_id, promotion_id, counted, counted_of, period, starts_on, person) DO UPDATE
    SET used = counter.used + excluded.used, most = excluded.most
    WHERE counter.used + excluded.used <= excluded.most
    RETURNING counted, counted_of, period, used
""")
GIVE_BACK = text("""
    UPDATE budget_counters SET used = used - :amount
    WHERE tenant_id = :tenant_id AND promotion_id = :promotion_id AND counted = :counted AND counted_of = :counted_of
        AND period = :period AND starts_on = :starts_on AND person = :person
    RETURNING used
""")

# A reward as redemptions keep it: rewardType, and value as a decimal in a text.
Reward = Mapping[str, Any]
Key = tuple[Counted, str, Period]


@dataclass(frozen=True)
class Counter:
    """What is counted of a promotion's redemptions in each of its periods, and the most that it may be."""

    counted: Counted
    counted_of: str
    period: Period
    most: Decimal

    @property
    def key(self) -> Key:
        """What tells it from the others of its promotion."""
        return self.counted, self.counted_of, self.period


@dataclass(frozen=True)
class Taker:
    """Who takes of a promotion, on a day of the tenant.

    person is the CustomerID in lower case, or what stands for an erased one.
    """

    tenant_id: int
    promotion_id: str
    person: str
    day: date


def counters_of(budgets: Iterable[Budget]) -> list[Counter]:
    """What has to be counted for budgets, in the order in which it is taken: different customers by each customer."""
    counters: dict[Key, Counter] = {}
    for budget in budgets:
        of = (budget.reward_type or "").lower()
        counter = Counter(budget.of, of, budget.period, min(exact(budget.limit), UNLIMITED))
        before = counters.get(counter.key)
        counters[counter.key] = counter if before is None or counter.most < before.most else before
        if budget.of is Counted.AUDIENCE:
            each = Counter(Counted.CUSTOMER, "", budget.period, UNLIMITED)
            counters.setdefault(each.key, each)
    return sorted(counters.values(), key=lambda counter: (counter.counted is not Counted.CUSTOMER, counter.key))


def amounts_of(rewards: Sequence[Reward]) -> dict[str, Decimal]:
    """What is granted of each reward type, by its key in lower case."""
    amounts: dict[str, Decimal] = {}
    for reward in rewards:
        key = reward["rewardType"].lower()
        amounts[key] = amounts.get(key, Decimal(0)) + Decimal(reward["value"])
    return amounts


def take(session: Session, taker: Taker, counters: Sequence[Counter], rewards: Sequence[Reward]) -> None:
    """Count a redemption. Raises BudgetExceeded, CustomerLimitReached; the transaction is to be rolled back then."""
    of_customer = [counter for counter in counters if counter.counted is Counted.CUSTOMER]
    used = _take(session, taker, taker.person, of_customer, dict.fromkeys(of_customer, Decimal(1)))
    is_first = {period for (_, _, period), count in used.items() if count == 1}
    granted = amounts_of(rewards)
    amounts = {counter: _amount(counter.key, is_first, granted) for counter in counters if counter not in of_customer}
    _take(session, taker, "", [counter for counter, amount in amounts.items() if amount], amounts)


def _amount(key: Key, of_new: set[Period], granted: Mapping[str, Decimal]) -> Decimal:
    """What a redemption counts; of_new are the periods in which it is the only one of its customer."""
    counted, of, period = key
    if counted is Counted.REWARD:
        return granted.get(of, Decimal(0))
    return Decimal(counted is Counted.REDEMPTIONS or period in of_new)


def _take(
    session: Session, taker: Taker, person: str, counters: Sequence[Counter], amounts: Mapping[Counter, Decimal]
) -> dict[Key, Decimal]:
    """What is used of counters afterwards."""
    if not counters:
        return {}
    parameters = {
        "tenant_id": taker.tenant_id,
        "promotion_id": taker.promotion_id,
        "person": person,
        "counted": [counter.counted.value for counter in counters],
        "counted_of": [counter.counted_of for counter in counters],
        "period": [counter.period.value for counter in counters],
        "starts_on": [starts_on(counter.period, taker.day) for counter in counters],
        "amount": [amounts[counter] for counter in counters],
        "most": [counter.most for counter in counters],
    }
    used = {
        (Counted(row.counted), str(row.counted_of), Period(row.period)): row.used
        for row in session.execute(TAKE, parameters)
    }
    for counter in counters:
        if counter.key not in used:
            raise _refusal(counter)
    return used


def _refusal(counter: Counter) -> BudgetExceeded | CustomerLimitReached:
    period = f"{counter.period} limit of {counter.most.normalize():f}"
    if counter.counted is Counted.CUSTOMER:
        return CustomerLimitReached(f"The customer has reached the {period} redemptions of this promotion.")
    what = {Counted.AUDIENCE: "customers", Counted.REDEMPTIONS: "redemptions"}.get(counter.counted, counter.counted_of)
    return BudgetExceeded(f"The promotion's {period} {what} does not allow this redemption.")


def give_back(session: Session, taker: Taker, rewards: Sequence[Reward]) -> None:
    """Take a redemption out of the counters that there are of its periods."""
    of_new = {
        period
        for period in sorted(Period)
        if _give_back(session, taker, taker.person, (Counted.CUSTOMER, "", period), 1) == 0
    }
    granted = amounts_of(rewards)
    keys: list[Key] = [
        (counted, "", period) for counted in (Counted.AUDIENCE, Counted.REDEMPTIONS) for period in Period
    ]
    keys += [(Counted.REWARD, of, period) for of in granted for period in Period]
    for key in sorted(keys):
        amount = _amount(key, of_new, granted)
        if amount:
            _give_back(session, taker, "", key, amount)


def _give_back(session: Session, taker: Taker, person: str, key: Key, amount: Decimal | int) -> Decimal | None:
    """What is used afterwards; None for a counter that there is not."""
    counted, of, period = key
    parameters = {
        "tenant_id": taker.tenant_id,
        "promotion_id": taker.promotion_id,
        "counted": counted.value,
        "counted_of": of,
        "period": period.value,
        "starts_on": starts_on(period, taker.day),
        "person": person,
        "amount": amount,
    }
    used: Decimal | None = session.execute(GIVE_BACK, parameters).scalar()
    return used
