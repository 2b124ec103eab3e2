"""A server of a process of its own with what is around it, whose records database a test can take away."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from campaign_mail import Mailbox, mailbox
from webhook_receiver import Receiver, receiving

from loaded_program import Forked, begin_file
from rapport.stores.local.postgres import Postgres, start_postgres

CHILD = Path(__file__).parent / "served_child.py"
# What is still to be done of events and of what is told.
UNDONE = """
    SELECT (SELECT count(*) FROM accepted_events)
         + (SELECT count(*) FROM trigger_firings WHERE state <> 'filed')
         + (SELECT count(*) FROM deliveries WHERE state <> 'delivered')
"""


@dataclass
class Outside:
    """A mail server that can be shut down and opened again at its port, and a listener."""

    receiver: Receiver
    box: Mailbox
    stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def without_mail(self) -> Iterator[None]:
        """No mail server during the block."""
        port, messages, to = self.box.port, self.box.messages, self.box.to
        self.stack.close()
        try:
            yield
        finally:
            self.box = self.stack.enter_context(mailbox(port))
            self.box.messages[:0] = messages
            self.box.to.update(to)


@contextmanager
def outside_world() -> Iterator[Outside]:
    with ExitStack() as stack, receiving() as receiver:
        world = Outside(receiver, stack.enter_context(mailbox()), stack)
        yield world


@dataclass
class Served:
    """The server. client has an Admin key of its tenant, operator is the operator on the same machine.

    ahead: how many seconds its clocks are ahead of the machine's.
    """

    told: dict[str, Any]
    data_dir: Path
    postgres: Postgres
    client: httpx.Client
    operator: httpx.Client
    log: Path
    process: Forked
    ahead: float = 0.0

    def say(self, **what: object) -> None:
        """Tell the process where to wait, and what time it is."""
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        """What the process tells next."""
        return json.loads(self.process.stdout.readline())

    @property
    def sdk(self) -> str:
        """Where events go."""
        return f"/v1/optistream/{self.told['sdk']}"

    def asked(self, sql: str) -> int:
        """A number from the records."""
        with psycopg.connect(host=str(self.postgres.folder), user="postgres", dbname="postgres") as connection:
            row = connection.execute(sql).fetchone()
        return int(row[0]) if row else 0


def event(served: Served, name: str, number: int) -> list[dict[str, Any]]:
    """An event of the customer of a number, as it is posted."""
    now = datetime.now(UTC) + timedelta(seconds=served.ahead)
    return [
        {
            "tenant": served.told["tenant"],
            "event": name,
            "customer": f"c{number}@example.com",
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S.000Z}",
            "context": {"n": number},
            "metadata": {"eventId": f"{name}-{number}"},
        }
    ]


@contextmanager
def serving(outside: Outside, warehouse_url: str) -> Iterator[Served]:
    base = Path(tempfile.mkdtemp(prefix="rapport-outage-"))
    base.chmod(0o755)
    log = base / "log"
    with log.open("w") as errors:
        words = (base / "data", outside.receiver.url, outside.box.port, warehouse_url)
        process = begin_file(CHILD, *words, errors=errors)
    try:
        told = json.loads(process.stdout.readline() or _failed(log))
        headers = {"X-Rapport-Operator": "operator", "X-Rapport-Tenant": "Outages"}
        with (
            httpx.Client(base_url=told["base_url"], headers={"X-API-KEY": told["key"]}, timeout=60) as client,
            httpx.Client(base_url=told["base_url"], headers=headers, timeout=60) as operator,
        ):
            postgres = start_postgres(base / "data")
            try:
                yield Served(told, base / "data", postgres, client, operator, log, process)
            finally:
                _ended(process)
                postgres.stop()  # a process that failed has left it
    finally:
        _ended(process)
        process.close()
        shutil.rmtree(base, ignore_errors=True)


def _ended(process: Forked) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()


def _failed(log: Path) -> str:
    raise AssertionError(f"the server did not start: {log.read_text()[-3000:]}")
