"""ClickHouse's HTTP interface over the embedded engine, as a server that several processes share.

    python tests/clickhouse_over_http.py FOLDER PORT USER PASSWORD

It speaks what clickhouse_connect uses: a query in the body, in `query` or in a form; `database`, settings and `param_x`
as parameters; inserts with their data, packed or not; packed answers; errors under ClickHouse's code; sessions, which
take one query at a time. It says "ready" on standard output when it serves. What the embedded engine does not do, it
does not do either: there is one user, an answer is complete before it leaves, a query goes on when its caller is gone,
Native blocks are those of protocol version 0, and settings and temporary tables of a session are refused.
"""

import gzip
import re
import secrets
import sys
import tempfile
import threading
import zlib
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chdb
import lz4.frame
import uvicorn
from backports import zstd
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

# Parameters of the interface itself. Every other is a setting of the query.
OWN = {
    *("query", "database", "default_format", "user", "password", "quota_key", "query_id", "role"),
    *("session_id", "session_timeout", "session_check", "compress", "decompress", "buffer_size", "wait_end_of_query"),
    *("client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms"),
    *("enable_http_compression", "cancel_http_readonly_queries_on_client_close"),
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}
INSERTED = re.compile(rb"\s*(INSERT\s+INTO\s[^\n]*?)\s+FORMAT\s+(\w+)[ \t;]*\n", re.IGNORECASE)
ANSWERING = re.compile(r"\s*\(*\s*(SELECT|WITH|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN)\b", re.IGNORECASE)
OF_SESSIONS = re.compile(r"\s*(SET|USE|CREATE\s+TEMPORARY)\s", re.IGNORECASE)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
CODE = re.compile(r"Code: (\d+)")
# Statuses of codes: syntax and unknown settings, wrong passwords, what is not there, what the server cannot do.
STATUSES = {62: 400, 115: 404, 516: 403, 47: 404, 60: 404, 81: 404, 48: 501}
LONGEST_URL = 1024 * 1024
MOST_IDLE = 64


class Refused(Exception):
    """An error of ClickHouse, by code."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {sentence}")


class Engine:
    """The embedded engine: idle connections by the settings that they were given, and sessions in use."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._keeper = chdb.connect(self._folder)
        self._idle: OrderedDict[Any, list[Any]] = OrderedDict()
        self._sessions: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def session(self, name: str | None) -> Iterator[None]:
        """Hold a session for a query; another at the same time is an error."""
        with self._lock:
            if name in self._sessions:
                raise Refused(373, f"Session {name} is locked by a concurrent client. (SESSION_IS_LOCKED)")
            if name:
                self._sessions.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._sessions.discard(name or "")

    @contextmanager
    def connection(self, database: str, settings: Mapping[str, str]) -> Iterator[Any]:
        """A connection on a database with settings; one that met no fault is kept for the next of the same."""
        key = (database, tuple(sorted(settings.items())))
        with self._lock:
            idle = self._idle.get(key)
            connection = idle.pop() if idle else None
        connection = connection or self._open(database, settings)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.setdefault(key, []).append(connection)
            self._idle.move_to_end(key)
            dropped = self._idle.popitem(last=False)[1] if len(self._idle) > MOST_IDLE else []
        for old in dropped:
            old.close()

    def _open(self, database: str, settings: Mapping[str, str]) -> Any:
        connection = chdb.connect(self._folder)
        try:
            for name, value in settings.items():
                connection.query(f"SET {_name(name)} = {_literal(value)}")
            connection.query(f"USE `{_name(database)}`")
        except BaseException:
            connection.close()
            raise
        return connection


