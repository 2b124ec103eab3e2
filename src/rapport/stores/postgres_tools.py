"""pg_dump and psql of the embedded PostgreSQL's wheel, on any records database."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from rapport.errors import Unavailable
from rapport.stores.postgres import wheel_binaries

SCHEMAS = ("public", "dbos")


def _connection(records_url: str) -> tuple[str, dict[str, str]]:
    """A libpq connection string without the password, and the environment that holds the password."""
    url = make_url(records_url)
    parts = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database}
    options = {name: value for name, value in url.query.items() if isinstance(value, str)}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if url.password:
        environment["PGPASSWORD"] = str(url.password)
    given = {name: str(value) for name, value in (parts | options).items() if value}
    return make_conninfo("", **given), environment


def _check(process: "subprocess.Popen[bytes]", errors: IO[bytes], what: str) -> None:
    if process.wait() != 0:
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise Unavailable(f"The records could not be {what}: {lines[0]}.")


def dump(records_url: str, snapshot: str, chunk_bytes: int) -> Iterator[bytes]:
    """The records as SQL text of an exported snapshot, in chunks. Raises Unavailable."""
    conninfo, environment = _connection(records_url)
    arguments = ["--no-owner", "--no-privileges", "--clean", "--if-exists", f"--snapshot={snapshot}"]
    arguments += [f"--schema={schema}" for schema in SCHEMAS]
    command = [str(wheel_binaries() / "pg_dump"), *arguments, f"--dbname={conninfo}"]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process,
    ):
        assert process.stdout is not None
        while chunk := process.stdout.read(chunk_bytes):
            yield chunk
        _check(process, errors, "read")


def load(records_url: str, chunks: Iterable[bytes]) -> None:
    """Carry out SQL text in one transaction. Raises Unavailable."""
    conninfo, environment = _connection(records_url)
    arguments = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    command = [str(wheel_binaries() / "psql"), *arguments, f"--dbname={conninfo}"]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, env=environment
        ) as process,
    ):
        assert process.stdin is not None
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
        except BrokenPipeError:
            pass  # psql ended at an error, which _check tells
        except BaseException:
            process.kill()  # at the end of its input psql would commit what it has
            raise
        _check(process, errors, "restored")
