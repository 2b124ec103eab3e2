"""Run by test_earlier_releases: what the restored shop answers, and what becomes of what was under way in it.

usage: earlier_child.py DATA_DIR SMTP_PORT KEY

Prints {"held": answers before anything goes on, "ended": how campaigns and firings ended after `rapport resume`}.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from earlier_answers import BACKUP_KEY, EVENING, NOW, SECRET_KEY, answers
from sqlalchemy import text
from url_engines import serving

from rapport.access.scope import Scope, scope_of
from rapport.app import carrying_out
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.commands import logs
from rapport.settings import Settings
from rapport.stores import holds, open_stores
from rapport.stores.workflows import work

OPEN_FIRINGS = "SELECT id, series_id, customer_id, state FROM trigger_firings WHERE state NOT IN ('filed', 'delayed')"
FIRINGS = """
    SELECT series_id, customer_id, outcome, reason FROM trigger_firings ORDER BY series_id, customer_id, id
"""
OUTCOMES = """
    SELECT campaign_id, customer_id, channel_id, outcome, reason FROM campaign_outcomes
    WHERE campaign_id IN (2, 3) ORDER BY 1, 2, 3
"""


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def rows(scope: Scope, sql: str) -> list[list[Any]]:
    with scope.stores.records.reading() as connection:
        return [list(row) for row in connection.execute(text(sql))]


def carried_on(scope: Scope) -> dict[str, Any]:
    """Let all go out that was under way, then what is due in the evening."""
    holds.resume(scope.stores.records)
    until(lambda: occurrences.occurrence(scope, 2).state == "successful")
    until(lambda: not rows(scope, OPEN_FIRINGS))
    scope.clock.set(EVENING)
    tasks.execute_due(scope)
    until(lambda: all(outcome for _, _, outcome, _ in rows(scope, FIRINGS)))
    states = {number: occurrences.occurrence(scope, number).state for number in (1, 2, 3)}
    outcomes = [list(row) for row in scope.warehouse.rows(OUTCOMES)]
    return {"campaigns": states, "outcomes": outcomes, "firings": rows(scope, FIRINGS)}


def main(data_dir: Path, port: str, key: str) -> None:
    logs.configure("ERROR")
    work.FIRST_PAUSE = work.LONGEST_PAUSE = 0.2
    given = {"smtp_url": f"smtp://127.0.0.1:{port}", "rate_limit_calls": 0, "allow_private_addresses": True}
    stores = open_stores(Settings(data_dir=data_dir, backup_key=BACKUP_KEY, secret_key=SECRET_KEY, **given))
    stores.clock.set(NOW)
    with serving(stores) as base_url:
        held = answers(base_url, key)
    scope = scope_of(stores, held["tenants/current"][1]["id"])
    with carrying_out(stores, frozenset({"worker"})):
        print(json.dumps({"held": held, "ended": carried_on(scope)}))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
