"""Both engines as servers of their own, and a Rapport of several processes on them."""

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import psycopg
import uvicorn
from rapport_command import SECONDS

import loaded_program
from rapport.app import create_app
from rapport.commands.connections import KEEP_ALIVE_SECONDS
from rapport.settings import Settings
from rapport.stores import Stores
from rapport.stores.local.postgres import SHARED_MEMORY, Postgres, start_postgres
from rapport.stores.records import Records
from rapport.stores.warehouse import Warehouse

USER, PASSWORD = "rapport", "p@ss/w:rd%"
STAND_IN = Path(__file__).parents[1] / "clickhouse_over_http.py"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def records_server(folder: Path) -> Iterator[str]:
    """A PostgreSQL that listens on a port and wants a password; its address up to the database's name."""
    postgres = start_postgres(folder)
    with psycopg.connect(f"host={postgres.folder} user=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {USER} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    (postgres.folder / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    postgres.stop()
    port = _listen(postgres)
    try:
        yield f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
    finally:
        postgres.stop()


def _listen(postgres: Postgres) -> int:
    port = free_port()
    options = f"-h 127.0.0.1 -p {port} -k . {' '.join(SHARED_MEMORY)}"
    arguments = ["-w", "-o", options, "-l", str(postgres.folder / "log"), "-D", str(postgres.folder), "start"]
    postgres.run("pg_ctl", arguments)
    return port


def create_database(address: str, name: str) -> str:
    """A database of a records server; its address."""
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{address}/{name}"


class WarehouseServer:
    """The stand-in of a ClickHouse server on a folder, always at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"http://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.process = loaded_program.begin_file(STAND_IN, self.folder, self.port, USER, PASSWORD)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self) -> None:
        """End it as a kill does."""
        self.process.kill()
        self.process.wait()
        self.process.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """No server during the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """A server that keeps its connections and takes new ones, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def warehouse_server(folder: Path) -> Iterator[WarehouseServer]:
    server = WarehouseServer(folder)
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Rapport:
    """Processes of Rapport by role, on engines by URL or on a folder."""

    environment: dict[str, str]
    data_dir: Path
    processes: dict[str, loaded_program.Forked] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)
    base_urls: dict[str, str] = field(default_factory=dict)

    def start(self, *roles: str) -> None:
        """Start a process for each set of roles, and wait until all of them serve."""
        for role in roles:
            log = tempfile.NamedTemporaryFile("w", suffix=f"-{role}.log", delete=False)  # noqa: SIM115 - given away
            self.logs[role] = Path(log.name)
            words = ["serve", "--roles", role, "--data-dir", str(self.data_dir), "--port", "0", "--json"]
            given = given_environment(self.environment | {"RAPPORT_PROCESS_NAME": f"{role}-1"})
            self.processes[role] = loaded_program.begin(words, given, log)
            log.close()
        for role in roles:
            stdout = self.processes[role].stdout
            assert stdout is not None
            line = stdout.readline()
            assert line, f"{role} did not start: {self.logs[role].read_text()}"
            self.base_urls[role] = json.loads(line)["base_url"]

    def log(self, role: str) -> str:
        return self.logs[role].read_text()

    def end(self) -> dict[str, int]:
        """End every process; exit codes by role."""
        for process in self.processes.values():
            process.terminate()
        codes = {}
        for role, process in self.processes.items():
            codes[role] = process.wait(SECONDS)
            assert process.stdout is not None
            process.stdout.close()
            self.logs[role].unlink()
        self.processes.clear()
        return codes


def given_environment(environment: dict[str, str]) -> dict[str, str]:
    """The variables of this process without settings of Rapport, and those given."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")} | environment


@contextmanager
def stores_of(records_url: str, warehouse_url: str) -> Iterator[Stores]:
    """Engines by URL as they are, for tests to look at and to make tenants in."""
    settings = Settings(records_url=records_url, warehouse_url=warehouse_url)
    stores = Stores(settings, Records(records_url), Warehouse(warehouse_url))
    try:
        yield stores
    finally:
        stores.close()


@contextmanager
def serving(stores: Stores) -> Iterator[str]:
    """The API on some engines in this process; its address."""
    kept = KEEP_ALIVE_SECONDS
    config = uvicorn.Config(create_app(stores), port=0, log_level="warning", lifespan="off", timeout_keep_alive=kept)
    web = uvicorn.Server(config)
    thread = Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    finally:
        web.should_exit = True
        thread.join()
