"""Processes that send for a server: the same answers as in the server itself, and what happens after kill -9."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mail_server import MailServer, serving

from faulty_mail_server import FaultyMailServer, faulty_mail_server
from rapport.channels.brands.outgoing import Outgoing
from rapport.channels.brands.signing import Signer, SigningKey
from rapport.channels.email import EmailTransport
from rapport.channels.messages import Message, Receipt
from rapport.channels.relaying.processes import ENDED, RelayProcesses
from rapport.channels.settings import EmailSettings
from rapport.settings import Settings
from rapport.stores import Stores
from rapport.stores.clock import Clock

TARGETS = [
    "550-a@mail.example",
    "451-b@mail.example",
    "no address",
    "x@y\nz",
    "ok@mail.example",
    "zo\u00eb@mail.example",
]
BRAND = Outgoing(Signer([SigningKey("s1", Ed25519PrivateKey.generate())]), lambda name, token: f"{name}@back.example")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with serving() as started:
        yield started


@contextmanager
def processes() -> Iterator[RelayProcesses]:
    """Two, none of which is left at the end."""
    shared = RelayProcesses(2)
    yield shared
    assert not shared._processes


def runs(pid: int) -> bool:
    """Whether a process has not ended, whoever is to hear of it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def until(true: Callable[[], bool], patience: float = 20) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def transport(
    server: MailServer | FaultyMailServer, settings: Settings, shared: RelayProcesses | None, **more: object
) -> EmailTransport:
    way = {"host": "127.0.0.1", "port": server.port, "from_address": "club@shop.example", "connections": 2}
    return EmailTransport(EmailSettings.model_validate(way), settings, Clock(), BRAND, shared)


def messages(targets: list[str]) -> list[Message]:
    return [Message(f"m{number}", f"Q{number}", to, "Hi", "Hello") for number, to in enumerate(targets)]


def test_receipts_and_letters_are_those_of_the_server_itself(server: MailServer, stores: Stores) -> None:
    receipts: list[list[Receipt]] = []
    letters: list[list[tuple[str, ...]]] = []
    with processes() as shared:
        for way in (None, shared):
            opened = transport(server, stores.settings, way)
            receipts.append(sorted(opened.send(messages(TARGETS)), key=lambda receipt: receipt.message_id))
            opened.close()
            signed = [mail["DKIM-Signature"].partition("; t=")[0] for mail in server.arrived]
            ids = [mail["Message-ID"] for mail in server.arrived]
            letters.append(sorted(zip(ids, signed, server.return_paths, server.recipients, strict=True)))
            for taken in (server.arrived, server.return_paths, server.recipients):
                taken.clear()
    assert receipts[0] == receipts[1] and len(receipts[0]) == len(TARGETS)
    assert letters[0] == letters[1] and len(letters[0]) == 2
    assert server.connections <= 4, "two in all, one each"


def test_a_killed_process_leaves_its_letters_to_be_tried_again(server: MailServer, stores: Stores) -> None:
    server.wait = 0.2
    with processes() as shared:
        opened = transport(server, stores.settings, shared)
        first = shared._processes[0].pid
        receipts = []
        for receipt in opened.send(messages(["ok@mail.example"] * 12)):
            if not receipts:
                os.kill(first, signal.SIGKILL)
            receipts.append(receipt)
        opened.close()
    assert sorted(receipt.message_id for receipt in receipts) == sorted(f"m{number}" for number in range(12))
    failed = [receipt for receipt in receipts if receipt.outcome == "failed"]
    assert 1 <= len(failed) <= 4, "what it had; the rest went by the other"
    assert {(receipt.reason, receipt.permanent, receipt.away) for receipt in failed} == {(ENDED, False, False)}


def test_without_any_process_left_the_server_sends_itself(server: MailServer, stores: Stores) -> None:
    with processes() as shared:
        opened = transport(server, stores.settings, shared)
        for process in shared._processes:
            os.kill(process.pid, signal.SIGKILL)
        until(lambda: not any(process.is_alive for process in shared._processes))
        receipts = list(opened.send(messages(["ok@mail.example"] * 4)))
        opened.close()
    assert {receipt.outcome for receipt in receipts} == {"sent"} and len(receipts) == 4


def test_a_server_that_takes_one_connection_gets_everything_on_it(stores: Stores) -> None:
    with faulty_mail_server(pipelines=True, has_tls=False) as server, processes() as shared:
        server.most_open = 1
        opened = transport(server, stores.settings, shared)
        receipts = list(opened.send(messages(["ok@mail.example"] * 30)))
        opened.close()
        assert {receipt.outcome for receipt in receipts} == {"sent"} and server.acknowledged.total() == 30


def test_a_server_that_is_away_is_away_for_all_processes(stores: Stores) -> None:
    with serving() as server:
        pass
    with processes() as shared:
        opened = transport(server, stores.settings, shared)
        receipts = list(opened.send(messages(["ok@mail.example"] * 20)))
        opened.close()
    assert {(receipt.outcome, receipt.away) for receipt in receipts} == {("failed", True)} and len(receipts) == 20


SERVER = """
import sys

from rapport.channels.relaying.processes import RelayProcess
from rapport.channels.routes import Route

processes = [RelayProcess(), RelayProcess()]
for process in processes:  # until it is there
    process.open(1, Route("127.0.0.1", 25, "none", "", "", 5, "club@shop.example", "", "", "", True), (), 1)
    process.leave(1)
print(*(process.pid for process in processes), flush=True)
sys.stdin.read()
"""


def test_processes_end_with_a_server_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        pids = [int(pid) for pid in server.stdout.readline().split()]
        for pid in pids:
            os.kill(
                pid, signal.SIGTERM
            )  # as a service that is stopped tells all its processes: they wait for the server
        assert all(map(runs, pids))
        server.kill()
    until(lambda: not any(map(runs, pids)))


def test_a_process_loads_no_engine() -> None:
    """They are several, and are started while mail waits."""
    heavy = {"sqlalchemy", "pydantic", "chdb", "numpy", "dbos", "rapport.stores", "rapport.access"}
    asked = f"import sys, rapport.channels.relaying.process; print({heavy} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"
