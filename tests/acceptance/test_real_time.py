"""The demo's real time against what its events say by themselves: who had to fire what, and what came of it."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from lived import Demo
from sqlalchemy import text

EMAIL, SMS = 504, 505
MINUTES = timedelta(minutes=1)
Told = tuple[str, datetime, dict[str, str]]


def records(demo: Demo, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with demo.scope.stores.records.engine.connect() as connection:
        rows = connection.execute(text(sql), {"t": demo.scope.tenant_id, **values})
        return [tuple(row) for row in rows]


def rows(demo: Demo, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    return demo.scope.warehouse.rows(sql, **values)


@pytest.fixture(scope="module")
def numbers(demo: Demo) -> dict[str, int]:
    """The triggered campaigns by name."""
    of_events = "tenant_id = :t AND trigger #>> '{trigger,kind}' <> 'journey'"
    named = records(demo, f"SELECT name, id FROM campaign_series WHERE {of_events}")
    assert len(named) == 4
    return dict(named)


@pytest.fixture(scope="module")
def events(demo: Demo) -> dict[str, list[Told]]:
    """What known customers did in real time, in order: event, time and parameters."""
    names = dict(records(demo, "SELECT id, name FROM event_types WHERE tenant_id = :t"))
    found: dict[str, list[Told]] = defaultdict(list)
    for customer, number, at, parameters in rows(
        demo,
        """SELECT customer_id, event_type_id, event_at, properties FROM activity_events
           WHERE origin IN ('sdk', 'server') ORDER BY event_at, seq""",
    ):
        found[customer].append((names[number], at, dict(parameters)))
    return found


def fired(demo: Demo, series: int) -> dict[str, list[tuple[str, str]]]:
    """Outcomes and reasons of a trigger's firings by customer, in order."""
    found = defaultdict(list)
    for customer, outcome, reason, state in records(
        demo,
        """SELECT customer_id, outcome, reason, state FROM trigger_firings
           WHERE tenant_id = :t AND series_id = :s AND NOT is_visitor ORDER BY id""",
        s=series,
    ):
        assert state == "filed"
        found[customer].append((outcome, reason))
    return found


def test_every_event_is_in_the_warehouse_once(demo: Demo) -> None:
    told = rows(demo, "SELECT origin, count(), uniqExact(event_id) FROM activity_events GROUP BY origin")
    strangers = rows(demo, "SELECT count(), uniqExact(event_id) FROM visitor_events")[0]
    by_origin = {origin: (count, different) for origin, count, different in told}
    ours = [by_origin["sdk"], by_origin["server"], strangers]
    assert sum(count for count, _ in ours) == sum(different for _, different in ours) == demo.result.events > 100
    assert records(demo, "SELECT count(*) FROM accepted_events WHERE tenant_id = :t") == [(0,)]
    assert records(demo, "SELECT count(*) FROM event_log WHERE tenant_id = :t") == [(0,)]


def test_whoever_became_known_has_the_whole_visit(demo: Demo) -> None:
    known = {v for (v,) in records(demo, "SELECT visitor_id FROM visitors WHERE tenant_id = :t AND customer_id <> ''")}
    strange = {visitor for (visitor,) in rows(demo, "SELECT DISTINCT visitor_id FROM visitor_events")}
    assert known and strange and not known & strange
    pages = dict(rows(demo, "SELECT visitor_id, count() FROM activity_events WHERE origin = 'sdk' GROUP BY 1"))
    assert set(pages) == known
    assert min(pages.values()) >= 2, "also the pages before it was known"


def test_an_order_large_enough_is_thanked_for(
    demo: Demo, numbers: dict[str, int], events: dict[str, list[Told]]
) -> None:
    expected = Counter(
        customer
        for customer, some in events.items()
        for name, _, parameters in some
        if name == "checkout_completed" and float(parameters["order_total"]) >= 20
    )
    found = fired(demo, numbers["Thank you for your order"])
    assert expected and set(found) == set(expected)
    gone_out = {customer: sum(outcome == "sent" for outcome, _ in some) for customer, some in found.items()}
    assert all(number in (0, expected[customer]) for customer, number in gone_out.items())


