"""Product recommendations: what is due again (type 1) and what others bought along with it (type 2).

Replenishment: products whose buyers come back for them have a median gap in days between two
purchases; a customer whose last purchase lies 0.8 to 2 gaps back is due. Co-purchase: products
are neighbours by the cosine of the baskets they share over the last year; a customer's three
latest products name candidates, weighted by recency, without what the customer ever bought. At
most ten a customer, replenishment (at most five) first. Products go by the hash of their id, and
big tenants are worked off in slices of customers, so that memory stays bounded.
"""

from collections.abc import Iterator
from datetime import date
from math import ceil
from typing import Any

import structlog

from rapport.access.scope import Scope
from rapport.insight import work
from rapport.insight.queries import DAY_END
from rapport.insight.settings import settings_of
from rapport.stores.warehouse import Database

log = structlog.get_logger(__name__)

REPLENISHMENT, CO_PURCHASE = 1, 2
BYTES_A_ROW = 750  # of the histories of a slice of customers
FEWEST_GAPS = 20
COLUMNS = ["data_date", "customer_id", "recommendation_type", "priority", "product_id"]

BOUGHT = f"transaction_items WHERE NOT is_return AND transaction_time < {DAY_END}"
BOUGHT_LAST_YEAR = f"{BOUGHT} AND transaction_time >= toDateTime({{data_date:Date}} - 364, 'UTC')"

# Products are few; transactions are not, and about how many they are is enough.
SOLD = f"SELECT uniqExact(product_id), uniq(transaction_id) FROM {BOUGHT_LAST_YEAR}"  # noqa: S608
BOUGHT_ROWS = f"SELECT count() FROM {BOUGHT}"  # noqa: S608 - built from constants of this module, as all SQL here
CUSTOMERS = "SELECT count() FROM customers"
CATALOGUE = f"""
    SELECT product_id, cityHash64(product_id) AS product, count() AS sold
    FROM {BOUGHT_LAST_YEAR} AND product_id NOT IN (SELECT product_id FROM products WHERE NOT is_active)
    GROUP BY product_id
    ORDER BY sold DESC, product LIMIT {{most:UInt32}}
"""  # noqa: S608 - built from constants of this module, as all SQL here

# Every product that a customer ever bought, with its days: of one customer in so many, or of a slice.
HISTORIES = f"""
    SELECT
        customer_id,
        cityHash64(product_id) AS product,
        arraySort(groupUniqArray(toUInt16(toDate(transaction_time)))) AS days
    FROM {BOUGHT} AND cityHash64(customer_id) % {{sample_of:UInt64}} = 0
    GROUP BY customer_id, product
"""  # noqa: S608


def _neighbours(catalogue: str) -> str:
    """The five products that are most often in one basket with each product."""
    return f"""
    WITH
        baskets AS (
            SELECT transaction_id, groupUniqArray(30)(cityHash64(product_id)) AS products
            FROM {BOUGHT_LAST_YEAR}
              AND cityHash64(transaction_id) % {{basket_of:UInt64}} = 0
              AND cityHash64(product_id) IN (SELECT product FROM {catalogue})
            GROUP BY transaction_id
        ),
        sold AS (
            SELECT product, toFloat64(count()) AS baskets FROM baskets ARRAY JOIN products AS product GROUP BY product
        )
    SELECT pair.product AS product, neighbour, together / sqrt(mine.baskets * theirs.baskets) AS closeness
    FROM (
        SELECT product, neighbour, count() AS together
        FROM (SELECT product, products FROM baskets ARRAY JOIN products AS product)
        ARRAY JOIN products AS neighbour
        WHERE product != neighbour GROUP BY product, neighbour HAVING together > 1
    ) AS pair
    INNER JOIN sold AS mine ON mine.product = pair.product
    INNER JOIN sold AS theirs ON theirs.product = pair.neighbour
    ORDER BY product, closeness DESC, neighbour LIMIT 5 BY product
    """  # noqa: S608


def _gaps(histories: str) -> str:
    """The median days between two purchases of a product, of products that a tenth of purchases come back for."""
    return f"""
    SELECT product, quantileExactIf(0.5)(between, between > 0) AS gap
    FROM (SELECT product, arrayPopFront(arrayDifference(days)) AS gaps FROM {histories})
    LEFT ARRAY JOIN gaps AS between
    GROUP BY product
    HAVING countIf(between > 0) >= {{fewest:UInt32}} AND countIf(between > 0) >= 0.1 * count()
    """  # noqa: S608


