"""A simulated retailer: who its customers are and what they would buy, with no campaign or with one.

Rates and lifetimes differ from customer to customer (gamma), so the future is as hard to tell as
it is in a shop: some buy weekly, most a few times a year, many leave without a word and a few come
back. Every number comes from one seeded generator, so a seed is a world.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

HISTORY_DAYS = 730
PROSPECT_SHARE = 0.12
COMEBACK_SHARE = 0.15
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


@dataclass(frozen=True)
class People:
    """Customers as parallel arrays; days count from the first day of the world."""

    registered: Ints
    rate: Floats  # orders a day while alive
    ends: Ints  # the day a customer silently leaves
    returns: Ints  # the day a lost customer comes back; past the world's end for most
    spend: Floats  # mean order value
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
        returns = np.where(back, ends + rng.integers(75, 200, count), self.days + 1)
        return People(
            registered=registered,
            rate=rate,
            ends=ends,
            returns=returns,
            spend=np.exp(rng.normal(3.6, 0.5, count)),
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
        kept = alive & (self.rng.random(len(customer)) < self.season[day])
        customer, day = customer[kept], day[kept]
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
        wanted = people.spend[customer][owner] / (lines[owner] * products.price[product])
        quantity = np.clip(np.round(wanted * rng.gamma(4, 0.25, len(owner))), 1, 9).astype(np.int64)
        amount = np.add.reduceat(quantity * products.price[product], offsets[:-1]) if len(customer) else np.array([])
        second = rng.integers(7 * 3600, 23 * 3600, len(customer))
        return Orders(
            customer, day, second, np.asarray(np.round(amount, 2), dtype=np.float64), offsets, product, quantity
        )

    def responses(self, customer: Ints, lift: Floats, day: int, window: int) -> tuple[Ints, Ints]:
        """Extra orders that a campaign causes: each recipient with its own chance, within the window.

        lift is the chance of an extra order for a customer whose heart still is in it; those who
        left respond a third as often, prospects a fifth.
        """
        people = self.people
        alive = (day < people.ends[customer]) | (day >= people.returns[customer])
        chance = np.where(alive, lift, lift / 3)
        chance = np.where(people.rate[customer] > 0, chance, chance / 5)
        hit = self.rng.random(len(customer)) < chance
        wait = self.rng.integers(0, max(1, window), int(hit.sum()))
        return customer[hit], day + wait

    def orders_before(self, day: int) -> Orders:
        """The organic orders of all days before one, oldest first."""
        found = self.organic
        count = int(np.searchsorted(found.day, day))
        lines = int(found.offsets[count])
        return Orders(
            found.customer[:count],
            found.day[:count],
            found.second[:count],
            found.amount[:count],
            found.offsets[: count + 1],
            found.product[:lines],
            found.quantity[:lines],
        )

    def orders_of_day(self, day: int, extra: list[tuple[int, int]]) -> Orders:
        """The orders of one day: the organic ones and those that campaigns caused (customer, day)."""
        extra_customers = np.array([c for c, d in extra if d == day], dtype=np.int64)
        organic = self.organic.customer[self.organic.day == day]
        customer = np.concatenate([organic, extra_customers])
        return self._orders(customer, np.full(len(customer), day, dtype=np.int64))
