"""The daily model of a date, end to end: every figure against plain Python or independent SQL."""

from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.customers.attributes import attributes
from rapport.insight import service as insight

D = date(2026, 6, 30)
CUSTOMERS, BUYERS = 1500, 1400
SHARES = {1: 0.1, 2: 0.3, 3: 0.6, 4: 1.0}


@pytest.fixture(scope="module", autouse=True)
def shop(scope: Scope) -> None:
    """Customers with rates of their own over 18 months, baskets of items, and two days of the model."""
    execute = scope.warehouse.execute
    execute(f"""
        INSERT INTO customers (customer_id, REGISTRATION_DATE, COUNTRY)
        SELECT concat('C', toString(number)), toDate('2025-01-01') + number % 530, ['NL', 'DE'][number % 2 + 1]
        FROM numbers({CUSTOMERS})
    """)
    execute(f"""
        INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount, status)
        SELECT concat('T', toString(c), '-', toString(n)), concat('C', toString(c)),
            toDateTime('2025-01-01 23:30:00', 'UTC') + (c % 530 + toUInt32(n * (1 + cityHash64(c, 3) % 90))) * 86400,
            round(5 + cityHash64(c, 1) % 80 + cityHash64(c, n, 2) % 1000 / 50, 2),
            if(cityHash64(c, n) % 20, '', 'Canceled')
        FROM (SELECT number % {BUYERS} AS c, intDiv(number, {BUYERS}) AS n FROM numbers({BUYERS} * 12))
        WHERE n <= cityHash64(c, 9) % 12
    """)
    execute("""
        INSERT INTO transaction_items
            (transaction_id, line_number, customer_id, transaction_time, product_id, unit_price)
        SELECT transaction_id, line, customer_id, transaction_time,
            concat('P', toString((cityHash64(customer_id) % 6 * 2 + line + cityHash64(transaction_id) % 2 * 3) % 14)),
            amount / 2
        FROM transactions ARRAY JOIN [0, 1] AS line
    """)
    execute(
        "INSERT INTO products (product_id, name, category) "
        "SELECT concat('P', toString(number)), 'a product', ['Tea', 'Coffee'][number % 2 + 1] FROM numbers(14)"
    )
    execute("""
        INSERT INTO activity_events (event_id, event_type_id, customer_id, event_at) VALUES
        ('a', 1, 'C5', '2026-06-30 21:59:59'), ('b', 1, 'C5', '2026-06-30 22:30:00'),
        ('c', 1, 'C5', '2026-06-01 00:00:00')
    """)
    execute("""
        INSERT INTO campaign_recipients (execution_date, campaign_id, customer_id, channel_id, action_id) VALUES
        ('2026-06-24', 4, 'C5', 1, 2), ('2026-06-24', 4, 'C5', 2, 2), ('2026-06-02', 3, 'C5', 1, 2),
        ('2026-06-20', 5, 'C5', 0, 1), ('2026-07-01', 6, 'C5', 1, 2)
    """)
    # Processed days before they are sent: on the last day of the data, and after it.
    execute("""
        INSERT INTO campaign_recipients
            (execution_date, campaign_id, customer_id, channel_id, action_id, scheduled_time) VALUES
        ('2026-05-10', 7, 'C7', 1, 2, '2026-06-30 23:00:00'), ('2026-06-20', 8, 'C7', 1, 2, '2026-07-01 00:00:00')
    """)
    execute("""
        INSERT INTO campaign_interactions (delivery_date, campaign_id, customer_id, event_id, interaction_at) VALUES
        ('2026-06-24', 4, 'C5', 2, '2026-06-24 08:00:00'), ('2026-06-24', 4, 'C5', 3, '2026-06-30 10:00:00'),
        ('2026-06-24', 4, 'C5', 3, '2026-06-30 22:00:00')
    """)
    insight.run_model(scope, D - timedelta(days=1))
    insight.run_model(scope, D)


