"""The retailer's batch files, as CSV in the contract's columns."""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rapport.demo.world import (
    BRANDS,
    CATEGORIES,
    CITIES,
    CONSUMABLE,
    COUNTRIES,
    FIRST_NAMES,
    LAST_NAMES,
    Ints,
    Orders,
    Refund,
    World,
)

CUSTOMER_COLUMNS = (
    "Customer_ID",
    "Registration_Date",
    "Email",
    "Mobile_Number",
    "Date_Of_Birth",
    "Is_OptIn",
    "Allow_Email",
    "Allow_SMS",
    "Allow_Push",
    "Is_Email_Verified",
    "Is_Blocked",
    "Is_Test",
    "Gender",
    "Country",
    "City",
    "First_Name",
    "Last_Name",
    "Language",
    "Favourite_Store",
)
ORDER_COLUMNS = ("Order_ID", "Customer_ID", "Order_Date", "Type", "Status", "Total_Amount", "Promo_Code", "Platform")
ITEM_COLUMNS = ("Order_ID", "Item_ID", "Line_No", "Quantity", "Unit_Price", "Is_Return")
PRODUCT_COLUMNS = ("Item_ID", "Item_Name", "Category", "Department", "Brand", "Price", "Is_Active", "Size")
ACTIVITY_COLUMNS = ("Event_ID", "Event", "Customer_ID", "Event_Time", "page", "cart_total")


def customer_id(index: int) -> str:
    """The retailer's key of a customer."""
    return f"C{index + 1:07d}"


def customer_index(key: str) -> int:
    """The position in the world of a customer's key."""
    return int(key[1:]) - 1


def full_name(index: int) -> str:
    """The first and last name of a customer."""
    return " ".join(_names(index))


def allows_push(index: int) -> bool:
    """Whether a customer may be sent push messages, by the retailer's own data."""
    return index % 2 == 0


def _names(index: int) -> tuple[str, str]:
    return FIRST_NAMES[index * 7 % len(FIRST_NAMES)], LAST_NAMES[index * 11 % len(LAST_NAMES)]


def product_id(index: int) -> str:
    """The retailer's key of a product."""
    return f"SKU-{index + 1:04d}"


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def write_customers(world: World, indexes: Ints, path: Path) -> Path:
    """Profiles of some customers."""
    return _write(path, CUSTOMER_COLUMNS, (_customer(world, int(i)) for i in indexes))


def _yes(flag: bool) -> str:
    return "Yes" if flag else "No"


def _customer(world: World, i: int) -> list[Any]:
    people = world.people
    country = COUNTRIES[people.country[i]]
    first, last = _names(i)
    born = world.first_day - timedelta(days=365 * 19 + i * 3571 % 18000)
    opted = bool(people.opted_in[i])
    return [
        customer_id(i),
        world.date_of(int(people.registered[i])),
        f"{customer_id(i).lower()}@example.com",
        f"+4790{i + 1:06d}",
        born,
        _yes(opted),
        _yes(opted and i % 20 != 0),
        _yes(opted and i % 3 != 0),
        _yes(allows_push(i)),
        _yes(i % 10 != 0),
        _yes(i % 211 == 0),
        _yes(i % 503 == 0),
        ("Female", "Male", "Unknown")[i * 5 % 3],
        country,
        CITIES[country][i % 2],
        first,
        last,
        {"GB": "en", "NO": "no"}.get(country, country.lower()),
        f"Store {i % 12 + 1}",
    ]


def write_orders(
    world: World, orders: Orders, first_number: int, folder: Path, tag: str, refunds: Sequence[Refund] = ()
) -> tuple[Path, Path]:
    """Orders and their lines, and refunds; order numbers run on from first_number."""
    rows = chain(_orders(world, orders, first_number), _refunds(world, refunds))
    head = _write(folder / f"orders-{tag}.csv", ORDER_COLUMNS, rows)
    lines = _write(folder / f"items-{tag}.csv", ITEM_COLUMNS, _lines(world, orders, first_number))
    return head, lines


def _orders(world: World, orders: Orders, first_number: int) -> Iterable[list[Any]]:
    platforms = ("web", "app", "store")
    for i in range(len(orders.customer)):
        day = datetime.combine(world.date_of(int(orders.day[i])), time())
        placed = day + timedelta(seconds=int(orders.second[i]))
        number = first_number + i
        status = "canceled" if number % 97 == 0 else "completed"
        yield [
            f"O{number:08d}",
            customer_id(int(orders.customer[i])),
            placed,
            "order",
            status,
            f"{orders.amount[i]:.2f}",
            "",
            platforms[number % 3],
        ]


def _refunds(world: World, refunds: Sequence[Refund]) -> Iterable[list[Any]]:
    for number, customer, day, amount in refunds:
        paid = datetime.combine(world.date_of(day), time(12))
        yield [f"R{number:08d}", customer_id(customer), paid, "refund", "completed", f"{amount:.2f}", "", "web"]


def _lines(world: World, orders: Orders, first_number: int) -> Iterable[list[Any]]:
    owner = np.repeat(np.arange(len(orders.customer)), np.diff(orders.offsets))
    for j in range(len(orders.product)):
        i, product = int(owner[j]), int(orders.product[j])
        line = j - int(orders.offsets[i]) + 1
        price = f"{world.products.price[product]:.2f}"
        yield [f"O{first_number + i:08d}", product_id(product), line, int(orders.quantity[j]), price, 0]


def write_products(world: World, path: Path) -> Path:
    """The catalogue."""
    return _write(path, PRODUCT_COLUMNS, (_product(world, i) for i in range(len(world.products.price))))


def _product(world: World, i: int) -> list[Any]:
    category = CATEGORIES[world.products.category[i]]
    department = "Consumables" if category in CONSUMABLE else "Home"
    name = f"{category} no. {i // len(CATEGORIES) + 1}"
    size = ("small", "medium", "large")[i % 3]
    return [product_id(i), name, category, department, BRANDS[i % len(BRANDS)], world.products.price[i], 1, size]


def write_activity(world: World, orders: Orders, day: int, path: Path) -> Path:
    """What customers did on the web that day: visits, and carts that became orders or did not."""
    return _write(path, ACTIVITY_COLUMNS, _events(world, orders, day))


def _events(world: World, orders: Orders, day: int) -> Iterable[list[Any]]:
    midnight = datetime.combine(world.date_of(day), time())
    registered = np.flatnonzero(world.people.registered <= day)
    visitors = world.rng.choice(registered, max(1, len(registered) // 25), replace=False)
    for number, i in enumerate(visitors, 1):
        at = midnight + timedelta(seconds=int(world.rng.integers(6 * 3600, 23 * 3600)))
        category = CATEGORIES[world.people.favourite[i]].lower()
        yield [f"{day}-{number}", "page_view", customer_id(int(i)), at, f"/{category}", ""]
        if number % 4 == 0:
            total = f"{float(world.people.spend[i]):.2f}"
            at += timedelta(minutes=3)
            yield [f"{day}-{number}c", "cart", customer_id(int(i)), at, "/cart", total]
