"""The day of a company much larger than the memory that a query may take: in slices, with the results of one piece."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rapport.access.scope import Scope
from rapport.access.service import update_tenant
from rapport.audiences import counting, groups, membership
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.cycle import daily, tasks
from rapport.campaigns.measurement import results as campaign_results
from rapport.campaigns.schemas import ActionBody, FrequencyCap, Group, GroupChannel, Schedule, SeriesBody, SeriesRules
from rapport.channels import service as channels
from rapport.conditions import parse
from rapport.stores.warehouse import Warehouse, slices

pytestmark = pytest.mark.timeout(900)
DATA_DATE = date(2026, 3, 9)
TODAY = DATA_DATE + timedelta(days=1)
CUSTOMERS = 80_000
LIMIT = 300_000_000  # less than what the features of so many customers take at once
EXTERNAL = 505

FILL = (
    """
    INSERT INTO customers (customer_id, REGISTRATION_DATE, EMAIL, COUNTRY)
    SELECT concat('it''s \\\\ ', toString(number)), toDate('2024-06-01') + number % 600,
        concat('c', toString(number), '@example.com'), ['NL', 'BE', 'DE'][number % 3 + 1]
    FROM numbers({customers:UInt64})
    """,
    """
    INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount)
    SELECT concat('T', toString(number)), concat('it''s \\\\ ', toString(number % {customers:UInt64})),
        toDateTime('2024-06-01 10:00:00', 'UTC') + cityHash64(number) % (646 * 86400), 5 + cityHash64(number, 1) % 90
    FROM numbers({customers:UInt64} * 12)
    """,
    """
    INSERT INTO transaction_items
        (transaction_id, line_number, customer_id, transaction_time, product_id, unit_price)
    SELECT transaction_id, 1, customer_id, transaction_time, concat('P', toString(cityHash64(transaction_id) % 50)), 1
    FROM transactions WHERE cityHash64(transaction_id) % 4 = 0
    """,
    """
    INSERT INTO activity_events (event_id, event_type_id, customer_id, event_at)
    SELECT toString(number), 1001, concat('it''s \\\\ ', toString(number % {customers:UInt64})),
        toDateTime64('2026-03-09 12:00:00', 3, 'UTC') - toIntervalSecond(cityHash64(number) % (86400 * 90))
    FROM numbers({customers:UInt64} * 2)
    """,
    "INSERT INTO products (product_id, name) SELECT concat('P', toString(number)), 'a product' FROM numbers(50)",
)
BOUGHT = {"history": "transactions", "measure": "sum", "window": {"days": 120}, "operator": "greater", "value": 100}
BOUGHT_SQL = """
    SELECT count() FROM (
        SELECT customer_id FROM transactions
        WHERE toDate(transaction_time) >= toDate('2026-03-10') - 120 AND amount > 0
        GROUP BY customer_id HAVING sum(amount) > 100
    )
"""


@contextmanager
def limited(scope: Scope, limit: int) -> Iterator[None]:
    """Work with another limit on the memory of a query for the length of the block."""
    roomy = scope.stores.warehouse
    scope.stores.warehouse = Warehouse(roomy.url, limit)
    try:
        yield
    finally:
        scope.stores.warehouse.close()
        scope.stores.warehouse = roomy


def add_series(scope: Scope, group_id: int, **rules: Any) -> None:
    channel = GroupChannel(channel_id=EXTERNAL, template_id=1, send_time="09:00")
    definitions.create_series(
        scope,
        SeriesBody(
            name=f"For {group_id}",
            target_group_id=group_id,
            schedule=Schedule(kind="once", start_date=TODAY),
            groups=[Group(action_id=2, channels=[channel])],
            rules=SeriesRules(**rules),
            products=2,
        ),
    )


@pytest.fixture(scope="module")
def company(scope: Scope) -> Scope:
    """A company whose first day has run within the limit, with two campaigns and their results."""
    scope = update_tenant(scope, {"settings": {"insight": {"trees": False}}})  # what takes longest, and is a sample
    scope.clock.set(datetime(2026, 3, 10, 10, tzinfo=UTC))
    for statement in FILL:
        bound = {"customers": CUSTOMERS} if "{customers" in statement else {}
        scope.warehouse.execute(statement, None, **bound)
    channels.create_channel(scope, "Text messages", "external", id=EXTERNAL)
    definitions.create_action(scope, ActionBody(name="Voucher"))
    for name, definition in (("All", {"all": []}), ("Buyers", BOUGHT), ("Others", {"not": BOUGHT})):
        groups.create_target_group(scope, name, definition)
    add_series(scope, 2, frequency_cap=FrequencyCap(messages=3, days=30))
    add_series(scope, 1, exclude_target_group_ids=[3])
    with limited(scope, LIMIT):
        daily.run_cycle(scope, DATA_DATE)
        tasks.execute_due(scope)
    return scope


def snapshot(scope: Scope) -> list[tuple[Any, ...]]:
    """What the model says of every customer, as numbers to compare."""
    tables = ("model_results", "profiles", "product_recommendations", "target_group_members")
    return [
        scope.warehouse.rows(
            f"SELECT count(), sum(cityHash64(toString(tuple(*)))) FROM {table} WHERE data_date = '{DATA_DATE}'"
        )[0]
        for table in tables
    ]


def test_slices_give_the_same_day_as_all_at_once(company: Scope) -> None:
    in_slices = snapshot(company)
    assert [count for count, _ in in_slices[:2]] == [CUSTOMERS, CUSTOMERS]
    with limited(company, 0):
        daily.run_cycle(company, DATA_DATE)
        for group in (1, 2, 3):
            membership.compute_members(company, group, DATA_DATE)
    assert snapshot(company) == in_slices


def test_every_customer_is_accounted_for_once(company: Scope) -> None:
    buyers = int(company.warehouse.value(BOUGHT_SQL))
    found = {one.series_id: one for one in occurrences.occurrences(company, execution_date=TODAY)}
    assert [(found[number].state, found[number].targeted) for number in (1, 2)] == [
        ("successful", buyers),
        ("successful", CUSTOMERS),
    ]
    # The campaign to all goes first and leaves out who is in the group that is kept out; it has all the others.
    assert found[1].counts == {"excluded": buyers}
    assert found[2].counts["excluded"] == CUSTOMERS - buyers
    assert sum(found[2].counts.values()) == CUSTOMERS
    with limited(company, LIMIT):
        results = campaign_results.results(company, found[2].id)
        assert sum(group.customers for group in results.groups) == buyers
        assert counting.size_now(company, parse(BOUGHT)) == buyers
        some = counting.sample_now(company, parse(BOUGHT), 50)
    assert some == counting.sample_now(company, parse(BOUGHT), 50)


def test_slices_are_everybody_once_whatever_their_ids(company: Scope) -> None:
    with limited(company, LIMIT):
        parts = list(company.warehouse.customer_slices("customers"))
        assert len(parts) >= 2
        seen = [part.row("SELECT count(), min(customer_id), max(customer_id) FROM customers") for part in parts]
        assert sum(count for count, *_ in seen) == CUSTOMERS
        ends = [end for _, *ends in seen for end in ends]
        assert ends == sorted(ends)
        keys = {"customers": "lowerUTF8(customer_id)", "transactions": "lowerUTF8(customer_id)"}
        hashed = list(company.warehouse.hash_slices(keys, 4 * LIMIT // slices.BYTES_A_KEY))
        sql = "SELECT count() FROM transactions WHERE customer_id IN (SELECT customer_id FROM customers)"
        assert [sum(part.value(sql) for part in hashed), len(hashed)] == [CUSTOMERS * 12, 4]