@pytest.fixture(scope="module")
def purchases(scope: Scope) -> dict[str, list[tuple[date, float]]]:
    """Counted purchases up to D by customer."""
    found: dict[str, list[tuple[date, float]]] = defaultdict(list)
    rows = scope.warehouse.rows("SELECT customer_id, toDate(transaction_time), amount, status FROM transactions")
    for customer_id, day, amount, status in rows:
        if day <= D and status != "Canceled":
            found[customer_id].append((day, amount))
    return {customer_id: sorted(bought) for customer_id, bought in found.items()}


def stage_of(days: list[date], on: date) -> str:
    """The stage on a date, walked day by day as the rules read."""
    days = sorted({day for day in days if day <= on})
    if not days:
        return "Dormant"
    if (on - days[-1]).days > 60:
        return "Churn"
    returns = [later for earlier, later in pairwise(days) if (later - earlier).days > 61]
    if returns and (on - returns[-1]).days < 30:
        return "Reactivated"
    return "New" if (on - days[0]).days < 30 else "Active"


def test_everybody_has_one_profile_and_one_result_a_day(scope: Scope) -> None:
    for table in ("profiles", "model_results"):
        for day in (D - timedelta(days=1), D):
            sql = f"SELECT count(), uniqExact(customer_id) FROM {table} WHERE data_date = {{day:Date}}"
            known = scope.warehouse.value(
                "SELECT count() FROM customers WHERE REGISTRATION_DATE <= {day:Date}", day=day
            )
            assert scope.warehouse.rows(sql, day=day) == [(known, known)]
    assert scope.data_date() == D
    assert scope.warehouse.rows("SHOW TABLES LIKE 'work_%'") == []


def test_features_against_plain_python(scope: Scope, purchases: dict[str, list[tuple[date, float]]]) -> None:
    sql = """
        SELECT customer_id, NUMBER_OF_ORDERS, NUMBER_OF_ORDERS_1M, TOTAL_ORDER_AMOUNT, TOTAL_ORDER_AMOUNT_3M,
            DAYS_SINCE_LAST_ORDER, AVERAGE_DAYS_BETWEEN_ORDERS, FIRST_ORDER_DATE, NUMBER_OF_ORDER_DAYS
        FROM profiles WHERE data_date = {day:Date}
    """
    for customer_id, *found in scope.warehouse.rows(sql, day=D):
        bought = purchases.get(customer_id, [])
        days = sorted({day for day, _ in bought})
        expected: list[Any] = [
            len(bought),
            sum((D - day).days < 30 for day, _ in bought),
            pytest.approx(sum(amount for _, amount in bought), abs=0.0001),
            pytest.approx(sum(amount for day, amount in bought if (D - day).days < 90), abs=0.0001),
            (D - days[-1]).days if days else None,
            pytest.approx((days[-1] - days[0]).days / (len(days) - 1), abs=0.0001) if len(days) > 1 else None,
            days[0] if days else None,
            len(days),
        ]
        assert [float(f) if hasattr(f, "as_tuple") else f for f in found] == expected, customer_id


def test_item_features_against_plain_python(scope: Scope) -> None:
    bought: dict[str, list[int]] = defaultdict(list)
    rows = scope.warehouse.rows("SELECT customer_id, product_id, toDate(transaction_time) FROM transaction_items")
    for customer_id, product_id, day in rows:
        if day <= D:
            bought[customer_id].append(int(product_id[1:]))
    sql = """
        SELECT customer_id, NUMBER_OF_ITEMS, NUMBER_OF_PRODUCTS, NUMBER_OF_CATEGORIES, FAVORITE_PRODUCT,
            FAVORITE_CATEGORY
        FROM profiles WHERE data_date = {day:Date}
    """
    for customer_id, items, products, categories, product, category in scope.warehouse.rows(sql, day=D):
        mine = bought[customer_id]
        kinds = [["Tea", "Coffee"][number % 2] for number in mine]
        assert (items, products, categories) == (len(mine), len(set(mine)), len(set(kinds)))
        if mine:
            assert mine.count(int(product[1:])) == max(map(mine.count, mine))
            assert kinds.count(category) == max(map(kinds.count, kinds))
        else:
            assert (product, category) == (None, None)


