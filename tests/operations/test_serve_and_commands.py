"""A server and the commands that find it: one folder through its life."""

import json
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
from rapport_command import Server, postgres_processes, run

from rapport.stores.checks import folder_checks
from rapport.stores.local.postgres import start_postgres

CUSTOMERS = "CustomerID,Email,Favourite\n" + "".join(f"c{n},c{n}@example.com,blue {n % 3}\n" for n in range(50))


def test_a_folder_through_its_life(folder: Path, start: Callable[[Path], Server]) -> None:
    data_dir = folder / "life"
    server = start(data_dir)
    _server_file_is_private(server)
    tenant = run("tenant", "create", "Acme", "--time-zone", "Europe/Berlin", "--data-dir", data_dir, "--json").json
    key = _key(data_dir)
    _operator_only_with_the_token(server, str(tenant["id"]), key)
    _commands_talk_to_the_server(folder, data_dir, key, server)
    _second_server_is_refused(data_dir, server)
    _backup_and_restore(folder, data_dir, start)
    assert key not in server.log()
    assert server.server_file["token"] not in server.log()
    _kill_and_adoption(data_dir, server, start)
    _a_number_that_another_process_took(data_dir)


def _kill_and_adoption(data_dir: Path, server: Server, start: Callable[[Path], Server]) -> None:
    postmaster = int((data_dir / "records" / "postmaster.pid").read_text().splitlines()[0])
    server.end(signal.SIGKILL)
    assert postmaster in postgres_processes(data_dir), "a kill leaves the database running"
    checks = {check.name: check for check in folder_checks(data_dir, data_dir.with_name("x.kept"), None)}
    assert (checks["leftovers"].outcome, str(postmaster) in checks["leftovers"].detail) == ("warning", True)
    second = start(data_dir)
    assert int((data_dir / "records" / "postmaster.pid").read_text().splitlines()[0]) == postmaster
    assert httpx.get(f"{second.base_url}/ready").json() == {"status": "ready"}
    assert second.end(signal.SIGTERM) == 0
    assert postgres_processes(data_dir) == []
    assert not (data_dir / "server.json").exists()


def _a_number_that_another_process_took(data_dir: Path) -> None:
    pid_file = data_dir / "records" / "postmaster.pid"
    pid_file.write_text("1\n/elsewhere\n0\n5432\n.\n\n  1 1\nready   \n")
    postgres = start_postgres(data_dir)
    assert int(pid_file.read_text().splitlines()[0]) != 1
    postgres.stop()
    assert postgres_processes(data_dir) == []


def _server_file_is_private(server: Server) -> None:
    assert stat.S_IMODE((server.data_dir / "server.json").stat().st_mode) == 0o600
    assert server.server_file["pid"] == server.process.pid


def _key(data_dir: Path) -> str:
    made = run(
        *("key", "create", "--tenant", "acme", "--nickname", "n", "--contact", "a@example.com"),
        *("--data-dir", data_dir, "--json"),
    ).json
    return str(made["key"])


def _operator_only_with_the_token(server: Server, tenant: str, key: str) -> None:
    url = f"{server.base_url}/manage/v1"
    token = server.server_file["token"]
    assert httpx.get(f"{url}/tenants", headers={"X-Rapport-Operator": token}).status_code == 200
    assert httpx.get(f"{url}/tenants", headers={"X-Rapport-Operator": token + "x"}).status_code == 401
    assert httpx.get(f"{url}/tenants", headers={"X-Rapport-Operator": ""}).status_code == 401
    assert httpx.get(f"{url}/tenants", headers={"X-API-KEY": key}).status_code == 403
    assert httpx.get(f"{url}/tenants").status_code == 401
    own = httpx.get(f"{url}/brands", headers={"X-Rapport-Operator": token, "X-Rapport-Tenant": tenant})
    assert own.status_code == 200
    assert httpx.get(f"{url}/brands", headers={"X-Rapport-Operator": token}).status_code == 400
    elsewhere = {"X-Rapport-Operator": token, "X-Forwarded-For": "203.0.113.9"}
    assert httpx.get(f"{url}/tenants", headers=elsewhere).status_code == 401


