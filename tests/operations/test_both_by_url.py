"""Both engines by URL and every role in a process of its own."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from rapport_command import Server, run
from shop_over_http import BATCH, CUSTOMERS, EMAIL, Shop, beside, customers_file, noon_zone
from url_engines import (
    Rapport,
    WarehouseServer,
    create_database,
    records_server,
    serving,
    stores_of,
    warehouse_server,
)

from rapport.access import keys
from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant
from rapport.campaigns.cycle.scheduler import Scheduler
from rapport.realtime import service as realtime
from rapport.stores import Stores
from rapport.stores.outages import WAREHOUSE_AWAY
from rapport.stores.warehouse import Database
from rapport.stores.workers.base import running

sys.path.append(str(Path(__file__).parents[1] / "campaigns"))
from campaign_mail import Mailbox, mailbox

ROLES = ("api", "worker", "scheduler")


@dataclass
class Site:
    """A deployment: its engines, its processes, and where its mail goes."""

    records: str
    warehouse: WarehouseServer
    rapport: Rapport
    stores: Stores

    def database(self, shop: Shop) -> Database:
        """The warehouse of a tenant."""
        return self.stores.warehouse.database(f"rapport_{shop.tenant_id}")

    @property
    def environment(self) -> dict[str, str]:
        return self.rapport.environment

    def shop(self, name: str, scope: Scope | None = None) -> Shop:
        """A tenant of the deployment, made unless it is given."""
        return shop_of(self.stores, self.rapport.base_urls["api"], name, scope)


def shop_of(stores: Stores, base_url: str, name: str, scope: Scope | None = None) -> Shop:
    """A tenant as it works over the API, made unless it is given."""
    scope = scope or create_tenant(stores, f"{name} {time.time_ns()}", noon_zone(), "EUR")
    _, key = keys.create_key(scope, "tests", "tests@example.com", "Admin")
    return Shop(base_url, scope.tenant_id, key, noon_zone())


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    (folder / "server").mkdir()
    with records_server(folder / "server") as address, warehouse_server(folder / "warehouse") as warehouse:
        records = create_database(address, "rapport")
        environment = {
            "RAPPORT_RECORDS_URL": records,
            "RAPPORT_WAREHOUSE_URL": warehouse.url,
            "RAPPORT_ALLOW_PRIVATE_ADDRESSES": "true",
            "RAPPORT_RATE_LIMIT_CALLS": "0",
            "RAPPORT_KEPT_DIR": str(folder / "kept"),
        }
        rapport = Rapport(environment, folder / "none")
        try:
            rapport.start(*ROLES)
            with stores_of(records, warehouse.url) as stores:
                yield Site(records, warehouse, rapport, stores)
        finally:
            codes = rapport.end()
        assert codes == dict.fromkeys(ROLES, 0)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


READS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("general/GetLastDataUpdate", {}),
    ("model/GetMicrosegmentList", {}),
    ("model/GetLifecycleStageList", {}),
    ("model/GetCustomerAttributeList", {}),
)
PROFILE = {"CustomerAttributes": "COUNTRY;FIRST_NAME;FUTURE_VALUE;LIFECYCLE_STAGE;TOTAL_ORDER_AMOUNT", "$top": 1000}


def live(shop: Shop, box: Mailbox) -> dict[str, Any]:
    """A shop's whole day; what it reads of it in the end."""
    shop.load_all()
    shop.begin_day()
    shop.end_day()
    shop.set_up_mail(box.port)
    campaign = shop.end_campaign(shop.mail_to(range(60)))
    trigger = shop.set_up_trigger()
    for customer, amount in ((1, 80), (2, 20), (3, 50.5), (9, 99)):
        assert shop.track(customer, amount).status_code == 200
    shop.wait(lambda: len(shop.firings(trigger)) == 3 and all(outcome for _, outcome in shop.firings(trigger)))
    read = {function: shop.call(function, **query) for function, query in READS}
    read["segment"] = shop.call("segments/GetCustomersByValueSegment", ValueSegmentID=1, Date=shop.data_date, **PROFILE)
    place = {"CampaignID": campaign["id"], "ChannelID": EMAIL}
    read["recipients"] = shop.call("customers/GetCustomerExecutionDetailsByCampaign", **place)
    return read | {"firings": shop.firings(trigger), "campaign": (campaign["state"], campaign["counts"])}


