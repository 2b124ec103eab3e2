"""What a process tells of its engines, disks and connections, for /metrics."""

from importlib.metadata import version

from prometheus_client import Gauge, Info
from sqlalchemy import text

from rapport.stores import Stores, holds
from rapport.stores.backups import backup_log
from rapport.stores.local import disk
from rapport.stores.records.connecting import in_use
from rapport.stores.workflows import work

BUILD = Info("rapport_build", "The version of this process")
BUILD.info({"version": version("rapport")})
CONNECTIONS = Gauge(
    "rapport_records_connections", "Connections of this process to the records database that are in use", ["pool"]
)
MOST_CONNECTIONS = Gauge(
    "rapport_records_connections_most", "Maximum number of connections that this process may open", ["pool"]
)
DISK_FREE = Gauge("rapport_disk_free_bytes", "Free space on the disk of a folder", ["folder"])
ENGINE_BYTES = Gauge("rapport_engine_bytes", "Bytes that an engine uses on its disk", ["engine"])
WAREHOUSE_MEMORY = Gauge("rapport_warehouse_memory_bytes", "Memory that the warehouse uses")
BACKUP_AT = Gauge("rapport_backup_timestamp_seconds", "When the last good backup was begun; 0 before the first")
BACKUP_BYTES = Gauge("rapport_backup_bytes", "Size of the last good backup")
HELD = Gauge("rapport_outbound_held", "Whether sending is held in this process: 1 or 0")

RECORDS_BYTES = text("SELECT pg_database_size(current_database())")
WAREHOUSE_BYTES = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active"
MEMORY = "SELECT value FROM system.metrics WHERE metric = 'MemoryTracking'"


def measure_process(stores: Stores) -> None:
    """Connections and disks of this process; asks no engine."""
    CONNECTIONS.labels("records").set(in_use(stores.records.engine))
    CONNECTIONS.labels("work").set(work.connections_in_use())
    MOST_CONNECTIONS.labels("records").set(stores.settings.most_connections)
    MOST_CONNECTIONS.labels("work").set(stores.settings.work_connections)
    for name, folder in disk.folders(stores.settings).items():
        DISK_FREE.labels(name).set(disk.free_bytes(folder))


def measure_records(stores: Stores) -> None:
    """The size of the records, the last good backup, and whether what goes out is held."""
    with stores.records.reading() as connection:
        ENGINE_BYTES.labels("records").set(connection.execute(RECORDS_BYTES).scalar_one())
    HELD.set(holds.is_held(stores))
    last = backup_log.last(stores.records)
    BACKUP_AT.set(last.taken_at.timestamp() if last else 0)
    BACKUP_BYTES.set(last.bytes if last else 0)


def measure_warehouse(stores: Stores) -> None:
    """The size of the warehouse on its disk and in memory."""
    database = stores.warehouse.database("default")
    ENGINE_BYTES.labels("warehouse").set(int(database.value(WAREHOUSE_BYTES) or 0))
    WAREHOUSE_MEMORY.set(int(database.value(MEMORY) or 0))
