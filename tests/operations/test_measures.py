"""What /metrics tells of days, deliveries, connections, disks, engines and backups, against what was made."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, select, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.api.http import watching
from rapport.campaigns.models import Cycle
from rapport.notifications.models import Delivery, Listener
from rapport.stores import Stores
from rapport.stores.clock import OUTSIDE
from rapport.stores.local import disk

FIVE = datetime(2027, 6, 11, 5, tzinfo=UTC)
YESTERDAY = date(2027, 6, 10)


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MEASURED_SECONDS", 0.0)


def told(api: httpx.Client) -> dict[str, float]:
    """Every sample by its name and labels."""
    found = {}
    for family in text_string_to_metric_families(api.get("/metrics").text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}[{labels}]" if labels else sample.name] = sample.value
    return found


def changes(before: dict[str, float], after: dict[str, float], *names: str) -> list[float]:
    return [after[name] - before[name] for name in names]


@pytest.fixture
def others_have_no_day(stores: Stores) -> Iterator[None]:
    """Tenants of other tests that had a day before do not count here."""
    with stores.records.session() as session:
        had = session.execute(select(Tenant.id, Tenant.last_data_date).where(Tenant.last_data_date.is_not(None))).all()
        session.execute(update(Tenant).values(last_data_date=None))
    stores.clock.set(FIVE)
    yield
    stores.clock.set(None)
    with stores.records.session() as session:
        for tenant_id, day in had:
            session.execute(update(Tenant).where(Tenant.id == tenant_id).values(last_data_date=day))


def tenant_with_day(stores: Stores, name: str, published: date | None, state: str = "") -> Scope:
    made = create_tenant(stores, f"{name} {time.time_ns()}")
    with stores.records.session() as session:
        session.execute(update(Tenant).where(Tenant.id == made.tenant_id).values(last_data_date=published))
        if state:
            day = {"tenant_id": made.tenant_id, "data_date": YESTERDAY, "run": 0, "state": state}
            session.execute(insert(Cycle).values(**day, steps=[], error="", started_at=FIVE))
    return made


def test_days_that_are_late_run_or_have_failed(stores: Stores, api: httpx.Client, others_have_no_day: None) -> None:
    names = [f"rapport_days[state={state}]" for state in ("late", "running", "failed")]
    before = told(api)
    assert before["rapport_day_oldest_seconds"] == 0
    day = timedelta(days=1)
    tenant_with_day(stores, "in time", YESTERDAY, "finished")
    tenant_with_day(stores, "new", None)
    tenant_with_day(stores, "running", YESTERDAY - day, "running")
    # The day of June 10 was to be there at 04:00 of June 11, an hour ago.
    after = told(api)
    assert changes(before, after, *names) == [0, 1, 0]
    assert after["rapport_day_oldest_seconds"] == 3600
    tenant_with_day(stores, "failed", YESTERDAY - day, "failed")
    tenant_with_day(stores, "late", YESTERDAY - day)
    tenant_with_day(stores, "later", YESTERDAY - 3 * day)
    after = told(api)
    assert changes(before, after, *names) == [2, 1, 1]
    assert after["rapport_day_oldest_seconds"] == 3600 + 2 * 86400


def test_deliveries_that_were_given_up_and_listeners_that_are_disabled(scope: Scope, api: httpx.Client) -> None:
    names = ("rapport_deliveries_parked", "rapport_listeners_disabled")
    before = told(api)
    at = datetime(2026, 6, 1, tzinfo=UTC)
    listener = {"tenant_id": scope.tenant_id, "id": 77, "event_type_id": 1, "url": "http://127.0.0.1:9", "secret": "x"}
    with scope.records() as session:
        session.execute(insert(Listener).values(**listener, status="disabled", created_at=at, updated_at=at))
        for number, state in enumerate(("parked", "parked", "delivered", "canceled")):
            delivery = {"tenant_id": scope.tenant_id, "listener_id": 77, "event_type_id": 1, "state": state}
            session.execute(
                insert(Delivery).values(
                    **delivery, event_key=f"k{number}", message_id=f"m{number}", body="{}", created_at=at
                )
            )
    assert changes(before, told(api), *names) == [2, 1]


def test_engines_disks_connections_and_the_version(stores: Stores, api: httpx.Client) -> None:
    kept = stores.records.engine.connect()
    found = told(api)
    kept.close()
    assert found[f"rapport_build_info[version={version('rapport')}]"] == 1
    assert found["rapport_engine_bytes[engine=records]"] > 1_000_000
    parts = stores.warehouse.database("default").value("SELECT sum(bytes_on_disk) FROM system.parts WHERE active")
    assert found["rapport_engine_bytes[engine=warehouse]"] == pytest.approx(parts, rel=0.5)
    assert found["rapport_warehouse_memory_bytes"] > 1_000_000
    free = disk.free_bytes(stores.settings.data_dir)
    assert found["rapport_disk_free_bytes[folder=data]"] == pytest.approx(free, rel=0.2)
    assert found["rapport_disk_free_bytes[folder=kept]"] == pytest.approx(free, rel=0.2)
    assert found["rapport_records_connections[pool=records]"] >= 1
    assert found["rapport_records_connections_most[pool=records]"] == 40
    assert found["rapport_records_connections_most[pool=work]"] == 10


def test_the_last_good_backup(stores: Stores, api: httpx.Client, tmp_path: Path) -> None:
    began = OUTSIDE.now().timestamp()
    written = stores.backup(tmp_path / "good.rapport")
    (tmp_path / "taken.rapport").write_text("")
    with pytest.raises(Exception, match="exists already"):
        stores.backup(tmp_path / "taken.rapport")
    found = told(api)
    assert began <= found["rapport_backup_timestamp_seconds"] <= OUTSIDE.now().timestamp()
    assert found["rapport_backup_bytes"] == written.bytes == (tmp_path / "good.rapport").stat().st_size
