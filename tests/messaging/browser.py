"""A real browser that a test drives: Chromium without a window, over its debugging protocol."""

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run")


class Page:
    """One page, whose own scripts run only if it is said so."""

    def __init__(self, connection: ClientConnection, *, scripts: bool = False) -> None:
        self._connection, self._numbers = connection, count(1)
        self._before = ""
        for domain in ("Page", "Accessibility"):
            self._ask(f"{domain}.enable")
        self._ask("Emulation.setScriptExecutionDisabled", value=not scripts)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        received: dict[str, Any] = json.loads(self._connection.recv(timeout=60))
        return received

    def before_each_page(self, script: str) -> None:
        """Have a script run in every page from now on before the page's own, in place of the one before."""
        if self._before:
            self._ask("Page.removeScriptToEvaluateOnNewDocument", identifier=self._before)
        self._before = self._ask("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]

    def open(self, url: str) -> None:
        """Go to an address."""
        self._ask("Page.navigate", url=url)
        self._loaded()

    def _loaded(self) -> None:
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """What an expression of the debugger gives, which is not the page's own script."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def click(self, selector: str, *, leads_on: bool = False) -> None:
        """Click what a selector finds, as a mouse does; leads_on: another page comes of it."""
        self.value(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        rectangle = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        place = f"(r => [r.x + r.width / 2, r.y + r.height / 2])({rectangle})"
        x, y = self.value(place)
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        if leads_on:
            self._loaded()

    def type(self, selector: str, written: str) -> None:
        """Write a text into a field."""
        self.click(selector)
        self._ask("Input.insertText", text=written)

    def press(self, key: str) -> None:
        """Press a key and let it go: a named one, such as Tab or ArrowDown."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40}
        named = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self._ask("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **named)

    def allow(self, permission: str, site: str) -> None:
        """Answer a site that asks for a permission, such as notifications: yes."""
        self._ask("Browser.grantPermissions", origin=site, permissions=[permission])

    def deliver_push(self, site: str, content: str) -> None:
        """Hand a decrypted push message to the service worker of a site, as a push service does."""
        self._connection.send(json.dumps({"id": next(self._numbers), "method": "ServiceWorker.enable"}))
        registrations: list[dict[str, Any]] = []
        while not registrations:
            told = self._receive()
            if told.get("method") == "ServiceWorker.workerRegistrationUpdated":
                every = told["params"]["registrations"]
                registrations = [each for each in every if each["scopeURL"].startswith(site)]
        number = registrations[0]["registrationId"]
        self._ask("ServiceWorker.deliverPushMessage", origin=site, registrationId=number, data=content)

    def picture(self) -> bytes:
        """What the page looks like, as PNG."""
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def roles(self) -> list[tuple[str, str]]:
        """What a screen reader is told: roles and names, in order."""
        nodes = self._ask("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]


@contextmanager
def browser(*, scripts: bool = False) -> Iterator[Page]:
    """A browser with one page, whose own scripts run only if it is said so."""
    if PROGRAM is None:
        pytest.skip("there is no Chromium on this machine")
    profile = Path(tempfile.mkdtemp(prefix="browser-"))
    process = subprocess.Popen(
        [PROGRAM, *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        told = next(line for line in process.stderr if "DevTools listening on " in line)
        host = told.split("ws://")[1].split("/")[0]
        target = next(one for one in httpx.get(f"http://{host}/json").json() if one["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None) as connection:
            yield Page(connection, scripts=scripts)
    finally:
        process.terminate()
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()
        shutil.rmtree(profile, ignore_errors=True)
