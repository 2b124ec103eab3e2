"""Counters of budgets: what is taken of each by a redemption, and given back when it does not stay.

For every budget, the counter of a period is the sum over the live redemptions of its days. A transaction that enters
redemptions locks their counters, decides about each redemption in turn, and adds to the counters once, by an update
that is conditional on the limits; a constraint of the table holds, too. Counters are begun when budgets are set, under
a lock that keeps redemptions of the promotion out (see budgets). Each transaction locks rows of customers first, then
those of promotions, both in the order of their keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from rapport.promotions.deciding import Decision
from rapport.promotions.rewards import exact
from rapport.redemptions.definitions import Budget
from rapport.redemptions.periods import starts_on
from rapport.redemptions.refusals import BudgetExceeded, CustomerLimitReached
from rapport.redemptions.states import Counted, Period

UNLIMITED = Decimal(10**15)
# Every statement finds rows by the key, however many there are and whatever the planner knows of them.
WANTED = """
    FROM unnest(
        CAST(:promotion_id AS text[]), CAST(:counted AS text[]), CAST(:counted_of AS text[]), CAST(:period AS text[]),
        CAST(:starts_on AS date[]), CAST(:person AS text[]), CAST(:amount AS numeric[])
    ) WITH ORDINALITY AS wanted (promotion_id, counted, counted_of, period, starts_on, person, amount, place)
    ORDER BY wanted.place
    ON CONFLICT (tenant_id, promotion_id, counted, counted_of, period, starts_on, person) DO UPDATE
"""
# Begins those that there are not, and locks all. The amounts are limits.
LOCK = text(f"""
    INSERT INTO budget_counters AS counter
        (tenant_id, promotion_id, counted, counted_of, period, starts_on, person, used, most)
    SELECT :tenant_id, wanted.promotion_id, wanted.counted, wanted.counted_of, wanted.period, wanted.starts_on,
        wanted.person, 0, wanted.amount
    {WANTED}
    SET most = greatest(counter.used, excluded.most)
    RETURNING promotion_id, counted, counted_of, period, starts_on, person, used
""")
LOOK = text("""
    SELECT counter.promotion_id, counter.counted, counter.counted_of, counter.period, counter.starts_on, counter.person,
        counter.used
    FROM unnest(
        CAST(:promotion_id AS text[]), CAST(:counted AS text[]), CAST(:counted_of AS text[]), CAST(:period AS text[]),
        CAST(:starts_on AS date[]), CAST(:person AS text[])
    ) AS wanted (promotion_id, counted, counted_of, period, starts_on, person)
    INNER JOIN budget_counters AS counter ON counter.tenant_id = :tenant_id
        AND counter.promotion_id = wanted.promotion_id AND counter.counted = wanted.counted
        AND counter.counted_of = wanted.counted_of AND counter.period = wanted.period
        AND counter.starts_on = wanted.starts_on AND counter.person = wanted.person
""")
# Adds to counters that there are.
TAKE = text(f"""
    INSERT INTO budget_counters AS counter
        (tenant_id, promotion_id, counted, counted_of, period, starts_on, person, used, most)
    SELECT :tenant_id, wanted.promotion_id, wanted.counted, wanted.counted_of, wanted.period, wanted.starts_on,
        wanted.person, wanted.amount, wanted.amount
    {WANTED}
    SET used = counter.used + excluded.used
    WHERE counter.used + excluded.used <= counter.most
    RETURNING used
""")
GIVE_BACK_MANY = text("""
    UPDATE budget_counters AS counter SET used = counter.used - wanted.amount
    FROM unnest(
        CAST(:promotion_id AS text[]), CAST(:counted AS text[]), CAST(:counted_of AS text[]), CAST(:period AS text[]),
        CAST(:starts_on AS date[]), CAST(:person AS text[]), CAST(:amount AS numeric[])
    ) AS wanted (promotion_id, counted, counted_of, period, starts_on, person, amount)
    WHERE counter.tenant_id = :tenant_id
        AND counter.promotion_id = wanted.promotion_id AND counter.counted = wanted.counted
        AND counter.counted_of = wanted.counted_of AND counter.period = wanted.period
        AND counter.starts_on = wanted.starts_on AND counter.person = wanted.person
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


def kept_rewards(decision: Decision) -> list[dict[str, Any]]:
    """The rewards that are granted as redemptions keep them."""
    return [
        {"rewardType": granted.reward_type, "category": granted.category, "value": str(granted.value)}
        for granted in decision.rewards
    ]


class Row(NamedTuple):
    """The key of a stored counter within its tenant."""

    promotion_id: str
    counted: str
    counted_of: str
    period: str
    starts_on: date
    person: str


