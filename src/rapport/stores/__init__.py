"""The two engines and durable work, opened once a process."""

from dataclasses import dataclass, field
from typing import Any

from rapport.settings import Settings
from rapport.stores import embedded, work
from rapport.stores.clock import Clock
from rapport.stores.migrations import migrate_records
from rapport.stores.records import Records
from rapport.stores.warehouse import Warehouse


@dataclass
class Stores:
    """What a process holds open. close() leaves nothing running."""

    settings: Settings
    records: Records
    warehouse: Warehouse
    clock: Clock = field(default_factory=Clock)
    postgres: Any = None
    working: bool = False

    def start_work(self) -> None:
        """Begin to carry out durable work in this process."""
        if not self.working:
            work.start(self.records.url)
            self.working = True

    def close(self) -> None:
        """Stop work, close both engines and stop the embedded PostgreSQL."""
        if self.working:
            work.stop()
        self.records.close()
        self.warehouse.close()
        if self.postgres is not None:
            self.postgres.stop()


_current: Stores | None = None


def open_stores(settings: Settings) -> Stores:
    """Open both engines and bring the records to the newest revision.

    Raises Unavailable: a held data folder, a wrong URL, a newer schema.
    """
    global _current
    postgres = None
    data_dir = settings.data_dir
    if not (settings.records_url and settings.warehouse_url):
        data_dir = embedded.prepare_data_dir(settings.data_dir)
    # The warehouse first: it takes one process a folder, so it tells at once who holds it.
    warehouse = Warehouse(
        settings.warehouse_url or embedded.warehouse_url(data_dir),
        settings.query_memory_bytes,
        settings.query_threads,
    )
    try:
        url = settings.records_url
        if not url:
            postgres = embedded.start_postgres(data_dir)
            url = postgres.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        records = Records(url)
        records.check()
        migrate_records(records)
    except BaseException:
        warehouse.close()
        if postgres is not None:
            postgres.stop()
        raise
    _current = Stores(settings, records, warehouse, postgres=postgres)
    return _current


def current() -> Stores:
    """The stores of this process, for durable work that has only names and numbers as arguments."""
    if _current is None:
        raise RuntimeError("open_stores was not called in this process")
    return _current
