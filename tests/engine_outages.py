"""Outages of a PostgreSQL that tests make: it is stopped at once as by a kill, hung, or has no connection left."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
import psycopg

from rapport.stores.local import postgres as embedded
from rapport.stores.local.postgres import DATABASE_USER, Postgres

Outage = Callable[[Postgres], "contextmanager[None]"]
OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND NOT pid = ANY(%s)"
)


@contextmanager
def stopped(postgres: Postgres) -> Iterator[None]:
    """No server during the block; it recovers afterwards as from a crash."""
    postgres.run("pg_ctl", ["-w", "-m", "immediate", "-D", str(postgres.folder), "stop"])
    try:
        yield
    finally:
        embedded._run(postgres)


@contextmanager
def hung(postgres: Postgres) -> Iterator[None]:
    """A server that keeps its connections and takes new ones, and answers nothing."""
    main = embedded.postmaster(postgres.folder)
    assert main is not None
    processes = [main, *main.children(recursive=True)]
    try:
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                one.suspend()
        yield
    finally:
        for one in reversed(processes):
            with suppress(psutil.NoSuchProcess):
                one.resume()


@contextmanager
def full(postgres: Postgres) -> Iterator[None]:
    """A server whose connections are all taken by others, and those that Rapport had are ended."""
    held: list[psycopg.Connection] = []
    over = threading.Event()

    def fill() -> None:
        while not over.is_set():
            try:
                held.append(_connected(postgres))
            except psycopg.OperationalError:
                time.sleep(0.005)

    held.append(_connected(postgres))
    filling = threading.Thread(target=fill)
    filling.start()
    try:
        while held[0].execute(OTHERS, [[one.info.backend_pid for one in held.copy()]]).rowcount or not _is_full(
            postgres
        ):
            time.sleep(0.1)
        yield
    finally:
        over.set()
        filling.join()
        for one in held:
            one.close()


def _connected(postgres: Postgres) -> psycopg.Connection:
    return psycopg.connect(host=str(postgres.folder), user=DATABASE_USER, dbname="postgres", autocommit=True)


def _is_full(postgres: Postgres) -> bool:
    try:
        _connected(postgres).close()
    except psycopg.OperationalError as error:
        return "too many clients" in str(error)
    return False