def _row(taker: Taker, counter: Counter) -> Row:
    person = taker.person if counter.counted is Counted.CUSTOMER else ""
    key = (counter.counted.value, counter.counted_of, counter.period.value)
    return Row(taker.promotion_id, *key, starts_on(counter.period, taker.day), person)


class Ledger:
    """The counters of redemptions of one tenant, locked by a transaction, and what these take of them.

    Without locks, it is what they would take as the counters stand: nothing can be written then.
    """

    def __init__(
        self, records: Session | Connection, redeemed: Iterable[tuple[Taker, Sequence[Counter]]], *, locks: bool = True
    ) -> None:
        most: dict[Row, Decimal] = {}
        self._tenant_id = 0
        for taker, counters in redeemed:
            self._tenant_id = taker.tenant_id
            most |= {_row(taker, counter): counter.most for counter in counters}
        self._used = dict.fromkeys(most, Decimal(0))
        self._taken: dict[Row, Decimal] = {}
        if most:
            rows = sorted(most, key=lambda row: (not row.person, row))
            parameters = self._columns(rows) | {"amount": [most[row] for row in rows]}
            rows_used = records.execute(LOCK if locks else LOOK, parameters)
            self._used |= {Row(*row[:-1]): row[-1] for row in rows_used}

    def take(self, taker: Taker, counters: Sequence[Counter], rewards: Sequence[Reward]) -> None:
        """Count a redemption. Raises BudgetExceeded, CustomerLimitReached; it has taken nothing then."""
        self.restore(self.require(taker, counters, rewards))

    def release(self, taker: Taker, counters: Sequence[Counter], rewards: Sequence[Reward]) -> dict[Row, Decimal]:
        """Give back what a redemption took; what that is, for restore. Counters that begin later have nothing of it."""
        row_of = {counter: _row(taker, counter) for counter in counters}
        is_only = {
            counter.period
            for counter, row in row_of.items()
            if counter.counted is Counted.CUSTOMER and self._used[row] == 1
        }
        granted = amounts_of(rewards)
        amounts = {row: min(_amount(counter.key, is_only, granted), self._used[row]) for counter, row in row_of.items()}
        self.restore({row: -amount for row, amount in amounts.items()})
        return amounts

    def restore(self, amounts: Mapping[Row, Decimal]) -> None:
        """Take amounts that were released."""
        for row, amount in amounts.items():
            self._used[row] += amount
            self._taken[row] = self._taken.get(row, Decimal(0)) + amount

    def require(self, taker: Taker, counters: Sequence[Counter], rewards: Sequence[Reward]) -> dict[Row, Decimal]:
        """What a redemption would take of each counter. Raises BudgetExceeded, CustomerLimitReached."""
        row_of = {counter: _row(taker, counter) for counter in counters}
        is_first = {
            counter.period
            for counter, row in row_of.items()
            if counter.counted is Counted.CUSTOMER and self._used[row] == 0
        }
        granted = amounts_of(rewards)
        amounts = {counter: _amount(counter.key, is_first, granted) for counter in counters}
        for counter in counters:
            if amounts[counter] and self._used[row_of[counter]] + amounts[counter] > counter.most:
                raise _refusal(counter)
        return {row_of[counter]: amount for counter, amount in amounts.items() if amount}

    def write(self, session: Session) -> None:
        """Add what was taken to the stored counters, and take off what was released."""
        released = [row for row, amount in self._taken.items() if amount < 0]
        if released:
            given_back = {"amount": [-self._taken[row] for row in released]}
            session.execute(GIVE_BACK_MANY, self._columns(released) | given_back)
        rows = [row for row, amount in self._taken.items() if amount > 0]
        if not rows:
            return
        parameters = self._columns(rows) | {"amount": [self._taken[row] for row in rows]}
        if len(session.scalars(TAKE, parameters).all()) != len(rows):
            raise BudgetExceeded("The promotion's budgets have changed meanwhile: try again.")

    def _columns(self, rows: Sequence[Row]) -> dict[str, Any]:
        columns = {name: [getattr(row, name) for row in rows] for name in Row._fields}
        return {"tenant_id": self._tenant_id, **columns}


def _amount(key: Key, of_new: set[Period], granted: Mapping[str, Decimal]) -> Decimal:
    """What a redemption counts; of_new are the periods in which it is the only one of its customer."""
    counted, of, period = key
    if counted is Counted.REWARD:
        return granted.get(of, Decimal(0))
    return Decimal(counted is not Counted.AUDIENCE or period in of_new)


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
