"""A history is described once: whoever adds one writes its class and registers it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import jsonschema_rs
import pytest
from condition_world import DATA_DATE, SCHEMA, TODAY

from rapport.access.scope import Scope
from rapport.conditions import Facts, load_histories, parse, sentence, to_predicate, to_sql
from rapport.conditions.histories.base import Happening, History, Query, Reading, scaled
from rapport.conditions.histories.filters import Choices, Filter, Ids, Texts
from rapport.conditions.histories.registry import HISTORIES
from rapport.conditions.histories.times import instant
from rapport.conditions.language.json_schema import components
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.measures import Measure
from rapport.conditions.purchases import ValueRule
from rapport.conditions.schema import Kind
from rapport.errors import Invalid


@dataclass(frozen=True)
class Wager:
    at: datetime
    stake: float
    sport: str
    venue: int
    result: int
    properties: Mapping[str, str] = field(default_factory=dict)


class Wagers(History[Wager]):
    """Those that were called off do not count."""

    name = "wagers"
    title = "wagers"
    description = "What customers wagered."
    table = "made_up_wagers"
    time_column = "placed_at"
    time_kind = Kind.INSTANT
    measures = tuple(Measure)
    filters = (
        Filter[Wager]("sport", Texts(), "A sport", "sport", lambda row: row.sport),
        Filter[Wager]("venue", Ids(), "A venue", "venue_id", lambda row: row.venue),
        Filter[Wager]("result", Choices({"won": 1, "lost": 2}), "How it ended", "result", lambda row: row.result),
    )
    properties = "details"

    def amount_sql(self, query: Query) -> str:
        return "toInt64(round(stake * 10000))"

    def rules_sql(self, query: Query) -> Iterable[str]:
        return ["NOT called_off"]

    def happening(self, node: HistoryIs, row: Wager, values: ValueRule) -> Happening:
        return Happening(row.at, scaled(row.stake))

    def read(self, reading: Reading) -> Iterable[tuple[str, Wager]]:
        sql = """
            SELECT customer_id, toUnixTimestamp64Milli(placed_at), stake, sport, venue_id, result, details
            FROM made_up_wagers
            WHERE customer_id IN {ids:Array(String)} AND placed_at >= {since:DateTime('UTC')} AND NOT called_off
        """
        for who, at, *of_row in reading.rows(sql):
            yield who, Wager(instant(at), *of_row)


LONG_AGO, YESTERDAY = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 3, 28, 12, tzinfo=UTC)
ROWS = [
    ("Ann", YESTERDAY, 0.1, "Tennis", 5, 1, {"device": "App"}, False),
    ("Ann", YESTERDAY, 0.2, "tennis", 6, 2, {}, False),
    ("Ben", YESTERDAY, 50, "Football", 5, 2, {"device": "web"}, False),
    ("Ben", YESTERDAY, 70, "Tennis", 5, 1, {"device": "app"}, True),
    ("Cem", LONG_AGO, 9, "Tennis", 5, 1, {"device": "app"}, False),
]
PEOPLE = ["Ann", "Ben", "Cem", "Dot"]


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    warehouse = scope.warehouse
    warehouse.execute(
        "CREATE TABLE made_up_wagers (customer_id String, placed_at DateTime64(3, 'UTC'), stake Float64, "
        "sport String, venue_id UInt32, result UInt8, details Map(String, String), called_off Bool) "
        "ENGINE = MergeTree ORDER BY customer_id"
    )
    columns = ["customer_id", "placed_at", "stake", "sport", "venue_id", "result", "details", "called_off"]
    warehouse.insert("made_up_wagers", columns, ROWS)
    warehouse.insert("profiles", ["data_date", "customer_id"], [(DATA_DATE, one) for one in PEOPLE])
    return scope


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HISTORIES, "wagers", Wagers())


def asking(**more: Any) -> dict[str, Any]:
    return {"history": "wagers", **more}


SUM = {"measure": "sum", "operator": "equals", "value": 0.3}
ASKED: list[tuple[dict[str, Any], set[str], str]] = [
    (asking(), {"Ann", "Ben", "Cem"}, "The number of wagers is at least 1"),
    (
        asking(where={"sport": "TENNIS"}, window={"days": 7}, **SUM),
        {"Ann"},
        "The total amount of wagers with sport 'tennis' in the last 7 days is 0.3",
    ),
    (
        asking(where={"venue": [5, 7]}, operator="equals", value=0),
        {"Dot"},
        "The number of wagers with venue 5 or 7 is 0",
    ),
    (
        asking(where={"result": "won", "properties": {"device": ["app", "tv"]}}, window={"from": "2026-01-01"}),
        {"Ann"},
        "The number of wagers with result 'won' and device 'app' or 'tv' from 2026-01-01 is at least 1",
    ),
    (
        asking(measure="last_date", operator="more_than_days_ago", value=30),
        {"Cem"},
        "The last date of wagers is more than 30 days ago",
    ),
]


@pytest.mark.parametrize(("data", "expected", "words"), ASKED)
def test_a_new_history_is_asked_everywhere(tenant: Scope, data: Any, expected: set[str], words: str) -> None:
    condition = parse(data)
    assert isinstance(condition, HistoryIs)
    compiled = to_sql(condition, SCHEMA)
    assert "made_up_wagers" in compiled.tables, "slices of customers are slices of it too"
    assert {who for (who,) in tenant.warehouse.rows(compiled.sql, **compiled.parameters)} == expected
    loaded = load_histories(tenant.warehouse, PEOPLE, [condition], SCHEMA, TODAY, lambda campaigns: {})
    predicate = to_predicate(condition, SCHEMA)
    assert {who for who in PEOPLE if predicate(Facts(who, TODAY, histories=loaded.get(who, {})))} == expected
    assert sentence(condition) == words
    assert jsonschema_rs.is_valid(schema(), data)


def schema() -> dict[str, Any]:
    return {"$ref": "#/components/schemas/Condition", "components": {"schemas": components()}}


def test_only_as_far_back_as_conditions_look_is_read(tenant: Scope) -> None:
    condition = parse(asking(window={"days": 30}))
    assert isinstance(condition, HistoryIs)
    loaded = load_histories(tenant.warehouse, PEOPLE, [condition], SCHEMA, date(2026, 3, 30), lambda campaigns: {})
    assert loaded.keys() == {"Ann", "Ben"}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (asking(where={"result": "drawn"}), "definition.where.result must be one of won, lost."),
        (asking(where={"event": 1}), "it may have sport, venue, result, properties."),
        (asking(where={"venue": "5"}), "definition.where.venue must be a whole number from 0 to 4294967295."),
    ],
)
def test_what_it_does_not_have_is_refused(data: Any, fault: str) -> None:
    with pytest.raises(Invalid, match=fault):
        parse(data)
    assert not jsonschema_rs.is_valid(schema(), data)
