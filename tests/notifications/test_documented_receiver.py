"""The receiver that docs/events.md shows takes what Rapport posts and asks, and nothing else."""

import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
from webhook_receiver import eventually

from rapport.access.scope import Scope
from rapport.notifications import service
from rapport.notifications.deliverer import Deliverer
from rapport.stores.outside.posting import new_secret, signed_headers

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
    gateway = new_secret()
    code = code.replace("<the listener's secret>", listener.secret).replace("<the gateway's secret>", gateway)
    code = code.replace("9000", str(port))
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(port), 20)
        with scope.records() as session:
            service.notify(scope, session, 3, {}, "documented")
        eventually(lambda: [d.last_status for d in service.deliveries(scope, listener.id)] == [200])
        question = '{"user": {"user_id": "Q1", "is_visitor": false}, "campaign": {}}'
        for secret, status in ((gateway, 200), (listener.secret, 401)):
            headers = signed_headers("msg_2", question, datetime.now(UTC), [secret])
            answer = httpx.post(f"http://127.0.0.1:{port}/gateway?a=1", content=question, headers=headers)
            assert answer.status_code == status
            assert answer.text == ('{"user_id": "Q1", "allowed": true}' if status == 200 else "")
        forged = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
        assert httpx.post(f"http://127.0.0.1:{port}/", content=b"{}", headers=forged).status_code == 401
    finally:
        running.kill()
        running.wait()
        service.unregister_listener(scope, 3)
