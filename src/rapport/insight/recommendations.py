"""Product recommendations: what is due again (type 1) and what else a customer may like (type 2).

Replenishment: a customer comes back for a product at an interval of their own, which counts as much as the gaps
it is the mean of and is shrunk to the median gap of the product's buyers, as if that were SHRUNK_BY gaps more. Due is
what half an interval has passed of within DUE_WITHIN days, until GIVEN_UP intervals went by without a purchase. The
likeliest come first: the purchases of a customer, each worth less the longer ago it is, and the share of the
product's purchases that are repeats.

Recommendation: products are neighbours by the cosine of their buyers in the last year, which is shrunk for those
that few have in common. A customer's latest products name candidates among what the customer never bought; what was
bought most by the customers of the same country of late fills the places that are left, and all of those of a
customer who never bought.

Ten a customer, replenishment (at most five) first. What is not active or was canceled is left out before anything is
counted. Customers and products go by the hashes of their ids, and big tenants are worked off in slices of customers,
so that memory stays bounded.
"""

from collections.abc import Iterator
from datetime import date
from math import ceil
from typing import Any

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.conditions.purchases import IS_PURCHASE
from rapport.customers.settings import value_rule
from rapport.insight import work
from rapport.insight.queries import DAY_END, SAMPLE
from rapport.insight.settings import InsightSettings
from rapport.stores.warehouse import Database

REPLENISHMENT, RECOMMENDATION = 1, 2
MOST, MOST_DUE = 10, 5
BYTES_A_ROW = 750  # of the histories of a slice of customers
COLUMNS = ["data_date", "customer_id", "recommendation_type", "priority", "product_id"]
SOURCES = ("customers", "transactions", "transaction_items")

FEWEST_GAPS, FEWEST_REPEATED = 20, 0.1  # of products that people in general come back for
SHRUNK_BY, DUE_WITHIN, EARLIEST, GIVEN_UP = 3, 28, 0.5, 3
PURCHASE_FADES = 120.0  # days after which a purchase is worth 1/e
LATEST, NEIGHBOURS, BASKET = 10, 10, 100
SHRUNK_COMMON = 10  # buyers in common with which a cosine counts half
POPULARITY_FADES = 90.0
DIGITS = 6  # of a score: sums differ in their last ones by the order of threads
ONES, CLOSENESS_BITS, NUMBER_BITS = 2**40, 43, 21  # a closeness of 1, and of a product, packed into one number
OF_A_COUNTRY, POPULAR = 100, 40  # buyers, of all products together, that make a country's own list; products of a list

ROWS = f"SELECT count() FROM transaction_items WHERE transaction_time < {DAY_END}"  # noqa: S608 - our constants
CUSTOMERS = "SELECT count() FROM customers"
GOODS = f"""
    SELECT product_id, cityHash64(product_id) AS product FROM transaction_items
    WHERE transaction_time < {DAY_END} AND product_id NOT IN (SELECT product_id FROM products WHERE NOT is_active)
    GROUP BY product_id
"""  # noqa: S608 - ours

# Every product that a customer ever bought, with its days: of one customer in so many, or of a slice. A line counts
# if its transaction does, or if there is none.
HISTORIES = f"""
    SELECT
        cityHash64(customer_id) AS customer,
        cityHash64(product_id) AS product,
        arraySort(groupUniqArray(toUInt16(toDate(transaction_time)))) AS days
    FROM transaction_items
    WHERE NOT is_return AND transaction_time < {DAY_END} AND {SAMPLE}
      AND transaction_id NOT IN (SELECT transaction_id FROM transactions WHERE NOT ({IS_PURCHASE}) AND {SAMPLE})
    GROUP BY customer, product
"""  # noqa: S608 - built from constants of this module, as all SQL here


def _faded(day: str, days: float) -> str:
    """What something on a day (SQL) is still worth on the date: 1/e after so many days."""
    return f"exp((toInt32({day}) - toInt32({{data_date:Date}})) / {days})"


def _latest(most: int) -> str:
    """So many products of a customer (SQL over histories), those bought last first; numbers sort faster than pairs."""
    dated = "bitOr(bitShiftLeft(toUInt128(days[-1]), 64), toUInt128(product))"
    return f"arrayMap(dated -> toUInt64(dated), arraySlice(arrayReverseSort(groupArray({dated})), 1, {most}))"