def test_activity_and_campaign_features(scope: Scope) -> None:
    """Customer C5 in Berlin time: what happened at 00:30 of the next day, 22:30 UTC, is not of the data date."""
    found = scope.warehouse.row(
        """
        SELECT NUMBER_OF_EVENTS_1W, NUMBER_OF_EVENTS_3M, DAYS_SINCE_LAST_EVENT, CAMPAIGNS_RECEIVED_1W,
            CAMPAIGNS_RECEIVED_1M, DAYS_SINCE_LAST_CAMPAIGN, NUMBER_OF_OPENS_1M, NUMBER_OF_CLICKS_1W,
            DAYS_SINCE_LAST_OPEN, DAYS_SINCE_LAST_CLICK, toFloat64(RESPONSE_RATE_1M)
        FROM profiles WHERE data_date = {day:Date} AND customer_id = 'C5'
        """,
        day=D,
    )
    assert found == (1, 2, 0, 1, 2, 6, 1, 1, 6, 0, 0.5)
    # Days of campaigns are those on which they were sent.
    received = "CAMPAIGNS_RECEIVED_1W, CAMPAIGNS_RECEIVED_1M, DAYS_SINCE_LAST_CAMPAIGN"
    later = f"SELECT {received} FROM profiles WHERE data_date = {{day:Date}} AND customer_id = 'C7'"
    assert scope.warehouse.row(later, day=D) == (1, 1, 0)


def test_stages_and_their_history_against_a_walk(scope: Scope, purchases: dict[str, list[tuple[date, float]]]) -> None:
    sql = """
        SELECT customer_id, LIFECYCLE_STAGE, PREVIOUS_LIFECYCLE_STAGE, DAYS_SINCE_STAGE_CHANGE, TIMES_CHURNED,
            DAYS_IN_CHURN, DORMANT_TYPE, REGISTRATION_DATE
        FROM profiles WHERE data_date = {day:Date}
    """
    seen = set()
    for customer_id, stage, previous, since, times, in_churn, dormant, registered in scope.warehouse.rows(sql, day=D):
        days = [day for day, _ in purchases.get(customer_id, [])]
        start = min([registered, *days])
        walk = [stage_of(days, start + timedelta(days=n)) for n in range((D - start).days + 1)]
        assert stage == walk[-1], customer_id
        seen.add(stage)
        changes = [n for n in range(1, len(walk)) if walk[n] != walk[n - 1]]
        assert since == len(walk) - 1 - (changes[-1] if changes else 0), customer_id
        assert previous == (walk[changes[-1] - 1] if changes else None), customer_id
        assert in_churn == walk.count("Churn"), customer_id
        assert times == sum(walk[n] == "Churn" for n in changes), customer_id
        if stage == "Dormant":
            assert dormant == ("Never active" if (D - registered).days > 30 else "Prospect")
    assert seen == {"New", "Active", "Reactivated", "Churn", "Dormant"}


