"""A warehouse by URL that hangs, cuts off, refuses or is none."""

import json
import select
import socket
import socketserver
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from rapport_command import run
from shop_over_http import beside, customers_file
from url_engines import WarehouseServer, serving, warehouse_server

from rapport.access import keys
from rapport.access.service import create_tenant
from rapport.api.http import observing
from rapport.errors import Away
from rapport.settings import Settings
from rapport.stores import Stores
from rapport.stores.migrations import migrate_warehouse
from rapport.stores.outages import WAREHOUSE_AWAY
from rapport.stores.warehouse import Warehouse
from rapport.stores.warehouse import warehouse_server as warehouse_connections

READ = "/manage/v1/persons/C00001"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[WarehouseServer]:
    with warehouse_server(folder / "warehouse") as made:
        yield made


@pytest.fixture(scope="module")
def warehouse(server: WarehouseServer) -> Iterator[Warehouse]:
    made = Warehouse(server.url)
    yield made
    made.close()


def test_a_request_gives_a_hung_warehouse_up(
    stores: Stores, server: WarehouseServer, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=stores.settings.data_dir, rate_limit_calls=0)
    scope = create_tenant(Stores(settings, stores.records, warehouse), f"hung-{time.time_ns()}")
    migrate_warehouse(
        stores.warehouse.create_database(scope.warehouse.name)
    )  # what goes over all tenants finds it, too
    _, key = keys.create_key(scope, "tests", "tests@example.com", "Admin")
    monkeypatch.setattr(observing, "STATEMENT_SECONDS", 1.0)
    with serving(scope.stores) as base_url, httpx.Client(base_url=base_url, headers={"X-API-KEY": key}) as api:
        assert load(api, range(3)) == (201, 3)
        assert api.get(READ).status_code == 200
        with server.hung():
            answer = api.get(READ, timeout=30)
            assert (answer.status_code, answer.json()["detail"]) == (503, WAREHOUSE_AWAY)
            assert int(answer.headers["Retry-After"]) > 0
            # A file takes what it takes, and goes on when the server does.
            loading = beside(load, api, range(3, 7))
            time.sleep(2)
        assert loading.result() == (201, 4)
        assert api.get(READ).status_code == 200


def test_a_hung_warehouse_is_not_opened(server: WarehouseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse_connections, "GREETING_SECONDS", 1.0)
    with server.hung(), pytest.raises(Away) as raised:
        Warehouse(server.url)
    assert raised.value.message == WAREHOUSE_AWAY


def load(api: httpx.Client, some: range) -> tuple[int, int]:
    file = {"file": ("customers.csv", customers_file(some).encode())}
    answer = api.post("/manage/v1/imports", data={"kind": "customers"}, files=file, timeout=60)
    return answer.status_code, answer.json()["loaded"]


def test_an_insert_that_was_cut_off_is_sent_once(server: WarehouseServer, warehouse: Warehouse) -> None:
    database = warehouse.create_database("cut")
    database.execute("CREATE TABLE told (number UInt32) ENGINE = MergeTree ORDER BY number")
    first, second = (database.native("SELECT toUInt32({number:String}) AS number", number=n) for n in "12")
    with cutting(server.port) as (cut, port):
        through = Warehouse(server.url.replace(str(server.port), str(port)))
        cut_off = through.database("cut")
        cut_off.insert_native("told", first)
        cut.set()
        with pytest.raises(Away):
            cut_off.insert_native("told", second)
        cut.set()
        assert cut_off.rows("SELECT number FROM told ORDER BY number") == [(1,), (2,)], "what reads is asked again"
        through.close()


class Cutting(socketserver.BaseRequestHandler):
    """Leads a connection to a server; when told to, it cuts it off where the next answer should be handed back."""

    def handle(self) -> None:
        server: Any = self.server
        near = self.request
        with socket.create_connection(("127.0.0.1", server.far_port)) as far:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    if not (data := ready.recv(65536)):
                        return
                    if ready is far and server.cut.is_set():
                        server.cut.clear()
                        # As a reset, not as an end.
                        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        near.close()
                        return
                    (near if ready is far else far).sendall(data)


@contextmanager
def cutting(far_port: int) -> Iterator[tuple[Event, int]]:
    """A port that leads to another, and what tells it to cut."""
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Cutting)
    server.daemon_threads, server.far_port, server.cut = True, far_port, Event()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.cut, server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("wrong password", "The warehouse refuses the user or the password of RAPPORT_WAREHOUSE_URL."),
        ("another server", "What answers at RAPPORT_WAREHOUSE_URL is no ClickHouse: check its host and port."),
        ("nonsense", "RAPPORT_WAREHOUSE_URL is not an address: write http://user@host:port."),
    ],
)
def test_an_address_of_no_use_has_its_sentence(
    stores: Stores, base_url: str, server: WarehouseServer, address: str, sentence: str
) -> None:
    url = {
        "wrong password": server.url.replace("p%40ss", "other"),
        "another server": base_url.replace("://", "://rapport:secret@"),
        "nonsense": "nonsense",
    }[address]
    environment = {"RAPPORT_RECORDS_URL": stores.records.url, "RAPPORT_WAREHOUSE_URL": url}
    looking = beside(lambda: run("doctor", "--json", **environment))
    assert run("serve", "--port", 0, **environment).line == sentence
    looked = looking.result()
    assert looked.code == 1
    assert [check["detail"] for check in json.loads(looked.out) if check["outcome"] == "failed"] == [sentence]
