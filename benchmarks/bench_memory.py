"""Peak memory of every step of a day at N and at 4N customers with 20 transactions each: it must not grow with them.

Each step is a statement or several; its peak is the most that one of them took, as the engine counts it. The
engine's limit is --memory. The whole day runs: the model, target groups, two campaigns with exclusions, a cap and
control, one of them by histories, the handing over of their lists, and their results.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench_cycle import ORDERS, PRODUCTS, TRANSACTIONS, D
from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant, tenants
from rapport.audiences import groups
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.cycle import cycles, daily, tasks
from rapport.campaigns.measurement import results
from rapport.campaigns.schemas import ActionBody, FrequencyCap, Group, GroupChannel, Schedule, SeriesBody, SeriesRules
from rapport.channels import service as channels
from rapport.settings import Settings
from rapport.stores import open_stores

# A quarter of the transactions have an item, everybody was active lately and got four campaigns of the last weeks.
ITEMS = """
    INSERT INTO transaction_items (transaction_id, line_number, customer_id, transaction_time, product_id, unit_price)
    SELECT transaction_id, 1, customer_id, transaction_time,
        concat('P', toString(toUInt32(3000 * pow(cityHash64(transaction_id) % 100000 / 100000, 3)))), amount
    FROM transactions WHERE cityHash64(transaction_id) % 4 = 0
"""
DETAILS = """
    INSERT INTO customers (customer_id, REGISTRATION_DATE, COUNTRY, EMAIL, CITY)
    SELECT concat('C', leftPad(toString(number), 8, '0')), toDate('2024-01-01') + cityHash64(number, 7) % 640,
        ['NL', 'DE', 'FR'][number % 3 + 1], concat('c', toString(number), '@example.com'), concat('City ', number % 500)
    FROM numbers({customers:UInt64})
"""
EVENTS = """
    INSERT INTO activity_events (event_id, event_type_id, customer_id, event_at)
    SELECT concat('E', toString(number)), 1001 + number % 3, concat('C', leftPad(toString(intDiv(number, 4)), 8, '0')),
        toDateTime64('2025-12-20 12:00:00', 3, 'UTC') - toIntervalSecond(cityHash64(number, 4) % (86400 * 120))
    FROM numbers({customers:UInt64} * 4)
"""
RECEIVED = """
    INSERT INTO campaign_recipients (* EXCEPT (firing_id, drawn_group, messages))
    SELECT toDate('2025-12-01') + campaign, 900 + campaign, concat('C', leftPad(toString(number), 8, '0')), 505,
        1, 2, 1, 1, '', toDateTime('2025-12-01 09:00:00', 'UTC') + toIntervalDay(campaign),
        toDate('2025-12-08') + campaign
    FROM numbers({customers:UInt64}) ARRAY JOIN range(4) AS campaign
"""
OPENED = """
    INSERT INTO campaign_interactions (delivery_date, campaign_id, customer_id, channel_id, template_id,
        recipient_group_id, action_id, event_id, interaction_at)
    SELECT execution_date, campaign_id, customer_id, channel_id, template_id, recipient_group_id, action_id,
        2 + cityHash64(customer_id, 1) % 2, toDateTime64(scheduled_time, 3, 'UTC') + 3600
    FROM campaign_recipients WHERE cityHash64(customer_id, campaign_id) % 4 = 0
"""


def fill(scope: Scope, customers: int) -> None:
    """Make the data inside the engine."""
    for sql in (DETAILS, PRODUCTS, TRANSACTIONS, ITEMS, EVENTS, RECEIVED, OPENED):
        began = time.monotonic()
        bound = {name: value for name, value in (("customers", customers), ("orders", ORDERS)) if "{" + name in sql}
        scope.warehouse.execute(sql, None, **bound)
        print(sql.split()[2], round(time.monotonic() - began, 1), file=sys.stderr, flush=True)


LATELY = {"history": "transactions", "window": {"days": 365}}
OFTEN = {"history": "transactions", "measure": "sum", "window": {"days": 365}, "operator": "greater", "value": 100}
NOT_OPENED = {"not": {"history": "interactions", "where": {"event": ["opened"]}, "window": {"days": 30}}}
GROUPS = {"Everybody": {"all": []}, "Buyers": {"all": [LATELY, OFTEN, NOT_OPENED]}, "Kept out": {"not": LATELY}}
POLL_SECONDS = 0.01


def prepare(scope: Scope) -> None:
    """Campaigns for the day after: one to everybody, one by histories, with exclusions, a cap and control."""
    channels.create_channel(scope, "Text messages", "external", id=505)
    definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["V1"]))
    for name, definition in GROUPS.items():
        groups.create_target_group(scope, name, definition)
    reached = [GroupChannel(channel_id=505, template_id=1, send_time="09:00")]
    for number, name in enumerate(("Everybody", "Buyers"), start=1):
        definitions.create_series(
            scope,
            SeriesBody(
                name=name,
                target_group_id=number,
                schedule=Schedule(kind="once", start_date=D + timedelta(days=1)),
                groups=[Group(action_id=2, channels=reached)],
                rules=SeriesRules(
                    include_all=False,
                    exclude_target_group_ids=[3],
                    frequency_cap=FrequencyCap(messages=20, days=30),
                ),
                products=3,
            ),
        )


class Peaks:
    """The most memory that a statement took, by step of the day."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.step, self.by_step = scope, "", defaultdict[str, int](int)
        self._ended = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the engine for the length of the block."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            ((peak,),) = self.scope.warehouse.rows("SELECT max(peak_memory_usage) FROM system.processes")
            self.by_step[self._step()] = max(self.by_step[self._step()], peak)

    def _step(self) -> str:
        """The number of steps of the cycle that are over, or what is done after it."""
        return self.step or str(len(cycles.row(self.scope, D).steps))