def test_a_day_of_all_roles_is_that_of_embedded_engines(
    site: Site, box: Mailbox, stores: Stores, base_url: str
) -> None:
    made = run("tenant", "create", "Walk", "--time-zone", noon_zone(), "--json", **site.environment).json
    by_url = site.shop("Walk", scope_of(site.stores, made["id"]))
    embedded = shop_of(stores, base_url, "Walk")
    with mailbox() as embedded_box, all_roles(stores):
        living = beside(live, embedded, embedded_box)
        told = live(by_url, box)
        assert told == living.result()
    mailed = {f"c{n:05d}@example.com": 1 + (n in (1, 3)) for n in range(60) if n % 10 != 9}
    assert box.to == embedded_box.to == mailed
    assert told["campaign"] == ("successful", {"sent": 54, "no address": 6})
    assert told["firings"] == [("C00001", "sent"), ("C00003", "sent"), ("C00009", "no address")]
    assert told["segment"] and len(told["recipients"]) == 54
    by_url.close(), embedded.close()


@contextmanager
def all_roles(stores: Stores) -> Iterator[None]:
    """The roles of worker and scheduler in this process, too."""
    with running(*realtime.workers(stores), Scheduler(stores)):
        yield


@pytest.fixture(scope="module")
def shops(site: Site) -> Iterator[tuple[Shop, Shop]]:
    """Two tenants whose last day is computed, and who can mail."""
    both = site.shop("North"), site.shop("South")
    for shop in both:
        shop.load_all()
        shop.begin_day()
        shop.set_up_mail(25)
        shop.set_up_trigger()
    for shop in both:
        shop.end_day()
    yield both
    for shop in both:
        shop.close()


@pytest.mark.parametrize("outage", [WarehouseServer.stopped, WarehouseServer.hung], ids=["stopped", "hung"])
def test_work_waits_for_the_warehouse(site: Site, shops: tuple[Shop, Shop], box: Mailbox, outage: Any) -> None:
    mailing, computing = shops
    stopped = outage is WarehouseServer.stopped
    new, fired = (range(10_000, 30_000), (11, 12)) if stopped else (range(40_000, 60_000), (21, 22))
    before, events = numbers(site, computing), numbers(site, mailing)["events"]
    mailing.mail_by(box.port)
    box.shut_after = BATCH + 5  # in the middle of a batch
    campaign = mailing.mail_to(range(60))
    mailing.wait(lambda: len(box.messages) >= BATCH + 5)
    mailing.begin_day()
    mailing.wait(lambda: mailing.day()["state"] == "running" and mailing.day()["steps"], 0.01)
    loading = beside(computing.load, "customers", customers_file(new))
    computing.wait(lambda: computing.see("imports?limit=1")[0]["state"] == "running", 0.01)
    with outage(site.warehouse):
        box.gate.set()
        for role in ROLES:
            is_away(httpx.get(f"{site.rapport.base_urls[role]}/ready", timeout=30))
        reading = beside(computing.client.get, segment_path(computing))
        for customer in fired:
            assert mailing.track(customer, 60).status_code == 200, "an event is accepted"
        if stopped:
            is_away(reading.result())
        time.sleep(3)
    assert (loading.result().status_code, loading.result().json()["loaded"]) == (201, len(new))
    reading.result()
    mailing.end_day()
    ended = mailing.end_campaign(campaign)
    assert (ended["state"], ended["error"], ended["counts"]) == ("successful", "", {"sent": 54, "no address": 6})
    mailing.wait(lambda: box.to.total() >= 56)
    assert box.to == {f"c{n:05d}@example.com": 1 + (n in fired) for n in range(60) if n % 10 != 9}
    mailing.wait(lambda: numbers(site, mailing)["events"] >= events + 2)
    assert numbers(site, mailing)["events"] == events + 2
    assert outcomes(site, mailing, campaign) == {"sent": 54, "no address": 6}
    assert numbers(site, computing) == {**before, "customers": before["customers"] + len(new)}
    assert numbers(site, mailing)["days"] == CUSTOMERS
    for role in ROLES:
        log = site.rapport.log(role)
        assert '"exception"' not in log, f"an outage takes a sentence and no traceback: {role}"
        assert "param_" not in log, "what is bound in a statement may be about a person"