def _catalogue(tables: dict[str, str]) -> str:
    """What was sold in the last year, by how many bought it, the latest counting most; numbered by its hash."""
    return f"""
    SELECT product, popularity, row_number() OVER (ORDER BY product) AS number FROM (
        SELECT product, round(sum({_faded("days[-1]", POPULARITY_FADES)}), {DIGITS}) AS popularity
        FROM {tables["histories"]}
        WHERE days[-1] > toUInt16({{data_date:Date}}) - 365 AND product IN (SELECT product FROM {tables["goods"]})
        GROUP BY product ORDER BY popularity DESC, product LIMIT {{most:UInt32}}
    )
    """  # noqa: S608 - ours


def _of_last_year(tables: dict[str, str]) -> str:
    """The histories of what was bought in the last year and is in the catalogue."""
    catalogue = f"SELECT product FROM {tables['catalogue']}"  # noqa: S608 - ours
    return f"""{tables["histories"]}
            WHERE days[-1] > toUInt16({{data_date:Date}}) - 365
              AND product IN ({catalogue})"""


def _popular(tables: dict[str, str]) -> str:
    """The most popular products of each country with enough buyers, and, under '', of all customers."""
    return f"""
    WITH
        (
            SELECT arraySlice(arraySort(groupArray((-popularity, product))), 1, {POPULAR}).2 FROM {tables["catalogue"]}
        ) AS with_all
    SELECT '' AS country, with_all AS products
    UNION ALL
    SELECT
        country,
        arrayDistinct(
            arrayConcat(arraySlice(arraySort(groupArray((-popularity, product))), 1, {POPULAR}).2, with_all)
        ) AS products
    FROM (
        SELECT country, product, count() AS buyers, round(sum(weight), {DIGITS}) AS popularity
        FROM (
            SELECT customer, product, {_faded("days[-1]", POPULARITY_FADES)} AS weight FROM {_of_last_year(tables)}
        ) AS bought
        INNER JOIN (
            SELECT cityHash64(customer_id) AS customer, ifNull(COUNTRY, '') AS country
            FROM customers WHERE country != ''
        ) AS lives USING (customer)
        GROUP BY country, product
    )
    GROUP BY country HAVING sum(buyers) >= {OF_A_COUNTRY}
    """  # noqa: S608 - ours


def _pairs(tables: dict[str, str]) -> str:
    """How many pairs of products the customers of the last year bought."""
    return f"""
    SELECT sum(least(bought, {BASKET}) * (least(bought, {BASKET}) - 1) / 2)
    FROM (SELECT count() AS bought FROM {_of_last_year(tables)} GROUP BY customer)
    """  # noqa: S608 - ours


def _baskets(tables: dict[str, str]) -> str:
    """What each customer, or one in so many, bought in the last year: the latest products, in one order for all."""
    return f"""
    SELECT arraySort({_latest(BASKET)}) AS products
    FROM {_of_last_year(tables)} AND intHash64(customer) % {{one_in:UInt64}} = 0
    GROUP BY customer
    """  # noqa: S608 - ours


def _neighbours(tables: dict[str, str]) -> str:
    """The products that most buyers of each product bought as well, by the shrunk cosine of the last year's buyers.

    near: a number for each, that of the product in the catalogue and below it, in ONES, how close it is.
    """
    return f"""
    WITH sold AS (
        SELECT product, toFloat64(count()) AS buyers
        FROM {tables["baskets"]} ARRAY JOIN products AS product GROUP BY product
    )
    SELECT product,
        groupArray(bitOr(bitShiftLeft(number, {CLOSENESS_BITS}), toUInt64(round(closeness * {ONES})))) AS near
    FROM (
        SELECT pair.1 AS product, pair.2 AS neighbour,
            together / sqrt(first_sold.buyers * second_sold.buyers) * together / (together + {SHRUNK_COMMON})
                AS closeness
        FROM (
            SELECT first, second, count() AS together
            FROM (
                SELECT first, arraySlice(products, place + 1) AS others
                FROM {tables["baskets"]} ARRAY JOIN products AS first, arrayEnumerate(products) AS place
            )
            ARRAY JOIN others AS second
            GROUP BY first, second HAVING together > 1
        ) AS counted
        INNER JOIN sold AS first_sold ON first_sold.product = counted.first
        INNER JOIN sold AS second_sold ON second_sold.product = counted.second
        ARRAY JOIN [(first, second), (second, first)] AS pair
        ORDER BY product, closeness DESC, neighbour LIMIT {NEIGHBOURS} BY product
    ) AS closest
    INNER JOIN (SELECT product AS neighbour, number FROM {tables["catalogue"]}) AS numbered USING (neighbour)
    GROUP BY product
    """  # noqa: S608 - ours