def _commands_talk_to_the_server(folder: Path, data_dir: Path, key: str, server: Server) -> None:
    file = folder / "customers.csv"
    file.write_text(CUSTOMERS)
    loaded = run("import", "customers", file, "--tenant", "Acme", "--data-dir", data_dir, "--json")
    assert (loaded.json[0]["loaded"], loaded.json[0]["rejected"]) == (50, 0)
    assert loaded.err.splitlines()[0] == "Tenant 3001: 'Acme'", "said before it acts, beside the answer"
    orders = folder / "orders.csv"
    orders.write_text("Order_ID,Customer_ID,Order_Date,Amount\n1,nobody-yet,2026-01-02,5\n2,nobody-yet,2026-01-02,5\n")
    told = run("import", "transactions", orders, "--tenant", "Acme", "--data-dir", data_dir)
    assert "2 rows loaded, 0 rejected (new 2, unknown customers 1)" in told.out
    assert run("migrate", "--data-dir", data_dir, "--json").code == 0
    file.write_text("Name,Town\nAnn,Oslo\n")
    rejected = run("import", "customers", file, "--tenant", "Acme", "--data-dir", data_dir)
    expected = (
        "The file has no column CustomerID, which customers must have; it has Name, Town. "
        "If one of them is that, a mapping says so: columns: {Name: CustomerID}."
    )
    assert (rejected.code, expected in rejected.out + rejected.err) == (1, True), rejected
    named = (
        "--nickname",
        "texts",
        "--contact",
        "a@example.com",
        "--type",
        "integrations",
        "--expires-on",
        "2099-12-31",
    )
    made = run("key", "create", "--tenant", "acme", *named, "--data-dir", data_dir, "--json").json
    assert (made["access_type"], made["expires_on"]) == ("Integrations", "2099-12-31")
    told = run("key", "create", "--tenant", "acme", *named, "--data-dir", data_dir).out
    assert told.startswith(f"Key {made['id'] + 1}, Integrations, works until 2099-12-31; keep it now")
    checks = {check["name"]: check for check in run("doctor", "--data-dir", data_dir, "--json").json}
    assert str(server.process.pid) in checks["server"]["detail"]
    assert {check["outcome"] for check in checks.values()} <= {"ok", "warning"}
    unknown = run("key", "list", "--tenant", "none", "--data-dir", data_dir)
    assert unknown.line == "There is no tenant 'none': `rapport tenant list` shows them."
    keys_of_tenant = run("key", "list", "--tenant", "3001", "--data-dir", data_dir, "--json")
    assert keys_of_tenant.err.strip() == "Tenant 3001: 'Acme'"
    for command, left in (("allow-sender", ["shop.example"]), ("disallow-sender", [])):
        changed = run("tenant", command, "Shop.example", "--tenant", "acme", "--data-dir", data_dir, "--json")
        assert changed.json == {"sender_domains": left}
    disabled = run("key", "disable", str(made["id"]), "--tenant", "ACME", "--data-dir", data_dir)
    assert (disabled.code, disabled.err.strip()) == (0, "Tenant 3001: 'Acme'")
    cycle = run(
        "cycle", "run", "--tenant", "acme", "--from", "2026-01-02", "--to", "2026-01-01", "--data-dir", data_dir
    )
    assert (cycle.code, cycle.err.splitlines()[0]) == (1, "Tenant 3001: 'Acme'")
    listed = keys_of_tenant.json
    assert (key.startswith(listed[0]["prefix"]), "key" in listed[0]) == (True, False)
    entries = httpx.get(f"{server.base_url}/manage/v1/audit-entries", headers={"X-API-KEY": key}).json()
    assert {"operator"} == {entry["actor"] for entry in entries}


def _second_server_is_refused(data_dir: Path, server: Server) -> None:
    refused = run("serve", "--data-dir", data_dir, "--port", "0").line
    expected = f"Process {server.process.pid} holds this data folder: stop that server, or give --data-dir another "
    assert refused == f"{expected}folder."


def _resumes_when_told_to(data_dir: Path, restored: Path, server: Server) -> None:
    assert "what goes out is held" in server.log()
    assert httpx.get(f"{server.base_url}/ready").json() == {"status": "ready", "outbound": "held"}
    assert "rapport_outbound_held 1.0" in httpx.get(f"{server.base_url}/metrics").text
    checks = {check["name"]: check for check in run("doctor", "--data-dir", restored, "--json").json}
    assert checks["outbound"]["outcome"] == "warning"
    refused = run("resume", "--data-dir", restored, "--json")
    assert (refused.code, refused.err) == (1, "Nothing was changed: use --yes to release what is held.\n")
    waiting = json.loads(refused.out)
    assert (waiting["held"], waiting["deliveries"]) == (True, 0) and waiting["backup_taken_at"]
    refused = run("resume", "--data-dir", restored)
    assert (refused.code, refused.out) == (1, "")
    for told in ("since a restore of the backup of", "0 deliveries to listeners", "would be sent again", "--yes"):
        assert told in refused.err
    assert httpx.get(f"{server.base_url}/ready").json()["outbound"] == "held"
    assert run("resume", "--yes", "--data-dir", restored, "--json").json == {"held": False}
    assert run("resume", "--data-dir", data_dir, "--json").json == {"held": False}
    checks = {check["name"]: check for check in run("doctor", "--data-dir", restored, "--json").json}
    assert checks["outbound"]["outcome"] == "ok"


def _backup_and_restore(folder: Path, data_dir: Path, start: Callable[[Path], Server]) -> None:
    file = folder / "all.rapport"
    written = run("backup", file, "--data-dir", data_dir, "--json").json
    tenant = next(name for name in written["rows"] if name.startswith("rapport_"))
    assert written["rows"][tenant]["customers"] == 50
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("backup", file, "--data-dir", data_dir).line == "all.rapport exists already: name another file."
    verified = run("backup", file, "--verify", "--json").json
    assert (verified["bytes"], verified["tenants"]) == (file.stat().st_size, 1)
    restored = folder / "restored"
    assert run("restore", file, "--data-dir", restored).code == 0
    assert run("restore", file, "--data-dir", restored).line == "The data folder is not empty: restore into a new one."
    server = start(restored)
    listed = ("key", "list", "--tenant", "acme", "--json", "--data-dir")
    assert run(*listed, restored).json == run(*listed, data_dir).json
    _resumes_when_told_to(data_dir, restored, server)
    again = run("backup", folder / "again.rapport", "--data-dir", restored, "--json").json
    assert again["rows"] == written["rows"]
    assert server.end(signal.SIGINT) == 0
    assert postgres_processes(restored) == []
    assert '"event": "stopped"' in server.log()
