"""Processing a campaign of a million members, against the engine's bare split and write of as many rows."""

import argparse
import json
import shutil
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.audiences import groups, membership
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, processing
from rapport.campaigns.schemas import ActionBody, FrequencyCap, Group, GroupChannel, Schedule, SeriesBody, SeriesRules
from rapport.channels import service as channels
from rapport.settings import Settings
from rapport.stores import open_stores

DATA_DATE = date(2026, 6, 30)
LIMIT_SECONDS_PER_MILLION = 2.0
ROUNDS = 5

FILL = """
    INSERT INTO profiles (data_date, customer_id, EMAIL, COUNTRY, IS_OPTIN, ALLOW_EMAIL, FIRST_NAME)
    SELECT {day:Date}, concat('C', leftPad(toString(number), 8, '0')), concat('c', toString(number), '@example.com'),
        ['DE', 'AT', 'FR'][number % 3 + 1], 'Yes', 'Yes', 'Ada'
    FROM numbers({size:UInt64})
"""
BARE = """
    INSERT INTO bare_recipients (* EXCEPT (firing_id, drawn_group, messages))
    SELECT {today:Date}, 1, customer_id, 505, if(sipHash64(1, customer_id) % 10000 < 1000, 0, 1), 2, 1, 1, '',
        {at:DateTime('UTC')}, {today:Date} + 7
    FROM target_group_members WHERE data_date = {day:Date} AND target_group_id = 1
"""


def prepare(scope: Scope, size: int) -> SeriesBody:
    """A million reachable customers, one target group of them all, one series with control and a cap."""
    scope.warehouse.execute(FILL, day=DATA_DATE, size=size)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))
    channels.create_channel(scope, "Text messages", "external", id=505)
    definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["V1"]))
    groups.create_target_group(scope, "All", {"all": []})
    membership.compute_members(scope, 1, DATA_DATE)
    reached = [GroupChannel(channel_id=505, template_id=1, send_time="09:00")]
    return SeriesBody(
        name="Everybody",
        target_group_id=1,
        schedule=Schedule(kind="daily", start_date=scope.today()),
        groups=[Group(action_id=2, share=1.0, channels=reached)],
        rules=SeriesRules(include_all=True, frequency_cap=FrequencyCap(messages=3, days=7)),
    )


def bare(scope: Scope, rounds: int) -> float:
    """The best of some bare splits and writes, in seconds."""
    scope.warehouse.execute("CREATE TABLE bare_recipients AS campaign_recipients")
    found = []
    for _ in range(rounds):
        scope.warehouse.execute("TRUNCATE TABLE bare_recipients")
        began = time.perf_counter()
        today = DATA_DATE + timedelta(days=1)
        scope.warehouse.execute(BARE, day=DATA_DATE, today=today, at=datetime(2026, 7, 1, 9, tzinfo=UTC))
        found.append(time.perf_counter() - began)
    return min(found)


def ours(scope: Scope, series_id: int, size: int, rounds: int) -> float:
    """The best of some whole processings: exclusions, split, recipients, outcomes, events, in seconds."""
    found = []
    for _ in range(rounds):
        campaign = plan_next_run(scope, series_id, scope.today())
        began = time.perf_counter()
        processing.process(scope, campaign, DATA_DATE)
        found.append(time.perf_counter() - began)
        done = occurrences.occurrence(scope, campaign)
        assert done.targeted == size and done.test_size + done.control_size == size, (done.state, done.counts)
        by_hand.cancel(scope, campaign)
    return min(found)


def main() -> None:
    """Build, measure, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000)
    size = parser.parse_args().size
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder))
    try:
        stores.clock.set(datetime(2026, 7, 1, 5, tzinfo=UTC))
        scope = create_tenant(stores, "Bench", "UTC", "EUR", {"campaigns": {"blast_minimum": 10**9}})
        series = definitions.create_series(scope, prepare(scope, size))
        baseline = bare(scope, ROUNDS)
        seconds = ours(scope, series.id, size, ROUNDS)
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)
    figure = {
        "name": f"process a campaign of {size:,} members",
        "ours": round(seconds, 3),
        "baseline": round(baseline, 3),
        "ratio": round(seconds / baseline, 2),
        "limit": LIMIT_SECONDS_PER_MILLION * size / 1_000_000,
        "unit": "s (limit on ours)",
    }
    print(json.dumps(figure))
    print(
        f"{figure['name']:45} ours {seconds:7.3f} s   bare split and write {baseline:7.3f} s"
        f"   limit {figure['limit']} s"
    )


if __name__ == "__main__":
    main()
