"""The receiver that docs/events.md shows takes what Rapport posts, and nothing else."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from webhook_receiver import eventually

from rapport.access.scope import Scope
from rapport.notifications import service
from rapport.notifications.deliverer import Deliverer

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_documented_receiver_verifies(scope: Scope, deliverer: Deliverer) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listener = service.register_listener(scope, 3, f"http://127.0.0.1:{port}/")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    code = code.replace("<the listener's secret without whsec_>", listener.secret.removeprefix("whsec_"))
    code = code.replace("9000", str(port))
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(port), 20)
        with scope.records() as session:
            service.notify(scope, session, 3, {}, "documented")
        eventually(lambda: [d.last_status for d in service.deliveries(scope, listener.id)] == [204])
        forged = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
        assert httpx.post(f"http://127.0.0.1:{port}/", content=b"{}", headers=forged).status_code == 401
    finally:
        running.kill()
        running.wait()
        service.unregister_listener(scope, 3)
