"""The commands of docs/flows do what the pages say."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from flow_company import MORNING, Company
from flow_page import PAGES, Shell, run_page
from flow_vendor import Event, Vendor, is_signed

FLOWS = sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README")
REAL_TIME = {flow for flow in FLOWS if "triggered" in flow or "metrics" in flow}


class Receiver(Vendor):
    """The reader's own: a listener, and a gateway that allows everybody. What is posted is kept as a page says."""

    file: Path

    def verdict(self, question: Event) -> bool:
        return True

    def on_event(self, event: Event) -> None:
        self._keep(event)

    def received(self, path: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        if b'"isSuccess"' in body:  # what became of a request, signed with a secret that came to be with it
            listeners = self.api.get("/manage/v1/listeners").json()
            assert is_signed(headers, body, [one["secret"] for one in listeners if one["event_type_id"] == 0])
            self._keep(json.loads(body))
            return 204, b""
        answer = super().received(path, headers, body)
        if path.startswith("/gateway"):
            self._keep(self.questions[-1])
        return answer

    def _keep(self, told: Event) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(told) + "\n")


class Reader:
    """Somebody who follows the pages, with a receiver at HOOK and GATEWAY."""

    def __init__(self, company: Company, receiver: Receiver, folder: Path) -> None:
        self.company, self.receiver = company, receiver
        new = {"nickname": "Reader", "contact_email": "reader@example.com", "access_type": "Integrations"}
        variables = {
            "BASE": company.base_url,
            "ADMIN": company.key,
            "KEY": company.manage("keys", new)["key"],
            "HOOK": receiver.url,
            "GATEWAY": receiver.gateway_url,
            "EVENTS": str(receiver.file),
        }
        (folder / "docs").symlink_to(PAGES.parent)
        self.shell = Shell(folder, variables)
        self.gateway_secrets: list[str] = []
        run_page("README", self.shell, self.happens, self.after)

    def after(self, output: str) -> None:
        """Learn the secrets of what was registered."""
        self.last = output
        self.receiver.secrets = [one["secret"] for one in self.company.see("listeners")] + self.gateway_secrets

    def campaign(self) -> int:
        """The campaign that the page ran."""
        return int(self.shell.value("CAMPAIGN"))

    def run(self, page: str) -> int:
        """Follow a page; how many shell blocks it has. Real time is at the real time."""
        if page in REAL_TIME:
            self.company.at(None)
        return run_page(page, self.shell, self.happens, self.after)

    def happens(self, what: str) -> None:
        """What a comment of a page says: nobody types it."""
        getattr(self, "_" + what.replace(" ", "_"))()

    def _the_deadline_and_the_send(self) -> None:
        by = datetime.fromisoformat(self.company.see(f"campaigns/{self.campaign()}")["clearance_by"])
        for minutes in (0, 30):
            self.company.pass_to(by + timedelta(minutes=minutes))

    def _the_secret_of_the_gateway(self) -> None:
        self.gateway_secrets = [json.loads(self.last)["secret"]]
        self.after(self.last)


@pytest.fixture(scope="module")
def reader(living: Company, real_time: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("flows")
    living.at(MORNING)
    with living.hires(Receiver, "Admin") as receiver:
        receiver.file = folder / "events.jsonl"
        yield Reader(living, receiver, folder)
    living.settle()


@pytest.mark.parametrize("flow", FLOWS)
def test_the_commands_of_a_page(company: Company, reader: Reader, flow: str) -> None:
    assert reader.run(flow) >= 2
    assert reader.receiver.refused == 0


def test_the_index_may_be_pasted_again(company: Company, reader: Reader) -> None:
    names = ("CHANNEL", "ACTION", "GROUP", "SERIES", "CUSTOMER", "OTHER", "LEAVING")
    before = [reader.shell.value(name) for name in names[:4]]
    run_page("README", reader.shell, reader.happens, reader.after)
    after = [reader.shell.value(name) for name in names]
    assert after[:4] == before
    assert len(set(after[4:])) == 3 and set(after[4:]) <= set(company.recipients(reader.campaign()))


def test_functions_say_what_is_wrong(company: Company, reader: Reader) -> None:
    shell = reader.shell
    assert shell.run("""echo '{"a": [{"b": "c"}, 2]}' | field a.0.b""") == "c\n"
    taken = '{"name": "Flows: text messages", "kind": "external"}'
    refused = f"curl -sS --fail-with-body $BASE/manage/v1/channels -H 'X-API-KEY: '$ADMIN -d '{taken}'"
    for command, told in (
        (f"{refused} -H 'Content-Type: application/json' | field id", "There is no id in the answer: .*already"),
        ("printf '' | field id", "There was no answer"),
        (f"ADMIN=none create channels '{taken}'", "detail"),
        ("create channels '{'", "no JSON object with a name: {"),
        ("wait_for 2000000000 successful", "detail.*2000000000"),
        ("wait_for $CAMPAIGN canceled 1", "Campaign .* is still (successful|executing), not canceled"),
    ):
        with pytest.raises(AssertionError, match=told) as raised:
            shell.run(command)
        assert "Traceback" not in str(raised.value)


def test_a_run_that_waits_for_confirmation_is_told(company: Company, reader: Reader) -> None:
    company.settle(messages_per_day=1)
    try:
        run = """CAMPAIGN=$(curl -sS -X POST "$BASE/manage/v1/series/$SERIES/runs" -H "X-API-KEY: $ADMIN" | field id)"""
        with pytest.raises(AssertionError, match="is awaiting confirmation: The run would bring a customer to"):
            reader.shell.run(f"{run}\n{run}\nwait_for $CAMPAIGN successful")
    finally:
        company.settle(messages_per_day=1000, clearance_minutes=0, clearance_review_minutes=1)


def test_the_receiver(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = tmp_path / "events.jsonl"
    with subprocess.Popen([sys.executable, PAGES / "receiver.py", kept, str(port)]) as receiver:
        try:
            question = {"user": {"user_id": "C1"}}
            answers = [_posted(f"http://127.0.0.1:{port}{path}", question) for path in ("/events", "/gateway")]
        finally:
            receiver.terminate()
    assert answers == ["", json.dumps({"user_id": "C1", "allowed": True})]
    assert [json.loads(line) for line in kept.read_text().splitlines()] == [question, question]


def _posted(url: str, body: Any) -> str:
    """What is answered to a post, once anybody listens."""
    transport = httpx.HTTPTransport(retries=10)
    with httpx.Client(transport=transport, trust_env=False) as client:
        return client.post(url, json=body).raise_for_status().text


def test_the_index_names_every_page() -> None:
    text = (PAGES / "README.md").read_text()
    assert all(f"[{flow}]({flow}.md)" in text for flow in FLOWS)
