"""Recommendations against plain Python: who gets what, in which order, and what is left out beforehand."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, pairwise
from math import exp, sqrt
from statistics import median_low

import pytest

from rapport.access.scope import Scope
from rapport.insight import service as insight

D = date(2026, 6, 30)
GONE = {"g1", "g2", "g3", "g4", "g5"}
Line = tuple[str, str, int, str]  # customer, product, days before D, status of the order

Histories = dict[str, dict[str, list[int]]]
Rows = dict[str, list[tuple[int, str]]]


def shop() -> list[Line]:
    """Regulars with a rhythm, people of two countries with tastes, and those whose lists are told one by one."""
    lines: list[Line] = []
    for n in range(30):
        for product in (*sorted(GONE), "g6", "milk"):
            gap = 5 if product == "milk" else 20
            lines += [(f"r{n}", product, n % 7 + gap * k + 1, "") for k in range(4)]
    for n in range(240):
        taste = ("tea", "mug", "pot") if n % 2 else ("oil", "rag", "cap")
        lines += [(f"p{n}", taste[k], n % 50 + 30 * k, "") for k in range(1 + n % 3)]
        if n % 11 == 0:
            lines.append((f"p{n}", f"odd{n % 4}", n % 90, ""))
    lines += [("c0", product, 22, "") for product in (*sorted(GONE), "g6")]
    lines += [("b", "tea", 10, ""), ("b", "mug", 5, "Canceled"), ("b", "pot", 4, "void")]
    lines += [("often", "milk", days, "") for days in (60, 55, 50, 45, 40, 9)]
    lines += [("often", "g6", 45, ""), ("often", "oil", 400, "")]
    lines += [("own", "odd1", days, "") for days in (130, 90, 50, 10)]  # nobody else comes back for it
    lines += [("lost", "milk", 300, ""), ("lost", "rag", 310, "")]
    lines += [("again", "g6", 60, ""), ("again", "g6", 5, "")]
    return lines


COUNTRY = {**{f"p{n}": "NL" if n % 2 else "DE" for n in range(240)}, "new": "NL", "far": "FI", "b": "DE"}
REGISTERED = {"late": 1, "new": 0, "far": -20, "none": -400}  # days after D


@pytest.fixture(scope="module")
def rows(scope: Scope) -> Rows:
    """What the step recommends on D, by customer in order."""
    lines = shop()
    people = {line[0] for line in lines} | REGISTERED.keys()
    scope.warehouse.insert(
        "customers",
        ["customer_id", "REGISTRATION_DATE", "COUNTRY"],
        [(c, D + timedelta(days=REGISTERED.get(c, -500)), COUNTRY.get(c)) for c in sorted(people)],
    )
    at = [datetime(D.year, D.month, D.day, 23, tzinfo=UTC) - timedelta(days=days) for _, _, days, _ in lines]
    scope.warehouse.insert(
        "transactions",
        ["transaction_id", "customer_id", "transaction_time", "amount", "status"],
        [(f"t{n}", line[0], at[n], 5.0, line[3]) for n, line in enumerate(lines)],
    )
    scope.warehouse.insert(
        "transaction_items",
        ["transaction_id", "line_number", "customer_id", "transaction_time", "product_id", "unit_price"],
        [(f"t{n}", 1, line[0], at[n], line[1], 5.0) for n, line in enumerate(lines)],
    )
    scope.warehouse.insert("products", ["product_id", "name", "is_active"], [(p, p, 0) for p in sorted(GONE)])
    dict(insight.MODEL_STEPS)["recommendations"](scope, D)
    found: Rows = defaultdict(list)
    sql = "SELECT customer_id, recommendation_type, product_id FROM product_recommendations"
    for customer, kind, product in scope.warehouse.rows(f"{sql} ORDER BY customer_id, priority"):
        found[customer].append((kind, product))
    return found


@pytest.fixture(scope="module")
def hashes(scope: Scope, rows: Rows) -> dict[str, int]:
    """The hash that orders products with the same score."""
    return dict(scope.warehouse.rows("SELECT DISTINCT product_id, cityHash64(product_id) FROM transaction_items"))


def histories() -> Histories:
    """Days ago of the purchases that count, oldest first, by customer and product."""
    found: Histories = defaultdict(lambda: defaultdict(list))
    for customer, product, days, status in sorted(shop(), key=lambda line: -line[2]):
        if not status:
            found[customer][product].append(days)
    return found


def due(bought: Histories) -> dict[str, dict[str, float]]:
    """The scores of what each customer is due to buy again."""
    gaps: dict[str, list[int]] = defaultdict(list)
    purchases: Counter[str] = Counter()
    for products in bought.values():
        for product, ago in products.items():
            purchases[product] += len(ago)
            gaps[product] += [before - after for before, after in pairwise(ago)]
    usual = median_low([gap for found in gaps.values() for gap in found])
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for customer, products in bought.items():
        for product, ago in products.items():
            repeats = len(gaps[product])
            known = repeats >= 20 and repeats >= 0.1 * purchases[product]
            gap = median_low(gaps[product]) if known else usual
            own = (ago[0] - ago[-1] + 3 * gap) / (len(ago) - 1 + 3)
            in_time = ago[-1] < 3 * own and ago[-1] + 28 >= own / 2
            if product not in GONE and (known or len(ago) > 2) and in_time:
                weight = sum(exp(-days / 120) for days in ago)
                scores[customer][product] = round(weight + (repeats + 2) / (purchases[product] + 20), 6)
    return scores


def closeness(bought: Histories) -> dict[str, dict[str, float]]:
    """The shrunk cosine of the buyers of two products within the last year."""
    together: Counter[tuple[str, str]] = Counter()
    buyers: Counter[str] = Counter()
    for products in bought.values():
        basket = sorted(p for p, ago in products.items() if ago[-1] < 365 and p not in GONE)
        buyers.update(basket)
        together.update(combinations(basket, 2))
    close: dict[str, dict[str, float]] = defaultdict(dict)
    for (one, other), common in together.items():
        if common > 1:
            cosine = common / sqrt(buyers[one] * buyers[other]) * common / (common + 10)
            close[one][other] = close[other][one] = cosine
    return close


def best(scores: dict[str, float], hashes: dict[str, int], most: int) -> list[str]:
    return sorted(scores, key=lambda product: (-scores[product], hashes[product]))[:most]


def popular(bought: Histories, hashes: dict[str, int], country: str | None) -> list[str]:
    """The most popular products of a country with a hundred buyers of products, or of all, and then those of all."""
    lists = []
    for among in (country, None):
        scores: dict[str, float] = defaultdict(float)
        people = [c for c in bought if among is None or COUNTRY.get(c) == among]
        for customer in people:
            for product, ago in bought[customer].items():
                if ago[-1] < 365 and product not in GONE:
                    scores[product] += exp(-ago[-1] / 90)
        if among is None or sum(ago[-1] < 365 for c in people for p, ago in bought[c].items() if p not in GONE) >= 100:
            lists += best({p: round(score, 6) for p, score in scores.items()}, hashes, 40)
    return list(dict.fromkeys(lists))


def test_everybody_gets_what_plain_python_says(rows: Rows, hashes: dict[str, int]) -> None:
    bought, close = histories(), closeness(histories())
    scores = due(bought)
    for customer in bought.keys() | REGISTERED.keys():
        own = bought.get(customer, {})
        again = best(scores.get(customer, {}), hashes, 5)
        latest = sorted((p for p in own if p in close), key=lambda p: (own[p][-1], -hashes[p]))[:10]
        liked: dict[str, float] = defaultdict(float)
        for product in latest:
            for neighbour in best(close[product], hashes, 10):
                if neighbour not in own:
                    liked[neighbour] += close[product][neighbour]
        new = best({p: round(score, 6) for p, score in liked.items()}, hashes, 10)
        new += [p for p in popular(bought, hashes, COUNTRY.get(customer)) if p not in own and p not in new]
        expected = [(1, p) for p in again] + [(2, p) for p in new]
        assert rows.get(customer, []) == ([] if customer == "late" else expected[:10]), customer


def test_places_go_to_active_products(rows: Rows) -> None:
    assert [product for kind, product in rows["c0"] if kind == 1] == ["g6"]
    assert not GONE & {product for found in rows.values() for _, product in found}


def test_items_of_canceled_orders_were_not_bought(rows: Rows) -> None:
    assert rows["b"][:2] in ([(2, "mug"), (2, "pot")], [(2, "pot"), (2, "mug")])
    assert (1, "milk") in rows["r0"] and rows["again"][0] == (1, "g6")


def test_the_likeliest_are_first_and_an_interval_of_ones_own_counts(rows: Rows) -> None:
    assert rows["often"][:2] == [(1, "milk"), (1, "g6")]  # g6 is more overdue
    assert rows["own"][0] == (1, "odd1")
    assert all(kind == 2 for kind, _ in rows["lost"])


def test_who_never_bought_gets_what_is_popular_in_the_country(rows: Rows) -> None:
    assert {product for _, product in rows["new"][:3]} == {"tea", "mug", "pot"}
    assert rows["far"] == rows["none"] and {kind for kind, _ in rows["none"]} == {2}
    assert len(rows["none"]) == 10 and "late" not in rows
