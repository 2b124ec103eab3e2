"""The records on a server of another version that wants TLS: made, backed up, restored there and looked at."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from rapport_command import run

from rapport.stores import postgres as embedded
from rapport.stores.postgres import Postgres

READ = """
import json, sys
from pathlib import Path
from rapport.access.scope import scope_of
from rapport.access.service import tenants
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
rows = "SELECT customer_id, CITY FROM customers ORDER BY customer_id"
print(json.dumps({one.name: scope_of(stores, one.id).warehouse.rows(rows) for one in tenants(stores)}))
stores.close()
"""
FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a database's server, up to the database's name."""
    if not FOUND or shutil.which("openssl") is None:
        pytest.skip("no PostgreSQL of the system is installed (apt-get install postgresql), or no openssl")
    place = folder / "server"
    place.mkdir(mode=0o700)
    postgres = Postgres(place, FOUND[0].parent, embedded._owner(place))
    postgres.run(
        "initdb", ["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", f"--pgdata={place}"]
    )
    key, certificate = place / "server.key", place / "server.crt"
    made = ["openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
    subprocess.run(made, check=True, capture_output=True)
    key.chmod(0o600)
    owner = place.stat()
    for path in (key, certificate):
        os.chown(path, owner.st_uid, owner.st_gid)
    (place / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = f"-h 127.0.0.1 -p {port} -k {place} -c ssl=on"
    postgres.run("pg_ctl", ["-w", "-o", options, "-l", str(place / "log"), "-D", str(place), "start"])
    yield f"postgresql://postgres@127.0.0.1:{port}"
    postgres.stop()


def customers_of(data_dir: Path, records_url: str = "") -> dict[str, list[list[str]]]:
    """The customers of every tenant by its name, as a process of its own reads them."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    command = [sys.executable, "-c", READ, str(data_dir)]
    told = subprocess.run(command, check=True, capture_output=True, env=given | {"RAPPORT_RECORDS_URL": records_url})
    return dict(json.loads(told.stdout))


def test_two_tenants_go_to_a_server_over_tls_and_back(server: str, folder: Path) -> None:
    with psycopg.connect(f"{server}/postgres?sslmode=require", autocommit=True) as connection:
        for name in ("second", "third"):
            connection.execute(f"CREATE DATABASE {name}")
    (folder / "empty").mkdir()
    second, third = (f"{server}/{name}?sslmode=require" for name in ("second", "third"))
    told = run("doctor", "--data-dir", folder / "empty", "--json", RAPPORT_RECORDS_URL=third).json
    assert [check["outcome"] for check in told if check["name"] == "schema"] == ["warning"]
    with psycopg.connect(third) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert found == (0,), "doctor changes nothing"

    expected = {"Shop": [["A1", "Zürich"], ["A2", "tab\there"]], "Bazaar": [["A1", "Kraków"]]}
    embedded_at = folder / "a"
    for name, people in expected.items():
        number = run("tenant", "create", name, "--data-dir", embedded_at, "--json").json["id"]
        path = folder / f"{name}.csv"
        path.write_text("\n".join(["CustomerID;City", *(";".join(row) for row in people)]) + "\n")
        loaded = run("import", "customers", path, "--tenant", str(number), "--data-dir", embedded_at, "--json")
        assert loaded.code == 0, loaded.err
    run("backup", folder / "a.rapport", "--data-dir", embedded_at, "--json").json  # noqa: B018 - it must succeed

    told = run("restore", folder / "a.rapport", "--data-dir", folder / "b", RAPPORT_RECORDS_URL=second)
    assert told.out.startswith(f"Restored into {folder / 'b'} and the records by URL. "), told.err
    assert customers_of(folder / "b", second) == expected
    refused = run("restore", folder / "a.rapport", "--data-dir", folder / "c", RAPPORT_RECORDS_URL=second).line
    assert refused == "The records database is not empty: restore into an empty one."
    run("backup", folder / "b.rapport", "--data-dir", folder / "b", "--json", RAPPORT_RECORDS_URL=second).json  # noqa: B018
    run("restore", folder / "b.rapport", "--data-dir", folder / "d", "--json").json  # noqa: B018
    assert customers_of(folder / "d") == expected

    looked = ("--data-dir", str(folder / "b"))
    told = run("tenant", "list", *looked, RAPPORT_RECORDS_URL=f"{server}/second?sslmode=disable").line
    assert told.startswith("The records server takes no such connection")
    told = run("tenant", "list", *looked, RAPPORT_RECORDS_URL=f"{server}/none?sslmode=require").line
    assert told.startswith("The records server has no database of the name")