def test_ranks_and_value_segments_follow_the_future_value(scope: Scope) -> None:
    sql = """
        SELECT customer_id, FUTURE_VALUE, FUTURE_VALUE_PERMILLE, FUTURE_VALUE_PERCENTILE_IN_STAGE, VALUE_SEGMENT_ID,
            LIFECYCLE_STAGE
        FROM profiles WHERE data_date = {day:Date} AND LIFECYCLE_STAGE != 'Dormant'
    """
    rows = scope.warehouse.rows(sql, day=D)
    exact = dict(
        scope.warehouse.rows("SELECT customer_id, future_value FROM model_results WHERE data_date = {d:Date}", d=D)
    )
    ordered = sorted((exact[row[0]] for row in rows), reverse=True)
    for customer_id, value, permille, in_stage, segment, stage in rows:
        before = ordered.index(exact[customer_id]) / len(rows)
        assert float(value) == pytest.approx(exact[customer_id], abs=0.0001)
        assert permille == 1000 - int(before * 1000)
        assert segment == next(number for number, end in SHARES.items() if before < end)
        mine = [exact[row[0]] for row in rows if row[5] == stage]
        assert in_stage == 100 - int(sum(other > exact[customer_id] for other in mine) / len(mine) * 100)


def test_wire_of_stages_and_microsegments(api: httpx.Client, scope: Scope) -> None:
    assert api.get("/current/model/GetLifecycleStageList").json() == [
        {"StageID": 1, "StageName": "New"},
        {"StageID": 2, "StageName": "Active"},
        {"StageID": 3, "StageName": "Reactivated"},
        {"StageID": 4, "StageName": "Churn"},
        {"StageID": 5, "StageName": "Dormant"},
    ]
    found = {row["MicrosegmentID"]: row for row in api.get("/Model/GetMicrosegmentList").json()}
    figures = scope.warehouse.rows(
        """
        SELECT microsegment_id, any(lifecycle_stage_id), uniqExact(lifecycle_stage_id), avg(future_value),
            avg(churn_probability)
        FROM model_results WHERE data_date = {day:Date} GROUP BY microsegment_id
    """,
        day=D,
    )
    assert len(figures) > 8
    for segment_id, stage_id, stages, value, churn in figures:
        row = found[segment_id]
        assert (row["LifecycleStageID"], stages) == (stage_id, 1)
        assert row["FutureValue"] == pytest.approx(value, abs=0.001)
        assert row["ChurnRate"] == pytest.approx(churn, abs=0.00001)
    assert "Active-High value-Frequent-Recent" in {row["MicrosegmentName"] for row in found.values()}


def _changers(scope: Scope, column: str) -> dict[str, tuple[int, int]]:
    before, after = (
        dict(
            scope.warehouse.rows(f"SELECT customer_id, {column} FROM model_results WHERE data_date = {{d:Date}}", d=day)
        )
        for day in (D - timedelta(days=1), D)
    )
    return {c: (before.get(c, 0), after[c]) for c in after if before.get(c, 0) != after[c]}


def test_wire_of_changers(api: httpx.Client, scope: Scope) -> None:
    rows = api.get("/current/model/GetMicrosegmentChangers", params={"CustomerAttributes": "COUNTRY"}).json()
    found = {row["CustomerID"]: (row["InitialMicrosegmentID"] or 0, row["FinalMicrosegmentID"]) for row in rows}
    assert found == _changers(scope, "microsegment_id") != {}
    assert {row["CustomerAttributes"][0] for row in rows} == {"NL", "DE"}
    days = {"StartDate": str(D - timedelta(days=1)), "EndDate": str(D)}
    rows = api.get("/current/segments/GetValueSegmentChangers", params=days).json()
    assert rows
    found = {row["CustomerID"]: (row["InitialValueSegmentID"], row["FinalValueSegmentID"]) for row in rows}
    expected = {c: pair for c, pair in _changers(scope, "value_segment_id").items() if 0 not in pair}
    assert found == expected
    for bad in ({"StartDate": "2026-06-01"}, {"StartDate": "2026-06-30", "EndDate": "2026-06-01"}):
        assert api.get("/current/model/GetMicrosegmentChangers", params=bad).status_code == 400