def _name(text: str) -> str:
    if not re.fullmatch(r"\w+", text):
        raise Refused(62, f"Syntax error: {text!r} is no name. (SYNTAX_ERROR)")
    return text


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def carry_out(engine: Engine, statement: bytes, given: Mapping[str, str]) -> tuple[bytes, str]:
    """Run a statement: what it answers, and in which format; no format for one that answers nothing."""
    settings = {name: value for name, value in given.items() if name not in OWN and not name.startswith("param_")}
    bound = {name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")}
    with (
        engine.session(given.get("session_id")),
        engine.connection(given.get("database") or "default", settings) as connection,
    ):
        if insert := INSERTED.match(statement):
            _insert(connection, insert[1].decode(), insert[2].decode(), statement[insert.end() :])
            return b"", ""
        sql = statement.decode()
        if OF_SESSIONS.match(sql):
            raise Refused(48, "Nothing is kept of sessions here. (NOT_IMPLEMENTED)")
        told = FORMAT.search(sql)
        form = told[1] if told else given.get("default_format", "TabSeparated")
        answer = connection.query(sql, form, params=bound).bytes() or b""
        return answer, form if ANSWERING.match(sql) else ""


def _insert(connection: Any, sql: str, form: str, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(prefix="inserted-") as file:
        file.write(data)
        file.flush()
        if data:
            connection.query(f"{sql} FROM INFILE {_literal(file.name)} COMPRESSION 'none' FORMAT {form}")


class Interface:
    """The addresses of the server."""

    def __init__(self, engine: Engine, user: str, password: str) -> None:
        self._engine = engine
        self._allowed = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._user = user

    async def ping(self, request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def query(self, request: Request) -> Response:
        given = dict(request.query_params)
        number = given.get("query_id") or secrets.token_hex(16)
        headers = {"X-ClickHouse-Query-Id": number, "X-ClickHouse-Server-Display-Name": "stand-in"}
        try:
            if not secrets.compare_digest(request.headers.get("Authorization", ""), self._allowed):
                raise Refused(516, f"{self._user}: Authentication failed. (AUTHENTICATION_FAILED)")
            if len(request.url.query) > LONGEST_URL:
                raise Refused(1000, "URI too long. (POCO_EXCEPTION)")
            statement = await self._statement(request, given)
            answer, form = await run_in_threadpool(carry_out, self._engine, statement, given)
        except (Refused, RuntimeError) as error:
            return _fault(str(error), headers)
        if form:
            headers |= {"X-ClickHouse-Format": form}
        return self._packed(request, given, answer, headers)

    async def _statement(self, request: Request, given: dict[str, str]) -> bytes:
        """The query and, after a line's end, what the body holds of it or of its data."""
        if request.headers.get("Content-Type", "").startswith("multipart/form-data"):
            async with request.form(max_part_size=LONGEST_URL * 100) as form:
                given |= {name: str(value) for name, value in form.items()}
            return given.get("query", "").encode()
        body = await request.body()
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            body = UNPACKERS[encoding](body)
        query = given.get("query", "")
        return f"{query}\n".encode() + body if query else body

    def _packed(self, request: Request, given: dict[str, str], answer: bytes, headers: dict[str, str]) -> Response:
        wanted = [name.strip() for name in request.headers.get("Accept-Encoding", "").split(",")]
        packing = next((name for name in wanted if name in PACKERS), None)
        if given.get("enable_http_compression") == "1" and packing and answer:
            headers |= {"Content-Encoding": packing}
            answer = PACKERS[packing](answer)
        return Response(answer, headers=headers)


def _fault(told: str, headers: dict[str, str]) -> Response:
    told = told[max(told.find("Code: "), 0) :]
    code = int(found[1]) if (found := CODE.search(told)) else 1001
    headers |= {"X-ClickHouse-Exception-Code": str(code)}
    return PlainTextResponse(told + "\n", STATUSES.get(code, 500), headers)


class Server(uvicorn.Server):
    """One that tells when it serves."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


def main() -> None:
    folder, port, user, password = sys.argv[1:]
    interface = Interface(Engine(Path(folder)), user, password)
    app = Starlette(
        routes=[Route("/ping", interface.ping), Route("/", interface.query, methods=["GET", "POST"])],
    )
    kept = 600  # seconds: no client is to use a connection that is being closed
    quiet = {"log_level": "warning", "lifespan": "off", "access_log": False}
    Server(uvicorn.Config(app, port=int(port), timeout_keep_alive=kept, **quiet)).run()


if __name__ == "__main__":
    main()
