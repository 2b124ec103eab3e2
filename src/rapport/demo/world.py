"""A simulated retailer: who its customers are and what they would buy, with no campaign or with one.

Rates and lifetimes differ from customer to customer, so the future is as hard to tell as it is in a shop: some buy
weekly, most a few times a year, many leave without a word and a few come back. It does not flatter the models:
order values have a heavy tail and go with the rate, trade has seasons, some customers send back far more than
others, and what a message brings is partly what would have come later anyway. Every number comes from one
seeded generator, so a seed is a world.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

HISTORY_DAYS = 730
PROSPECT_SHARE = 0.12
COMEBACK_SHARE = 0.15
VALUE_SPREAD = 0.9  # of the logarithm of customers' mean order values
VALUE_WITH_RATE = 0.3  # correlation of both logarithms
BROUGHT_FORWARD = 0.7  # of the orders that a message brings, those that would have come within the days after
FORWARD_DAYS = 45
MOST_OF_A_LINE = 40
MONTH_SEASON = np.array([0.85, 0.8, 0.9, 0.95, 1.0, 1.0, 0.9, 0.85, 1.0, 1.1, 1.45, 1.6])
WEEKDAY_SEASON = np.array([0.9, 0.9, 0.95, 1.0, 1.1, 1.2, 0.95])

CATEGORIES = ("Coffee", "Tea", "Kitchen", "Baking", "Garden", "Books", "Care", "Pets")
CONSUMABLE = {"Coffee", "Tea", "Baking", "Care", "Pets"}
BRANDS = ("Aldermoor", "Brisko", "Calluna", "Dovetail", "Everlay", "Fennic")
COUNTRIES = ("NL", "DE", "FR", "NO", "ES", "GB")
CITIES = {
    "NL": ("Utrecht", "Breda"),
    "DE": ("Bremen", "Ulm"),
    "FR": ("Nantes", "Dijon"),
    "NO": ("Bergen", "Oslo"),
    "ES": ("Bilbao", "Murcia"),
    "GB": ("Leeds", "Bristol"),
}
FIRST_NAMES = ("Ada", "Bo", "Cleo", "Dag", "Elin", "Finn", "Gro", "Hugo", "Ida", "Jens", "Kaia", "Lars")
LAST_NAMES = ("Almond", "Birch", "Cedar", "Dale", "Elder", "Frost", "Grove", "Heath", "Ivy", "Juniper")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Refund = tuple[int, int, int, float]  # number of the order, customer, day, amount


@dataclass(frozen=True)
class People:
    """Customers as parallel arrays; days count from the first day of the world."""

    registered: Ints
    rate: Floats  # orders a day while alive
    ends: Ints  # the day a customer silently leaves
    returns: Ints  # the day a lost customer comes back; past the world's end for most
    spend: Floats  # mean order value
    sends_back: Floats  # share of orders
    favourite: Ints  # index of a category
    country: Ints
    opted_in: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.registered)


@dataclass(frozen=True)
class Products:
    """The catalogue as parallel arrays. partner is the product most often bought with this one."""

    category: Ints
    price: Floats
    partner: Ints


@dataclass
class Orders:
    """Orders as parallel arrays, with the lines of order i between offsets[i] and offsets[i + 1]."""

    customer: Ints
    day: Ints
    second: Ints
    amount: Floats
    offsets: Ints
    product: Ints
    quantity: Ints


class World:
    """Customers, catalogue and the orders they place by themselves through the last day."""

    def __init__(self, customers: int, last_day: date, days: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.last_day = last_day
        self.days = HISTORY_DAYS + days
        self.first_day = last_day - timedelta(days=self.days - 1)
        self.products = self._catalogue(25 * len(CATEGORIES))
        self.people = self._population(customers)
        self.season = self._seasons()
        self.organic = self._orders(*self._organic_times())
        self.stands = np.ones(len(self.organic.customer), dtype=np.bool_)  # organic orders that no message took away

    def date_of(self, day: int) -> date:
        """The calendar day of a day number."""
        return self.first_day + timedelta(days=day)

    def _catalogue(self, count: int) -> Products:
        category = np.arange(count) % len(CATEGORIES)
        price: Floats = np.asarray(np.round(np.exp(self.rng.normal(2.6, 0.6, count)), 2), dtype=np.float64)
        # A product's partner is another one of its category, so that baskets have a pattern.
        partner = (np.arange(count) + len(CATEGORIES) * self.rng.integers(1, 5, count)) % count
        return Products(category, price, partner)

    def _population(self, count: int) -> People:
        rng = self.rng
        registered = np.sort((self.days * np.sqrt(rng.random(count))).astype(np.int64))
        rate = rng.gamma(0.9, 1 / 32, count)
        rate[rng.random(count) < PROSPECT_SHARE] = 0.0
        ends = registered + (rng.exponential(1, count) * rng.gamma(2.0, 220, count)).astype(np.int64)
        back = rng.random(count) < COMEBACK_SHARE
        with_rate = VALUE_WITH_RATE * np.clip((np.log(np.maximum(rate, 1e-9)) + 4.2) / 1.3, -2, 2)
        tail = with_rate + np.sqrt(1 - VALUE_WITH_RATE**2) * rng.normal(0, 1, count)
        returns = np.where(back, ends + rng.integers(75, 200, count), self.days + 1)
        return People(
            registered=registered,
            rate=rate,
            ends=ends,
            returns=returns,
            spend=np.exp(3.5 + VALUE_SPREAD * tail),
            sends_back=0.6 * rng.random(count) ** 6,
            favourite=rng.integers(0, len(CATEGORIES), count),
            country=rng.choice(len(COUNTRIES), count, p=[0.3, 0.25, 0.15, 0.12, 0.08, 0.1]),
            opted_in=rng.random(count) < 0.85,
        )

    def _seasons(self) -> Floats:
        dates = [self.date_of(day) for day in range(self.days)]
        season = np.array([MONTH_SEASON[d.month - 1] * WEEKDAY_SEASON[d.weekday()] for d in dates])
        return np.asarray(season / season.max(), dtype=np.float64)

    def _organic_times(self) -> tuple[Ints, Ints]:
        """Customer and day of every order placed without a campaign: a thinned Poisson process."""
        people = self.people
        span = self.days - people.registered
        peak = people.rate / self.season.mean()
        customer = np.repeat(np.arange(len(people)), self.rng.poisson(peak * span))
        day = people.registered[customer] + (self.rng.random(len(customer)) * span[customer]).astype(np.int64)
        alive = (day < people.ends[customer]) | (day >= people.returns[customer])
        placed = alive & (self.rng.random(len(customer)) < self.season[day])
        customer, day = customer[placed], day[placed]
        # Almost every buyer orders on the day of registration: that is why people register.
        first = np.flatnonzero((people.rate > 0) & (self.rng.random(len(people)) < 0.7))
        return np.concatenate([customer, first]), np.concatenate([day, people.registered[first]])

    def _orders(self, customer: Ints, day: Ints) -> Orders:
        """Fill orders with baskets: mostly the favourite category, often the partner product as well."""
        rng, products, people = self.rng, self.products, self.people
        order = np.lexsort((customer, day))
        customer, day = customer[order], day[order]
        lines = 1 + rng.poisson(0.8, len(customer))
        offsets = np.concatenate([[0], np.cumsum(lines)])
        owner = np.repeat(np.arange(len(customer)), lines)
        favourite = people.favourite[customer][owner]
        category = np.where(rng.random(len(owner)) < 0.7, favourite, rng.integers(0, len(CATEGORIES), len(owner)))
        shelf = (rng.beta(0.6, 2.0, len(owner)) * (len(products.price) // len(CATEGORIES))).astype(np.int64)
        product = category + shelf * len(CATEGORIES)
        follows = np.flatnonzero((np.diff(owner, prepend=-1) == 0) & (rng.random(len(owner)) < 0.5))
        product[follows] = products.partner[product[follows - 1]]
        mean_quantity = people.spend[customer][owner] / (lines[owner] * products.price[product])
        quantity = np.clip(np.round(mean_quantity * rng.gamma(4, 0.25, len(owner))), 1, MOST_OF_A_LINE).astype(np.int64)
        amount = np.add.reduceat(quantity * products.price[product], offsets[:-1]) if len(customer) else np.array([])
        second = rng.integers(7 * 3600, 23 * 3600, len(customer))
        return Orders(
            customer, day, second, np.asarray(np.round(amount, 2), dtype=np.float64), offsets, product, quantity
        )

    def responses(self, customer: Ints, lift: Floats, day: int, window: int) -> tuple[Ints, Ints]:
        """Extra orders that a campaign causes: each recipient with its own chance, within the window.

        lift is the chance of an extra order for a customer whose heart still is in it; those who left respond
        a third as often, prospects a fifth. A negative one is the chance that a message annoys: the next order
        within the days after is not placed. Some of the extra orders are only brought forward.
        """
        people = self.people
        alive = (day < people.ends[customer]) | (day >= people.returns[customer])
        chance = np.where(alive, lift, lift / 3)
        chance = np.where(people.rate[customer] > 0, chance, chance / 5)
        luck = self.rng.random(len(customer))
        extra = customer[luck < chance]
        wait = self.rng.integers(0, max(1, window), len(extra))
        forward = extra[self.rng.random(len(extra)) < BROUGHT_FORWARD]
        self._take_away({*forward.tolist(), *customer[luck < -chance].tolist()}, day)
        return extra, day + wait

    def _take_away(self, customers: set[int], day: int) -> None:
        """The next organic order of each of some customers is not placed, if it lies within the days after a day."""
        first, last = np.searchsorted(self.organic.day, [day, day + FORWARD_DAYS])
        for number in range(first, last):
            customer = int(self.organic.customer[number])
            if customer in customers and self.stands[number]:
                self.stands[number] = False
                customers.discard(customer)

    def sent_back(self, orders: Orders, first_number: int) -> list[Refund]:
        """The refunds of those of some orders that are sent back, on the days after."""
        lucky = self.rng.random(len(orders.customer)) < self.people.sends_back[orders.customer]
        return [
            (first_number + i, int(orders.customer[i]), int(orders.day[i]) + 3 + i % 9, float(orders.amount[i]))
            for i in np.flatnonzero(lucky).tolist()
        ]

    def orders_before(self, day: int) -> Orders:
        """The organic orders of all days before one, oldest first."""
        organic = self.organic
        count = int(np.searchsorted(organic.day, day))
        lines = int(organic.offsets[count])
        return Orders(
            organic.customer[:count],
            organic.day[:count],
            organic.second[:count],
            organic.amount[:count],
            organic.offsets[: count + 1],
            organic.product[:lines],
            organic.quantity[:lines],
        )

    def orders_of_day(self, day: int, extra: list[tuple[int, int]]) -> Orders:
        """The orders of one day: the organic ones and those that campaigns caused (customer, day)."""
        extra_customers = np.array([c for c, d in extra if d == day], dtype=np.int64)
        organic = self.organic.customer[(self.organic.day == day) & self.stands]
        customer = np.concatenate([organic, extra_customers])
        return self._orders(customer, np.full(len(customer), day, dtype=np.int64))