def is_away(answer: httpx.Response) -> None:
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert WAREHOUSE_AWAY in answer.text


def segment_path(shop: Shop) -> str:
    return f"/current/segments/GetCustomersByValueSegment?ValueSegmentID=1&Date={shop.data_date}"


def outcomes(site: Site, shop: Shop, campaign: int) -> dict[str, int]:
    """Messages of a campaign by outcome, as the warehouse has them."""
    sql = "SELECT outcome, count() FROM campaign_outcomes WHERE campaign_id = {number:UInt32} GROUP BY outcome"
    return dict(site.database(shop).rows(sql, number=campaign))


def numbers(site: Site, shop: Shop) -> dict[str, int]:
    """Rows of a tenant, which are as many as customers."""
    database = site.database(shop)
    counted = {
        "customers": "SELECT count() FROM customers",
        "distinct": "SELECT count() - uniqExact(customer_id) FROM customers",
        "days": "SELECT count() FROM model_results",
        "orders": "SELECT count() FROM transactions",
        "events": "SELECT count() FROM activity_events",
    }
    return {name: int(database.value(sql)) for name, sql in counted.items()}


def test_a_backup_by_url_comes_back_on_embedded_engines_and_by_url(
    site: Site, shops: tuple[Shop, Shop], folder: Path, start: Callable[[Path], Server]
) -> None:
    written, again, embedded = folder / "by-url.rapport", folder / "embedded.rapport", folder / "embedded"
    before = [sums(site.database(shop)) for shop in shops]
    rows = run("backup", written, "--json", **site.environment).json["rows"]
    for shop, found in zip(shops, before, strict=True):
        assert rows[f"rapport_{shop.tenant_id}"] == {table: count for table, (count, _) in found.items()}
        assert found["customers"][0] >= found["model_results"][0] == CUSTOMERS
    run("restore", written, "--data-dir", embedded, "--json").json  # noqa: B018 - it must succeed
    server = start(embedded)
    for shop in shops:
        assert read(server.base_url, shop) == read(site.rapport.base_urls["api"], shop)
    assert (
        run("backup", again, "--data-dir", embedded, "--json").json["rows"].items()
        >= {name: tables for name, tables in rows.items() if name != "records"}.items()
    )
    server.end(signal.SIGTERM)
    with warehouse_server(folder / "second") as warehouse:
        records = create_database(site.records.rpartition("/")[0], "second")
        second = {"RAPPORT_RECORDS_URL": records, "RAPPORT_WAREHOUSE_URL": warehouse.url}
        run("restore", again, "--data-dir", folder / "none", "--json", **second).json  # noqa: B018
        with stores_of(records, warehouse.url) as stores, serving(stores) as base_url:
            for shop, found in zip(shops, before, strict=True):
                assert sums(stores.warehouse.database(f"rapport_{shop.tenant_id}")) == found
                assert read(base_url, shop) == read(site.rapport.base_urls["api"], shop)


def sums(database: Database) -> dict[str, tuple[int, int]]:
    """Rows of every table, and a sum over all that they hold."""
    tables = database.rows("SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")
    sql = "SELECT count(), sum(cityHash64(*)) FROM {}"
    return {table: tuple(database.row(sql.format(table)) or ()) for (table,) in tables}


def read(base_url: str, shop: Shop) -> list[dict[str, Any]]:
    """What a tenant reads of a day's customers at an address."""
    path = "/current/segments/GetCustomersByValueSegment"
    query = {"ValueSegmentID": 1, "Date": str(shop.data_date), **PROFILE}
    answer = httpx.get(base_url + path, params=query, headers=shop.client.headers, timeout=30)
    assert answer.status_code == 200 and answer.json(), answer.text
    return list(answer.json())
