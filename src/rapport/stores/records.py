"""Records: everything small, transactional or addressed by key, in PostgreSQL."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Engine, Integer, MetaData, String, create_engine, event, make_url, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from rapport.errors import Unavailable
from rapport.stores.faults import explained

# Queues are empty at one time and long at another: a plan that was kept from before would scan them row by row.
OPTIONS = "-c timezone=utc -c plan_cache_mode=force_custom_plan"
IDLE_SECONDS = 5.0

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every records table; all tables with a tenant carry tenant_id in their primary key."""

    metadata = MetaData(naming_convention=NAMES)


class Sequence(Base):
    """The last small integer given out per tenant and kind (CampaignID, ActionID, ...)."""

    __tablename__ = "sequences"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[int] = mapped_column(Integer)


def next_id(session: Session, tenant_id: int, name: str, start: int = 1) -> int:
    """The next number of a tenant's sequence, first start; concurrent callers wait and never share one."""
    statement = insert(Sequence).values(tenant_id=tenant_id, name=name, value=start)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "name"], set_={"value": Sequence.value + 1}
    )
    return session.execute(statement.returning(Sequence.value)).scalar_one()


def _url(text: str) -> str:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise Unavailable("RAPPORT_RECORDS_URL is not an address: write postgresql://user@host/database.") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise Unavailable("RAPPORT_RECORDS_URL must name a PostgreSQL database: postgresql://user@host/database.")
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _explain(context: ExceptionContext) -> None:
    if unavailable := explained(context.original_exception):
        raise unavailable from context.original_exception


def _put_back(connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _look_at(connection: Any, record: Any, proxy: Any) -> None:
    """Ask a connection that was idle for long, which may have ended meanwhile; to ask at every use doubles the work."""
    if connection is None or time.monotonic() - record.info.get("idle_since", math.inf) < IDLE_SECONDS:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error


class Records:
    """A pool of connections to the records database."""

    def __init__(self, url: str) -> None:
        self.url = _url(url)
        self.engine: Engine = create_engine(
            self.url,
            connect_args={"options": OPTIONS},
            pool_size=20,
            max_overflow=20,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
        event.listen(self.engine, "handle_error", _explain)
        event.listen(self.engine, "checkin", _put_back)
        event.listen(self.engine, "checkout", _look_at)
        self._session = sessionmaker(self.engine, expire_on_commit=False)
        self._reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._reading = sessionmaker(self._reader, expire_on_commit=False)

    def check(self) -> None:
        """Connect once. Raises Unavailable with a plain sentence when that is impossible."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except DBAPIError as error:
            raise Unavailable(
                "The records database does not answer: check RAPPORT_RECORDS_URL and that the server runs."
            ) from error

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed at the end of the block, rolled back when it raises."""
        with self._session.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for single SELECTs, each on its own: spares the two statements of a transaction."""
        with self._reader.connect() as connection:
            yield connection

    @contextmanager
    def reads(self) -> Iterator[Session]:
        """reading(), of objects: they belong to no session afterwards."""
        with self._reading() as session:
            yield session

    def json_rows(self, sql: str, parameters: dict[str, Any], omit_nulls: bool = False) -> bytes:
        """A SELECT as a JSON array of objects, rendered by the database. The SQL binds :name parameters."""
        row = "json_strip_nulls(to_json(r))" if omit_nulls else "r"
        wrapped = f"SELECT coalesce(json_agg({row}), '[]'::json)::text FROM ({sql}) AS r"  # noqa: S608 - sql is a constant of ours
        with self.reading() as connection:
            return str(connection.execute(text(wrapped), parameters).scalar_one()).encode()

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()