def _recommended(tables: dict[str, str]) -> str:
    return f"""
    WITH due AS (
        SELECT customer_id, {REPLENISHMENT} AS kind, product, ({{data_date:Date}} - toDate(days[-1])) / gap AS score
        FROM {tables["histories"]} AS history INNER JOIN {tables["gaps"]} AS gaps ON gaps.product = history.product
        WHERE score BETWEEN 0.8 AND 2
        ORDER BY customer_id, score DESC, product LIMIT 5 BY customer_id
    ),
    owners AS (
        SELECT
            customer_id,
            groupArray(product) AS bought,
            arraySlice(arrayReverseSort(groupArray((days[-1], product))).2, 1, 3) AS latest
        FROM {tables["histories"]} GROUP BY customer_id
    ),
    related AS (
        SELECT customer_id, {CO_PURCHASE} AS kind, neighbour AS product, sum(closeness / place) AS score
        FROM (
            SELECT customer_id, bought, recent, place
            FROM owners ARRAY JOIN latest AS recent, arrayEnumerate(latest) AS place
        ) AS owner
        INNER JOIN {tables["neighbours"]} AS neighbours ON neighbours.product = owner.recent
        WHERE NOT has(bought, neighbour)
        GROUP BY customer_id, neighbour
        ORDER BY customer_id, score DESC, product LIMIT 10 BY customer_id
    )
    SELECT {{data_date:Date}}, customer_id, kind, place, product_id
    FROM (
        SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY kind, score DESC, product) AS place
        FROM (
            SELECT candidate.*, product_id
            FROM (SELECT * FROM due UNION ALL SELECT * FROM related) AS candidate
            INNER JOIN {tables["catalogue"]} AS catalogue ON catalogue.product = candidate.product
        )
    )
    WHERE place <= 10
    """  # noqa: S608


def recommend(scope: Scope, data_date: date) -> None:
    """Replace the recommendations of the date."""
    settings = settings_of(scope)
    products, baskets = scope.warehouse.rows(SOLD, data_date=data_date)[0]
    if products > settings.recommended_products:
        left_out = products - settings.recommended_products
        log.info("products left out of recommendations", tenant_id=scope.tenant_id, left_out=left_out)
    bound: dict[str, Any] = {"data_date": data_date, "most": settings.recommended_products}
    tables = {"catalogue": work.fill(scope, "catalogue", data_date, CATALOGUE, order="product", **bound)}
    basket_of = max(1, ceil(baskets / settings.recommendation_baskets))
    pairs = _neighbours(tables["catalogue"])
    bound = {"data_date": data_date, "basket_of": basket_of}
    tables["neighbours"] = work.fill(scope, "neighbours", data_date, pairs, order="product", **bound)
    inserts = _inserts(scope, data_date, tables)
    work.replace_partition(scope, "product_recommendations", data_date, COLUMNS, inserts)


def _inserts(scope: Scope, data_date: date, tables: dict[str, str]) -> Iterator[tuple[Database, str, dict[str, Any]]]:
    """The SELECT of every slice of customers, its histories made right before; a sample as large teaches the gaps."""
    rows, customers = (int(scope.warehouse.value(sql, data_date=data_date)) for sql in (BOUGHT_ROWS, CUSTOMERS))
    slices = max(1, ceil(rows / scope.warehouse.at_once(BYTES_A_ROW)))
    tables["histories"] = _fill_histories(scope, data_date, scope.warehouse, sample_of=slices)
    gaps = _gaps(tables["histories"])
    tables["gaps"] = work.fill(scope, "gaps", data_date, gaps, order="product", fewest=FEWEST_GAPS)
    for part in scope.warehouse.customer_slices("transaction_items", at_most=ceil(customers / slices)):
        if slices > 1:
            _fill_histories(scope, data_date, part)
        yield scope.warehouse, _recommended(tables), {"data_date": data_date}


def _fill_histories(scope: Scope, data_date: date, part: Database, sample_of: int = 1) -> str:
    """Make the table of the histories of a slice, or of one customer in so many; answers its quoted name."""
    bound: dict[str, Any] = {"data_date": data_date, "sample_of": sample_of}
    return work.fill(scope, "histories", data_date, HISTORIES, order="(customer_id, product)", parts=[part], **bound)
