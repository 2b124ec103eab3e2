"""The records on servers of other versions that want TLS and a password: made, backed up, restored, upgraded, served.

Servers of the system are taken, and those of a folder that RAPPORT_TEST_SERVERS names (VERSION/bin/postgres in it).
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest
from alembic import command
from rapport_command import run
from url_engines import PASSWORD, USER, Rapport, free_port, given_environment

from rapport.errors import Unavailable
from rapport.stores import migrations
from rapport.stores import postgres as embedded
from rapport.stores.postgres import Postgres
from rapport.stores.records import Records

MAKE = """
import json, sys
from pathlib import Path
from rapport.access.service import create_tenant
from rapport.customers import imports
from rapport.settings import Settings
from rapport.stores import open_stores

folder = Path(sys.argv[1])
stores = open_stores(Settings(data_dir=folder / "a"))
for name, people in json.loads(sys.argv[2]).items():
    path = folder / f"{name}.csv"
    path.write_text("\\n".join(["CustomerID;City", *(";".join(row) for row in people)]) + "\\n")
    imports.import_file(create_tenant(stores, name), "customers", path)
stores.backup(folder / "a.rapport")
stores.close()
"""
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
EXPECTED = {"Shop": [["A1", "Zürich"], ["A2", "tab\there"]], "Bazaar": [["A1", "Kraków"]]}
PLACES = [Path("/usr/lib/postgresql"), *map(Path, filter(None, [os.environ.get("RAPPORT_TEST_SERVERS")]))]
FOUND = {path.parents[1].name: path.parent for place in PLACES for path in place.glob("*/bin/postgres")}


@pytest.fixture(scope="module", params=sorted(FOUND) or ["none"])
def server(folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server, up to a database's name."""
    if request.param not in FOUND or shutil.which("openssl") is None:
        pytest.skip("no PostgreSQL of the system is installed (apt-get install postgresql), or no openssl")
    place = folder / f"server{request.param}"
    place.mkdir(mode=0o700)
    postgres = Postgres(place, FOUND[request.param], embedded._owner(place))
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
    (place / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    port = free_port()
    options = f"-h 127.0.0.1 -p {port} -k {place} -c ssl=on -c password_encryption=scram-sha-256"
    postgres.run("pg_ctl", ["-w", "-o", options, "-l", str(place / "log"), "-D", str(place), "start"])
    with psycopg.connect(f"host={place} port={port} user=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        for name in ("second", "third", "aged"):
            connection.execute(f"CREATE DATABASE {name} OWNER {USER}")
    yield f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
    postgres.stop()


@pytest.fixture(scope="module")
def of_embedded(folder: Path) -> Path:
    """A backup of two tenants on embedded engines."""
    made = [sys.executable, "-c", MAKE, str(folder), json.dumps(EXPECTED)]
    subprocess.run(made, check=True, env=given_environment({}))
    return folder / "a.rapport"


def customers_of(data_dir: Path, records_url: str = "") -> dict[str, list[list[str]]]:
    """The customers of every tenant by its name, as a process of its own reads them."""
    given = given_environment({"RAPPORT_RECORDS_URL": records_url})
    told = subprocess.run([sys.executable, "-c", READ, str(data_dir)], check=True, capture_output=True, env=given)
    return dict(json.loads(told.stdout))


def test_two_tenants_go_to_a_server_over_tls_and_back(server: str, of_embedded: Path, folder: Path) -> None:
    place = folder / f"went{server.rpartition(':')[2]}"
    (place / "empty").mkdir(parents=True)
    second, third = (f"{server}/{name}?sslmode=require" for name in ("second", "third"))
    told = run("doctor", "--data-dir", place / "empty", "--json", RAPPORT_RECORDS_URL=third).json
    assert [check["outcome"] for check in told if check["name"] == "schema"] == ["warning"]
    with psycopg.connect(third) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert found == (0,), "doctor changes nothing"

    told = run("restore", of_embedded, "--data-dir", place / "b", RAPPORT_RECORDS_URL=second)
    assert told.out.startswith(f"Restored into {place / 'b'} and the records by URL. "), told.err
    assert customers_of(place / "b", second) == EXPECTED
    refused = run("restore", of_embedded, "--data-dir", place / "c", RAPPORT_RECORDS_URL=second).line
    assert refused == "The records database is not empty: restore into an empty one."
    run("backup", place / "b.rapport", "--data-dir", place / "b", "--json", RAPPORT_RECORDS_URL=second).json  # noqa: B018
    run("restore", place / "b.rapport", "--data-dir", place / "d", "--json").json  # noqa: B018
    assert customers_of(place / "d") == EXPECTED


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("second?sslmode=disable", "The records server takes no such connection"),
        ("none?sslmode=require", "The records server has no database of the name"),
    ],
    ids=["plain", "no_database"],
)
def test_what_is_wrong_with_an_address_is_told(server: str, part: str, told: str) -> None:
    records = Records(f"{server}/{part}")
    with pytest.raises(Unavailable, match=told):
        records.check()
    records.close()


def test_a_schema_of_before_is_backed_up_upgraded_and_served(server: str, folder: Path) -> None:
    address, place = f"{server}/aged?sslmode=require", folder / f"aged{server.rpartition(':')[2]}"
    older = Records(address)
    command.upgrade(migrations._alembic(older), "0005")
    rapport = Rapport({"RAPPORT_RECORDS_URL": address}, place)
    try:
        rapport.start("api,worker,scheduler")
        assert httpx.get(f"{rapport.base_urls['api,worker,scheduler']}/ready", timeout=60).status_code == 200
    finally:
        assert rapport.end() == {"api,worker,scheduler": 0}
    assert migrations.records_revision(older) == migrations.revisions()[-1]
    older.close()
    assert [path.name.startswith("before-migration-from-0005-") for path in (place / "backups").iterdir()] == [True]
