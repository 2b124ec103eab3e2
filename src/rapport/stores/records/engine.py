"""Records: everything small, transactional or addressed by key, in PostgreSQL."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Engine, Integer, MetaData, String, event, make_url, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from rapport.errors import Away, Conflict, Unavailable
from rapport.stores.faults import explained
from rapport.stores.outages import RECORDS_AWAY, outage, refusal
from rapport.stores.records import connecting, locks, sealing

# Connections of a process to records that are embedded, where it is alone, and how many of them stay open idle:
# as many as are in use at busy times, since it takes the database longer to open one than to answer.
CONNECTIONS, IDLE_CONNECTIONS = 40, 20
# How long somebody waits for a connection that is free.
FREE_SECONDS = 15.0
POOLER_TRIES = 3
POOLED = (
    "A pooler of transactions is between Rapport and the records database: locks and notifications are lost in it. "
    "RAPPORT_RECORDS_URL must lead to the server itself, or to a pooler of sessions."
)

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


def next_ids(session: Session, tenant_id: int, name: str, count: int) -> range:
    """The next count numbers of a tenant's sequence, which begins with 1; concurrent callers wait as for next_id."""
    statement = insert(Sequence).values(tenant_id=tenant_id, name=name, value=count)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "name"], set_={"value": Sequence.value + count}
    )
    last = session.execute(statement.returning(Sequence.value)).scalar_one()
    return range(last - count + 1, last + 1)


def hold(session: Session, tenant_id: int, name: str) -> None:
    """Wait until no other transaction of the tenant holds this name, and hold it to the end of this one."""
    locks.take_name_for_transaction(session, f"rapport {tenant_id} {name}")


def hold_each(session: Session, tenant_id: int, names: Iterable[str]) -> None:
    """Hold several names, taken in their own order, in which everybody must take them."""
    locks.take_names_for_transaction(session, [f"rapport {tenant_id} {name}" for name in sorted(names)])


def share(session: Session, tenant_id: int, name: str) -> None:
    """Wait until no other transaction of the tenant holds this name, and share it to the end of this one."""
    locks.share_name_for_transaction(session, f"rapport {tenant_id} {name}")


@contextmanager
def unique_name(index: str, kind: str, name: str) -> Iterator[None]:
    """Turn the refusal of a unique index by what is written in the block into a Conflict: the name is taken."""
    try:
        yield
    except IntegrityError as error:
        if getattr(getattr(error.orig, "diag", None), "constraint_name", "") != index:
            raise
        raise taken(kind, name) from error


def taken(kind: str, name: str) -> Conflict:
    """The error for a name that another of its kind has."""
    return Conflict(f"There is {kind} named {name.strip()!r} already.")


def _url(address: str) -> str:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise Unavailable("RAPPORT_RECORDS_URL is not an address: write postgresql://user@host/database.") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise Unavailable("RAPPORT_RECORDS_URL must name a PostgreSQL database: postgresql://user@host/database.")
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _explain(context: ExceptionContext) -> None:
    error = context.original_exception
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        raise Unavailable(NO_PRIVILEGE) from error
    unavailable = explained(error) or (Away(RECORDS_AWAY) if context.is_disconnect else outage(error))
    if unavailable is not None:
        raise unavailable from error


NO_PRIVILEGE = (
    "The user of RAPPORT_RECORDS_URL lacks a privilege: it needs CREATE on the database and on its schema public "
    "(best as its owner)."
)


class Records:
    """A pool of connections to the records database."""

    def __init__(
        self, url: str, connections: int = CONNECTIONS, keys: sealing.Keys | None = None, *, hurried: bool = False
    ) -> None:
        self.url = _url(url)
        self.hurried = hurried  # see connecting.HURRIED
        self.keys = keys or sealing.Keys()
        self.engine: Engine = connecting.engine(
            make_url(self.url),
            connections,
            IDLE_CONNECTIONS,
            FREE_SECONDS,
            connecting.SERVER_SECONDS,
            hurried=hurried,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
        sealing.give(self.engine.dialect, self.keys)
        event.listen(self.engine, "handle_error", _explain)
        self._session = sessionmaker(self.engine, expire_on_commit=False)
        self._reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._reading = sessionmaker(self._reader, expire_on_commit=False)

    def check(self) -> None:
        """Connect once. Raises Unavailable with a plain sentence when that is impossible."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except DBAPIError as error:
            raise Unavailable(refusal(str(error))) from error

    def time(self) -> datetime:
        """The present instant of the database."""
        with self.reading() as connection:
            now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now

    def require_sessions(self) -> None:
        """Raises Unavailable behind a pooler of transactions, whose connections keep no locks and hear nothing."""
        number = secrets.randbits(62)
        for _ in range(POOLER_TRIES):
            with self.reading() as first, self.reading() as second:
                if not locks.keep_locks(first, second, number):
                    raise Unavailable(POOLED)

    def listening(self) -> connecting.Connection:
        """A connection of one's own that commits by itself, to hear what is told. Raises psycopg.Error."""
        return connecting.listening(self.engine.url)

    @property
    def conninfo(self) -> str:
        """How others of libpq's kind connect."""
        return connecting.conninfo(self.engine.url)

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
    def alone(self) -> Iterator[Connection]:
        """A connection for statements each of which is a transaction by itself."""
        with self._reader.connect() as connection:
            yield connection

    @contextmanager
    def reads(self) -> Iterator[Session]:
        """reading(), of objects: they belong to no session afterwards."""
        with self._reading() as session:
            yield session

    def json_rows(self, sql: str, parameters: dict[str, Any], *, omit_nulls: bool = False) -> bytes:
        """A SELECT as a JSON array of objects, rendered by the database. The SQL binds :name parameters."""
        row = "json_strip_nulls(to_json(answer))" if omit_nulls else "answer"
        wrapped = f"SELECT coalesce(json_agg({row}), '[]'::json)::text FROM ({sql}) AS answer"  # noqa: S608 - sql is a constant of ours
        with self.reading() as connection:
            return str(connection.execute(text(wrapped), parameters).scalar_one()).encode()

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()
