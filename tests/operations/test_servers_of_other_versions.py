"""The records on servers of other versions that want TLS and a password: made, backed up, restored, upgraded, served.

Servers of the system are taken, and those of a folder that RAPPORT_TEST_SERVERS names (VERSION/bin/postgres in it).
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from alembic import command
from rapport_command import SECONDS, run
from url_engines import PASSWORD, USER, Rapport, free_port, given_environment

from loaded_program import begin_file
from rapport.errors import Unavailable
from rapport.stores import migrations
from rapport.stores.local import postgres as embedded
from rapport.stores.local.postgres import Postgres
from rapport.stores.records import Records

CHILD = Path(__file__).parent / "moved_child.py"
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


def child(*arguments: object, told: object = None, **environment: str) -> dict[str, Any]:
    """What moved_child.py prints."""
    process = begin_file(CHILD, *arguments, environment=given_environment(environment))
    process.stdin.write(json.dumps(told))
    process.stdin.close()
    printed = process.stdout.read()
    assert process.wait(SECONDS) == 0
    process.close()
    return dict(json.loads(printed))


@dataclass
class Moved:
    """Two tenants on embedded engines: a backup of them, their keys, and what they read before."""

    backup: Path
    keys: dict[str, str]
    answers: dict[str, dict[str, list[Any]]]

    def read_alike(self, data_dir: Path, *backup: Path, **environment: str) -> None:
        """Every read function answers as before; then the engines are backed up, if a file is named."""
        told = child("read", data_dir, *backup, told=self.keys, **environment)
        for tenant, answers in self.answers.items():
            for path, answer in answers.items():
                assert told["answers"][tenant].pop(path) == answer, (tenant, path)
        assert told["answers"] == {tenant: {} for tenant in self.answers}


@pytest.fixture(scope="module")
def moved(folder: Path) -> Moved:
    told = child("make", folder / "a", folder / "a.rapport")
    for answers in told["answers"].values():
        full = [path for path, (status, body) in answers.items() if status == 200 and body]
        assert len(full) >= 50, "there is something to compare"
    return Moved(folder / "a.rapport", **told)


def test_two_tenants_go_to_a_server_over_tls_and_back(server: str, moved: Moved, folder: Path) -> None:
    place = folder / f"went{server.rpartition(':')[2]}"
    (place / "empty").mkdir(parents=True)
    second, third = (f"{server}/{name}?sslmode=require" for name in ("second", "third"))
    told = run("doctor", "--data-dir", place / "empty", "--json", RAPPORT_RECORDS_URL=third).json
    assert [check["outcome"] for check in told if check["name"] == "schema"] == ["warning"]
    with psycopg.connect(third) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert found == (0,), "doctor changes nothing"

    told = run("restore", moved.backup, "--data-dir", place / "b", RAPPORT_RECORDS_URL=second)
    assert told.out.startswith(f"Restored into {place / 'b'} and the records by URL. "), told.err
    moved.read_alike(place / "b", place / "b.rapport", RAPPORT_RECORDS_URL=second)
    refused = run("restore", moved.backup, "--data-dir", place / "c", RAPPORT_RECORDS_URL=second).line
    assert refused == "The records database is not empty: restore into an empty one."
    run("restore", place / "b.rapport", "--data-dir", place / "d", "--json").json  # noqa: B018 - it must succeed


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
