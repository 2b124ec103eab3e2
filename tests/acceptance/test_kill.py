"""kill -9 at random moments of a day's cycle and its sends: the end is that of an undisturbed day.

Two kills by default; RAPPORT_KILLS sets another number (20 for a release).
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from loaded_program import Forked, begin, ended_file, said_by_script

KILLS = int(os.environ.get("RAPPORT_KILLS", "2"))
PATIENCE_SECONDS = 150
HERE = Path(__file__).parent
# Mail whose reply was not heard when the process died may come again under the same Message-ID:
# at most one a connection and kill.
CONNECTIONS = 8


@dataclass
class Outside:
    """A mail server and a listener, and what they got."""

    mails: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: dict[str, str] = field(default_factory=dict)
    posts: int = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        head = envelope.content.decode("utf-8", "replace").split("\r\n\r\n", 1)[0]
        message_id = next(line for line in head.split("\r\n") if line.lower().startswith("message-id:"))
        self.mails[envelope.rcpt_tos[0], message_id.split(":", 1)[1].strip()] += 1
        return "250 OK"

    def forget(self) -> None:
        self.mails.clear()
        self.events.clear()


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[Outside, int, int]]:
    found = Outside()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.events[self.headers["webhook-id"]] = json.dumps(
                {name: value for name, value in body.items() if name != "TimeStamp"}, sort_keys=True
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    with tempfile.TemporaryFile():
        import socket

        with socket.create_server(("127.0.0.1", 0)) as free:
            mail_port = free.getsockname()[1]
    mail = Controller(found, hostname="127.0.0.1", port=mail_port)
    mail.start()
    yield found, mail_port, web.server_port
    mail.stop()
    web.shutdown()
    web.server_close()


@pytest.fixture(scope="module")
def folders(outside: tuple[Outside, int, int]) -> Iterator[tuple[Path, Path]]:
    """Two copies of one data folder with a day to be lived."""
    base = Path(tempfile.mkdtemp(prefix="rapport-kill-"))
    base.chmod(0o755)
    first, second = base / "calm", base / "killed"
    url = f"http://127.0.0.1:{outside[2]}"
    code, _, errors = ended_file(HERE / "kill_setup.py", first, url, seconds=120)
    assert code == 0, errors
    subprocess.run(["cp", "-a", str(first), str(second)], check=True)
    yield first, second
    shutil.rmtree(base, ignore_errors=True)


def serve(folder: Path, mail_port: int) -> Forked:
    variables = os.environ | {
        "RAPPORT_SMTP_URL": f"smtp://127.0.0.1:{mail_port}",
        "RAPPORT_ALLOW_PRIVATE_ADDRESSES": "true",
    }
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return begin(["serve", "--port", "0", "--data-dir", str(folder), "--json"], variables, log)


def asked(folder: Path) -> dict[str, Any] | None:
    """What the running server says of the day: states of its campaigns and undelivered events."""
    import httpx

    try:
        told = json.loads((folder / "server.json").read_text())
        headers = {"X-Rapport-Operator": told["token"], "X-Rapport-Tenant": "Killed"}
        with httpx.Client(base_url=told["base_url"], headers=headers, timeout=5) as client:
            campaigns = client.get("/manage/v1/campaigns").raise_for_status().json()
            cycles = client.get("/manage/v1/cycles").raise_for_status().json()
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None
    return {"campaigns": [one["state"] for one in campaigns], "cycles": [one["state"] for one in cycles]}


def until_done(folder: Path, outside: Outside, events: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    state: Any = None
    while time.monotonic() < end:
        state = asked(folder) or state
        done = state and state["cycles"] == ["finished"] and state["campaigns"] == ["successful"] * 2
        if done and len(outside.events) >= events:
            return
        time.sleep(0.3)
    log = (folder.parent / f"{folder.name}.log").read_text()[-3000:]
    raise AssertionError(f"not done: {state}, {len(outside.events)} events\n{log}")


def stop(process: Forked) -> None:
    process.terminate()
    process.wait(PATIENCE_SECONDS)
    process.close()


FINAL = """
import json
import sys
from pathlib import Path

from rapport.access.scope import scope_of
from rapport.access.service import find_tenant
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
scope = scope_of(stores, find_tenant(stores, "Killed").id)
found = {}
for table in ("profiles", "model_results", "campaign_recipients", "target_group_members", "product_recommendations"):
    found[table] = scope.warehouse.rows(f"SELECT count(), sum(cityHash64(*)) FROM {table}")
found["outcomes"] = scope.warehouse.rows(
    "SELECT campaign_id, channel_id, outcome, reason, count(), uniqExact(customer_id), sum(cityHash64(customer_id))"
    " FROM campaign_outcomes GROUP BY ALL ORDER BY ALL")
with stores.records.engine.connect() as connection:
    from sqlalchemy import text
    found["campaigns"] = [list(row) for row in connection.execute(text(
        "SELECT id, state, targeted, test_size, control_size, counts FROM campaigns ORDER BY id"))]
stores.close()
print(json.dumps(found, default=str))
"""


def final(folder: Path) -> dict[str, Any]:
    return dict(json.loads(said_by_script(FINAL, folder).splitlines()[-1]))


@pytest.mark.timeout(900)
def test_killed_days_end_like_calm_ones(outside: tuple[Outside, int, int], folders: tuple[Path, Path]) -> None:
    got, mail_port, _ = outside
    calm, killed = folders
    process = serve(calm, mail_port)
    try:
        # 1 a campaign, 13 a campaign and channel, 2 and 3 once.
        until_done(calm, got, events=2 + 3 + 2)
    finally:
        stop(process)
    mails, events = dict(got.mails), sorted(got.events.values())
    expected = final(calm)
    assert len(mails) > 1000 and set(mails.values()) == {1}

    got.forget()
    seed = int.from_bytes(hashlib.sha256(str(KILLS).encode()).digest()[:4], "big")
    luck = random.Random(os.environ.get("RAPPORT_KILL_SEED", seed))
    for _ in range(KILLS):
        process = serve(killed, mail_port)
        time.sleep(luck.uniform(1.5, 6))
        process.kill()
        process.wait()
        process.close()
    process = serve(killed, mail_port)
    try:
        until_done(killed, got, events=7)
    finally:
        stop(process)
    assert final(killed) == expected
    assert sorted(got.events.values()) == events
    assert {address for address, _ in got.mails} == {address for address, _ in mails}
    assert len(got.mails) == len(mails), "one Message-ID a customer and campaign"
    assert sum(got.mails.values()) - len(got.mails) <= KILLS * CONNECTIONS
