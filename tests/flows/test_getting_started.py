"""The commands of docs/getting-started.md, typed in order on a fresh data folder, do what the page says."""

import json
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from flow_page import PAGES, Shell, run_page

ROOT = PAGES.parents[1]
SECONDS = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def reader() -> Iterator[Shell]:
    """Somebody who has installed Rapport and opened a shell in its folder."""
    # As root, the database runs as a user who must be able to reach the folder.
    folder = Path(tempfile.mkdtemp(prefix="rapport-getting-started-"))
    folder.chmod(0o755)
    port = free_port()
    variables = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "RAPPORT_DATA_DIR": str(folder / "first-campaign"),
        "RAPPORT_PORT": str(port),
        "BASE": f"http://127.0.0.1:{port}",
    }
    (folder / "docs").symlink_to(ROOT / "docs")
    yield Shell(folder, variables)
    server = folder / "first-campaign" / "server.json"
    if server.exists():
        _end(json.loads(server.read_text())["pid"])
    shutil.rmtree(folder, ignore_errors=True)


def _end(pid: int) -> None:
    """See a server to its end."""
    if psutil.pid_exists(pid):
        process = psutil.Process(pid)
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def test_the_page_leads_to_a_measured_campaign(reader: Shell) -> None:
    outputs: list[str] = []
    blocks = run_page("../getting-started", reader, pytest.fail, outputs.append)
    printed = "".join(outputs)
    assert blocks >= 12
    assert "orders.csv: 13," in printed and "finished" in printed
    control, treated, verdict = outputs[-2].splitlines()
    assert float(treated) > 1.3 * float(control) > 0
    assert verdict == "The measurement window is still open."