def test_three_looks_within_an_hour(demo: Demo, numbers: dict[str, int], events: dict[str, list[Told]]) -> None:
    looks = {customer: [at for name, at, _ in some if name == "product_viewed"] for customer, some in events.items()}
    often = {
        customer
        for customer, times in looks.items()
        if any(third - first <= 60 * MINUTES for first, third in zip(times, times[2:], strict=False))
    }
    countries = dict(
        rows(demo, "SELECT customer_id, COUNTRY FROM profiles WHERE data_date = {d:Date}", d=demo.data_date)
    )
    expected = {customer for customer in often if countries.get(customer) in ("NL", "DE", "FR", "GB")}
    assert expected and set(fired(demo, numbers["Looks at it again and again"])) == expected


def test_a_basket_left_behind(demo: Demo, numbers: dict[str, int], events: dict[str, list[Told]]) -> None:
    expected = set()
    for customer, some in events.items():
        filled = [at for name, at, _ in some if name == "add_to_cart"]
        paid = [at for name, at, _ in some if name == "checkout_completed"]
        if any(not any(at <= done <= at + 45 * MINUTES for done in paid) for at in filled):
            expected.add(customer)
    found = fired(demo, numbers["Basket left behind"])
    assert expected and set(found) == expected
    for customer, some in found.items():
        under_review = int(customer[1:]) % 8 == 0
        allowed = {("excluded", "gateway: not allowed")} if under_review else {("sent", "")}
        asked = {one for one in some if one[0] == "sent" or one[1].startswith("gateway")}
        assert asked <= allowed
    verdicts = records(
        demo, "SELECT customer_id, verdict FROM trigger_firings WHERE tenant_id = :t AND verdict IS NOT NULL"
    )
    assert verdicts and all(v["how"] == "gateway" and v["allowed"] == (int(c[1:]) % 8 > 0) for c, v in verdicts)


def test_accounts_of_triggered_campaigns_add_up(demo: Demo) -> None:
    campaigns = records(
        demo,
        """SELECT id, targeted, test_size, counts, state, error, execution_date FROM campaigns
           WHERE tenant_id = :t AND is_triggered""",
    )
    units = defaultdict(Counter)
    for campaign, outcome, number in rows(
        demo, "SELECT campaign_id, outcome, count() FROM campaign_outcomes WHERE firing_id > 0 GROUP BY ALL"
    ):
        units[campaign][outcome] = number
    tested = dict(
        rows(
            demo,
            """SELECT campaign_id, uniqExact(customer_id) FROM campaign_recipients
               WHERE firing_id > 0 AND action_id > 1 GROUP BY campaign_id""",
        )
    )
    assert len(campaigns) >= 3
    for number, targeted, test_size, counts, state, error, day in campaigns:
        assert counts == dict(units[number]) and sum(counts.values()) == targeted
        assert test_size == tested.get(number, 0)
        assert (state, error) == ("executing" if day == demo.today else "successful", "")


def test_triggered_campaigns_are_read_by_their_number_and_not_by_date(demo: Demo) -> None:
    day, number = records(
        demo,
        """SELECT execution_date, id FROM campaigns WHERE tenant_id = :t AND is_triggered AND test_size > 0
           ORDER BY test_size DESC, id LIMIT 1""",
    )[0]
    told = demo.client.get("/current/actions/GetExecutedCampaignDetails", params={"Date": str(day)}).json()
    listed = {row["CampaignID"] for row in told}
    triggered = records(demo, "SELECT id FROM campaigns WHERE tenant_id = :t AND is_triggered")
    assert listed and not listed & {one for (one,) in triggered}
    query = {"CampaignID": number, "$top": 1000}
    acted = demo.client.get("/current/customers/GetCustomerExecutionDetailsByCampaign", params=query).json()
    recipients = rows(
        demo,
        """SELECT DISTINCT customer_id, channel_id FROM campaign_recipients
           WHERE campaign_id = {c:UInt32} AND action_id > 1""",
        c=number,
    )
    assert recipients and set(recipients) == {(row["CustomerID"], row["ChannelID"]) for row in acted}