def test_changers_between_days_without_data(api: httpx.Client, scope: Scope) -> None:
    """The newest data date before stands for a day that has none; before the first one nobody was there."""
    path = "/current/model/GetMicrosegmentChangers"
    (days,) = zip(*scope.warehouse.rows("SELECT DISTINCT data_date FROM model_results ORDER BY 1"), strict=True)
    exact = api.get(path, params={"StartDate": str(days[0]), "EndDate": str(D)}).json()
    assert exact
    assert api.get(path, params={"StartDate": str(days[0]), "EndDate": "2027-01-01"}).json() == exact
    assert api.get(path, params={"StartDate": str(D), "EndDate": "2027-01-01"}).json() == []
    before = {"StartDate": str(days[0] - timedelta(days=1)), "EndDate": str(D)}
    members = dict(
        scope.warehouse.rows(
            "SELECT customer_id, microsegment_id FROM model_results WHERE data_date = {d:Date} AND microsegment_id > 0",
            d=D,
        )
    )
    rows = api.get(path, params=before).json()
    assert {row["CustomerID"]: row["FinalMicrosegmentID"] for row in rows} == members
    assert {row["InitialMicrosegmentID"] for row in rows} == {None}
    assert api.get("/current/segments/GetValueSegmentChangers", params=before).json() == []
    early = {"StartDate": "2001-01-01", "EndDate": "2001-02-01"}
    assert api.get(path, params=early).json() == []


def test_wire_of_value_segments(api: httpx.Client, scope: Scope) -> None:
    assert api.get("/current/segments/GetValueSegments").json() == [
        {"ValueSegmentName": name, "ValueSegmentID": number}
        for number, name in enumerate(("Top", "High", "Middle", "Base"), 1)
    ]
    assert api.get("/Segments/GetValueSegmentID", params={"valuesegmentname": "HIGH"}).json() == {"ValueSegmentID": 2}
    assert api.get("/Segments/GetValueSegmentID", params={"ValueSegmentName": "no"}).status_code == 404
    assert api.get("/Segments/GetValueSegmentName", params={"ValueSegmentID": 4}).json() == {"ValueSegmentName": "Base"}
    query = {"ValueSegmentID": 1, "Date": str(D), "CustomerAttributes": "VALUE_SEGMENT"}
    rows = api.get("/current/segments/GetCustomersByValueSegment", params=query).json()
    sql = "SELECT customer_id FROM profiles WHERE data_date = {d:Date} AND VALUE_SEGMENT = 'Top' ORDER BY customer_id"
    assert [row["CustomerID"] for row in rows] == [c for (c,) in scope.warehouse.rows(sql, d=D)]
    assert {row["CustomerAttributes"][0] for row in rows} == {"Top"}
    late = {"ValueSegmentID": 1, "Date": "2027-01-01"}
    assert api.get("/current/segments/GetCustomersByValueSegment", params=late).json() == []


def test_wire_of_future_values(api: httpx.Client, scope: Scope) -> None:
    path = "/current/customers/GetCustomerFutureValues"
    rows = api.get(path, params={"LifecycleStageID": "1,2"}).json()
    sql = """
        SELECT customer_id, future_value FROM model_results
        WHERE data_date = {d:Date} AND lifecycle_stage_id IN (1, 2) ORDER BY customer_id
    """
    assert [(row["CustomerID"], pytest.approx(row["FutureValue"], abs=0.0001)) for row in rows] == scope.warehouse.rows(
        sql, d=D
    )
    rows = api.get(path, params={"CustomerAttributes": "country", "CustomerAttributeValue": "nl"}).json()
    sql = """
        SELECT count() FROM model_results AS r INNER JOIN customers AS c ON c.customer_id = r.customer_id
        WHERE data_date = {d:Date} AND COUNTRY = 'NL' AND lifecycle_stage_id < 5
    """
    assert len(rows) == scope.warehouse.value(sql, d=D) > 0
    assert api.get(path, params={"LifecycleStageID": 5}).json() == []
    for bad in (
        {},
        {"LifecycleStageID": "x"},
        {"CustomerAttribute": "COUNTRY"},
        {"CustomerAttributeValue": "NL"},
        {"CustomerAttribute": "NO_SUCH", "CustomerAttributeValue": "1"},
        {"LifecycleStageID": 1, "CustomerAttribute": "COUNTRY", "CustomerAttributeValue": "NL"},
    ):
        assert api.get(path, params=bad).status_code == 400, bad