def _gaps(tables: dict[str, str]) -> str:
    """The median days between two purchases of each product, that of all products where few come back for it."""
    return f"""
    WITH (
        SELECT quantileExactArray(0.5)(arrayPopFront(arrayDifference(days))) FROM {tables["histories"]}
    ) AS usual
    SELECT
        product,
        sum(length(gaps)) AS repeats,
        sum(length(days)) AS purchases,
        repeats >= {FEWEST_GAPS} AND repeats >= {FEWEST_REPEATED} * purchases AS is_replenished,
        toFloat64(if(is_replenished, quantileExactArray(0.5)(gaps), usual)) AS gap,
        (repeats + 2) / (purchases + 20) AS repeated
    FROM (
        SELECT product, days, arrayPopFront(arrayDifference(days)) AS gaps FROM {tables["histories"]}
        WHERE product IN (SELECT product FROM {tables["goods"]})
    )
    GROUP BY product
    """  # noqa: S608 - ours


def _due(tables: dict[str, str]) -> str:
    """Of each customer what is due again, the likeliest first."""
    return f"""
    SELECT customer, arraySlice(arraySort(groupArray((-score, product))), 1, {MOST_DUE}).2 AS due
    FROM (
        SELECT
            customer,
            product,
            toInt32({{data_date:Date}}) - days[-1] AS since,
            (days[-1] - days[1] + {SHRUNK_BY} * gap) / (length(days) - 1 + {SHRUNK_BY}) AS own_gap,
            round(arraySum(day -> {_faded("day", PURCHASE_FADES)}, days) + repeated, {DIGITS}) AS score
        FROM {tables["histories"]} AS history
        INNER JOIN {tables["gaps"]} AS gaps ON gaps.product = history.product
        WHERE (is_replenished OR length(days) > 2)
          AND since < {GIVEN_UP} * own_gap AND since + {DUE_WITHIN} >= {EARLIEST} * own_gap
    )
    GROUP BY customer
    """  # noqa: S608 - ours


def _related(tables: dict[str, str]) -> str:
    """Of each customer the neighbours of the latest products, the closest first.

    The closenesses of a neighbour are added up in arrays of plain numbers, as differences of running sums where its
    run ends: rows of a customer and neighbour would be a hundred times as many as customers.
    """
    near = f"joinGet('{tables['neighbours'].replace('`', '')}', 'near', recent)"
    return f"""
    WITH (SELECT groupArray(product) FROM (SELECT product FROM {tables["catalogue"]} ORDER BY number)) AS catalogue
    SELECT
        customer,
        arraySort(arrayFlatten(arrayMap(recent -> {near}, latest))) AS ordered,
        arrayMap(packed -> bitShiftRight(packed, {CLOSENESS_BITS}), ordered) AS numbers,
        arrayMap((own, next) -> own != next, numbers, arrayPushBack(arrayPopFront(numbers), toUInt64(0))) AS ends,
        arrayFilter((number, is_end) -> is_end, numbers, ends) AS neighbours,
        arrayCumSum(arrayMap(packed -> bitAnd(packed, {2**CLOSENESS_BITS - 1}), ordered)) AS sums,
        arrayDifference(arrayPushFront(arrayFilter((upto, is_end) -> is_end, sums, ends), toUInt64(0))) AS scores,
        arrayMap(score -> toUInt64({10**DIGITS * LATEST} - round(score / {ONES / 10**DIGITS})), scores) AS places,
        arrayMap(
            (place, number) -> bitOr(bitShiftLeft(place, {NUMBER_BITS}), number), arrayPopFront(places), neighbours
        ) AS ranked,
        arrayMap(packed -> catalogue[bitAnd(packed, {2**NUMBER_BITS - 1})], arraySort(ranked)) AS candidates
    FROM (
        SELECT customer, {_latest(LATEST)} AS latest
        FROM {tables["histories"]}
        WHERE product IN (SELECT product FROM {tables["neighbours"]})
        GROUP BY customer
    )
    """  # noqa: S608 - ours