def run_day(scope: Scope) -> dict[str, Any]:
    """Run the cycle and the accounting: peaks of the engine by step, of the process, and seconds."""
    began = time.monotonic()
    peaks = Peaks(scope)
    cycles.begin(scope, D)
    with peaks.watched():
        result = daily.run_cycle(scope, D)
        peaks.step = "sends"
        tasks.execute_due(scope)
        peaks.step = "results"
        made = occurrences.occurrences(scope, execution_date=D + timedelta(days=1))
        for campaign in made:
            results.results(scope, campaign.id)
    print([(one.id, one.state, one.error, one.targeted, one.counts) for one in made], file=sys.stderr)
    names = {str(number): step["name"] for number, step in enumerate(result.steps)}
    names[str(len(names))] = "announcements"
    return {
        "peaks": {names.get(step, step): peak for step, peak in peaks.by_step.items()},
        "seconds": {step["name"]: step["seconds"] for step in result.steps} | {"all": time.monotonic() - began},
        "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def measure(customers: int, memory: int, folder: Path) -> dict[str, Any]:
    """Make the data in the folder, unless it has them, and run the day on them."""
    made = folder.exists()
    folder.mkdir(mode=0o755, exist_ok=True)
    stores = open_stores(Settings(data_dir=folder, query_memory_bytes=memory))
    try:
        stores.clock.set(datetime(D.year, D.month, D.day, 10, tzinfo=UTC) + timedelta(days=1))
        stores.start_work()
        if made:
            scope = scope_of(stores, tenants(stores)[0].id)
        else:
            limits = {"campaigns": {"blast_minimum": 10**9, "messages_per_day": 10}}
            scope = create_tenant(stores, "Bench", "UTC", "EUR", limits)
            fill(scope, customers)
        if not definitions.all_series(scope):
            prepare(scope)
        return run_day(scope)
    finally:
        stores.close()


def in_process(customers: int, memory: int) -> dict[str, Any]:
    """measure() in a process of its own, so that peaks do not mix."""
    folder = tempfile.mkdtemp(prefix="rapport-bench-")
    command = [sys.executable, __file__, "--size", str(customers), "--memory", str(memory), "--alone", folder + "/data"]
    Path(folder).chmod(0o755)
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def report(customers: int, memory: int) -> None:
    """Print the peaks of both sizes side by side, as JSON lines and as a table."""
    small, large = in_process(customers, memory), in_process(4 * customers, memory)
    rows = [(step, large["peaks"].get(step, 0), small["peaks"].get(step, 0)) for step in large["peaks"]]
    rows.append(("the process", large["process"], small["process"]))
    for step, ours, baseline in rows:
        ratio = round(ours / max(baseline, 1), 2)
        limit = memory if step != "the process" else None
        figure = {"name": f"peak of {step}", "ours": ours, "baseline": baseline, "ratio": ratio}
        print(json.dumps({**figure, "limit": limit, "unit": "bytes"}))
    print(f"\n{'peak, MB':<32}{4 * customers:>14,}{customers:>14,}{'ratio':>8}")
    for step, ours, baseline in rows:
        print(f"{step:<32}{ours / 1e6:>14,.1f}{baseline / 1e6:>14,.1f}{ours / max(baseline, 1):>8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=50_000, help="customers of the smaller of the two sizes")
    parser.add_argument("--memory", type=int, default=300_000_000, help="bytes of the limit of a query")
    parser.add_argument("--alone", type=Path, help="measure this size only, in this folder, and print it as JSON")
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measure(options.size, options.memory, options.alone)))
    else:
        report(options.size, options.memory)
