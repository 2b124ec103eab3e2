"""Journeys: how many customers a second come in by events, and leave a wait that is over, beside their bare rows.

One process with embedded engines. Customers come into a journey of a message to an outside channel, a wait and a second
message; then the wait of all of them is over at once. What moves them is the processor, batch by batch, as in a server.
Beside it stands what the records cost alone: the rows of members, steps and firings, written in batches of the same
size by plain statements in one process.

    python benchmarks/bench_journeys.py [--size CUSTOMERS] [--journeys N]

The unit is customers a second; memory is the resident memory of the process, in MB, before and after.
"""

import argparse
import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import text, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns import definitions as campaigns
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions as triggers
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.journeys import definitions
from rapport.journeys import following as _following  # noqa: F401 - journeys follow events
from rapport.journeys.schemas import JourneyBody
from rapport.realtime.matching.processor import Processor
from rapport.settings import Settings
from rapport.stores import open_stores

SMS = 505
BATCH = 500
PROFILES = """
    INSERT INTO {table} ({day} customer_id, COUNTRY)
    SELECT {value} concat('C', toString(number)), ['DE', 'AT', 'CH', 'NL'][number % 4 + 1] FROM numbers({customers})
"""
EVENTS = text("""
    INSERT INTO accepted_events
        (tenant_id, key, event, origin, customer_id, visitor_id, parameters, event_at, received_at, state)
    SELECT :tenant_id, gen_random_uuid(), 'sign_up', 'server', 'C' || n, '', '{}', :now, :now, 0
    FROM generate_series(0, :count - 1) AS n
""")
BARE_TABLES = text("""
    CREATE TABLE bare_members (LIKE journey_members INCLUDING ALL);
    CREATE TABLE bare_steps (LIKE journey_steps_taken INCLUDING ALL);
    CREATE TABLE bare_firings (LIKE trigger_firings INCLUDING ALL)
""")
BARE_BATCH = (
    """INSERT INTO bare_members (id, tenant_id, journey_id, version, person, customer_id, entry_key, parameters, state,
        step, taken, entered_at, since, due_at, ending, reason)
    SELECT n, 1, 1, 1, 'c' || n, 'C' || n, md5(CAST(n AS text)), '{}', 'active', 'pause', 2, now(), now(), now(), '', ''
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n""",
    """INSERT INTO bare_steps (tenant_id, member_id, number, journey_id, version, step, at, result)
    SELECT 1, n, number, 1, 1, 'pause', now(), ''
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n, generate_series(1, 2) AS number""",
    """INSERT INTO bare_firings (id, tenant_id, series_id, campaign_id, event_key, person, customer_id, is_visitor,
        parameters, recipient_group_id, state, outcome, reason, fired_at)
    SELECT n, 1, 1, 1, md5(CAST(n AS text)), 'c' || n, 'C' || n, false, '{}', 1, 'done', 'sent', '', now()
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n""",
)


def build(scope: Scope, customers: int, journeys: int) -> None:
    """Customers, an outside channel, two messages, and journeys; all but the first wait for another event."""
    day = scope.today() - timedelta(days=1)
    for table, name, value in (("profiles", "data_date,", f"toDate('{day}'),"), ("customers", "", "")):
        scope.warehouse.execute(PROFILES.format(table=table, day=name, value=value, customers=customers))
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))
    channels.create_channel(scope, "SMS", "external")
    campaigns.create_action(scope, ActionBody(name="Voucher"))
    for name in ("sign_up", "other"):
        event_types.declare_event_type(scope, name, {})
    group = {"action_id": 2, "channels": [{"channel_id": SMS, "template_id": 1}]}
    body = {"trigger": {"kind": "journey"}, "groups": [group], "control_share": 0, "re_entry": "unlimited"}
    first, second = (
        triggers.create_triggered(scope, TriggeredBody.model_validate({"name": name, **body})).id
        for name in ("First", "Second")
    )
    steps = [
        {"id": "first", "kind": "message", "campaign_id": first, "next": "pause"},
        {"id": "pause", "kind": "wait", "minutes": 60, "next": "second"},
        {"id": "second", "kind": "message", "campaign_id": second},
    ]
    for number in range(journeys):
        entry = {"kind": "event", "match": {"event": "other" if number else "sign_up"}}
        journey = {"name": f"Journey {number}", "entry": entry, "steps": steps}
        definitions.create_journey(scope, JourneyBody.model_validate(journey))


def entering(scope: Scope, processor: Processor, customers: int) -> float:
    """Seconds until all customers have come in and got the first message."""
    with scope.records() as session:
        session.execute(EVENTS, {"tenant_id": scope.tenant_id, "now": scope.clock.now(), "count": customers})
    begin = time.perf_counter()
    processor.drain(scope.tenant_id)
    return time.perf_counter() - begin


def leaving(scope: Scope, processor: Processor) -> float:
    """Seconds until all waits that are over have led to the second message."""
    scope.clock.set(scope.clock.now() + timedelta(hours=2))
    begin = time.perf_counter()
    while processor.due(scope.tenant_id):
        pass
    return time.perf_counter() - begin


def bare(scope: Scope, customers: int) -> float:
    """Seconds that the rows of all customers take, in as many transactions."""
    with scope.records() as session:
        session.execute(BARE_TABLES)
    begin = time.perf_counter()
    for first in range(0, customers, BATCH):
        with scope.records() as session:
            for sql in BARE_BATCH:
                session.execute(text(sql), {"first": first, "last": min(first + BATCH, customers) - 1})
    return time.perf_counter() - begin


def check(scope: Scope, customers: int) -> None:
    """Everybody has had both messages and is through."""
    with scope.records() as session:
        firings = session.scalar(text("SELECT count(*) FROM trigger_firings WHERE outcome = 'sent'"))
        ended = session.scalar(text("SELECT count(*) FROM journey_members WHERE ending = 'completed'"))
    assert (firings, ended) == (2 * customers, customers), (firings, ended)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--journeys", type=int, default=20)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder / "data"))
    try:
        scope = create_tenant(stores, "Journeys")
        scope.clock.set(scope.clock.now())
        build(scope, arguments.size, arguments.journeys)
        processor, memory = Processor(scope.stores), psutil.Process().memory_info
        before = memory().rss / 1e6
        seconds = {
            "come in, first message": entering(scope, processor, arguments.size),
            "wait over, second message": leaving(scope, processor),
        }
        after = memory().rss / 1e6
        check(scope, arguments.size)
        alone = bare(scope, arguments.size)
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)
    table = Table(title=f"{arguments.size:,} customers, {arguments.journeys} journeys")
    for column in ("work", "customers a second", "times the bare rows"):
        table.add_column(column, justify="right")
    for work, taken in [*seconds.items(), ("bare rows", alone)]:
        table.add_row(work, f"{arguments.size / taken:,.0f}", f"{taken / alone:.1f}")
    Console().print(table, f"memory {before:,.0f} MB before, {after:,.0f} MB after")


if __name__ == "__main__":
    main()