def test_exact_numbers_are_found_however_they_are_written(api: httpx.Client, scope: Scope) -> None:
    path = "/current/customers/GetCustomerFutureValues"
    sql = "SELECT {column} FROM profiles WHERE data_date = {{d:Date}} AND {column} > 0 LIMIT 1"
    infos = attributes(scope).values()
    asked = 0
    for info in (info for info in infos if info.field_type in ("Decimal", "Int", "Bigint") and info.source != "batch"):
        value = scope.warehouse.value(sql.format(column=info.real_field_name), d=D)
        if value is None:
            continue
        expected = scope.warehouse.value(
            f"SELECT count() FROM profiles AS p INNER JOIN model_results AS r USING (data_date, customer_id) "
            f"WHERE data_date = {{d:Date}} AND {info.real_field_name} = {value} AND lifecycle_stage_id < 5",
            d=D,
        )
        plain = f"{value:f}".rstrip("0").rstrip(".") if "." in str(value) else str(value)
        for text in (plain, f"{plain}.0" if "." not in plain else f"{plain}0", f"0{plain}", f" {plain} "):
            found = api.get(path, params={"CustomerAttribute": info.real_field_name, "CustomerAttributeValue": text})
            assert len(found.json()) == expected, (info.real_field_name, text)
        for text in (f"{plain}.00001" if "." not in plain else f"{plain}000001", "x"):
            found = api.get(path, params={"CustomerAttribute": info.real_field_name, "CustomerAttributeValue": text})
            assert found.json() == []
        asked += 1
    assert asked > 3


def test_recommendations_are_new_or_due(api: httpx.Client, scope: Scope) -> None:
    path = "/current/customers/GetCustomerProductRecommendations"
    rows = api.get(path).json()
    bought: dict[str, dict[str, list[date]]] = defaultdict(lambda: defaultdict(list))
    sql = "SELECT i.customer_id, product_id, toDate(i.transaction_time) FROM transaction_items AS i"
    counts = (
        "INNER JOIN transactions AS t USING (transaction_id) WHERE i.transaction_time < '2026-07-01' AND status = ''"
    )
    for customer_id, product_id, day in scope.warehouse.rows(f"{sql} {counts}"):
        bought[customer_id][product_id].append(day)
    by_customer: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in rows:
        by_customer[row["CustomerID"]].append((row["ProductID"], row["RecommendationType"]))
    assert {kind for found in by_customer.values() for _, kind in found} == {1, 2}
    for customer_id, found in by_customer.items():
        assert len(found) <= 10 and len(set(found)) == len(found)
        assert [kind for _, kind in found] == sorted(kind for _, kind in found)
        for product_id, kind in found:
            assert (product_id in bought[customer_id]) == (kind == 1)
    someone = rows[0]["CustomerID"]
    mine = api.get(path, params={"CustomerID": someone.lower()}).json()
    assert [(row["ProductID"], row["RecommendationType"]) for row in mine] == by_customer[someone]
    assert all("ProductAttributes" not in row for row in mine)
    query = {"CustomerID": someone, "ProductAttributes": '"name,category"'}
    for row in api.get(path, params=query).json():
        assert row["ProductAttributes"] == ["a product", ["Tea", "Coffee"][int(row["ProductID"][1:]) % 2]]
    assert api.get(path, params={"ProductAttributes": "no such"}).status_code == 400


def test_integrations_keys_are_refused(integrations_api: httpx.Client) -> None:
    for path in ("/current/model/GetMicrosegmentList", "/current/segments/GetValueSegments"):
        assert integrations_api.get(path).status_code == 403
