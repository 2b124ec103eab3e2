"""Run by the tests of days: lives the same day for two tenants, one of them stopping at places to wait for a line.

Prints {"place"} at each of them, and at the end what either day has come to.
"""

import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "campaigns"))
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    FILL,
    add_action,
    add_channels,
    add_group,
    add_series,
    group,
    recipients,
)
from sqlalchemy import text

from rapport.access import service
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import cycles, daily
from rapport.campaigns.cycle import daily as campaign_daily
from rapport.campaigns.runs import processing
from rapport.commands import logs
from rapport.insight import service as insight
from rapport.notifications import service as notifications
from rapport.settings import Settings
from rapport.stores import open_stores
from rapport.stores.workflows import work

MORNING = datetime(2026, 3, 10, 5, tzinfo=UTC)
AT_A_PLACE = threading.Lock()
TABLES = ("profiles", "model_results", "target_group_members", "product_recommendations", "campaign_recipients")
TOLD = text(
    "SELECT event_type_id, event_key, count(*) FROM deliveries WHERE tenant_id = :t GROUP BY 1, 2 ORDER BY 1, 2"
)


def stop_at(place: str) -> None:
    with AT_A_PLACE:  # two steps of a model run at once; a file of text is read and written by one thread at a time
        print(json.dumps({"place": place}), flush=True)
        sys.stdin.readline()


def stopping(function: Callable[..., Any], name: str, before: bool = True) -> Callable[..., Any]:
    """A function that stops at its beginning, or when it has done its work; the first time only."""
    seen: list[int] = []

    def wrapped(*arguments: Any) -> Any:
        first = not seen
        seen.append(1)
        if first and before:
            stop_at(name)
        result = function(*arguments)
        if first and not before:
            stop_at(name)
        return result

    return wrapped


def furnished(stores: Any, name: str) -> Scope:
    scope = create_tenant(stores, name, "Europe/Berlin", "EUR")
    for statement in FILL:
        scope.warehouse.execute(statement)
    add_channels(scope)
    add_group(scope, "Dutch", "NL", 1)
    add_group(scope, "Belgian", "BE", 2)
    add_action(scope, "Voucher", ("V",))
    for number in (1, 2):
        add_series(scope, number, [group(2, (EXTERNAL, 3), time="10:00")], name=f"Series {number}", control_share=0.5)
    for event in (1, 2, 3, 13):
        notifications.register_listener(scope, event, "http://127.0.0.1:9/events")
    return scope


def come_to(scope: Scope) -> dict[str, Any]:
    result = cycles.result(scope, DATA_DATE)
    rows = {table: scope.warehouse.value(f"SELECT count() FROM {table}") for table in TABLES}
    hashed = {
        table: str(scope.warehouse.value(f"SELECT sum(cityHash64(*)) FROM {table}"))
        for table in ("model_results", "target_group_members")
    }
    with scope.stores.records.reading() as connection:
        told = [list(row) for row in connection.execute(TOLD, {"t": scope.tenant_id})]
    days = occurrences.occurrences(scope)
    return {
        "state": [result.state, result.error, result.run],
        "steps": [step["name"] for step in result.steps],
        "rows": rows,
        "hashed": hashed,
        "told": told,
        "campaigns": [[day.id, day.state, day.targeted, day.test_size, day.control_size, day.counts] for day in days],
        "recipients": [len(recipients(scope, day)) for day in days],
    }


def main(data_dir: Path) -> None:
    logs.configure("WARNING")
    work.FIRST_PAUSE = work.LONGEST_PAUSE = 0.2
    stores = open_stores(Settings(data_dir=data_dir, allow_private_addresses=True))
    stores.start_work()
    stores.clock.set(MORNING)
    calm, tried = furnished(stores, "Calm"), furnished(stores, "Tried")
    campaign_daily.run_cycle(calm, DATA_DATE)
    steps = {name: stopping(step, f"before {name}") for name, step in insight.MODEL_STEPS}
    steps["scores"] = stopping(dict(insight.MODEL_STEPS)["scores"], "after scores", before=False)
    daily.insight.MODEL_STEPS = tuple(steps.items())  # type: ignore[attr-defined]
    daily.insight.publish = stopping(service.publish_data_date, "after publish", before=False)  # type: ignore[attr-defined]
    processing.process = stopping(processing.process, "after processing", before=False)
    cycles.note_all = stopping(cycles.note_all, "before a note")
    cycles.end = stopping(cycles.end, "before the end")
    campaign_daily.run_cycle(tried, DATA_DATE)
    print(json.dumps({"calm": come_to(calm), "tried": come_to(tried)}), flush=True)
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
