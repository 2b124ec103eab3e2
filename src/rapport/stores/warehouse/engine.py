"""Warehouse: everything wide, long or scanned, in ClickHouse (embedded chDB or a server by URL)."""

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from rapport.errors import Away, Held, Unavailable
from rapport.stores.faults import explained
from rapport.stores.outages import WAREHOUSE_AWAY, outage
from rapport.stores.warehouse import adapted_client, slices, warehouse_server

IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
adapted_client.adapt()
# Settings of a session, not of a call: the embedded engine takes a statement for each that a call brings.
JSON_SETTINGS = {
    "output_format_json_array_of_rows": 1,
    "output_format_json_validate_utf8": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 0,
    "date_time_output_format": "simple",
}

# A statement has an expression for each column of a file, and files have up to a thousand.
LONG_STATEMENTS = {
    "max_query_size": 100_000_000,
    "max_ast_elements": 5_000_000,
    "max_expanded_ast_elements": 50_000_000,
}
# Of ClickHouse: unknown user, wrong password, authentication failed, access denied.
REFUSED_CODES = (192, 193, 194, 497, 516)
# A SELECT of a caller who waits: how many of a database's run at once in a process; what is told when that does not do.
READERS = 4
MANY_READERS = "So many queries of this tenant are under way that one more cannot begin: try again."
TOO_SLOW_CODE, TOO_SLOW = 159, "A query of this call takes longer than {seconds} s: ask for less at a time."
# To make machine code of an expression, at its third use, takes longer than what it saves: statements are long and
# run a few times a day, and conditions on hundreds of columns take longer to compile than a file to read.
INTERPRETED = {"compile_expressions": 0, "compile_aggregate_expressions": 0, "compile_sort_description": 0}
# Of the embedded engine: after how many seconds a table that had nothing to merge is looked at again, and by what each
# further look is later than the last (by default each tenth of a second and 1.1: idle tables of a few tenants took a
# tenth of a core). The first look must come soon: a change of rows that meets a merge of the same rows is taken up by
# it, and whoever changes them waits. The last are milliseconds between two looks at the memory of the process.
SELDOM_LOOKED_AT = {
    "background_processing_pool_thread_sleep_seconds_if_nothing_to_do": 0.2,
    "background_processing_pool_thread_sleep_seconds_random_part": 0.1,
    "background_processing_pool_task_sleep_seconds_when_no_work_multiplier": 2,
    "background_streaming_processing_pool_thread_sleep_seconds_if_nothing_to_do": 10,
    "memory_worker_period_ms": 500,
}
# A database with fewer rows is read by one thread: more only wait for each other.
ROWS_OF_ONE_THREAD = 1_000_000
ROWS_COUNTED_SECONDS = 30.0  # for which a number of rows holds
ROWS = "SELECT sum(rows) FROM system.parts WHERE database = {database:String} AND active"
# Up to so many, what a step sets aside is held in memory: that takes a third of the time of a table on disk.
FEW_CUSTOMERS = 20_000
AVRO_SETTINGS = " SETTINGS output_format_avro_codec = 'deflate', output_format_avro_string_column_pattern = '.*'"


def identifier(name: str) -> str:
    """A column or table name quoted for SQL. Only names that come from the schema may reach this."""
    if not IDENTIFIER.match(name):
        raise ValueError(f"not an identifier: {name!r}")
    return f"`{name}`"


