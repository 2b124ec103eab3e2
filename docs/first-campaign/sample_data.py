"""Writes the files of docs/getting-started.md, for those who have none at hand: an invented shop.

python3 sample_data.py FOLDER                  customers.csv and orders.csv, with orders up to yesterday
python3 sample_data.py FOLDER RECIPIENTS.json  new-orders.csv: what people bought today, more of the recipients did

Days are UTC, and the same folder always gets the same shop. It needs Python alone.
"""

import csv
import json
import random
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

CUSTOMERS = 3_000
HISTORY_DAYS = 365
# The share of customers who order today: what anybody does, and what the offer makes of it.
ANYBODY, WITH_OFFER = 0.10, 0.16
COUNTRIES = ("Germany", "Germany", "France", "Poland")
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo")
ORDER = ("Transaction_ID", "CustomerID", "Transaction_Date", "Amount")
random.seed(7)


def write(file: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """One CSV file; says how large it is."""
    lines = [columns, *rows]
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows(lines)
    print(f"{file}: {len(lines) - 1:,} rows")


def amount() -> str:
    """What somebody pays, mostly 20 to 100."""
    return f"{random.lognormvariate(3.8, 0.5):.2f}"


def history(today: datetime) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Customers who joined over the year, and their orders: each has a pace, and some have stopped."""
    customers: list[tuple[object, ...]] = []
    orders: list[tuple[object, ...]] = []
    for number in range(1, CUSTOMERS + 1):
        customer, joined = f"C{number:05}", random.randint(30, HISTORY_DAYS)
        name, born = random.choice(NAMES), today - timedelta(days=joined)
        customers.append((customer, name, f"c{number}@example.com", random.choice(COUNTRIES), born.date()))
        pace, until = random.uniform(15, 90), random.choice((1, 1, joined // 2))
        days = joined - random.uniform(0, pace)
        while days >= until:
            orders.append((f"O{len(orders) + 1:06}", customer, (today - timedelta(days=days)).date(), amount()))
            days -= random.expovariate(1 / pace)
    return customers, orders


def bought_today(recipients: set[str], today: datetime) -> list[tuple[object, ...]]:
    """The orders of a day on which recipients of an offer buy more."""
    everybody = [f"C{number:05}" for number in range(1, CUSTOMERS + 1)]
    buyers = [one for one in everybody if random.random() < (WITH_OFFER if one in recipients else ANYBODY)]
    return [(f"N{number:06}", buyer, today.date(), amount()) for number, buyer in enumerate(buyers, start=1)]


def main() -> None:
    """Write the files of one of both forms."""
    folder, today = Path(sys.argv[1]), datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        recipients = {row["CustomerID"] for row in json.loads(Path(sys.argv[2]).read_text())}
        write(folder / "new-orders.csv", ORDER, bought_today(recipients, today))
        return
    customers, orders = history(today)
    columns = ("CustomerID", "FIRST_NAME", "EMAIL", "COUNTRY", "REGISTRATION_DATE")
    write(folder / "customers.csv", columns, customers)
    write(folder / "orders.csv", ORDER, orders)


if __name__ == "__main__":
    main()