def _recommended(tables: dict[str, str]) -> str:
    """The rows of everybody who was registered, or had bought, by the date."""
    return f"""
    WITH (SELECT products FROM {tables["popular"]} WHERE country = '') AS with_all
    SELECT {{data_date:Date}}, customer_id, kind, place, product_id
    FROM (
        SELECT
            customer_id,
            if(empty(products), with_all, products) AS popular,
            arraySlice(arrayFilter(p -> NOT has(bought, p), candidates), 1, {MOST}) AS related,
            if(
                length(due) + length(related) >= {MOST},
                related,
                arrayConcat(related, arrayFilter(p -> NOT has(bought, p) AND NOT has(related, p), popular))
            ) AS liked,
            arraySlice(arrayConcat(due, liked), 1, {MOST}) AS best,
            arrayMap(place -> if(place > length(due), {RECOMMENDATION}, {REPLENISHMENT}), arrayEnumerate(best)) AS kinds
        FROM (
            SELECT customer_id, cityHash64(customer_id) AS customer, ifNull(COUNTRY, '') AS country, REGISTRATION_DATE
            FROM customers
        ) AS person
        LEFT JOIN (
            SELECT customer, groupArray(product) AS bought FROM {tables["histories"]} GROUP BY customer
        ) AS bought_by USING (customer)
        LEFT JOIN (SELECT customer, candidates FROM ({_related(tables)})) AS related_to USING (customer)
        LEFT JOIN ({_due(tables)}) AS due_for USING (customer)
        LEFT JOIN {tables["popular"]} AS popular_in USING (country)
        WHERE ifNull(REGISTRATION_DATE, {{data_date:Date}}) <= {{data_date:Date}} OR notEmpty(bought)
    )
    ARRAY JOIN best AS product, kinds AS kind, arrayEnumerate(best) AS place
    INNER JOIN {tables["goods"]} AS goods USING (product)
    """  # noqa: S608 - ours


def recommend(scope: Scope, data_date: date) -> None:
    """Replace the recommendations of the date."""
    rows, customers = (int(scope.warehouse.value(sql, data_date=data_date)) for sql in (ROWS, CUSTOMERS))
    slices = max(1, ceil(rows / scope.warehouse.at_once(BYTES_A_ROW)))
    tables = _learn(scope, data_date, sample_of=slices)
    inserts = _inserts(scope, data_date, tables, ceil(customers / slices), slices > 1)
    work.replace_partition(scope, "product_recommendations", data_date, COLUMNS, inserts)


def _learn(scope: Scope, data_date: date, sample_of: int) -> dict[str, str]:
    """Working tables of what holds for all customers, learned from one in so many; their quoted names.

    Nothing else reads them: those of few customers need not be on the disk, which takes most of the time.
    """
    settings = tenant_settings(scope, InsightSettings)
    parameters: dict[str, Any] = {"data_date": data_date, "most": settings.recommended_products}
    tables = {"histories": _fill_histories(scope, data_date, scope.warehouse, sample_of)}

    def make(name: str, select: str, order: str = "product", engine: str = "") -> None:
        engine = engine or scope.warehouse.engine_aside(order)
        tables[name] = work.fill(scope, name, data_date, select, engine=engine, **parameters)

    make("goods", GOODS)
    make("catalogue", _catalogue(tables))
    make("popular", _popular(tables), order="country")
    make("gaps", _gaps(tables))
    pairs = scope.warehouse.value(_pairs(tables), data_date=data_date) or 0
    parameters["one_in"] = max(1, ceil(pairs / settings.recommendation_pairs))
    make("baskets", _baskets(tables), order="tuple()")
    make("neighbours", _neighbours(tables), engine="Join(ANY, LEFT, product)")
    tables["neighbours"] = f"{scope.warehouse.name}.{tables['neighbours']}"
    return tables


def _inserts(
    scope: Scope, data_date: date, tables: dict[str, str], at_most: int, is_sample: bool
) -> Iterator[tuple[Database, str, dict[str, Any]]]:
    """The SELECT of every slice of customers, its histories made right before."""
    database = scope.warehouse
    for part in database.customer_slices(*SOURCES, at_most=at_most):
        if is_sample or part is not database:
            _fill_histories(scope, data_date, part)
        yield part, _recommended(tables), {"data_date": data_date}


def _fill_histories(scope: Scope, data_date: date, part: Database, sample_of: int = 1) -> str:
    """Make the table of the histories of a slice, or of one customer in so many; answers its quoted name.

    A slice is small, and in memory it takes a third of the time that a sorted table on disk does.
    """
    parameters: dict[str, Any] = {"data_date": data_date, "sample_of": sample_of, **value_rule(scope).parameters()}
    return work.fill(scope, "histories", data_date, HISTORIES, engine="Memory", parts=[part], **parameters)