def literal(text: str) -> str:
    """A text as an SQL string literal, for names and patterns that cannot be bound, as in a view."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _refusal(error: BaseException) -> str:
    """Why a warehouse cannot be opened, in one sentence."""
    if getattr(error, "code", None) in REFUSED_CODES:
        return "The warehouse refuses the user or the password of RAPPORT_WAREHOUSE_URL."
    if getattr(error, "code", None) is None and not isinstance(error, OSError):
        return "What answers at RAPPORT_WAREHOUSE_URL is no ClickHouse: check its host and port."
    return WAREHOUSE_AWAY


class Database:
    """One tenant's database: the only way to its tables. SQL binds {name:Type} parameters.

    filters: conditions on rows by table, for a database of which only a slice is seen.
    """

    def __init__(self, warehouse: "Warehouse", name: str, filters: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._warehouse = warehouse
        self._filters = filters

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with self._warehouse.client(self.name, self._filters) as client:
            yield client

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        """A connection for a SELECT, with a place and a bounded time where somebody waits for its answer."""
        with (
            self._warehouse.place_of_reader(self.name) as seconds,
            self._warehouse.client(self.name, self._filters, seconds) as client,
        ):
            yield client

    def at_once(self, bytes_each: int) -> int:
        """How many things of so many bytes a statement may hold in memory."""
        return slices.at_once(self._warehouse.memory_bytes, bytes_each)

    def customer_slices(self, *tables: str, table: str = "customers", at_most: int = 0) -> Iterator["Database"]:
        """This database as often as it takes, with a slice of the customers in the tables named, all in all once.

        For statements about each customer by itself: what they hold in memory is that of a slice. Slices are ranges
        of customer_id, so a table in order of it is read once; `of` tells how many customers there are. Few
        customers are one slice: the database as it is. at_most: customers of a slice, where memory is no measure.
        """
        at_once = self.at_once(slices.BYTES_A_CUSTOMER)
        at_once = min(at_once, at_most) if at_most else at_once
        if table == "customers":
            total = self._warehouse.customers_in(self)
        else:
            total = int(self.value(f"SELECT count() FROM {table}"))  # noqa: S608 - our table
        if total <= at_once:
            yield self
            return
        sql = slices.SAMPLED.format(table=table)
        sampled = [str(customer) for (customer,) in self.rows(sql, one_in=max(1, at_once // slices.SAMPLED_A_SLICE))]
        for condition in slices.ranges(sampled):
            yield Database(self._warehouse, self.name, dict.fromkeys(tables, condition))

    def engine_aside(self, order: str) -> str:
        """The engine of a table that a single step makes and drops; order: the columns by which statements read it."""
        return "Memory" if self.has_few_customers else f"MergeTree ORDER BY ({order})"

    @property
    def has_few_customers(self) -> bool:
        """Whether a statement about all customers is so small that memory is no matter, nor another beside it."""
        return self._warehouse.customers_in(self) <= FEW_CUSTOMERS

    def expect_many_rows(self) -> None:
        """Read and write with all threads, though there are few rows yet: a large file comes."""
        self._warehouse.expect_many_rows(self.name)

    def hash_slices(self, keys: Mapping[str, str], rows: int) -> Iterator["Database"]:
        """This database as often as it takes, with the rows of each table whose key falls into a slice.

        keys: for each table the SQL of what its rows are joined by; rows: how many there are of the most.
        """
        number_of_slices = -(-rows // self.at_once(slices.BYTES_A_KEY)) or 1
        for number in range(number_of_slices):
            if number_of_slices == 1:
                yield self
            else:
                filters = {table: slices.hashed(key, number_of_slices, number) for table, key in keys.items()}
                yield Database(self._warehouse, self.name, filters)

    def execute(self, sql: str, settings: dict[str, Any] | None = None, **parameters: Any) -> None:
        """Run a statement that answers nothing."""
        with self._client() as client:
            client.command(sql, parameters=parameters, settings=settings)

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a SELECT, for small answers."""
        with self._reader() as client:
            return [tuple(row) for row in client.query(sql, parameters=parameters).result_rows]

    def row(self, sql: str, **parameters: Any) -> tuple[Any, ...] | None:
        """The first row of a SELECT, or None."""
        rows = self.rows(sql, **parameters)
        return rows[0] if rows else None

    def value(self, sql: str, **parameters: Any) -> Any:
        """The first value of the first row, or None."""
        first = self.row(sql, **parameters)
        return first[0] if first else None

    def json_rows(self, sql: str, parameters: dict[str, Any] | None = None) -> bytes:
        """A SELECT as a JSON array of objects, rendered by the engine: no Python touches a row."""
        with self._reader() as client:
            body: bytes = client.raw_query(sql, parameters=parameters, fmt="JSONEachRow")
        return body or b"[]"

    def arrow(self, sql: str, **parameters: Any) -> pa.Table:
        """A SELECT as an Arrow table, for aggregates that a model is fitted on."""
        with self._reader() as client:
            return client.query_arrow(sql, parameters=parameters)

    def arrow_batches(self, sql: str, **parameters: Any) -> Iterator[pa.RecordBatch]:
        """A SELECT streamed in record batches, for answers larger than memory should hold."""
        with self._client() as client:
            body = client.raw_stream(sql, parameters=parameters, fmt="ArrowStream")
            with pa.ipc.open_stream(body) as reader:
                yield from reader

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert small numbers of rows at once (one block: all or nothing)."""
        if rows:
            with self._client() as client:
                client.insert(table, rows, column_names=list(columns))

    @property
    def embedded(self) -> bool:
        """Whether the engine runs in this process, and so reads this machine's files by itself."""
        return self._warehouse.embedded

    def insert_stream(
        self, table: str, columns: Sequence[str], body: BinaryIO, fmt: str, settings: dict[str, Any], *, zipped: bool
    ) -> None:
        """Insert a file's bytes in one of the engine's formats, streamed; zipped bytes are .gz."""
        with self._client() as client:
            client.raw_insert(table, list(columns), body, settings, fmt, "gzip" if zipped else None)

    def insert_arrow(self, table: str, data: pa.Table, settings: dict[str, Any] | None = None) -> None:
        """Insert an Arrow table."""
        with self._client() as client:
            client.insert_arrow(table, data, settings=settings)

    def native(self, sql: str, **parameters: Any) -> bytes:
        """A SELECT in the engine's own format, which loses nothing; for chunks of bounded size."""
        with self._reader() as client:
            body: bytes = client.raw_query(sql, parameters=parameters, fmt="Native")
        return body

    def avro(self, sql: str, **parameters: Any) -> bytes:
        """A SELECT as an Avro file, its blocks deflated; for files of bounded size."""
        with self._reader() as client:
            body: bytes = client.raw_query(sql + AVRO_SETTINGS, parameters=parameters, fmt="Avro")
        return body

    def insert_native(self, table: str, body: bytes) -> None:
        """Insert what native() gave."""
        with self._client() as client:
            client.raw_insert(table, insert_block=body, fmt="Native")

    def columns(self, table: str) -> dict[str, str]:
        """Column name to ClickHouse type, in table order."""
        sql = """
            SELECT name, type FROM system.columns
            WHERE database = {database:String} AND table = {table:String} ORDER BY position
        """
        return dict(self.rows(sql, database=self.name, table=table))