def test_the_vendor_was_told_and_has_reported(demo: Demo) -> None:
    texts = rows(
        demo,
        """SELECT campaign_id, template_id, count() FROM campaign_recipients AS r
           LEFT ANTI JOIN (
               SELECT campaign_id, customer_id, channel_id FROM campaign_outcomes WHERE outcome != 'sent'
           ) AS o ON o.campaign_id = r.campaign_id AND o.customer_id = r.customer_id AND o.channel_id = r.channel_id
           WHERE channel_id = {c:UInt32} AND firing_id = 0 GROUP BY ALL""",
        c=SMS,
    )
    sent = records(
        demo,
        """SELECT campaign_id, template_id, value FROM campaign_metrics
           WHERE tenant_id = :t AND channel_id = :c AND metric_id = 0""",
        c=SMS,
    )
    assert sent and sorted(sent) == sorted(texts)
    for metric, event in ((2, 2), (3, 3), (4, 4), (9, 7)):
        total = records(
            demo,
            "SELECT sum(value) FROM campaign_metrics WHERE tenant_id = :t AND channel_id = :c AND metric_id = :m",
            c=SMS,
            m=metric,
        )
        reported = rows(
            demo,
            """SELECT count() FROM campaign_interactions
               WHERE channel_id = {c:UInt32} AND event_id = {e:UInt8} AND origin = 'api'""",
            c=SMS,
            e=event,
        )
        assert total[0][0] == reported[0][0]


def test_triggered_texts_came_by_event_11(demo: Demo) -> None:
    messages = records(
        demo,
        """SELECT f.campaign_id, f.customer_id, m.template_id FROM messages AS m
           JOIN trigger_firings AS f ON f.id = m.source_id AND m.source = 'firing'
           WHERE m.tenant_id = :t AND m.channel_id = :c AND m.state = 'sent'""",
        c=SMS,
    )
    delivered = rows(
        demo,
        """SELECT campaign_id, customer_id, template_id FROM campaign_interactions
           WHERE channel_id = {c:UInt32} AND event_id = 1 AND origin = 'metric'""",
        c=SMS,
    )
    assert messages and sorted(messages) == sorted(delivered)


def test_who_opted_out_with_the_vendor_is_left_alone(demo: Demo) -> None:
    gone = {
        customer.lower()
        for (customer,) in rows(
            demo,
            """SELECT customer_id FROM campaign_interactions
               WHERE channel_id = {c:UInt32} AND event_id = 4 AND origin = 'api'""",
            c=SMS,
        )
    }
    told = records(
        demo,
        "SELECT customer_key FROM channel_preferences WHERE tenant_id = :t AND channel_id = :c AND mode = 2",
        c=SMS,
    )
    assert {key for (key,) in told} == gone


def test_inserts_wait_for_the_disk_again(demo: Demo) -> None:
    made = dict(rows(demo, "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"))
    waiting = {name for name, statement in made.items() if "fsync_after_insert = 1" in statement}
    assert {"customers", "transactions", "campaign_outcomes", "activity_events"} <= waiting
    assert not [name for name, statement in made.items() if "fsync_after_insert = 0" in statement]


def test_who_has_bet_is_recommended_open_games(demo: Demo) -> None:
    ((bettor,),) = rows(
        demo,
        "SELECT customer_id FROM activity_events WHERE mapContains(properties, 'ootb_event_key') "
        "GROUP BY customer_id ORDER BY count() DESC, customer_id LIMIT 1",
    )
    answer = demo.client.post(
        "/recommend/v1/placements/sports-events/recommendations",
        json={"context": {"product": "Sports"}, "userId": bettor, "type": "recommendation"},
        headers={"x-brand-key": demo.result.sports_brand_id},
    )
    recommendation = answer.json()["recommendation"]
    assert recommendation["explanation"] == {"reason": "personal"}
    games = [item["event"] for item in recommendation["result"]]
    assert len({game["eventKey"] for game in games}) == 10
    assert min(game["eventDateTime"] for game in games) > recommendation["recDateTime"]
