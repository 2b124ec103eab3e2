"""The gateway that docs/gateway.md shows says yes and no to what Rapport asks, and answers nobody else."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from asked_firings import campaign, fire, open_firings, outcomes
from gateway_server import eventually

from rapport.access.scope import Scope
from rapport.realtime import gateways
from rapport.realtime.gateway_worker import Decider
from rapport.stores import Stores

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_documented_gateway(scope: Scope, stores: Stores) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found, _ = gateways.set_gateway(scope, f"http://127.0.0.1:{port}/")
    with_code, without = campaign(scope), campaign(scope, codes=["OTHER"])
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    code = code.replace("<the gateway's secret without whsec_>", found.secret.removeprefix("whsec_"))
    code = code.replace("9001", str(port))
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    decider = Decider(stores)
    try:
        eventually(lambda: answers(port), 20)
        fired = fire(scope, with_code, "Q1") + fire(scope, without, "Q2")
        decider.start()
        eventually(lambda: open_firings(scope) == 0)
        assert outcomes(scope, fired) == [("sent", ""), ("excluded", "gateway: not allowed")]
        forged = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
        assert httpx.post(f"http://127.0.0.1:{port}/", content=b"{}", headers=forged).status_code == 401
    finally:
        decider.stop()
        running.kill()
        running.wait()