class Warehouse:
    """The engine and its pool of connections: they serve any database, and have a bound on the time of a SELECT.

    To open one takes as long as several statements: the driver first asks the engine for all its settings.
    """

    def __init__(self, url: str, memory_bytes: int = 0, threads: int = 0) -> None:
        self.url = url if url.startswith("chdb:") else warehouse_server.checked(url)
        self.memory_bytes = memory_bytes
        self.embedded = url.startswith("chdb:")
        self.newest_tables: list[str] = []  # see migrations.make_warehouse
        self._settings: dict[str, Any] = {
            "join_use_nulls": 0,
            "mutations_sync": 1,
            "lightweight_deletes_sync": 1,
            **LONG_STATEMENTS,
            **INTERPRETED,
            **JSON_SETTINGS,
            **slices.memory_settings(memory_bytes),
        }
        self._threads = threads
        if threads:
            self._settings["max_threads"] = threads
        self._is_small: dict[str, tuple[float, bool]] = {}
        self._idle: dict[int, list[Any]] = {}
        self._readers: dict[str, threading.BoundedSemaphore] = {}
        self._customers: dict[str, tuple[float | None, int]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._keeper = self._open("default")

    def _open(self, database: str, filters: Mapping[str, str] | None = None, seconds: int = 0) -> Any:
        settings = {**self._settings, **(slices.filter_settings(filters) if filters else {})}
        if seconds:
            settings["max_execution_time"] = seconds
        try:
            if self.embedded:
                options = {"dsn": self.url, "chdb_options": SELDOM_LOOKED_AT}
                return clickhouse_connect.get_client(database=database, settings=settings, **options)
            return warehouse_server.client(self.url, database, settings)
        except (ClickHouseError, OSError) as error:
            if unavailable := explained(error) or self._outage(error):
                raise unavailable from error
            if self.embedded and "EmbeddedServer" in str(error):
                raise Held("Another process", serving=None) from error
            raise Unavailable(_refusal(error)) from error

    def _outage(self, error: BaseException) -> Away | None:
        return None if self.embedded else outage(error)

    def customers_in(self, database: Database) -> int:
        """How many customers a database had within the last seconds, which every short step of sending asks."""
        asked_at, customers = self._customers.get(database.name, (None, 0))
        if asked_at is None or time.monotonic() - asked_at > slices.COUNTED_SECONDS:
            asked_at, customers = time.monotonic(), int(database.value("SELECT count() FROM customers"))
            self._customers[database.name] = (asked_at, customers)
        return customers

    @contextmanager
    def place_of_reader(self, database: str) -> Iterator[int]:
        """Wait for one of the places of a database's readers; the seconds that each SELECT of the block may take.

        Where nobody waits for an answer there is no need of a place, and the seconds are 0. Raises Away.
        """
        seconds = warehouse_server.seconds_of_query()
        if not seconds:
            yield 0
            return
        with self._lock:
            places = self._readers.setdefault(database, threading.BoundedSemaphore(READERS))
        if not places.acquire(timeout=seconds):
            raise Away(MANY_READERS)
        try:
            yield seconds
        finally:
            places.release()

    @contextmanager
    def client(self, database: str, filters: Mapping[str, str] | None = None, seconds: int = 0) -> Iterator[Any]:
        """A connection of a database for the length of the block; no two threads ever share one.

        One with filters on its tables is opened for the block and closed after it. seconds: how long each statement
        may take in the engine, 0 without end. Raises Unavailable.
        """
        with self._lock:
            idle = [] if filters else self._idle.setdefault(seconds, [])
            client = idle.pop() if idle else None
        client = client or self._open(database, filters, seconds)
        client.database = database  # said with each statement
        if not self.embedded:
            warehouse_server.be_patient(client)
        try:
            if self.embedded and not self._threads:
                self._use_threads(database, client)
            yield client
        except BaseException as error:
            client.close()
            if seconds and getattr(error, "code", None) == TOO_SLOW_CODE:
                raise Unavailable(TOO_SLOW.format(seconds=seconds)) from error
            if unavailable := explained(error) or self._outage(error):
                raise unavailable from error
            raise
        with self._lock:
            if not self._closed and not filters:
                self._idle.setdefault(seconds, []).append(client)
                return
        client.close()

    def expect_many_rows(self, database: str) -> None:
        """Take a database for a large one until its rows are counted again."""
        self._is_small[database] = (time.monotonic(), False)

    def _use_threads(self, database: str, client: Any) -> None:
        """Give a connection as many threads as the size of its database is worth."""
        counted_at, is_small = self._is_small.get(database, (-ROWS_COUNTED_SECONDS, True))
        if time.monotonic() - counted_at >= ROWS_COUNTED_SECONDS:
            rows = client.query(ROWS, parameters={"database": database}).result_rows[0][0]
            is_small = rows < ROWS_OF_ONE_THREAD
            self._is_small[database] = (time.monotonic(), is_small)
        threads = "1" if is_small else "0"  # 0: as many as there are cores
        if (client.get_client_setting("max_threads") or "0") != threads:
            client.set_client_setting("max_threads", threads)

    def database(self, name: str) -> Database:
        """A database by name; it need not exist yet."""
        return Database(self, name)

    def create_database(self, name: str) -> Database:
        """Create a database if it is not there."""
        self.database("default").execute(f"CREATE DATABASE IF NOT EXISTS {identifier(name)}")
        return self.database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and all in it."""
        self.database("default").execute(f"DROP DATABASE IF EXISTS {identifier(name)} SYNC")

    def close(self) -> None:
        """Close every connection; the embedded engine stops with the last of them."""
        with self._lock:
            self._closed = True
            clients = [client for idle in self._idle.values() for client in idle]
            self._idle.clear()
        for client in [*clients, self._keeper]:
            client.close()
